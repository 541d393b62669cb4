//! Durable logs over a local journal, and the object store that they are sealed into. Knows
//! placement groups, queues and opaque records, and no RocketMQ word.
pub mod audit;
pub mod collect;
pub mod compact;
pub mod env;
pub mod format;
mod histogram;
mod journal;
mod log;
pub mod object;
pub mod reader;
pub mod tier;

pub use format::{Epoch, Lsn, PgId, QueueOffset, QueueUid, RecordKind};
pub use histogram::{Distribution, Histogram};
pub use journal::{
    Class, Copy, Draft, Error, Fill, FillState, IndexFill, JoinedBy, Level, Lost, Metrics, Patch,
    Sealed, Store, StoreConfig, StoreId, StoreRefused, index_bytes_for,
};
pub use log::{
    Appended, Bounds, Entry, Log, Piece, Place, QueueEnd, ReadError, RecordView, Refused,
};
