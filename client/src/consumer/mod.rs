//! Receiving.
//!
//! ```text
//! SimpleConsumer ─┐
//!                 ├─► calls (one RPC each) ─► session
//! PushConsumer ───┘
//! ```
mod calls;
mod delivery;
mod filter;
mod push;
mod simple;

pub use delivery::Delivery;
pub use filter::Filter;
pub use push::{Consumed, PushConsumer, PushSettings};
pub use simple::{Receive, SimpleConsumer};
