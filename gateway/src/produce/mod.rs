//! Sending: what makes a message acceptable, which queue takes it, and its way into the queue's
//! log.
//!
//! ```text
//! front ─► Incoming ─accept─► Outgoing ─admit─► queue ─► one append ─► wait for the level ─► Sent
//! ```
//!
//! What always holds:
//! - INV-SEND-1: the messages of one request are appended in one frame, to one queue, or not at
//!   all.
//! - INV-SEND-2: a send is answered OK only when the topic's durability level holds for it, or a
//!   higher one that a message asked for.
//! - INV-SEND-3: a refusal other than [`SendRefused::OutcomeUnknown`] says that nothing was stored.
//!
//! What is deliberately not here: the order of deliveries, timers and transactions; kinds of
//! message that need them are refused by name until they are served.
mod incoming;
mod kind;
mod level;
mod outgoing;
mod queue;
mod service;

pub use incoming::{DELAY_MAX, Incoming, MessageRefused, Origin, RECOVERY_MAX, accept};
pub use kind::{KindRefused, MessageKind, admit, kind_of};
pub use outgoing::Outgoing;
pub use queue::{QueueKey, choose};
pub use service::{Produce, SendRefused, Sent};
