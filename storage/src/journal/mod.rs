//! The journal: one row of memory-mapped segments for all placement groups of a gateway.
//!
//! ```text
//!  appends ─► inbox ─► writer ─► segment ─► handoff ─► syncer ─► watermarks, replies
//!                     ▲                               │ segments nobody needs
//!                     └── spares ◄── preparer ◄───────┘
//! ```
//!
//! Who waits decides who is woken (`threads`): the writer's thread for what is to be in the journal,
//! the syncer's, which writes first, for what is to be synced.
//!
//! What always holds:
//! - INV-JOURNAL-1: a published byte is never written again. Groups end at a block of 4 KiB, so a
//!   block that was synced is not touched by a later group and cannot be torn by it.
//! - INV-JOURNAL-2: nothing is appended to frames that went through recovery. A new life begins its
//!   own extent, with a salt of its own, behind them or in another file: leftovers of an old life
//!   cannot validate in it.
//! - INV-SPACE-1: an append has room in zeroed segments before it has a place in the log.
//! - Of a sealed segment that nobody reads nothing stays in the process's memory: the preparer lets
//!   its pages go. They are in the page cache or on disk, and come back to whoever reads them.
//! - A failed sync ends the process. It is never tried again, and nothing is acknowledged after it.
//!
//! It knows copies of logs, and of the records in them only whose they are. Offsets and indexes are
//! the log's.
mod active;
mod answer;
mod config;
mod control;
mod copy;
mod disk;
mod draft;
mod fold;
mod frames;
mod handoff;
mod inbox;
mod index_room;
mod level;
mod metrics;
mod preparer;
mod recovery;
mod segment;
mod shared;
mod space;
mod spare;
mod store;
mod syncer;
mod threads;
mod trim;
mod waiters;
mod walk;
mod writer;

pub use answer::{Copy, JoinedBy, Sealed, StoreRefused};
pub use config::{Error, Fill, FillState, IndexFill, StoreConfig, StoreId, index_bytes_for};
pub(crate) use copy::PgCopy;
#[cfg(test)]
pub(crate) use disk::simulated;
pub use draft::{Class, Draft, Patch};
pub(crate) use frames::{Ahead, FrameRef};
pub(crate) use inbox::{Control, Group, Item, Offsets, Wanted};
#[cfg(test)]
pub(crate) use index_room::IndexRoom;
pub(crate) use index_room::IndexTaken;
pub use level::{Level, Lost};
pub use metrics::Metrics;
pub(crate) use segment::Segment;
pub(crate) use shared::Shared;
pub(crate) use space::{For, NoRoom, frame_need};
pub(crate) use store::Handle;
pub use store::Store;
pub(crate) use walk::records;
#[cfg(test)]
pub(crate) use {shared::OnFailure, store::Parts};
