//! Clients: what they say in heartbeats, and what tools are told of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::lenient::{number, numbers, or_default};

/// Body of 34: what a client produces and consumes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HeartbeatData {
    /// `ip@instance`.
    #[serde(rename = "clientID", deserialize_with = "or_default")]
    pub client_id: String,
    /// Groups that it consumes in.
    #[serde(deserialize_with = "or_default")]
    pub consumer_data_set: Vec<ConsumerData>,
    /// Hash of the whole, for heartbeats that leave out subscriptions; 0 for none.
    #[serde(deserialize_with = "number")]
    pub heartbeat_fingerprint: i32,
    /// Groups that it produces in.
    #[serde(deserialize_with = "or_default")]
    pub producer_data_set: Vec<ProducerData>,
    /// Subscriptions are left out because they are those of the last fingerprint.
    #[serde(rename = "withoutSub", alias = "isWithoutSub", deserialize_with = "or_default")]
    pub is_without_sub: bool,
}

/// A group that a client produces in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ProducerData {
    /// The group.
    #[serde(deserialize_with = "or_default")]
    pub group_name: String,
}

/// A group that a client consumes in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConsumerData {
    /// Where a new group begins: `CONSUME_FROM_LAST_OFFSET` and others.
    #[serde(deserialize_with = "or_default")]
    pub consume_from_where: String,
    /// How it gets messages.
    #[serde(deserialize_with = "or_default")]
    pub consume_type: ConsumeType,
    /// The group.
    #[serde(deserialize_with = "or_default")]
    pub group_name: String,
    /// Who of the group gets a message.
    #[serde(deserialize_with = "or_default")]
    pub message_model: MessageModel,
    /// What it subscribes to.
    #[serde(deserialize_with = "or_default")]
    pub subscription_data_set: Vec<SubscriptionData>,
    /// Not used outside of Apache's first users.
    #[serde(deserialize_with = "or_default")]
    pub unit_mode: bool,
}

/// How a consumer gets messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConsumeType {
    /// Its user pulls.
    #[serde(rename = "CONSUME_ACTIVELY")]
    Actively,
    /// It pops.
    #[serde(rename = "CONSUME_POP")]
    Pop,
    /// It pulls by itself and calls its user. Also what unknown words mean.
    #[default]
    #[serde(rename = "CONSUME_PASSIVELY", other)]
    Passively,
}

/// Who of a group gets a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MessageModel {
    /// Everybody.
    Broadcasting,
    /// Whoever subscribed to its lite topic.
    LiteSelective,
    /// One. Also what unknown words mean.
    #[default]
    #[serde(other)]
    Clustering,
}

/// The language of a filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ExpressionType {
    /// SQL92.
    Sql92,
    /// Tags. Also what a missing word and unknown words mean.
    #[default]
    #[serde(other)]
    Tag,
}

/// One topic that a group subscribes to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SubscriptionData {
    /// A filter by Java class, which 5.x has no more.
    #[serde(deserialize_with = "or_default")]
    pub class_filter_mode: bool,
    /// Java hashes of the tags.
    #[serde(deserialize_with = "numbers")]
    pub code_set: Vec<i32>,
    /// The language of the filter.
    #[serde(deserialize_with = "or_default")]
    pub expression_type: ExpressionType,
    /// The filter: `*`, tags with `||` between them, or SQL.
    #[serde(deserialize_with = "or_default")]
    pub sub_string: String,
    /// Grows with every change: milliseconds since 1970.
    #[serde(deserialize_with = "number")]
    pub sub_version: i64,
    /// The tags of the filter.
    #[serde(deserialize_with = "or_default")]
    pub tags_set: Vec<String>,
    /// The topic.
    #[serde(deserialize_with = "or_default")]
    pub topic: String,
}

/// Answer to 203: who consumes in a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConsumerConnection {
    /// The clients.
    pub connection_set: Vec<Connection>,
    /// As in [`ConsumerData`].
    pub consume_from_where: String,
    /// As in [`ConsumerData`].
    pub consume_type: ConsumeType,
    /// As in [`ConsumerData`].
    pub message_model: MessageModel,
    /// Subscriptions by topic.
    pub subscription_table: BTreeMap<String, SubscriptionData>,
}

/// Answer to 204: who produces in a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ProducerConnection {
    /// The clients.
    pub connection_set: Vec<Connection>,
}

/// One client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Connection {
    /// `host:port`.
    pub client_addr: String,
    /// Its id.
    pub client_id: String,
    /// Name of a [`crate::remoting::Language`]: Java fails on others.
    pub language: String,
    /// Its `MQVersion` ordinal.
    pub version: i32,
}
