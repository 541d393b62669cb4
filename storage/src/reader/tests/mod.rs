//! Readers over a bucket in memory, held against plain lists of what was written.
mod answers;
mod caches;
mod cursors;
mod faults;
mod measures;
mod rig;
mod search;
mod speed;
