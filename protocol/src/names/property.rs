//! What a user may put beside a message.

use super::text::has_control;
use super::{NameRefused, Noun};
use crate::stored::property::RESERVED;

/// Refuses a user property whose key RocketMQ uses itself, or with a control character in key or value.
/// How many properties there may be, and how large they are together, is for the caller:
/// [`super::USER_PROPERTIES_MAX`], [`super::PROPERTIES_BYTES_MAX`].
pub fn check_user_property(key: &str, value: &str) -> Result<(), NameRefused> {
    if let Some(key) = RESERVED.iter().find(|reserved| **reserved == key) {
        return Err(NameRefused::ReservedProperty { key });
    }
    if has_control(key) || has_control(value) {
        return Err(NameRefused::ControlCharacter { noun: Noun::Property });
    }
    Ok(())
}
