//! Consumer groups.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::lenient::{number, or_default};
use super::topic::DataVersion;

/// Answer to 300: names of groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct GroupList {
    /// The names.
    pub group_list: Vec<String>,
}

/// Body of 200, answer to 352: the settings of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SubscriptionGroupConfig {
    /// In a request, changes: `+key` with a value, `-key`.
    #[serde(deserialize_with = "or_default")]
    pub attributes: BTreeMap<String, String>,
    /// 0, the master.
    #[serde(deserialize_with = "number")]
    pub broker_id: i64,
    /// Whether it may broadcast.
    pub consume_broadcast_enable: bool,
    /// Whether it may consume.
    pub consume_enable: bool,
    /// Whether it may begin at the first message.
    pub consume_from_min_enable: bool,
    /// Whether it is a FIFO group.
    pub consume_message_orderly: bool,
    /// Minutes that a push consumer may take for a message.
    #[serde(deserialize_with = "number")]
    pub consume_timeout_minute: i32,
    /// Its name.
    #[serde(deserialize_with = "or_default")]
    pub group_name: String,
    /// When failed messages are tried again.
    #[serde(deserialize_with = "or_default")]
    pub group_retry_policy: GroupRetryPolicy,
    /// 0.
    #[serde(deserialize_with = "number")]
    pub group_sys_flag: i32,
    /// Whether consumers are told of each other's coming and going.
    pub notify_consumer_ids_changed_enable: bool,
    /// How often a message is tried again. Negative: never.
    #[serde(deserialize_with = "number")]
    pub retry_max_times: i32,
    /// Queues of the retry topic.
    #[serde(deserialize_with = "number")]
    pub retry_queue_nums: i32,
    /// What it may subscribe to; `None` for anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_data_set: Option<Vec<SimpleSubscriptionData>>,
    /// Broker id to read from when the master is slow.
    #[serde(deserialize_with = "number")]
    pub which_broker_when_consume_slowly: i64,
}

impl Default for SubscriptionGroupConfig {
    /// What Java's class begins with.
    fn default() -> Self {
        Self {
            attributes: BTreeMap::new(),
            broker_id: 0,
            consume_broadcast_enable: true,
            consume_enable: true,
            consume_from_min_enable: true,
            consume_message_orderly: false,
            consume_timeout_minute: 15,
            group_name: String::new(),
            group_retry_policy: GroupRetryPolicy::default(),
            group_sys_flag: 0,
            notify_consumer_ids_changed_enable: true,
            retry_max_times: 16,
            retry_queue_nums: 1,
            subscription_data_set: None,
            which_broker_when_consume_slowly: 1,
        }
    }
}

/// When failed messages are tried again. Absent details mean the default customized policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct GroupRetryPolicy {
    /// Details of [`GroupRetryPolicyType::Customized`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customized_retry_policy: Option<CustomizedRetryPolicy>,
    /// Details of [`GroupRetryPolicyType::Exponential`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exponential_retry_policy: Option<ExponentialRetryPolicy>,
    /// Which of the two holds.
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: GroupRetryPolicyType,
}

/// Kinds of retry policies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum GroupRetryPolicyType {
    /// The wait grows by a factor.
    Exponential,
    /// The waits are listed. Also what unknown words mean.
    #[default]
    #[serde(other)]
    Customized,
}

/// Waits that grow by a factor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ExponentialRetryPolicy {
    /// First wait, milliseconds.
    #[serde(deserialize_with = "number")]
    pub initial: u64,
    /// Longest wait, milliseconds.
    #[serde(deserialize_with = "number")]
    pub max: u64,
    /// The factor.
    #[serde(deserialize_with = "number")]
    pub multiplier: u32,
}

impl Default for ExponentialRetryPolicy {
    /// What Java's class begins with: 5 s to 2 h, twice as long each time.
    fn default() -> Self {
        Self { initial: 5_000, max: 7_200_000, multiplier: 2 }
    }
}

/// Listed waits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CustomizedRetryPolicy {
    /// Milliseconds before each retry; the last one repeats.
    #[serde(deserialize_with = "or_default")]
    pub next: Vec<u64>,
}

/// One topic that a group subscribes to, as an operator fixed it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SimpleSubscriptionData {
    /// The filter.
    #[serde(deserialize_with = "or_default")]
    pub expression: String,
    /// `TAG` or `SQL92`.
    #[serde(deserialize_with = "or_default")]
    pub expression_type: String,
    /// The topic.
    #[serde(deserialize_with = "or_default")]
    pub topic: String,
    /// Grows with every change.
    #[serde(deserialize_with = "number")]
    pub version: i64,
}

/// Answer to 201: the settings of all groups, or a page of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SubscriptionGroupTable {
    /// The state of all.
    pub data_version: DataVersion,
    /// What groups must not do in which topic, by group and topic.
    pub forbidden_table: BTreeMap<String, BTreeMap<String, i32>>,
    /// By name.
    pub subscription_group_table: BTreeMap<String, SubscriptionGroupConfig>,
}
