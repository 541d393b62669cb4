//! Sending.

use crate::config::Config;
use crate::door;
use crate::error::{Advice, Error, Outcome, Refusal};
use crate::message::{Message, Receipt};
use crate::metrics::Metrics;
use crate::route::Queue;
use crate::rpc::Call;
use crate::session::{Role, Session};
use parking_lot::Mutex;
use protocol::grpc::v2 as pb;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::Instrument as _;

const RPC: &str = "SendMessage";
/// One-way sends in flight; the next waits for one of them.
const ONE_WAY_MAX: u32 = 1024;

/// Sends messages. Clones share connections and may be used at once from any number of tasks.
#[derive(Clone)]
pub struct Producer {
    sender: Sender,
    one_way: Arc<OneWay>,
}

/// Sends and waits.
#[derive(Clone)]
struct Sender {
    session: Arc<Session>,
    turn: Arc<AtomicUsize>,
}

/// Sends that nobody waits for. They end with the last clone of the producer.
struct OneWay {
    room: Arc<Semaphore>,
    tasks: Mutex<JoinSet<()>>,
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
        let room = Arc::new(Semaphore::new(ONE_WAY_MAX as usize));
        Ok(Producer {
            sender: Sender { session: Arc::new(session), turn: Arc::new(AtomicUsize::new(0)) },
            one_way: Arc::new(OneWay { room, tasks: Mutex::new(JoinSet::new()) }),
        })
    }

    /// Sends one message and waits until the server has it as durably as the topic demands.
    ///
    /// What certainly did not happen and may be tried again (no connection, a full server) is tried
    /// again here, elsewhere if there is an elsewhere, as often and with such pauses as the server
    /// advises ([`Config::send_attempts`]). Anything else is the caller's to decide, unless
    /// [`Config::resend_unknown`] says otherwise. Dropping the future leaves the outcome unknown.
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
        self.sender.send_many(messages).await
    }

    /// Sends one message without waiting for the answer. gRPC has no request without one: it is
    /// sent as [`Producer::send`] does, attempts included, in the background.
    ///
    /// Waits while 1024 such sends are in flight. What fails is logged as a warning and counted in
    /// [`Metrics::send_failures`]; [`Producer::flush`] waits for all of them. Two one-way messages
    /// may be stored in either order.
    ///
    /// # Errors
    /// [`Error::Closed`]; nothing else is learnt here.
    pub async fn send_one_way(&self, message: Message) -> Result<(), Error> {
        let room = Arc::clone(&self.one_way.room).acquire_owned().await;
        let room = room.map_err(|_| Error::Closed)?;
        // Not the producer itself: a task that held the set of tasks would keep itself alive.
        let sender = self.sender.clone();
        let mut tasks = self.one_way.tasks.lock();
        while tasks.try_join_next().is_some() {}
        door::spawn(&mut tasks, async move {
            if let Err(error) = sender.send_many(std::slice::from_ref(&message)).await {
                tracing::warn!(%error, "one-way send failed");
            }
            drop(room);
        });
        Ok(())
    }

    /// Waits until every one-way send that was begun before has ended, well or not.
    pub async fn flush(&self) {
        // Whoever holds all the room knows that nothing is in flight.
        let _ = self.one_way.room.acquire_many(ONE_WAY_MAX).await;
    }

    /// What this producer has done since its start, clones included.
    pub fn metrics(&self) -> Metrics {
        self.sender.session.metrics()
    }

    /// Waits for what was sent one-way, tells the servers that this producer is gone, and ends its
    /// tasks. Clones fail with [`Error::Closed`] from here on.
    pub async fn close(&self) {
        self.flush().await;
        self.one_way.room.close();
        self.sender.session.close().await;
    }
}

impl Sender {
    async fn send_many(&self, messages: &[Message]) -> Result<Vec<Receipt>, Error> {
        let Some(first) = messages.first() else {
            return Err(Error::Invalid { what: "there is no message to send".to_owned() });
        };
        let began = door::instant();
        let span = tracing::debug_span!(
            "send",
            topic = first.topic(),
            message_id = first.id(),
            messages = messages.len()
        );
        let sent = self.send_patiently(first, messages).instrument(span).await;
        let meters = &self.session.inner().meters;
        meters.send_time.record(began.elapsed());
        match &sent {
            Ok(receipts) => meters.sent.add(receipts.len()),
            Err(_) => meters.send_failures.add(messages.len()),
        }
        sent
    }

    async fn send_patiently(
        &self,
        first: &Message,
        messages: &[Message],
    ) -> Result<Vec<Receipt>, Error> {
        let inner = self.session.inner();
        let mut attempt = 1;
        loop {
            let error = match self.attempt(first, messages).await {
                Ok(receipts) => return Ok(receipts),
                Err(error) => error,
            };
            let elsewhere = self.session.look_again(first.topic(), &error).await;
            let advised = inner.advised();
            let attempts = inner.config.send_attempts.unwrap_or(advised.attempts);
            let harmless = error.outcome() == Outcome::NotApplied || inner.config.resend_unknown;
            match error.advice() {
                Advice::Retry { after } if harmless && attempt < attempts => {
                    tracing::debug!(attempt, %error, "sending again");
                    if !elsewhere {
                        door::sleep(jittered(advised.backoff.delay(attempt).max(after))).await;
                    }
                    inner.meters.send_retries.add(1);
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
            // Order binds a group to its queue, whether that answers or not.
            Some(group) => route.for_group(group),
            None => {
                let turn = self.turn.fetch_add(1, Ordering::Relaxed);
                route.writable(turn, |endpoint| self.session.trusts(endpoint))
            }
        };
        let Some(Queue { wire, endpoint }) = queue else {
            let what = format!("topic {} has no writable queue", first.topic());
            return Err(Error::Invalid { what });
        };
        let wire_message = |message: &Message| message.to_wire(&inner.config.namespace, wire.id);
        let body = pb::SendMessageRequest { messages: messages.iter().map(wire_message).collect() };
        let patience = inner.config.request_timeout;
        let call = Call { rpc: RPC, endpoint, patience };
        let peer = self.session.peer(endpoint)?;
        let mut stub = peer.stub();
        let request = inner.headers.request(body, Some(patience));
        let answer = call.answer(stub.send_message(request)).await;
        peer.judge(&answer);
        receipts(messages, answer?)
    }
}

/// Between half of the pause and all of it, so that senders that were refused together do not come
/// back together.
fn jittered(pause: Duration) -> Duration {
    let part = u32::try_from(door::random_u64() % 512).unwrap_or_default();
    pause / 2 + pause / 1024 * part
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
