//! What lies in the bucket: bundles and runs, their names, and the way from a question to the
//! bytes that answer it. Pure: whoever calls does the requests, and so counts them.
//!
//! A bundle takes ranges of several placement groups' logs as they were committed
//! ([`BundleBuilder`]), sorts each by queue, and gives the bytes to upload. A reader takes an
//! object's tail ([`crate::format::object::Tail`]) and asks for spans: [`fetches`] for a queue,
//! [`KeySearch`] for a key, [`operations_in`] for a replay.
//!
//! Which objects there are says the [`manifest`]; [`merge`] makes runs of bundles, and of runs;
//! [`compact`] says when, [`retention`] what is kept, [`collect`] what may be deleted. A [`Summary`]
//! of many runs spares a search the asking of each.
//!
//! Deliberately absent: the store itself, who may commit what, and what a key of a message is
//! ([`Knowledge`] says that).
mod bundle;
pub mod collect;
pub mod compact;
pub mod manifest;
pub mod merge;
mod name;
pub mod proof;
mod read;
pub mod rebuild;
pub mod retention;
#[cfg(any(test, feature = "testing"))]
pub mod sample;
mod summary;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod writer;

pub use bundle::{Bundle, BundleBuilder, BundleRefused, Frame, Knowledge};
pub use name::{ObjectId, ObjectName};
pub use read::{Candidate, Fetch, KeySearch, KeyStep, PLACES_MAX, fetches, operations_in};
pub use summary::{Summary, SummaryRefused, SummaryStep, summary_key};
pub use writer::{BLOCK_RAW_BYTES, Finished, Follows, ObjectWriter, WriteRefused};
