//! Messages as they are stored, and as Remoting clients read them: one run of big-endian bytes, with the
//! hashes and ids that clients and brokers must compute alike.
//!
//! What always holds: a message that [`StoredMessage::encode`] accepts is decoded to itself; no input makes a
//! decoder panic; a decoded body shares the buffer it came from.
//!
//! Deliberately absent: where a message lies (`storage` knows offsets), and what a property means (the
//! features know; here are only the [`property`] names).

mod batch;
mod error;
mod hash;
mod id;
mod message;
mod properties;
pub mod property;
mod read;
mod sys_flag;

pub use batch::{BatchPart, decode_batch, encode_batch};
pub use error::StoredError;
pub use hash::{java_hash, ordered_queue, tag_hash};
pub use id::{ClassicId, GrpcId, offset_message_id, parse_offset_message_id};
pub use message::{Encoded, StoredMessage, body_crc, decode, decode_next};
pub use properties::Properties;
pub use sys_flag::{Compression, SysFlag, TransactionState};

/// Longest encoded properties of one message, in bytes: their length is a signed 16-bit field.
pub const PROPERTIES_BYTES_MAX: usize = i16::MAX as usize;

#[cfg(test)]
mod tests;
