//! How far groups are, and where they were put. Java writes and reads the queues as JSON objects in the place
//! of keys, which JSON does not have, hence no serde for the tables.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::keyed;
use super::topic::MessageQueue;

/// How far a group is in one queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OffsetWrapper {
    /// One more than that of the queue's last message.
    pub broker_offset: i64,
    /// Every message below is done with.
    pub consumer_offset: i64,
    /// When the last message below `consumer_offset` was stored, milliseconds since 1970; 0 for none.
    pub last_timestamp: i64,
    /// Every message below was handed out; at least `consumer_offset`.
    pub pull_offset: i64,
}

/// Answer to 208: how far a group is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConsumeStats {
    /// Messages per second that the group gets. Finite.
    pub consume_tps: f64,
    /// In the order to be written; each queue once.
    pub offset_table: Vec<(MessageQueue, OffsetWrapper)>,
}

impl ConsumeStats {
    /// Writes it as Java does.
    pub fn encode(&self) -> Bytes {
        let mut json = String::from(r#"{"consumeTps":"#);
        json.push_str(&serde_json::Value::from(self.consume_tps).to_string());
        json.push_str(r#","offsetTable":"#);
        keyed::write(&mut json, &self.offset_table);
        json.push('}');
        json.into()
    }

    /// Reads what [`ConsumeStats::encode`] and Java write: these two keys in this order, nothing else.
    pub fn decode(json: &[u8]) -> Result<Self, serde_json::Error> {
        let mut from = keyed::Reader::new(json);
        from.token(r#"{"consumeTps":"#)?;
        let consume_tps = from.value()?;
        from.token(r#","offsetTable":"#)?;
        let offset_table = from.map()?;
        from.token("}")?;
        from.end()?;
        Ok(Self { consume_tps, offset_table })
    }
}

/// Answer to 222 (`ResetOffsetBody`): where a group was put.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResetOffset {
    /// The offset that the group gets next, by queue; in the order to be written, each queue once.
    pub offset_table: Vec<(MessageQueue, i64)>,
}

impl ResetOffset {
    /// Writes it as Java does.
    pub fn encode(&self) -> Bytes {
        let mut json = String::from(r#"{"offsetTable":"#);
        keyed::write(&mut json, &self.offset_table);
        json.push('}');
        json.into()
    }

    /// Reads what [`ResetOffset::encode`] and Java write: this key, nothing else.
    pub fn decode(json: &[u8]) -> Result<Self, serde_json::Error> {
        let mut from = keyed::Reader::new(json);
        from.token(r#"{"offsetTable":"#)?;
        let offset_table = from.map()?;
        from.token("}")?;
        from.end()?;
        Ok(Self { offset_table })
    }
}
