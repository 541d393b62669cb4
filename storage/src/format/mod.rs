//! Pure codecs of every persisted byte, and the identities they carry.
mod ident;

pub use ident::{Epoch, Lsn, PgId, QueueOffset, QueueUid};
