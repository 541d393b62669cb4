//! A consumer that fetches by itself and calls a listener for each message.
//!
//! ```text
//!            every 5 s               one for each queue        `concurrency` of them
//!  scan ── QueryAssignment ─starts─► poller ──── jobs ───────► worker ── listener
//!                                      │ waits for room           │
//!                                    gate ◄── a slot is free ── settler ── ack, later, give back
//! ```
//!
//! What always holds:
//! - A message takes up a slot of the gate from the request for it until it is settled, so that
//!   pollers, queues and settler are bounded by it.
//! - A message is acknowledged only after its listener is done with it. Whatever is not settled
//!   comes again: the server renews the invisible time only while this client lives.
//! - In a FIFO group the next message of a message group begins when the one before is settled.
mod consumer;
mod gate;
mod poller;
mod scan;
mod settler;
mod worker;

pub use consumer::{Consumed, PushConsumer, PushSettings};
