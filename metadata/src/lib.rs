//! Who owns what: the metadata store, the nouns kept in it, and what is decided and answered from them.
//!
//! The truth lives in a [`store`]; [`model`] says what its keys and values mean. Message offsets, acks and timers never
//! come here: they are records of a placement group's log.
mod catalog;
pub mod dump;
pub mod model;
pub mod nameserver;
pub mod placement;
pub mod rebuild;
pub mod store;

pub use catalog::{
    Catalog, CatalogError, ClusterSpec, Commit, JOBS_MAX, JOBS_RUNNING_MAX, NotCommitted,
    Registration, TopicChange, WriteOutcome,
};
pub use store::{Advice, Applied, Error, MetadataStore, Revision};
