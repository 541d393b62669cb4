//! What is wrong with bytes that should be a stored message, or with a message that should become bytes.

use thiserror::Error;

/// Why a stored message was not encoded or decoded. The caller can only give up on it: bytes are corrupt,
/// or a front let through what does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StoredError {
    /// The bytes end inside a field.
    #[error("{field} needs {needed} bytes, {left} are left")]
    Truncated {
        /// Where.
        field: &'static str,
        /// Bytes of the field.
        needed: usize,
        /// Bytes there are.
        left: usize,
    },
    /// Neither of the two layouts.
    #[error("no message has the magic {0:#010x}")]
    Magic(u32),
    /// A length or port that its field cannot mean.
    #[error("{field} cannot be {value}")]
    Value {
        /// Where.
        field: &'static str,
        /// What was read.
        value: i64,
    },
    /// The fields do not fill the total size, or do not fit into it.
    #[error("the total size is {said}, the fields take {taken}")]
    Size {
        /// What the first field says.
        said: usize,
        /// What the fields take.
        taken: usize,
    },
    /// The body is not the one that was stored.
    #[error("body checksum is {computed:#010x}, stored with {stored:#010x}")]
    BodyChecksum {
        /// From the message.
        stored: u32,
        /// Of the body.
        computed: u32,
    },
    /// Text that is not UTF-8.
    #[error("{field} is not UTF-8")]
    Text {
        /// Where.
        field: &'static str,
    },
    /// Longer than its length field can say.
    #[error("{field} is {bytes} bytes, the limit is {limit}")]
    TooLong {
        /// What.
        field: &'static str,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        limit: usize,
    },
}
