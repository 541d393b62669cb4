//! Readers over a bucket in memory, held against plain lists of what was written.
mod answers;
mod caches;
mod cursors;
mod faults;
mod rig;
mod search;
mod speed;
