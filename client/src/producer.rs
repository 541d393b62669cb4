//! Sending.

use crate::config::Config;
use crate::door;
use crate::error::{Advice, Error, Outcome, Refusal};
use crate::message::{Message, Receipt};
use crate::route::Queue;
use crate::rpc::Call;
use crate::session::{Role, Session};
use protocol::grpc::v2 as pb;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const RPC: &str = "SendMessage";

/// Sends messages. Clones share connections and may be used at once from any number of tasks.
#[derive(Clone)]
pub struct Producer {
    session: Arc<Session>,
    turn: Arc<AtomicUsize>,
}

impl Producer {
    /// Connects, and waits until the servers of `topics` have confirmed this producer. Further
    /// topics may be sent to; they are looked up at their first message.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when nobody answers; [`Error::Refused`] with `TOPIC_NOT_FOUND` for a
    /// topic that does not exist, since a route query creates none.
    pub async fn start(
        config: Config,
        topics: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Producer, Error> {
        let topics = topics.into_iter().map(Into::into).collect();
        let session = Session::start(config, Role::Producer, topics).await?;
        Ok(Producer { session: Arc::new(session), turn: Arc::new(AtomicUsize::new(0)) })
    }

    /// Sends one message and waits until the server has it as durably as the topic demands.
    ///
    /// What certainly did not happen and may be tried again (no connection, a full server) is tried
    /// again here, as often as the server allows. Anything else is the caller's to decide. Dropping
    /// the future leaves the outcome unknown.
    ///
    /// # Errors
    /// See [`Error::outcome`]: after `Unknown` the message may be stored, now or a little later.
    pub async fn send(&self, message: Message) -> Result<Receipt, Error> {
        let mut receipts = self.send_many(std::slice::from_ref(&message)).await?;
        receipts.pop().ok_or(Error::Malformed { rpc: RPC, what: "no receipt" })
    }

    /// Sends messages of one topic in one request: to one queue, one after the other.
    ///
    /// # Errors
    /// As [`Producer::send`]; [`Error::Partly`] from a server that took only some.
    pub async fn send_many(&self, messages: &[Message]) -> Result<Vec<Receipt>, Error> {
        let Some(first) = messages.first() else {
            return Err(Error::Invalid { what: "there is no message to send".to_owned() });
        };
        let mut attempt = 1;
        loop {
            let error = match self.attempt(first, messages).await {
                Ok(receipts) => return Ok(receipts),
                Err(error) => error,
            };
            if leads_nowhere(&error) {
                self.session.forget_route(first.topic());
            }
            let attempts = self.session.inner().attempts.load(Ordering::Relaxed);
            match error.advice() {
                Advice::Retry { after }
                    if error.outcome() == Outcome::NotApplied && attempt < attempts =>
                {
                    tracing::debug!(topic = first.topic(), attempt, %error, "sending again");
                    door::sleep(after * attempt).await;
                    attempt += 1;
                }
                Advice::Retry { .. } | Advice::Fix | Advice::Stop => return Err(error),
            }
        }
    }

    async fn attempt(&self, first: &Message, messages: &[Message]) -> Result<Vec<Receipt>, Error> {
        let inner = self.session.inner();
        let route = self.session.route(first.topic()).await?;
        let queue = match first.message_group() {
            Some(group) => route.for_group(group),
            None => route.writable(self.turn.fetch_add(1, Ordering::Relaxed)),
        };
        let Some(Queue { wire, endpoint }) = queue else {
            let what = format!("topic {} has no writable queue", first.topic());
            return Err(Error::Invalid { what });
        };
        let wire_message = |message: &Message| message.to_wire(&inner.config.namespace, wire.id);
        let body = pb::SendMessageRequest { messages: messages.iter().map(wire_message).collect() };
        let patience = inner.config.request_timeout;
        let call = Call { rpc: RPC, endpoint, patience };
        let mut stub = self.session.peer(endpoint)?.stub();
        let request = inner.headers.request(body, Some(patience));
        let answer = call.answer(stub.send_message(request)).await?;
        receipts(messages, answer)
    }

    /// Tells the servers that this producer is gone, and ends its tasks. Clones fail with
    /// [`Error::Closed`] from here on.
    pub async fn close(&self) {
        self.session.close().await;
    }
}

/// Errors after which the route is asked for again.
fn leads_nowhere(error: &Error) -> bool {
    matches!(error, Error::Unreachable { .. }) || error.code() == Some(pb::Code::TopicNotFound)
}

/// Reads an answer to a request with these messages.
fn receipts(messages: &[Message], answer: pb::SendMessageResponse) -> Result<Vec<Receipt>, Error> {
    let several = pb::Code::MultipleResults as i32;
    if answer.status.as_ref().is_none_or(|status| status.code != several) {
        Refusal::check(answer.status).map_err(|refusal| Error::Refused { rpc: RPC, refusal })?;
    }
    if let [only] = answer.entries.as_slice()
        && messages.len() > 1
    {
        // Apache's proxy answers a batch with the entry of its first message; the others follow it
        // in the queue.
        let first =
            receipt(only.clone()).map_err(|refusal| Error::Refused { rpc: RPC, refusal })?;
        let follower = |(message, place): (&Message, i64)| Receipt {
            message_id: message.id().to_owned(),
            transaction_id: message.id().to_owned(),
            offset: first.offset + place,
            recall_handle: String::new(),
        };
        return Ok(messages.iter().zip(0..).map(follower).collect());
    }
    if answer.entries.len() != messages.len() {
        return Err(Error::Malformed { rpc: RPC, what: "not one entry for each message" });
    }
    let entries: Vec<Result<Receipt, Refusal>> = answer.entries.into_iter().map(receipt).collect();
    match entries.iter().cloned().collect() {
        Ok(receipts) => Ok(receipts),
        Err(_) => Err(Error::Partly { rpc: RPC, entries }),
    }
}

fn receipt(entry: pb::SendResultEntry) -> Result<Receipt, Refusal> {
    Refusal::check(entry.status)?;
    Ok(Receipt {
        message_id: entry.message_id,
        transaction_id: entry.transaction_id,
        offset: entry.offset,
        recall_handle: entry.recall_handle,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: pb::Code) -> Option<pb::Status> {
        Some(pb::Status { code: code as i32, message: String::new() })
    }

    fn entry(code: pb::Code, offset: i64) -> pb::SendResultEntry {
        pb::SendResultEntry { status: status(code), offset, ..pb::SendResultEntry::default() }
    }

    fn batch() -> Vec<Message> {
        vec![Message::new("t", "a"), Message::new("t", "b")]
    }

    #[test]
    fn one_entry_for_a_batch_stands_for_consecutive_offsets() {
        let entries = vec![entry(pb::Code::Ok, 7)];
        let answer = pb::SendMessageResponse { status: status(pb::Code::Ok), entries };
        let receipts = receipts(&batch(), answer).unwrap();
        assert_eq!(receipts.iter().map(|r| r.offset).collect::<Vec<_>>(), [7, 8]);
    }

    #[test]
    fn mixed_results_are_told_for_each_message() {
        let entries = vec![entry(pb::Code::Ok, 7), entry(pb::Code::MessageBodyTooLarge, 0)];
        let answer = pb::SendMessageResponse { status: status(pb::Code::MultipleResults), entries };
        match receipts(&batch(), answer) {
            Err(Error::Partly { entries, .. }) => {
                assert_eq!(entries[0].as_ref().unwrap().offset, 7);
                assert_eq!(
                    entries[1].as_ref().unwrap_err().known_code(),
                    Some(pb::Code::MessageBodyTooLarge)
                );
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_answer_without_status_is_not_taken_for_success() {
        let answer =
            pb::SendMessageResponse { status: None, entries: vec![entry(pb::Code::Ok, 1)] };
        let error = receipts(&batch()[..1], answer).unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown);
    }
}
