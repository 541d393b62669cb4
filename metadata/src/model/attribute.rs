//! Attributes: the open-ended part of topics and groups, as `mqadmin -a +key=value,-key` gives them.
//!
//! An attribute that is not known is refused, as Apache does, and so is a value that asks for what this version does
//! not do: a setting that is silently without effect would be worse than an error.

use super::{ConsumeFrom, Durability, GroupSpec, Retention, TopicKind, TopicSpec};

/// What messages a topic takes.
pub const TOPIC_MESSAGE_TYPE: &str = "message.type";
/// When a message counts as sent. Ours, not Apache's.
pub const TOPIC_DURABILITY: &str = "durability";
/// How long messages are kept ([`Retention`]). Ours, not Apache's.
pub const TOPIC_RETENTION: &str = "retention";
/// Apache's word for `retention=compacted`: `COMPACTION`, else `DELETE`.
pub const TOPIC_CLEANUP: &str = "cleanup.policy";
/// Where a new group begins: `auto`, `earliest` or `latest`. Ours, not Apache's.
pub const GROUP_CONSUME_FROM: &str = "consume.from";

/// One step of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeChange {
    /// `+key=value`
    Set {
        /// The attribute.
        key: String,
        /// Not empty.
        value: String,
    },
    /// `-key`
    Remove {
        /// The attribute.
        key: String,
    },
}

/// Why an attribute is not taken. Its text is for the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttributeRefused {
    /// Not `+key=value` and not `-key`.
    #[error("attribute change {0:?} is neither +key=value nor -key")]
    Syntax(String),
    /// The same attribute twice.
    #[error("attribute {0} is changed twice")]
    Twice(String),
    /// Nobody knows the attribute.
    #[error("attribute {0} is not supported")]
    Unknown(String),
    /// Such an attribute has no such value.
    #[error("attribute {key} cannot be {value:?}: it takes {takes}")]
    Value {
        /// The attribute.
        key: String,
        /// What it was to be.
        value: String,
        /// What it may be.
        takes: &'static str,
    },
}

impl AttributeChange {
    /// Reads `+key=value,-key`. The empty text changes nothing.
    ///
    /// # Errors
    /// When it is not of that form, or an attribute comes twice.
    pub fn parse_list(text: &str) -> Result<Vec<AttributeChange>, AttributeRefused> {
        let mut changes: Vec<AttributeChange> = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let change = AttributeChange::parse(part)?;
            if changes.iter().any(|other| other.key() == change.key()) {
                return Err(AttributeRefused::Twice(change.key().to_owned()));
            }
            changes.push(change);
        }
        Ok(changes)
    }

    fn parse(part: &str) -> Result<AttributeChange, AttributeRefused> {
        let syntax = || AttributeRefused::Syntax(part.to_owned());
        match part.split_once('=') {
            Some((key, value)) => match key.strip_prefix('+') {
                Some(key) if !key.is_empty() && !value.is_empty() => {
                    Ok(AttributeChange::Set { key: key.into(), value: value.into() })
                }
                Some(_) | None => Err(syntax()),
            },
            None => match part.strip_prefix('-') {
                Some(key) if !key.is_empty() => Ok(AttributeChange::Remove { key: key.into() }),
                Some(_) | None => Err(syntax()),
            },
        }
    }

    /// The attribute.
    pub fn key(&self) -> &str {
        match self {
            AttributeChange::Set { key, .. } | AttributeChange::Remove { key } => key,
        }
    }

    fn refused(&self, takes: &'static str) -> AttributeRefused {
        AttributeRefused::Value { key: self.key().into(), value: self.value().into(), takes }
    }

    fn value(&self) -> &str {
        match self {
            AttributeChange::Set { value, .. } => value,
            AttributeChange::Remove { .. } => "",
        }
    }
}

