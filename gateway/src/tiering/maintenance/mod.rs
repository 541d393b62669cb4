//! The bucket is kept in shape, for the placement groups that are owned here: what is past is let go, what is small is
//! merged, what is old is made quick to search, and what nothing refers to is deleted.
//!
//! ```text
//!   Upkeep       each placement group in turn: retention ─► summaries ─► reclaim ─► compaction    all by proposal
//!   Collection   the whole bucket, a page of names at a time
//! ```
//!
//! Both run on a thread and over connections of their own: whoever serves clients waits for neither.
//!
//! INV-UPKEEP-1: rules are worked out after the manifest was looked at. So a queue with messages that they do not know
//! was deleted, and is not one that came since.
//! INV-UPKEEP-2: an id is out until it is known what became of its object; the collector lets such an object be
//! ([`super::ids::ObjectIds::is_out`]).
//! INV-UPKEEP-3: an object that is damaged, or does not fit its neighbours, is named once and set aside: what is around
//! it is kept in shape without it. A restart looks at it again.
mod collection;
mod counts;
mod error;
mod rules;
mod turn;
mod turns;
mod upkeep;

pub(super) use counts::Counts;
pub use counts::Done;
pub(super) use upkeep::{Parts, begin};
