//! Validated names: what a client may call a topic, a group, a tag, a key, a message group, a lite topic,
//! and how long things may be. A value of one of these types has passed its rules; nothing behind a front
//! checks them again.
//!
//! The rules are those of Apache's gRPC proxy 5.5.0 (`GrpcValidator`, `TopicValidator`, `Validators`). Whether
//! a name belongs to the system is asked apart from its form, because readers of routes may name system
//! topics and producers may not.
//!
//! Deliberately absent: namespaces. `resource_namespace` is not part of a name here.

mod group;
mod message;
mod property;
mod refused;
mod text;
mod topic;

pub use group::GroupName;
pub use message::{LiteTopic, MessageGroup, MessageKey, Tag};
pub use property::check_user_property;
pub use refused::{NameRefused, Noun};
pub use topic::TopicName;

/// Longest topic name through gRPC, in characters.
pub const TOPIC_CHARS_MAX: usize = 127;
/// Longest topic name in a broker, in characters: `%RETRY%` and `%DLQ%` names may need it.
pub const STORED_TOPIC_CHARS_MAX: usize = 255;
/// Longest consumer group name, in characters.
pub const GROUP_CHARS_MAX: usize = 120;
/// Longest message group, in bytes of UTF-8: Apache refuses 64 and more.
pub const MESSAGE_GROUP_BYTES_MAX: usize = 63;
/// Longest lite topic, in bytes of UTF-8.
pub const LITE_TOPIC_BYTES_MAX: usize = 64;
/// Largest message body, in bytes.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most user properties of one message.
pub const USER_PROPERTIES_MAX: usize = 128;
/// Largest sum of user property keys and values, tag and keys of one message, in bytes of UTF-8.
pub const PROPERTIES_BYTES_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests;
