//! How a placement group gets its next epoch, decided purely: [`Takeover`] says what to do, the gateway does it and
//! says what came of it.
//!
//! This is design/replication.md §6 with proof (a), the seals. Takeover, restart and first use are this one procedure;
//! in the embedded default a store seals itself.
//!
//! ```text
//!   Read ─ no record ──────────────────────────────────► Open (CREATE)
//!     │                                                     ▲   │
//!     └─ record of e ─► Seal C ─ Qr answers ─► Join own ────┘   ├─ done ────► Serve
//!        ▲                       E = max(answers,  reaches E?   ├─ moved ───► Read, from the start
//!        └───────────────────────── tiered)  ───────────────────┴─ unknown ─► Read; the same revision: Open again
//! ```
//!
//! What always holds:
//! - Every decision is made on one read. When the record moves, all of it begins again (M1, M3).
//! - It serves only what a read or a won comparison shows as its own, incarnation and all (O1).
//! - It never opens below what a quorum of seals reported, nor below the base of the epoch that it ends.
//! - An unknown outcome is settled by a read of another revision; until then only the same request goes out again (M2).
//!
//! Left out until there are mirrors: proof by Close, filling from other stores, and putting the tail in the bucket.
mod takeover;
#[cfg(test)]
mod tests;

pub use takeover::{Event, Step, Stuck, Takeover, Taker, Unsealed};
