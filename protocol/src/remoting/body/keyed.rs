//! Maps whose keys are objects. Java's fastjson writes `{{"queueId":0}:5,{"queueId":1}:6}`, which is not
//! JSON, and reads nothing else for them: a key as a quoted string fails in its reader.

use serde::Serialize;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::Error;

/// Appends the map of these pairs, in this order.
pub(super) fn write<K: Serialize, V: Serialize>(json: &mut String, pairs: &[(K, V)]) {
    json.push('{');
    for (index, (key, value)) in pairs.iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        json.push_str(&serde_json::to_string(key).expect("keys are plain structures"));
        json.push(':');
        json.push_str(&serde_json::to_string(value).expect("values are plain structures"));
    }
    json.push('}');
}

/// Reads such a map, and what stands around it. No white space between tokens.
pub(super) struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(json: &'a [u8]) -> Self {
        Self { left: json }
    }

    /// Takes exactly this text.
    pub(super) fn token(&mut self, token: &'static str) -> Result<(), Error> {
        if self.take(token) { Ok(()) } else { Err(Error::custom(format_args!("expected {token}"))) }
    }

    /// Takes one JSON value.
    pub(super) fn value<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        let mut values = serde_json::Deserializer::from_slice(self.left).into_iter();
        let value = values.next().ok_or_else(|| Error::custom("expected a value"))??;
        self.left = self.left.get(values.byte_offset()..).unwrap_or_default();
        Ok(value)
    }

    /// Takes a map.
    pub(super) fn map<K: DeserializeOwned, V: DeserializeOwned>(
        &mut self,
    ) -> Result<Vec<(K, V)>, Error> {
        self.token("{")?;
        let mut pairs = Vec::new();
        if self.take("}") {
            return Ok(pairs);
        }
        loop {
            let key = self.value()?;
            self.token(":")?;
            pairs.push((key, self.value()?));
            if self.take("}") {
                return Ok(pairs);
            }
            self.token(",")?;
        }
    }

    /// Nothing is left.
    pub(super) fn end(&self) -> Result<(), Error> {
        if self.left.is_empty() { Ok(()) } else { Err(Error::custom("more after the end")) }
    }

    fn take(&mut self, token: &str) -> bool {
        let rest = self.left.strip_prefix(token.as_bytes());
        self.left = rest.unwrap_or(self.left);
        rest.is_some()
    }
}