/// Topic attributes: Apache's `TopicAttributes`, and ours.
pub(super) fn change_topic(
    spec: &mut TopicSpec,
    change: &AttributeChange,
) -> Result<(), AttributeRefused> {
    let set = matches!(change, AttributeChange::Set { .. });
    let value = change.value();
    match change.key() {
        TOPIC_MESSAGE_TYPE if !set => spec.kind = TopicKind::default(),
        TOPIC_MESSAGE_TYPE => {
            let takes = "NORMAL, FIFO, DELAY, TRANSACTION, LITE, PRIORITY, MIXED or UNSPECIFIED";
            spec.kind = TopicKind::parse(value).ok_or_else(|| change.refused(takes))?;
        }
        TOPIC_DURABILITY if !set => spec.durability = None,
        TOPIC_DURABILITY => {
            let takes = "async, local, mirrored or object";
            let level = Durability::parse(value).ok_or_else(|| change.refused(takes))?;
            spec.durability = Some(level);
        }
        TOPIC_RETENTION => {
            if set && Retention::parse(value).is_none() {
                return Err(change.refused(Retention::TAKES));
            }
            keep(&mut spec.attributes, change);
        }
        TOPIC_CLEANUP => {
            if set && !matches!(value, "DELETE" | "COMPACTION") {
                return Err(change.refused("DELETE or COMPACTION"));
            }
            keep(&mut spec.attributes, change);
        }
        // How Apache indexes a queue; nothing depends on it here.
        "queue.type" => match value {
            "" | "SimpleCQ" | "BatchCQ" | "RocksDBCQ" => keep(&mut spec.attributes, change),
            _ => return Err(change.refused("SimpleCQ, BatchCQ or RocksDBCQ")),
        },
        "reserve.time" | "lite.topic.expiration" => {
            if set && !value.parse::<i64>().is_ok_and(|number| number >= -1) {
                return Err(change.refused("a number from -1"));
            }
            keep(&mut spec.attributes, change);
        }
        unknown => return Err(AttributeRefused::Unknown(unknown.to_owned())),
    }
    Ok(())
}

/// Group attributes: Apache's `SubscriptionGroupAttributes`, and ours.
pub(super) fn change_group(
    spec: &mut GroupSpec,
    change: &AttributeChange,
) -> Result<(), AttributeRefused> {
    let set = matches!(change, AttributeChange::Set { .. });
    let value = change.value();
    match change.key() {
        GROUP_CONSUME_FROM => {
            if set && ConsumeFrom::parse(value).is_none() {
                return Err(change.refused("auto, earliest or latest"));
            }
        }
        "priority.factor" => {
            if set && !value.parse::<u32>().is_ok_and(|percent| percent <= 100) {
                return Err(change.refused("0 to 100"));
            }
        }
        "lite.sub.client.quota" | "lite.sub.client.max.event.cnt" => {
            if set && value.parse::<i64>().is_err() {
                return Err(change.refused("a number"));
            }
        }
        "lite.bind.topic"
        | "lite.sub.model"
        | "lite.sub.reset.offset.exclusive"
        | "lite.sub.reset.offset.unsubscribe" => {}
        unknown => return Err(AttributeRefused::Unknown(unknown.to_owned())),
    }
    keep(&mut spec.attributes, change);
    Ok(())
}

fn keep(kept: &mut std::collections::BTreeMap<String, String>, change: &AttributeChange) {
    match change {
        AttributeChange::Set { key, value } => {
            kept.insert(key.clone(), value.clone());
        }
        AttributeChange::Remove { key } => {
            kept.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::names::TopicName;

    fn spec() -> TopicSpec {
        TopicSpec::new(TopicName::parse("T").unwrap())
    }

    fn apply(text: &str) -> Result<TopicSpec, AttributeRefused> {
        let mut spec = spec();
        for change in AttributeChange::parse_list(text)? {
            spec.change(&change)?;
        }
        Ok(spec)
    }

    #[test]
    fn attributes_with_a_field_move_the_field() {
        let spec = apply("+message.type=FIFO,+durability=async,+reserve.time=5").unwrap();
        assert_eq!((spec.kind, spec.durability), (TopicKind::Fifo, Some(Durability::Async)));
        assert_eq!(
            spec.attributes.into_iter().collect::<Vec<_>>(),
            [("reserve.time".to_owned(), "5".to_owned())]
        );
    }

    #[test]
    fn removing_an_attribute_restores_the_default() {
        let mut spec = apply("+message.type=FIFO,+queue.type=BatchCQ").unwrap();
        for change in AttributeChange::parse_list("-message.type,-queue.type").unwrap() {
            spec.change(&change).unwrap();
        }
        assert_eq!(spec, tests::spec());
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for (text, want) in [
            (
                "message.type=FIFO",
                "attribute change \"message.type=FIFO\" is neither +key=value nor -key",
            ),
            (
                "+message.type=",
                "attribute change \"+message.type=\" is neither +key=value nor -key",
            ),
            ("+reserve.time=1,-reserve.time", "attribute reserve.time is changed twice"),
            ("+colour=red", "attribute colour is not supported"),
            (
                "+reserve.time=soon",
                "attribute reserve.time cannot be \"soon\": it takes a number from -1",
            ),
            (
                "+retention=soon",
                "attribute retention cannot be \"soon\": it takes forever, an age such as 3d, 12h or 90m, a \
                 size such as 10GiB, compacted, or locked:365d",
            ),
        ] {
            assert_eq!(apply(text).unwrap_err().to_string(), want, "{text}");
        }
    }
}
