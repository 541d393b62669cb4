//! Looking at messages without consuming them: by position, by offset, by key or id.
//!
//! A look changes nothing: no group moves, no delivery is made. Only what consumers could see is
//! shown. There is no index of keys yet; a search reads the topic's messages newest first, within
//! bounds of its own, and says how far it got, so that whoever asks may go on from there.
mod apart;
mod lookup;
mod search;
#[cfg(test)]
mod tests;

pub use apart::{SEARCHES_MAX, SearchRefused, search_apart};
pub use lookup::{Page, by_lsn, by_offset, follow};
pub use search::{
    FOUND_MAX, Matches, SEARCH_BYTES_MAX, SEARCH_MESSAGES_MAX, Search, Wanted, search,
};

use crate::history::LoadFailed;
use bytes::Bytes;
use protocol::stored::StoredMessage;
use storage::format::{Lsn, PgId};

/// A message as it lies in its log. Holds a segment of the journal: let it go soon.
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
