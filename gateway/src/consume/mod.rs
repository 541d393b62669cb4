//! Consumption: messages handed out for a time, acknowledged, handed out again, given up.
//!
//! ```text
//!   front ── receive ──► look: decide, append, apply ──► read, sign ──► recorded? ──► deliveries
//!                          │ nothing                     (one lock)        (watermark)
//!                          ├► load what is not in memory (history), look again
//!                          └► wait in line ◄── new message, expiry, room (follow_log, keep)
//! ```
//!
//! Everything is recorded in the placement group's own log beside the messages, so that what must
//! happen together is one frame, a restart replays it, and there is no second database. [`state`]
//! decides, [`ops`] is what it writes, [`handle`] is what a consumer holds of a delivery,
//! [`Consume`] is what fronts call.
mod dead_letter;
mod delivery;
pub mod filter;
mod hand_out;
pub mod handle;
mod longpoll;
pub mod ops;
mod pg;
mod receive;
mod refused;
mod replay;
mod reset;
mod service;
mod settle;
mod standing;
mod start;
pub mod state;
#[cfg(test)]
mod tests;
mod timekeeper;

pub use delivery::{Delivery, Invisible, QueueProgress, Receive};
pub use longpoll::{POLLS_MAX, POLLS_PER_LINE_MAX};
pub use refused::{AckRefused, ReceiveRefused, ResetRefused, WriteRefused};
pub use replay::Replay;
pub use reset::{Position, QueueReset};
pub use service::{Consume, Neighbours};
pub use standing::Standing;
pub use state::RENEW_TOTAL_MAX;

use std::time::Duration;

/// One incarnation of a consumer group (`metadata::model::Group`'s uid).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupUid(pub u64);

/// Deliveries that reached nobody come back after this long (spec B.9: 1 s).
const TAKEN_BACK: Duration = Duration::from_secs(1);
