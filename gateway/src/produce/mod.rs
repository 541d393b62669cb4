//! Sending: what makes a message acceptable, and which queue takes it.
//!
//! What is deliberately not here: the order of deliveries, timers and transactions; kinds of message that need them are
//! refused by name until they are served.
mod incoming;
mod kind;
mod outgoing;
mod queue;

pub use incoming::{DELAY_MAX, Incoming, MessageRefused, Origin, RECOVERY_MAX, accept};
pub use kind::{KindRefused, MessageKind, admit, kind_of};
pub use outgoing::Outgoing;
pub use queue::{QueueKey, choose};
