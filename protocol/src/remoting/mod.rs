//! RocketMQ's classic protocol: frames of a header and a body over TCP, with a request code, a response
//! code, and fields by name.
//!
//! A frame, big-endian: length i32 of what follows · header word i32 (encoding in the top 8 bits, header
//! length below) · header · body. The header is JSON or RocketMQ's own binary form; a reply uses the form
//! of its request.
//!
//! Decoding is tolerant of what a header may leave out or say anew (codes, languages, keys) and strict about
//! lengths: no input panics, none makes a decoder reserve memory for bytes that did not come.

mod binary;
pub mod body;
mod code;
mod ext;
mod frame;
mod json;
mod language;
mod lenient;
mod version;

pub use code::{RequestCode, ResponseCode};
pub use ext::ExtFields;
pub use frame::{Encoding, FRAME_BYTES_MAX, Frame, FrameError, VERSION, decode, encode};
pub use language::Language;
pub use version::version_number;

#[cfg(test)]
mod tests;
