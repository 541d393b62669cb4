//! Readers for JSON as clients really write it. Java's own reader takes `null` for a default, a quoted
//! number for a number, and a number for text; clients in other languages rely on it.

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error};
use serde_json::Value;

/// `null` is the type's default.
pub(super) fn or_default<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// A number, quoted or not; `null` is 0.
pub(super) fn number<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    to_number(Value::deserialize(from)?).map_err(D::Error::custom)
}

/// A list of numbers, quoted or not; `null` is empty.
pub(super) fn numbers<'de, D>(from: D) -> Result<Vec<i32>, D::Error>
where
    D: Deserializer<'de>,
{
    let values: Vec<Value> = or_default(from)?;
    values.into_iter().map(to_number).collect::<Result<_, _>>().map_err(D::Error::custom)
}

fn to_number<T: DeserializeOwned + Default>(value: Value) -> Result<T, serde_json::Error> {
    match value.as_str() {
        _ if value.is_null() => Ok(T::default()),
        Some("") => Ok(T::default()),
        Some(text) => serde_json::from_str(text),
        None => serde_json::from_value(value),
    }
}

/// Text, or what else stands there in its JSON form; `None` for `null`.
pub(super) fn to_text(value: Value) -> Option<String> {
    if value.is_null() {
        return None;
    }
    Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}
