//! A header in RocketMQ's own form (`RocketMQSerializable`), big-endian:
//!
//! code i16 · language i8 · version i16 · opaque i32 · flag i32 · remark i32 + n · fields i32 + n, where a
//! field is its name, i16 + n, and its text, i32 + n. A remark of length 0 is none.

use bytes::{Buf, BufMut, Bytes};

use super::{Encoding, ExtFields, Frame, FrameError, Language};

/// `None` when a number or a length does not fit its field.
pub(super) fn encode(frame: &Frame) -> Option<Vec<u8>> {
    let remark = frame.remark.as_deref().unwrap_or_default();
    let fields_bytes: usize =
        frame.ext.iter().map(|(name, value)| 6 + name.len() + value.len()).sum();
    let mut header = Vec::with_capacity(21 + remark.len() + fields_bytes);
    header.put_i16(frame.code.try_into().ok()?);
    header.put_u8(frame.language.code());
    header.put_i16(frame.version.try_into().ok()?);
    header.put_i32(frame.opaque);
    header.put_i32(frame.flag);
    put_text(&mut header, remark)?;
    header.put_i32(fields_bytes.try_into().ok()?);
    for (name, value) in frame.ext.iter() {
        header.put_i16(name.len().try_into().ok()?);
        header.put_slice(name.as_bytes());
        put_text(&mut header, value)?;
    }
    Some(header)
}

fn put_text(header: &mut Vec<u8>, text: &str) -> Option<()> {
    header.put_i32(text.len().try_into().ok()?);
    header.put_slice(text.as_bytes());
    Some(())
}

/// The frame but for its body. Bytes after the fields are passed over.
pub(super) fn decode(mut header: Bytes) -> Result<Frame, FrameError> {
    let from = &mut header;
    let cut = |field| move |_| FrameError::Truncated(field);
    let code = from.try_get_i16().map_err(cut("code"))?.into();
    let language = Language::from_code(from.try_get_u8().map_err(cut("language"))?);
    let version = from.try_get_i16().map_err(cut("version"))?.into();
    let opaque = from.try_get_i32().map_err(cut("opaque"))?;
    let flag = from.try_get_i32().map_err(cut("flag"))?;
    let remark = long_text(from, "remark")?;
    let fields_bytes = from.try_get_i32().map_err(cut("fields"))?;
    let mut fields = take(from, i64::from(fields_bytes), "fields")?;
    let mut ext = ExtFields::new();
    while fields.has_remaining() {
        let name_bytes = fields.try_get_i16().map_err(cut("field name"))?;
        let name = text(take(&mut fields, name_bytes.into(), "field name")?, "field name")?;
        ext.set(name, long_text(&mut fields, "field")?);
    }
    Ok(Frame {
        code,
        language,
        version,
        opaque,
        flag,
        remark: Some(remark).filter(|remark| !remark.is_empty()),
        ext,
        body: Bytes::new(),
        encoding: Encoding::Binary,
    })
}

fn long_text(from: &mut Bytes, field: &'static str) -> Result<String, FrameError> {
    let length = from.try_get_i32().map_err(|_| FrameError::Truncated(field))?;
    text(take(from, length.into(), field)?, field)
}

fn take(from: &mut Bytes, length: i64, field: &'static str) -> Result<Bytes, FrameError> {
    let fits = usize::try_from(length).ok().filter(|length| *length <= from.len());
    fits.map(|length| from.split_to(length)).ok_or(FrameError::Truncated(field))
}

fn text(bytes: Bytes, field: &'static str) -> Result<String, FrameError> {
    String::from_utf8(bytes.into()).map_err(|_| FrameError::Text(field))
}
