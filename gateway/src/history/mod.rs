//! A queue's messages wherever they lie: in the local log, or below it in the object store.
//!
//! ```text
//!   first kept                       first local            visible end
//!      │ tiered: only windows of it are   │ the local log       │
//!      │ in memory, [====] and [==] here  │ has all of it       │
//!      └────────────[====]───────[==]─────┴─────────────────────┘
//! ```
//!
//! Who decides over messages looks without waiting. Where a look comes to a place that is not in
//! memory it stops and names it ([`Scan::Missing`]); whoever may wait has it loaded
//! ([`History::load`]) and looks again. The local log may give up its oldest messages at any time,
//! between two calls too: what was local then becomes a place to load, never a message that is
//! taken for deleted.
//!
//! - INV-HIS-1: a scan shows every message from where it begins to where it ends; it never passes
//!   over a place that it did not look at.
//! - INV-HIS-2: a message is [`Look::Gone`] only below the first kept offset, or where all messages
//!   around its offset are in memory and it is none of them.
//! - INV-HIS-3: windows hold what is in the object store, which never changes; so nothing in memory
//!   is ever out of date, only absent.
//!
//! Nothing here knows a group, or what a message says.
mod index;
mod load;
mod local;
mod service;
pub mod snapshot;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod window;

pub use index::{Index, Look, Scan};
pub use load::{LOADS_MAX, LoadFailed, Loaded, Loader};
pub use local::Local;
pub use service::{Entries, History, HistoryBounds};
pub use window::{WINDOW_BYTES_MAX, Windows};
