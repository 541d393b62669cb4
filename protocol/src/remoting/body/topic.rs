//! Topics, their settings and their offsets.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::super::lenient::{number, or_default};
use super::keyed;

/// Answer to 206: names of topics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TopicList {
    /// An address, where a list is about one broker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker_addr: Option<String>,
    /// The names.
    pub topic_list: Vec<String>,
}

/// Answer to 351: the settings of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TopicConfig {
    /// `message.type`, `cleanup.policy` and others, as [`crate::remoting`] tools name them.
    #[serde(deserialize_with = "or_default")]
    pub attributes: BTreeMap<String, String>,
    /// Whether its messages keep a global order.
    #[serde(deserialize_with = "or_default")]
    pub order: bool,
    /// 4 read, 2 write, 1 inherited.
    #[serde(deserialize_with = "number")]
    pub perm: u32,
    /// How many queues can be read.
    #[serde(deserialize_with = "number")]
    pub read_queue_nums: u32,
    /// How many tags a message may have.
    #[serde(deserialize_with = "or_default")]
    pub topic_filter_type: TopicFilterType,
    /// Its name.
    #[serde(deserialize_with = "or_default")]
    pub topic_name: String,
    /// 0.
    #[serde(deserialize_with = "number")]
    pub topic_sys_flag: u32,
    /// How many queues can be written.
    #[serde(deserialize_with = "number")]
    pub write_queue_nums: u32,
}

impl Default for TopicConfig {
    /// What Java's class begins with.
    fn default() -> Self {
        Self {
            attributes: BTreeMap::new(),
            order: false,
            perm: 6,
            read_queue_nums: 16,
            topic_filter_type: TopicFilterType::SingleTag,
            topic_name: String::new(),
            topic_sys_flag: 0,
            write_queue_nums: 16,
        }
    }
}

/// How many tags a message of a topic may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TopicFilterType {
    /// Several, which never came to be.
    MultiTag,
    /// One, and what unknown words mean.
    #[default]
    #[serde(other)]
    SingleTag,
}

/// One queue of one topic on one broker.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MessageQueue {
    /// The broker.
    pub broker_name: String,
    /// Index inside the broker; -1 for all.
    pub queue_id: i32,
    /// The topic.
    pub topic: String,
}

/// What a queue holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TopicOffset {
    /// When the last message came, milliseconds since 1970; 0 for none.
    pub last_update_timestamp: i64,
    /// One more than that of the last message.
    pub max_offset: i64,
    /// That of the first message.
    pub min_offset: i64,
}

/// Answer to 202: what the queues of a topic hold. Java writes and reads the queues as JSON objects in the
/// place of keys, which JSON does not have, hence no serde here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopicStatsTable {
    /// In the order to be written; each queue once.
    pub offset_table: Vec<(MessageQueue, TopicOffset)>,
    /// Messages per second that come in. Finite.
    pub topic_put_tps: f64,
}

impl TopicStatsTable {
    /// Writes it as Java does.
    pub fn encode(&self) -> Bytes {
        let mut json = String::from(r#"{"offsetTable":"#);
        keyed::write(&mut json, &self.offset_table);
        json.push_str(r#","topicPutTps":"#);
        json.push_str(&serde_json::Value::from(self.topic_put_tps).to_string());
        json.push('}');
        json.into()
    }

    /// Reads what [`TopicStatsTable::encode`] and Java write: these two keys in this order, nothing else.
    pub fn decode(json: &[u8]) -> Result<Self, serde_json::Error> {
        let mut from = keyed::Reader::new(json);
        from.token(r#"{"offsetTable":"#)?;
        let offset_table = from.map()?;
        from.token(r#","topicPutTps":"#)?;
        let topic_put_tps = from.value()?;
        from.token("}")?;
        from.end()?;
        Ok(Self { offset_table, topic_put_tps })
    }
}

/// Answer to 28: a broker's numbers by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KvTable {
    /// Texts by name.
    pub table: BTreeMap<String, String>,
}

/// Which state of a broker's tables an answer shows. Whoever fetches a table in pages begins anew when it changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DataVersion {
    /// Grows with every change.
    pub counter: i64,
    /// 0 outside of Apache's controller mode.
    pub state_version: i64,
    /// Milliseconds since 1970.
    pub timestamp: i64,
}

/// Answer to 21: the settings of all topics, or a page of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TopicConfigTable {
    /// The state of all.
    pub data_version: DataVersion,
    /// By name.
    pub topic_config_table: BTreeMap<String, TopicConfig>,
}
