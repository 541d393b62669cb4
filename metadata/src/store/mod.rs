//! The metadata store: transactions, leases and a resumable watch on a small ordered map. One contract
//! ([`MetadataStore`]), one [`conformance`] suite, a backend per file.
pub mod conformance;
mod contract;
mod error;
pub mod redb;

pub use contract::{
    Change, Compare, EVENTS_BATCH_MAX, Event, Expect, Future, KeyValue, LeaseId, MetadataStore,
    OPS_MAX, REQUEST_BYTES_MAX, Range, Revision, Txn, TxnOutcome, Watch, WatchItem,
};
pub use error::{Advice, Applied, Error};
