//! The control plane of the bucket: whether it is as a log's bucket should be, and making it so.
//!
//! Used by an operator's command, never on the way of a message; that is `storage::object`. The
//! AWS SDK lives here alone, in a leaf of the workspace, because it is the largest thing to
//! compile. It also knows the whole chain of credentials, profiles included, and lends it to the
//! data plane ([`Access`]).
//!
//! `rules` decides purely: what was observed in, findings and steps out. `service` asks and
//! applies; what a service does not answer is a finding that says so, not a failure.
mod access;
mod check;
mod error;
mod folder;
mod locks;
mod rules;
mod service;

pub use access::Access;
pub use check::{check, create, plan};
pub use error::Error;
pub use locks::Locks;
pub use rules::{Finding, Step, Verdict, Wanted};
pub use service::{Outcome, Taken};
