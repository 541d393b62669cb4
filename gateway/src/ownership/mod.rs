//! Which placement groups this gateway owns, and how it came to own them.
//!
//! Every process start opens the next epoch of each placement group by the procedure that a takeover uses
//! (`metadata::placement` decides, `open` does): read the record, show that the old epoch is over (seal), write the
//! next one by compare-and-swap, join its store, replay. A restarted process never goes on in an epoch (rule O1).
mod follow;
mod open;
mod owned;

pub(crate) use follow::{follow_catalog, reconcile};
pub use open::{OpenError, Opened, open_all};
pub(crate) use owned::level;
pub use owned::{Owned, PlacementGroup};
