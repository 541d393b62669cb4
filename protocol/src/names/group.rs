//! Consumer group names.

use std::sync::Arc;

use super::text::{name, resource};
use super::{GROUP_CHARS_MAX, NameRefused, Noun};

const SYSTEM_PREFIX: &str = "CID_RMQ_SYS_";

/// The name of a consumer group (or, over Remoting, a producer group): letters, digits and `% | _ -`, at
/// most [`GROUP_CHARS_MAX`] of them, so that its retry and dead-letter topics fit too.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupName(Arc<str>);

name!(GroupName);

impl GroupName {
    /// Checks the form. System groups parse.
    pub fn parse(text: &str) -> Result<Self, NameRefused> {
        resource(Noun::Group, text, GROUP_CHARS_MAX)?;
        Ok(Self(text.into()))
    }

    /// Whether the server keeps this group for itself.
    pub fn is_system(&self) -> bool {
        self.as_str().starts_with(SYSTEM_PREFIX)
    }

    /// Refuses a system group with the words that Apache's proxy has for it.
    pub fn refuse_system(&self) -> Result<(), NameRefused> {
        if self.is_system() { Err(NameRefused::SystemGroup) } else { Ok(()) }
    }
}
