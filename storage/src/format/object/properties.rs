//! What else an object says about itself, in words: which gateway and program wrote it. No rule
//! depends on it.
//!
//! | off | field |
//! |---|---|
//! | 0 | count u16 |
//! | 2 | name_len u16, value_len u16, name, value: count times, ascending by name |
//! | end - 4 | crc u32 |

use super::{sealed, unsealed};
use crate::format::FormatError;
use crate::format::take::Take;
use std::collections::BTreeMap;

/// Names and values, UTF-8, each of at most 65,535 bytes; longer ones are cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties(pub BTreeMap<String, String>);

impl Properties {
    /// Their bytes.
    pub fn encode(&self) -> Vec<u8> {
        let kept = self.0.iter().take(u16::MAX.into());
        let mut out = (kept.len() as u16).to_le_bytes().to_vec();
        for (name, value) in kept {
            let (name, value) = (cut(name), cut(value));
            out.extend_from_slice(&(name.len() as u16).to_le_bytes());
            out.extend_from_slice(&(value.len() as u16).to_le_bytes());
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(value.as_bytes());
        }
        sealed(out)
    }

    /// Reads them.
    ///
    /// # Errors
    /// When these are not their bytes.
    pub fn decode(bytes: &[u8]) -> Result<Properties, FormatError> {
        let mut take = Take(unsealed(bytes)?);
        let mut all = BTreeMap::new();
        for _ in 0..take.u16()? {
            let (name, value) = (take.u16()?, take.u16()?);
            let name = text(take.bytes(name.into())?)?;
            all.insert(name, text(take.bytes(value.into())?)?);
        }
        if take.0.is_empty() { Ok(Properties(all)) } else { Err(FormatError::Length) }
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(u16::MAX.into())]
}

fn text(bytes: &[u8]) -> Result<String, FormatError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| FormatError::Contradiction)
}

pub(super) fn fuzz(bytes: &[u8]) {
    for bytes in [bytes.to_vec(), sealed(bytes.to_vec())] {
        if let Ok(read) = Properties::decode(&bytes) {
            assert_eq!(Properties::decode(&read.encode()), Ok(read));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_golden_bytes() {
        let all = Properties(BTreeMap::from([("by".to_owned(), "g1".to_owned())]));
        let bytes = all.encode();
        assert_eq!(bytes[..10], [1, 0, 2, 0, 2, 0, b'b', b'y', b'g', b'1']);
        assert_eq!(Properties::decode(&bytes), Ok(all));
        let long = Properties(BTreeMap::from([("x".repeat(70_000), "ä".repeat(40_000))]));
        let read = Properties::decode(&long.encode()).unwrap();
        let (name, value) = read.0.first_key_value().unwrap();
        assert_eq!((name.len(), value.len()), (65_535, 65_534));
    }
}
