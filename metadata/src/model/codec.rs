//! The bytes of a value: one schema byte, then a protobuf message.
//!
//! A reader refuses a schema it does not know: it would otherwise rewrite the record without the part that it did not
//! understand. Fields may be added within a schema only where losing them in such a rewrite does no harm.

use bytes::Bytes;
use prost::Message;

/// Something kept under one key of the metadata store.
pub trait Record: Sized {
    /// The value to store.
    fn encode(&self) -> Bytes;

    /// The noun that `value` holds.
    ///
    /// # Errors
    /// When the value is of another schema, or damaged.
    fn decode(value: &[u8]) -> Result<Self, RecordError>;
}

/// Why a value cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// No schema byte.
    #[error("the value is empty")]
    Empty,
    /// Written by a version of this program that keeps more, or something else, in the record.
    #[error("the value has schema {found}, this version reads schema {known}")]
    Schema {
        /// What the value says.
        found: u8,
        /// What this program reads.
        known: u8,
    },
    /// Not the protobuf message that it should be.
    #[error("the value is not a protobuf message of its kind")]
    Protobuf(#[from] prost::DecodeError),
    /// A field whose value means nothing.
    #[error("field {0} holds nothing valid")]
    Field(&'static str),
}

/// `message` behind its schema byte.
pub(super) fn sealed(schema: u8, message: &impl Message) -> Bytes {
    let mut value = Vec::with_capacity(1 + message.encoded_len());
    value.push(schema);
    value.extend(message.encode_to_vec());
    value.into()
}

/// The message behind the schema byte, if that is `known`.
pub(super) fn opened<M: Message + Default>(known: u8, value: &[u8]) -> Result<M, RecordError> {
    match value.split_first() {
        None => Err(RecordError::Empty),
        Some((&found, _)) if found != known => Err(RecordError::Schema { found, known }),
        Some((_, message)) => Ok(M::decode(message)?),
    }
}
