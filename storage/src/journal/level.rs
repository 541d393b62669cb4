//! Durability levels that a store serves by itself.

/// When a record counts. Ordered: what holds at [`Level::Local`] holds at [`Level::Async`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// In the mapped journal: survives the process.
    Async,
    /// Synced to the disk: survives the host's restart.
    Local,
}

/// The store was poisoned, closed or fenced before the record counted: it may or may not be in the
/// log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal stopped before the record was known durable: its fate is unknown")]
pub struct Lost;
