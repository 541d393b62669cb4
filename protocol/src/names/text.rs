//! What all names have in common: shared text, compared and printed as that text, and Java's ideas of
//! blank and length.

use super::{NameRefused, Noun};

/// The set of [`resource`]. The broker's and the clients' own expression.
const RESOURCE: &str = "^[%|a-zA-Z0-9_-]+$";

/// Topic and group names: not blank, at most `limit` characters, letters, digits and `% | _ -`; checked
/// in this order, as clients see one refusal only.
pub(super) fn resource(noun: Noun, text: &str, limit: usize) -> Result<(), NameRefused> {
    if is_blank(text) {
        return Err(NameRefused::Blank { noun });
    }
    let length = text.encode_utf16().count();
    if length > limit {
        return Err(NameRefused::TooLong { noun, length, limit });
    }
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'%' | b'|' | b'_' | b'-');
    if !text.bytes().all(fits) {
        return Err(NameRefused::Characters { noun, allowed: RESOURCE });
    }
    Ok(())
}

/// Java's `StringUtils.isBlank`: empty or white space only. `Character.isWhitespace` knows the
/// separators U+001C to U+001F, and does not count the spaces that forbid a line break.
pub(super) fn is_blank(text: &str) -> bool {
    text.chars().all(|c| match c {
        '\u{1c}'..='\u{1f}' => true,
        '\u{85}' | '\u{a0}' | '\u{2007}' | '\u{202f}' => false,
        other => other.is_whitespace(),
    })
}

/// Java's `Character.isISOControl` over a text. Unicode's category Cc is the same set.
pub(super) fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

/// Everything about a name but its rules.
macro_rules! name {
    ($name:ident) => {
        impl $name {
            /// The name as its client wrote it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({:?})", stringify!($name), &*self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        /// So that a map keyed by names can be asked with a `&str`.
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::names::NameRefused;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }
    };
}

pub(super) use name;
