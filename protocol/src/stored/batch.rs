//! The body of a Remoting batch send: messages of one topic and queue, each without what they share.
//!
//! Each part, big-endian: total size i32 (itself included) · magic i32 · body checksum i32 (both 0, not
//! looked at) · flag i32 · body i32 + n · properties i16 + n.

use bytes::{BufMut, Bytes};

use super::read::Reader;
use super::{PROPERTIES_BYTES_MAX, Properties, StoredError};

/// One message of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchPart {
    /// The user's own flag word.
    pub flag: i32,
    /// The body; shares the batch's buffer.
    pub body: Bytes,
    /// Its properties; those of the request come on top.
    pub properties: Properties,
}

/// Takes a batch apart, in order. Empty bytes are an empty batch.
pub fn decode_batch(bytes: Bytes) -> Result<Vec<BatchPart>, StoredError> {
    let mut from = Reader::new(bytes);
    let mut parts = Vec::new();
    while from.left() > 0 {
        let before = from.left();
        let said = from.length("total size")?;
        from.i32("magic")?;
        from.i32("body checksum")?;
        let flag = from.i32("flag")?;
        let body_bytes = from.length("body length")?;
        let body = from.take("body", body_bytes)?;
        let properties = Properties::decode(&from.short_text("properties")?);
        let taken = before - from.left();
        if said != taken {
            return Err(StoredError::Size { said, taken });
        }
        parts.push(BatchPart { flag, body, properties });
    }
    Ok(parts)
}

/// Puts a batch together. Fails as [`super::StoredMessage::encode`] does.
pub fn encode_batch(parts: &[BatchPart]) -> Result<Bytes, StoredError> {
    let mut bytes = Vec::new();
    for part in parts {
        let properties = part.properties.encode();
        let properties_bytes =
            i16::try_from(properties.len()).map_err(|_| StoredError::TooLong {
                field: "properties",
                bytes: properties.len(),
                limit: PROPERTIES_BYTES_MAX,
            })?;
        let whole = 22 + part.body.len() + properties.len();
        let too_long = |_| StoredError::TooLong {
            field: "message",
            bytes: whole,
            limit: usize::try_from(i32::MAX).unwrap_or(usize::MAX),
        };
        bytes.put_i32(i32::try_from(whole).map_err(too_long)?);
        bytes.put_i32(0);
        bytes.put_i32(0);
        bytes.put_i32(part.flag);
        bytes.put_i32(i32::try_from(part.body.len()).map_err(too_long)?);
        bytes.put_slice(&part.body);
        bytes.put_i16(properties_bytes);
        bytes.put_slice(properties.as_bytes());
    }
    Ok(bytes.into())
}
