//! Looking at messages without consuming them: by position, by offset, by key or id.
//!
//! A look changes nothing: no group moves, no delivery is made. Only what consumers could see is
//! shown, wherever it lies: in the journal, or in the object store.
//!
//! A search looks through what is not in the bucket yet, newest first, and asks the indexes of keys
//! in the bucket for the rest. Both are bounded; a result says how far it got, so that whoever asks
//! may go on from there.
mod apart;
mod library;
mod lookup;
mod matches;
mod search;
mod shelf;
#[cfg(test)]
mod tests;

pub use apart::{SEARCHES_MAX, SearchRefused, search};
pub use library::Library;
pub use lookup::{Page, by_lsn, by_offset, follow, places_at};
pub use matches::Matches;
pub use search::{FOUND_MAX, SEARCH_BYTES_MAX, SEARCH_MESSAGES_MAX, Search, Wanted};

use crate::history::LoadFailed;
use bytes::Bytes;
use protocol::stored::{self, StoredMessage};
use storage::env::Timestamp;
use storage::format::{Lsn, PgId};

/// A message as it lies in its log. Holds a segment of the journal, or a block of an object: let it go
/// soon.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The placement group of its queue.
    pub pg: PgId,
    /// Its position in the log: RocketMQ's physical offset.
    pub lsn: Lsn,
    /// Its bytes as stored, which is what Remoting clients are answered with.
    pub record: Bytes,
    /// The same, read.
    pub message: StoredMessage,
}

impl Found {
    fn read(pg: PgId, lsn: Lsn, record: Bytes) -> Result<Found, LookRefused> {
        match stored::decode(record.clone()) {
            Ok(message) => Ok(Found { pg, lsn, record, message }),
            Err(error) => {
                tracing::error!(%error, lsn = lsn.0, "a stored message cannot be read");
                Err(LookRefused::Unreadable)
            }
        }
    }

    /// When it was stored.
    pub fn stored_at(&self) -> Timestamp {
        Timestamp(self.message.stored_at.cast_unsigned())
    }
}

/// Why a message cannot be shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookRefused {
    /// No message that consumers could see is there: it never was, or it is deleted.
    #[error("there is no message there")]
    Missing,
    /// Another gateway owns the placement group.
    #[error("placement group {0} is not served here")]
    NotServedHere(PgId),
    /// What is there cannot be read; the gateway's log says why.
    #[error("the message cannot be read")]
    Unreadable,
    /// It lies in the object store, which does not answer now. Ask again.
    #[error(transparent)]
    NotLoaded(#[from] LoadFailed),
}
