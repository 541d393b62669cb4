//! Why a name was refused.

use std::fmt;

use thiserror::Error;

/// What the refused text was meant to name. A front chooses its reply code by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noun {
    /// A topic: `ILLEGAL_TOPIC`.
    Topic,
    /// A consumer group: `ILLEGAL_CONSUMER_GROUP`.
    Group,
    /// A message's tag: `ILLEGAL_MESSAGE_TAG`.
    Tag,
    /// A message's key: `ILLEGAL_MESSAGE_KEY`.
    Key,
    /// A FIFO message's group: `ILLEGAL_MESSAGE_GROUP`.
    MessageGroup,
    /// A lite topic: `ILLEGAL_LITE_TOPIC`.
    LiteTopic,
    /// A user property: `ILLEGAL_MESSAGE_PROPERTY_KEY`.
    Property,
}

impl fmt::Display for Noun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Topic => "topic",
            Self::Group => "consumer group",
            Self::Tag => "tag",
            Self::Key => "key",
            Self::MessageGroup => "message group",
            Self::LiteTopic => "lite topic",
            Self::Property => "property",
        })
    }
}

/// A text that is no name. Its `Display` is what the user is told; it never repeats the text, which may
/// be long or hold control characters.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameRefused {
    /// Empty, or nothing but white space.
    #[error("the {noun} is blank")]
    Blank {
        /// What was to be named.
        noun: Noun,
    },
    /// More characters than allowed (bytes of UTF-8 for message groups and lite topics).
    #[error("the {noun} is {length} long, the limit is {limit}")]
    TooLong {
        /// What was to be named.
        noun: Noun,
        /// How long the text is.
        length: usize,
        /// How long it may be.
        limit: usize,
    },
    /// A character outside the set that such names are made of.
    #[error("the {noun} contains illegal characters, allowed are {allowed}")]
    Characters {
        /// What was to be named.
        noun: Noun,
        /// The allowed characters, as a regular expression.
        allowed: &'static str,
    },
    /// An ISO control character: U+0000 to U+001F, U+007F to U+009F.
    #[error("the {noun} contains a control character")]
    ControlCharacter {
        /// What was to be named.
        noun: Noun,
    },
    /// `|` in a tag, which filter expressions use between tags.
    #[error("the tag contains '|'")]
    TagSeparator,
    /// A topic that only the server writes.
    #[error("cannot access system topic")]
    SystemTopic,
    /// A group that only the server uses.
    #[error("cannot use system consumer group")]
    SystemGroup,
    /// A property that RocketMQ uses itself.
    #[error("the property {key} is reserved")]
    ReservedProperty {
        /// One of [`crate::stored::property::RESERVED`].
        key: &'static str,
    },
}

impl NameRefused {
    /// What the refused text was meant to name.
    pub fn noun(&self) -> Noun {
        match self {
            Self::Blank { noun }
            | Self::TooLong { noun, .. }
            | Self::Characters { noun, .. }
            | Self::ControlCharacter { noun } => *noun,
            Self::TagSeparator => Noun::Tag,
            Self::SystemTopic => Noun::Topic,
            Self::SystemGroup => Noun::Group,
            Self::ReservedProperty { .. } => Noun::Property,
        }
    }
}
