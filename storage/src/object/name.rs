//! Names of objects.
use std::fmt;
use std::sync::Arc;

/// Longest name, in bytes. S3 allows 1,024 with the prefix; a folder 255 for a segment.
pub const NAME_BYTES_MAX: usize = 700;
/// Longest part between slashes, in bytes: what file systems take, less what an upload in progress
/// appends.
const SEGMENT_BYTES_MAX: usize = 200;

/// The name of an object below its bucket's prefix, or of a folder of objects: segments with
/// slashes between, of letters, digits and `._=-`. Means the same in a folder and in a service, and
/// sorts by its bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameRefused {
    /// Too long, or a segment is.
    #[error("longer than {NAME_BYTES_MAX} bytes, or than {SEGMENT_BYTES_MAX} between slashes")]
    Long,
    /// An empty segment, or one that means another folder.
    #[error("a part between slashes is empty, . or ..")]
    Segment,
    /// A character that is not the same everywhere.
    #[error("only letters, digits, / and ._=- may be in it")]
    Character,
}

impl Name {
    /// Checks a name.
    ///
    /// # Errors
    /// When it is too long or has characters that some store would change.
    pub fn parse(text: &str) -> Result<Name, NameRefused> {
        let plain = |c: u8| c.is_ascii_alphanumeric() || b"/._=-".contains(&c);
        if text.len() > NAME_BYTES_MAX {
            return Err(NameRefused::Long);
        }
        if !text.bytes().all(plain) {
            return Err(NameRefused::Character);
        }
        for segment in text.split('/') {
            if matches!(segment, "" | "." | "..") {
                return Err(NameRefused::Segment);
            }
            if segment.len() > SEGMENT_BYTES_MAX {
                return Err(NameRefused::Long);
            }
        }
        Ok(Name(text.into()))
    }

    /// The same name with the nonce of one writer's one attempt appended: nobody else writes to it,
    /// ever.
    ///
    /// # Errors
    /// When it becomes too long.
    pub fn with_nonce(&self, nonce: u64) -> Result<Name, NameRefused> {
        Name::parse(&format!("{self}-{nonce:016x}"))
    }

    /// The object or folder `below` in this folder.
    ///
    /// # Errors
    /// When `below` is no name, or both together are too long.
    pub fn join(&self, below: &str) -> Result<Name, NameRefused> {
        Name::parse(&format!("{self}/{below}"))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_every_store_keeps_as_it_is() {
        for text in ["a", "l0/gateway-0/0000002a/00-ff.b", "topic=x/_y"] {
            assert_eq!(Name::parse(text).unwrap().as_str(), text);
        }
        let long = "x".repeat(SEGMENT_BYTES_MAX + 1);
        for text in ["", "/a", "a/", "a//b", "a/../b", ".", "a b", "a#1", "ä", "a%2F", &long] {
            assert!(Name::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_nonce_makes_a_name_its_writers_own() {
        let name = Name::parse("l0/7").unwrap();
        assert_eq!(name.with_nonce(255).unwrap().as_str(), "l0/7-00000000000000ff");
        assert_ne!(name.with_nonce(1), name.with_nonce(2));
    }
}
