//! What the bucket holds so that metadata can be made anew from it alone, and what is concluded
//! from it. Advice, never authority: while there is a metadata store, nobody reads any of this.
//!
//! ```text
//! catalog/…    copies of topics and groups            metadata writes and reads what is in them
//! roots/…      copies of placement groups' records    PgCopy
//! l0/…         bundles: directories say what was committed after the newest copy    extend
//! ```
mod extend;
mod name;
mod pg_copy;

pub use extend::{Doubt, EXTENSION_BYTES_MAX, Extended, Found, LeftOut, Reason, Start, extend};
pub use name::{COPIES_KEPT, CopyName, Signs, newest_first, outdated, signs_of};
pub use pg_copy::{PgCopy, RECORD_BYTES_MAX};
