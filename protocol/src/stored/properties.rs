//! The properties of a message, and the one string that they are stored and sent in:
//! `key \u{1} value \u{2}` for each.
//!
//! The string has no escape. So that no value can smuggle in a property, [`Properties::set`] writes a
//! space where a separator would stand; fronts refuse control characters before that.

use std::borrow::Cow;
use std::collections::BTreeMap;

const AFTER_KEY: char = '\u{1}';
const AFTER_VALUE: char = '\u{2}';

/// What most messages have, so that the list need not grow.
const PAIRS: usize = 8;

/// A map of properties in the order in which they were first set. Keys are not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// Most keys are of the protocol, and not copied.
    pairs: Vec<(Cow<'static, str>, String)>,
}

impl Properties {
    /// No properties.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// Sets a key, in its old place if it had one. An empty key is not set.
    pub fn set(&mut self, key: impl Into<Cow<'static, str>>, value: impl Into<String>) {
        let (mut key, mut value) = (key.into(), value.into());
        if has(&key, AFTER_KEY) || has(&key, AFTER_VALUE) {
            key = key.replace([AFTER_KEY, AFTER_VALUE], " ").into();
        }
        if has(&value, AFTER_VALUE) {
            value = value.replace(AFTER_VALUE, " ");
        }
        if key.is_empty() {
            return;
        }
        match self.pairs.iter_mut().find(|(k, _)| *k == key) {
            Some((_, old)) => *old = value,
            None => {
                self.pairs.reserve(PAIRS - self.pairs.len().min(PAIRS));
                self.pairs.push((key, value));
            }
        }
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &str) -> Option<String> {
        let at = self.pairs.iter().position(|(k, _)| k == key)?;
        Some(self.pairs.remove(at).1)
    }

    /// All pairs, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(k, v)| (k.as_ref(), v.as_str()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Bytes of [`Properties::encode`].
    pub fn encoded_len(&self) -> usize {
        self.pairs.iter().map(|(k, v)| k.len() + v.len() + 2).sum()
    }

    /// The string form, a separator after the last value too.
    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(self.encoded_len());
        for (key, value) in &self.pairs {
            text.push_str(key);
            text.push(AFTER_KEY);
            text.push_str(value);
            text.push(AFTER_VALUE);
        }
        text
    }

    /// Reads the string form. As Java does: the last separator may be missing, a part without a key or
    /// without a separator after it is passed over, and of equal keys the last wins. Empty values are kept.
    pub fn decode(text: &str) -> Self {
        let mut pairs: Vec<(Cow<'static, str>, String)> = Vec::new();
        // An index, because a hostile string may hold thousands of keys.
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for part in text.split(AFTER_VALUE) {
            let Some((key, value)) = part.split_once(AFTER_KEY) else { continue };
            if key.is_empty() {
                continue;
            }
            let place = *places.entry(key).or_insert(pairs.len());
            match pairs.get_mut(place) {
                Some((_, old)) => *old = value.to_owned(),
                None => pairs.push((key.to_owned().into(), value.to_owned())),
            }
        }
        Self { pairs }
    }
}

impl<K: Into<Cow<'static, str>>, V: Into<String>> FromIterator<(K, V)> for Properties {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut properties = Self::new();
        for (key, value) in pairs {
            properties.set(key, value);
        }
        properties
    }
}

fn has(text: &str, separator: char) -> bool {
    // Both separators are ASCII, and a byte is found faster than a character.
    text.bytes().any(|byte| byte == separator as u8)
}
