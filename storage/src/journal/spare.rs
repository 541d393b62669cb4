//! A segment that is ready to be written: allocated, zeroed or recycled, its header synced, its
//! name durable.
use super::disk::JournalFile;
use super::segment::Segment;
use crate::format::ExtentHeader;
use std::sync::Arc;

/// A segment that nothing was written to yet.
pub(crate) struct Spare {
    pub(crate) file: Box<dyn JournalFile>,
    pub(crate) segment: Arc<Segment>,
    pub(crate) header: ExtentHeader,
}
