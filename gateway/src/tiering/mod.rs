//! Sealed data goes into the object store: bundles of what the logs have committed, their commits, and what may be let
//! go of afterwards.
//!
//! [`plan`] decides when a bundle is due and of what; `build` makes one; `service` runs it all and is the only one that
//! changes a placement group's record, through `ledger`. Others ask through a [`Handle`]; so does `maintenance`, which
//! keeps what is in the bucket in shape.
mod build;
mod copies;
mod handle;
mod ids;
mod keys;
mod lane;
mod ledger;
mod load;
mod lock;
mod maintenance;
pub mod plan;
mod recover;
mod service;
mod snapshots;
mod start;
mod view;
mod witness;

pub use handle::Handle;
pub use keys::key_hash;
pub use lock::{Locking, ObjectLocks, ObjectStore};
pub use maintenance::Done;
pub use recover::RecoverFailed;
pub(crate) use start::{Open, Ready};
pub use start::{Tiering, TieringRefused};
