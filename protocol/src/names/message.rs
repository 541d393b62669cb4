//! The names that a message carries: tag, keys, message group, lite topic.
//!
//! Clients leave out a tag, a key or a message group by sending an empty string, so these three have
//! `parse_optional`, where empty means none; `parse` takes white space and nothing for blank alike.

use std::sync::Arc;

use super::text::{has_control, is_blank, name};
use super::{LITE_TOPIC_BYTES_MAX, MESSAGE_GROUP_BYTES_MAX, NameRefused, Noun};

/// The one word that consumers filter a message by.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(Arc<str>);

name!(Tag);

impl Tag {
    /// Not blank, no `|`, no control character.
    pub fn parse(text: &str) -> Result<Self, NameRefused> {
        refuse_blank(Noun::Tag, text)?;
        if text.contains('|') {
            return Err(NameRefused::TagSeparator);
        }
        refuse_control(Noun::Tag, text)?;
        Ok(Self(text.into()))
    }

    /// As [`Tag::parse`]; empty is no tag.
    pub fn parse_optional(text: &str) -> Result<Option<Self>, NameRefused> {
        if text.is_empty() { Ok(None) } else { Self::parse(text).map(Some) }
    }
}

/// A word that a message can be found by.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageKey(Arc<str>);

name!(MessageKey);

impl MessageKey {
    /// Not blank, no control character.
    pub fn parse(text: &str) -> Result<Self, NameRefused> {
        refuse_blank(Noun::Key, text)?;
        refuse_control(Noun::Key, text)?;
        Ok(Self(text.into()))
    }

    /// As [`MessageKey::parse`]; empty is no key.
    pub fn parse_optional(text: &str) -> Result<Option<Self>, NameRefused> {
        if text.is_empty() { Ok(None) } else { Self::parse(text).map(Some) }
    }
}

/// The messages of a FIFO topic that keep their order among each other.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageGroup(Arc<str>);

name!(MessageGroup);

impl MessageGroup {
    /// Not blank, at most [`MESSAGE_GROUP_BYTES_MAX`] bytes, no control character.
    pub fn parse(text: &str) -> Result<Self, NameRefused> {
        refuse_blank(Noun::MessageGroup, text)?;
        refuse_longer(Noun::MessageGroup, text, MESSAGE_GROUP_BYTES_MAX)?;
        refuse_control(Noun::MessageGroup, text)?;
        Ok(Self(text.into()))
    }

    /// As [`MessageGroup::parse`]; empty is no message group.
    pub fn parse_optional(text: &str) -> Result<Option<Self>, NameRefused> {
        if text.is_empty() { Ok(None) } else { Self::parse(text).map(Some) }
    }
}

/// A topic inside a topic, made by sending to it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LiteTopic(Arc<str>);

name!(LiteTopic);

impl LiteTopic {
    /// Not blank, at most [`LITE_TOPIC_BYTES_MAX`] bytes, letters, digits, `_` and `-`.
    pub fn parse(text: &str) -> Result<Self, NameRefused> {
        const ALLOWED: &str = "^[a-zA-Z0-9_-]+$";
        refuse_blank(Noun::LiteTopic, text)?;
        refuse_longer(Noun::LiteTopic, text, LITE_TOPIC_BYTES_MAX)?;
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')) {
            return Err(NameRefused::Characters { noun: Noun::LiteTopic, allowed: ALLOWED });
        }
        Ok(Self(text.into()))
    }
}

fn refuse_blank(noun: Noun, text: &str) -> Result<(), NameRefused> {
    if is_blank(text) { Err(NameRefused::Blank { noun }) } else { Ok(()) }
}

fn refuse_control(noun: Noun, text: &str) -> Result<(), NameRefused> {
    if has_control(text) { Err(NameRefused::ControlCharacter { noun }) } else { Ok(()) }
}

fn refuse_longer(noun: Noun, text: &str, limit: usize) -> Result<(), NameRefused> {
    let length = text.len();
    if length > limit { Err(NameRefused::TooLong { noun, length, limit }) } else { Ok(()) }
}
