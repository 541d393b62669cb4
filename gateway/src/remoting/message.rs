//! Messages looked at without consuming them, for `queryMsgById`, `queryMsgByKey` and
//! `queryMsgByUniqueKey`: what is answered is the bytes that lie in the log.

use super::header::Header;
use super::reply::{Answer, Refusal, Reply};
use super::round::Kept;
use super::session::Session;
use crate::query::{self, Library, LookRefused, Matches, Search, Wanted};
use bytes::{Bytes, BytesMut};
use protocol::names::TopicName;
use protocol::remoting::Frame;
use storage::env::Timestamp;
use storage::format::Lsn;

/// Bytes of messages in one answer, but for a larger message alone: far below what a frame holds.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// Messages where a producer's id is asked for (Apache's `defaultQueryMaxNum`).
const BY_ID_MAX: usize = 32;
/// The field that says that a key is a producer's id (`MixAll.UNIQUE_MSG_QUERY_FLAG`).
const IS_UNIQUE_KEY: &str = "_UNIQUE_KEY_QUERY";
/// Kinds of keys (`MessageConst`): of messages, and their tags.
const KEY_TYPE: &str = "K";
const TAG_TYPE: &str = "T";

/// VIEW_MESSAGE_BY_ID (33): the message at a position of a log, which offset message ids name.
pub(super) async fn view(session: &Session<'_>, header: Header<'_>) -> Answer {
    let position: i64 = header.number("offset")?;
    let library = Library::of(session.broker);
    let found = query::by_lsn(&library, Lsn(position.cast_unsigned())).await;
    found.map(|found| Reply::bytes(found.record)).map_err(|refused| match refused {
        LookRefused::Missing => Refusal::NothingAt(position),
        refused @ (LookRefused::NotServedHere(_)
        | LookRefused::Unreadable
        | LookRefused::NotLoaded(_)) => Refusal::Look(refused),
    })
}

/// QUERY_MESSAGE (12): messages of a topic by key, newest first. Tools add up what the brokers of
/// the route answer, so the first of a round has what is in all of them, and the others nothing.
pub(super) async fn search(session: &mut Session<'_>, request: &Frame) -> Answer {
    let broker = session.broker;
    if let Some(kept) = session.round.kept(request, broker.env.monotonic()) {
        return kept.into();
    }
    let header = Header::of(request);
    let topic = header.text("topic")?;
    let (wanted, max) = wanted(header)?;
    let from = time(header.number("beginTimestamp")?);
    let to = time(header.number("endTimestamp")?);
    let topic = TopicName::parse_stored(topic).ok().and_then(|it| broker.catalog.resolve(&it));
    let topic = topic.ok_or(Refusal::NothingFound)?;
    let brokers = topic.spread.len();
    let search = Search { topic, wanted, from, to, max };
    let matches = query::search(&Library::of(broker), search).await?;
    let now = broker.env.monotonic();
    session.round.begin(request, brokers, Kept::NothingFound, now);
    answer(&matches, broker.env.now())
}

fn answer(matches: &Matches, now: Timestamp) -> Answer {
    let Some(newest) = matches.found.first() else {
        if !matches.damaged.is_empty() {
            return Err(LookRefused::Unreadable.into());
        }
        return Err(matches.stopped_at.map_or(Refusal::NothingFound, |at| {
            // Asking again with it as the end goes on from there.
            Refusal::NothingFoundSince(at.0)
        }));
    };
    let reply = Reply::bytes(joined(matches.found.iter().map(|found| &found.record)));
    // There is no index that could be behind.
    Ok(reply.with("indexLastUpdateTimestamp", now.0).with("indexLastUpdatePhyoffset", newest.lsn.0))
}

fn wanted(header: Header<'_>) -> Result<(Wanted, usize), Refusal> {
    let key = header.text("key")?.to_owned();
    let max: i64 = header.number("maxNum")?;
    let max = usize::try_from(max).unwrap_or(0);
    if header.optional(IS_UNIQUE_KEY) == Some("true") {
        return Ok((Wanted::UniqueId(key), BY_ID_MAX));
    }
    match header.optional("indexType").unwrap_or_default() {
        "" | KEY_TYPE => Ok((Wanted::KeyOrUniqueId(key), max)),
        TAG_TYPE => Err(Refusal::Parameter(
            "messages are not searched by tag; read the topic with `stratamq message tail`, or \
             search by key (K)"
                .to_owned(),
        )),
        other => Err(Refusal::Parameter(format!("there is no kind of key {other}"))),
    }
}

/// A negative time is before everything.
fn time(ms: i64) -> Timestamp {
    Timestamp(u64::try_from(ms).unwrap_or(0))
}

/// As many of the records as an answer takes, at least one.
fn joined<'a>(records: impl Iterator<Item = &'a Bytes>) -> Bytes {
    let mut body = BytesMut::new();
    for record in records {
        if !body.is_empty() && body.len() + record.len() > ANSWER_BYTES_MAX {
            break;
        }
        body.extend_from_slice(record);
    }
    body.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_bound_but_for_its_first_message() {
        let record = |bytes: usize| Bytes::from(vec![0; bytes]);
        let length = |records: &[Bytes]| joined(records.iter()).len();
        assert_eq!(length(&[record(5), record(7)]), 12);
        assert_eq!(length(&[record(ANSWER_BYTES_MAX + 1), record(7)]), ANSWER_BYTES_MAX + 1);
        assert_eq!(
            length(&[record(ANSWER_BYTES_MAX - 1), record(7), record(1)]),
            ANSWER_BYTES_MAX - 1
        );
    }
}
