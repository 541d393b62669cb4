//! Crash consistency: a store is run step by step on a simulated disk, the disk crashes at any
//! boundary between two writes, and what is recovered is held against what was said.
//!
//! Said and therefore binding: acknowledged records, answered seals and joins, shown offsets. Sent
//! but not acknowledged: may be there or not, whole groups only. What a bucket took may be gone from
//! the disk, and then the bucket has it.

mod boundaries;
mod bucket;
mod damage;
mod rig;
mod room;
mod trims;
