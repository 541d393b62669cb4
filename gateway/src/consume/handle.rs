//! Receipt handles: what a consumer shows to acknowledge, prolong or give up a delivery.
//!
//! Opaque to clients, which echo it. It names the delivery by the lsn of the OP_POP that made it
//! (which finds its placement group by itself) and is signed under the cluster's secret, so it
//! stays good across restarts and takeovers and cannot be made up. The group is signed but not
//! written: a handle is of no use to another group.
//!
//! base64url, without padding, of: `version u8 = 1 | queue uid u64 | offset u64 | pop lsn u64 |
//! visible_at u64 (ms) | HMAC-SHA256 of all that and the group's uid u64, first 12 bytes`;
//! little-endian; 60 characters.

use super::GroupUid;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use storage::env::Timestamp;
use storage::format::{Lsn, QueueOffset, QueueUid};

const VERSION: u8 = 1;
const CLAIM_BYTES: usize = 33;
/// 96 bits: forging one takes more tries than a gateway answers in its life.
const MAC_BYTES: usize = 12;
const HANDLE_BYTES: usize = CLAIM_BYTES + MAC_BYTES;

/// What a handle says: one delivery of one message to one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The message's queue.
    pub queue: QueueUid,
    /// The message's place in it.
    pub offset: QueueOffset,
    /// The lsn of the OP_POP that delivered it.
    pub pop: Lsn,
    /// When it may be delivered again, as far as the handle's maker knew.
    pub visible_at: Timestamp,
}

/// Why a text is no handle of this group in this cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandleRefused {
    /// Not base64url of the right length.
    #[error("receipt handle cannot be decoded")]
    Undecodable,
    /// Made by a newer version.
    #[error("receipt handle has the unknown version {0}")]
    Version(u8),
    /// Not signed by this cluster for this group.
    #[error("receipt handle was not given to this consumer group")]
    Foreign,
}

/// Makes and reads handles. Cheap to clone.
#[derive(Clone)]
pub struct Signer {
    keyed: Hmac<Sha256>,
}

impl Signer {
    /// A signer under the cluster's secret, which is never part of what it makes.
    pub fn new(secret: &[u8; 32]) -> Signer {
        let keyed = Hmac::new_from_slice(secret).expect("HMAC takes a key of any length");
        Signer { keyed }
    }

    /// The handle of a delivery to `group`.
    pub fn sign(&self, group: GroupUid, claim: &Claim) -> String {
        let mut bytes = [0; HANDLE_BYTES];
        let (text, mac) = bytes.split_at_mut(CLAIM_BYTES);
        text.copy_from_slice(&claim_bytes(claim));
        mac.copy_from_slice(&self.mac(group, text));
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a handle that `group` shows.
    ///
    /// # Errors
    /// [`HandleRefused`], which a front answers as INVALID_RECEIPT_HANDLE.
    pub fn read(&self, group: GroupUid, handle: &str) -> Result<Claim, HandleRefused> {
        let mut bytes = [0; HANDLE_BYTES];
        let length = BASE64_URL_SAFE_NO_PAD.decode_slice(handle, &mut bytes);
        if length != Ok(HANDLE_BYTES) {
            return Err(HandleRefused::Undecodable);
        }
        let (text, mac) = bytes.split_at(CLAIM_BYTES);
        let (version, claim) = read_claim(text).ok_or(HandleRefused::Undecodable)?;
        if version != VERSION {
            return Err(HandleRefused::Version(version));
        }
        self.started(group, text).verify_truncated_left(mac).map_err(|_| HandleRefused::Foreign)?;
        Ok(claim)
    }

    fn started(&self, group: GroupUid, text: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.keyed.clone();
        mac.update(text);
        mac.update(&group.0.to_le_bytes());
        mac
    }

    fn mac(&self, group: GroupUid, text: &[u8]) -> [u8; MAC_BYTES] {
        let full: [u8; 32] = self.started(group, text).finalize().into_bytes().into();
        *full.first_chunk().expect("32 bytes begin with 12")
    }
}

fn claim_bytes(claim: &Claim) -> [u8; CLAIM_BYTES] {
    let mut bytes = [VERSION; CLAIM_BYTES];
    let fields = [claim.queue.0, claim.offset.0, claim.pop.0, claim.visible_at.0];
    for (hole, field) in bytes[1..].chunks_exact_mut(8).zip(fields) {
        hole.copy_from_slice(&field.to_le_bytes());
    }
    bytes
}

fn read_claim(text: &[u8]) -> Option<(u8, Claim)> {
    let (version, rest) = text.split_first()?;
    let (fields, _) = rest.as_chunks::<8>();
    let [queue, offset, pop, visible_at] = *fields else { return None };
    let claim = Claim {
        queue: QueueUid(u64::from_le_bytes(queue)),
        offset: QueueOffset(u64::from_le_bytes(offset)),
        pop: Lsn(u64::from_le_bytes(pop)),
        visible_at: Timestamp(u64::from_le_bytes(visible_at)),
    };
    Some((*version, claim))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CLAIM: Claim = Claim {
        queue: QueueUid(7),
        offset: QueueOffset(42),
        pop: Lsn(1 << 48 | 4096),
        visible_at: Timestamp(1_800_000_000_000),
    };

    fn signer() -> Signer {
        Signer::new(&[9; 32])
    }

    #[test]
    fn a_handle_has_these_characters() {
        let handle = signer().sign(GroupUid(3), &CLAIM);
        assert_eq!(handle.len(), 60);
        assert_eq!(handle, "AQcAAAAAAAAAKgAAAAAAAAAAEAAAAAABAABQXBijAQAAX2ZlJ4cpUFdJUXrX");
        assert_eq!(signer().read(GroupUid(3), &handle), Ok(CLAIM));
    }

    #[test]
    fn another_group_or_another_cluster_cannot_use_it() {
        let handle = signer().sign(GroupUid(3), &CLAIM);
        assert_eq!(signer().read(GroupUid(4), &handle), Err(HandleRefused::Foreign));
        let other = Signer::new(&[8; 32]);
        assert_eq!(other.read(GroupUid(3), &handle), Err(HandleRefused::Foreign));
    }

    #[test]
    fn what_is_no_handle_is_told() {
        for text in ["", "0 1795367341527 30000 6 0 broker-a 2 0 2584", "aGFuZGxl", "é"] {
            assert_eq!(signer().read(GroupUid(3), text), Err(HandleRefused::Undecodable));
        }
        let newer = BASE64_URL_SAFE_NO_PAD.encode([2; HANDLE_BYTES]);
        assert_eq!(signer().read(GroupUid(3), &newer), Err(HandleRefused::Version(2)));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,80}") {
            prop_assert!(signer().read(GroupUid(3), &text).is_err());
        }

        #[test]
        fn a_changed_bit_is_seen(bit in 0..HANDLE_BYTES * 8) {
            let handle = signer().sign(GroupUid(3), &CLAIM);
            let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(handle).unwrap();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let changed = BASE64_URL_SAFE_NO_PAD.encode(bytes);
            prop_assert!(signer().read(GroupUid(3), &changed).is_err());
        }
    }
}
