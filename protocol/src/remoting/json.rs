//! A header as a JSON object (`RemotingCommand`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::lenient::{number, or_default, to_text};
use super::{Encoding, ExtFields, Frame, FrameError, Language};

/// Keys in the order in which Java writes them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    code: i32,
    #[serde(skip_serializing_if = "ExtFields::is_empty")]
    ext_fields: &'a ExtFields,
    flag: i32,
    language: &'static str,
    opaque: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    remark: Option<&'a str>,
    #[serde(rename = "serializeTypeCurrentRPC")]
    encoding: &'static str,
    version: i32,
}

/// Every key may be missing or `null`; others are passed over.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Read {
    #[serde(deserialize_with = "number")]
    code: i32,
    #[serde(deserialize_with = "or_default")]
    ext_fields: BTreeMap<String, Value>,
    #[serde(deserialize_with = "number")]
    flag: i32,
    language: Value,
    #[serde(deserialize_with = "number")]
    opaque: i32,
    remark: Value,
    #[serde(deserialize_with = "number")]
    version: i32,
}

pub(super) fn encode(frame: &Frame) -> Vec<u8> {
    let header = Written {
        code: frame.code,
        ext_fields: &frame.ext,
        flag: frame.flag,
        language: frame.language.name(),
        opaque: frame.opaque,
        remark: frame.remark.as_deref(),
        encoding: "JSON",
        version: frame.version,
    };
    serde_json::to_vec(&header).expect("numbers and texts by name are JSON")
}

/// The frame but for its body.
pub(super) fn decode(header: &[u8]) -> Result<Frame, FrameError> {
    let read: Read = serde_json::from_slice(header).map_err(FrameError::Json)?;
    let fields = read.ext_fields.into_iter();
    Ok(Frame {
        code: read.code,
        language: language(&read.language),
        version: read.version,
        opaque: read.opaque,
        flag: read.flag,
        remark: to_text(read.remark),
        ext: fields.filter_map(|(name, value)| Some((name, to_text(value)?))).collect(),
        body: bytes::Bytes::new(),
        encoding: Encoding::Json,
    })
}

/// By name, or by number as some clients write it.
fn language(value: &Value) -> Language {
    match (value.as_str(), value.as_u64()) {
        (Some(name), _) => Language::from_name(name),
        (None, Some(code)) => u8::try_from(code).map_or(Language::Other, Language::from_code),
        (None, None) => Language::Java,
    }
}
