//! A gateway over an object store: what was sent is there, and comes back from there.
#![expect(clippy::unwrap_used, reason = "tests")]

mod inventory;
mod killed;
mod levels;
mod lookups;
mod outage;
mod replays;
mod restarts;
mod retention;
mod storms;
mod trimmed;
mod upkeep;
mod world;
