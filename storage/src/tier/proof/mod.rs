//! The proof: per placement group, a chain of SHA-256 over what was committed.
//!
//! ```text
//!   commit ──► link: objects added, each with the SHA-256 of all its bytes; objects removed;
//!              `tiered` before and after; the log's chain
//!   digest(link n) = SHA-256(digest(link n - 1), placement group, link n)
//!   proof/{pg:04}/{seq:016x}-{nonce:08x}    a checkpoint: links with the digests before and after
//! ```
//!
//! Checksums find what a disk or a network did; they can be made to fit. A digest cannot: whoever
//! kept the newest one elsewhere can tell that no byte of what was covered then is another.
//!
//! An object whose digest nobody knows is named without one, and so is known to be uncovered. That
//! is what an owner does at its start with what was committed between the newest checkpoint and the
//! end of the owner before: to read it would make the start as slow as the bucket. Compaction
//! writes it anew, with a digest.
//!
//! INV-PROOF-1: links are numbered from 1 without a gap, and each is under the digest of the next.
//! INV-PROOF-2: what is in the chain was committed; so an owner that is no more may leave a branch,
//! and the branch of the later epoch counts.
mod checkpoint;
mod link;
mod name;
mod verify;
mod writer;

pub use checkpoint::{CHECKPOINT_BYTES_MAX, Checkpoint, Mark};
pub use link::{Digest, Digester, Link, Proven};
pub use name::{PROOFS, ProofName};
pub use verify::{Branch, Live, ProofFault, Summary};
pub use writer::{CatchUp, Committed, LINKS_DUE, LINKS_TIME_MAX, ProofWriter};

/// Reads `bytes` as a checkpoint, and what could be read once more from how it is written: for
/// fuzzing.
///
/// # Panics
/// When a checkpoint does not read back what it wrote.
pub fn read_everything(bytes: &[u8]) {
    for bytes in [bytes.to_vec(), crate::format::object::sealed(bytes.to_vec())] {
        if let Ok(read) = Checkpoint::decode(&bytes) {
            assert_eq!(Checkpoint::decode(&read.encode()), Ok(read));
        }
    }
}

#[cfg(test)]
mod tests;
