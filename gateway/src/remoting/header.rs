//! A request's own header fields, read as Apache's `decodeCommandCustomHeader` reads them.

use super::reply::Refusal;
use protocol::remoting::Frame;
use std::str::FromStr;

/// The `extFields` of a request.
#[derive(Clone, Copy)]
pub(super) struct Header<'a>(&'a Frame);

impl<'a> Header<'a> {
    pub(super) fn of(request: &'a Frame) -> Header<'a> {
        Header(request)
    }

    /// The field, if it is there.
    pub(super) fn optional(self, name: &str) -> Option<&'a str> {
        self.0.ext.get(name)
    }

    /// A field that must be there.
    pub(super) fn text(self, name: &'static str) -> Result<&'a str, Refusal> {
        self.optional(name).ok_or(Refusal::FieldMissing(name))
    }

    /// A number that must be there.
    pub(super) fn number<N: FromStr>(self, name: &'static str) -> Result<N, Refusal> {
        let text = self.text(name)?;
        text.parse().map_err(|_| Refusal::FieldMalformed(name))
    }

    /// A number, or `absent` where the field is not there.
    pub(super) fn number_or<N: FromStr>(self, name: &'static str, absent: N) -> Result<N, Refusal> {
        if self.optional(name).is_some() { self.number(name) } else { Ok(absent) }
    }
}
