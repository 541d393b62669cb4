//! Consumption: messages handed out for a time, acknowledged, handed out again, given up.
//!
//! Everything is recorded in the placement group's own log beside the messages, so that what must happen together is one
//! frame, a restart replays it, and there is no second database. [`state`] decides, [`ops`] is what it writes,
//! [`handle`] is what a consumer holds of a delivery.
mod delivery;
pub mod filter;
pub mod handle;
pub mod ops;
mod refused;
pub mod state;

pub use delivery::{Delivery, Invisible, QueueProgress, Receive};
pub use refused::{AckRefused, ReceiveRefused, WriteRefused};
pub use state::RENEW_TOTAL_MAX;

/// One incarnation of a consumer group (`metadata::model::Group`'s uid).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupUid(pub u64);
