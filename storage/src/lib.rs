//! Durable logs over a local journal. Knows placement groups, queues and opaque records, and no RocketMQ word.
pub mod env;
#[expect(
    dead_code,
    unused_imports,
    reason = "the journal that reads and writes these bytes lands next"
)]
pub mod format;
mod journal;
mod log;

pub use format::{Epoch, Lsn, PgId, QueueOffset, QueueUid, RecordKind};
pub use journal::{
    Class, Copy, Draft, Error, Fill, FillState, Level, Lost, Patch, Sealed, StoreConfig, StoreId,
    StoreRefused,
};
pub use log::{Appended, Bounds, Entry, Place, ReadError, RecordView, Refused};
