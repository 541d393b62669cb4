//! The object store: where a log is for ever.
//!
//! A [`Bucket`] is a folder or a bucket of an S3-compatible service. Objects in it are immutable:
//! made once under a [`Name`] that carries a nonce, read in ranges, listed in order, deleted. Every
//! request is counted by [`Purpose`], bounded in time and number by [`Patience`], and a store that
//! does not answer is asked seldom and says since when ([`Health`]).
//!
//! Nothing relies on the store for more than that: who may refer to which object is decided by the
//! metadata store (design/replication.md §5 and §7), so a conditional PUT is a second guard where
//! there is one, and never the only one.
//!
//! ```text
//!   create, upload, get, list, delete   what callers want     create, stream, read, list, delete
//!            │
//!   persist, attempt              one request: admitted, counted, in time, understood
//!            │                                               bucket, patience, circuit, meter, error
//!   object_store                  S3, a folder, memory and faults for tests
//! ```
mod address;
mod bucket;
mod circuit;
mod content;
mod create;
mod delete;
mod error;
mod list;
mod meter;
mod name;
mod patience;
mod probe;
mod read;
mod s3;
mod stream;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use address::{StoreUrl, StoreUrlRefused};
pub use bucket::Bucket;
pub use circuit::Health;
pub use content::Content;
pub use create::{Created, LARGE_BYTES};
pub use error::{Advice, Applied, Error, Refusal};
pub use list::{Entry, Listing};
pub use meter::{Kind, Purpose, Usage};
pub use name::{NAME_BYTES_MAX, Name, NameRefused};
pub use object_store::aws::{AwsCredential, AwsCredentialProvider};
pub use patience::Patience;
pub use probe::Capabilities;
pub use read::{Fetched, RANGES_MAX, READ_BYTES_MAX, Span};
pub use s3::S3Access;
pub use stream::{Stored, Upload};

#[cfg(test)]
mod tests;
