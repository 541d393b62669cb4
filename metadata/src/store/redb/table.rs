//! Tables of the file and the bytes in them.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | name | `format`, `revision`, `lease` (the last one given out) |
//! | `kv` | key | a pair: modified, lease, value |
//! | `history` | revision | the transaction's changes |
//! | `leases` | lease | time to live, milliseconds |

use crate::store::{Event, KeyValue, LeaseId, Revision};
use bytes::Bytes;
use prost::Message;
use redb::TableDefinition;

pub(super) const META: TableDefinition<'_, &str, i64> = TableDefinition::new("meta");
pub(super) const KV: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("kv");
pub(super) const HISTORY: TableDefinition<'_, i64, &[u8]> = TableDefinition::new("history");
pub(super) const LEASES: TableDefinition<'_, i64, u64> = TableDefinition::new("leases");

/// What `meta` says under [`META_FORMAT`].
pub(super) const FORMAT: i64 = 1;
pub(super) const META_FORMAT: &str = "format";
pub(super) const META_REVISION: &str = "revision";
pub(super) const META_LEASE: &str = "lease";

#[derive(Clone, PartialEq, Message)]
struct Pair {
    #[prost(int64, tag = "1")]
    modified: i64,
    #[prost(int64, optional, tag = "2")]
    lease: Option<i64>,
    #[prost(bytes = "bytes", tag = "3")]
    value: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct Changes {
    #[prost(message, repeated, tag = "1")]
    changes: Vec<Changed>,
}

#[derive(Clone, PartialEq, Message)]
struct Changed {
    #[prost(string, tag = "1")]
    key: String,
    /// None: deleted.
    #[prost(bytes = "bytes", optional, tag = "2")]
    value: Option<Bytes>,
    #[prost(int64, optional, tag = "3")]
    lease: Option<i64>,
}

pub(super) fn encode_pair(pair: &KeyValue) -> Vec<u8> {
    let (modified, lease) = (pair.modified.0, pair.lease.map(|lease| lease.0));
    Pair { modified, lease, value: pair.value.clone() }.encode_to_vec()
}

pub(super) fn decode_pair(key: &str, bytes: &[u8]) -> Result<KeyValue, redb::Error> {
    let Pair { modified, lease, value } = Pair::decode(bytes).map_err(|e| corrupt("kv", &e))?;
    let (modified, lease) = (Revision(modified), lease.map(LeaseId));
    Ok(KeyValue { key: key.into(), value, modified, lease })
}

pub(super) fn encode_events(events: &[Event]) -> Vec<u8> {
    let changed = |event: &Event| match event {
        Event::Put(pair) => Changed {
            key: pair.key.to_string(),
            value: Some(pair.value.clone()),
            lease: pair.lease.map(|lease| lease.0),
        },
        Event::Delete { key, .. } => Changed { key: key.to_string(), value: None, lease: None },
    };
    Changes { changes: events.iter().map(changed).collect() }.encode_to_vec()
}

pub(super) fn decode_events(revision: Revision, bytes: &[u8]) -> Result<Vec<Event>, redb::Error> {
    let event = |Changed { key, value, lease }| match value {
        Some(value) => Event::Put(KeyValue {
            key: String::into(key),
            value,
            modified: revision,
            lease: Option::map(lease, LeaseId),
        }),
        None => Event::Delete { key: key.into(), revision },
    };
    let changes = Changes::decode(bytes).map_err(|e| corrupt("history", &e))?.changes;
    Ok(changes.into_iter().map(event).collect())
}

pub(super) fn corrupt(table: &str, what: &dyn std::fmt::Display) -> redb::Error {
    redb::Error::Corrupted(format!("table {table}: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_these_bytes() {
        let pair = KeyValue {
            key: "k".into(),
            value: Bytes::from_static(b"v"),
            modified: Revision(300),
            lease: Some(LeaseId(7)),
        };
        let row = encode_pair(&pair);
        assert_eq!(row, [8, 0xac, 2, 16, 7, 26, 1, b'v']);
        assert_eq!(decode_pair("k", &row).unwrap(), pair);
        let gone = Event::Delete { key: "g".into(), revision: Revision(300) };
        let events = [Event::Put(pair), gone];
        let row = encode_events(&events);
        let put = [10, 8, 10, 1, b'k', 18, 1, b'v', 24, 7];
        assert_eq!(row, [&put[..], &[10, 3, 10, 1, b'g']].concat());
        assert_eq!(decode_events(Revision(300), &row).unwrap(), events);
    }

    #[test]
    fn a_damaged_row_is_an_error() {
        assert!(matches!(decode_pair("k", &[8]), Err(redb::Error::Corrupted(_))));
        assert!(matches!(decode_events(Revision(1), &[10, 9]), Err(redb::Error::Corrupted(_))));
    }
}
