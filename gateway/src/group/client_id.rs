//! The name a client gives itself.

use std::fmt;
use std::sync::Arc;

/// A client's name for itself: gRPC metadata `x-mq-client-id`, Remoting's `clientID`. Unique to a
/// client process by the clients' own convention (`host@pid@index@random`); opaque here. Cheap to
/// clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(Arc<str>);

impl ClientId {
    /// `None` when blank: every request must say who sends it (spec B.0).
    pub fn parse(text: &str) -> Option<ClientId> {
        if text.trim().is_empty() { None } else { Some(ClientId(Arc::from(text))) }
    }

    /// Takes the name as it came.
    pub fn new(id: impl Into<Arc<str>>) -> ClientId {
        ClientId(id.into())
    }

    /// The name as it came.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
