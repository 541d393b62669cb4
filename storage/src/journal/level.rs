//! Durability levels. A store sees to the first two by itself; of the third its owner tells it.

/// When a record counts. Ordered: what holds at a level holds at those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// In the mapped journal: survives the process.
    Async,
    /// Synced to the disk: survives the host's restart.
    Local,
    /// In the bucket, by an object that the placement group's record refers to: survives everything
    /// that the bucket does. What is synced is uploaded, so this follows [`Level::Local`].
    Object,
}

impl Level {
    /// All of them, in order.
    pub const ALL: [Level; 3] = [Level::Async, Level::Local, Level::Object];
}

/// The store was poisoned, closed or fenced before the record counted: it may or may not be in the
/// log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal stopped before the record was known durable: its fate is unknown")]
pub struct Lost;
