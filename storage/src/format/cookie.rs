//! The STORE file: who this journal is. A folder without it is a new store.
//!
//! | off | field |
//! |---|---|
//! | 0 | magic u32 "STOR", version u16, 0 u16 |
//! | 8 | store u128 |
//! | 24 | segment_bytes u64 |
//! | 32 | gateway: len u16, UTF-8 |
//! | … | crc u32 = crc32c of all before |

use super::take::Take;
use super::{FormatError, crc32c};

const MAGIC: u32 = u32::from_le_bytes(*b"STOR");
const VERSION: u16 = 1;

/// The decoded file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cookie {
    pub(crate) store: u128,
    pub(crate) segment_bytes: u64,
    pub(crate) gateway: String,
}

impl Cookie {
    /// The bytes to write. `gateway` is cut at 64 KiB.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let gateway = self.gateway.as_bytes();
        let gateway = &gateway[..gateway.len().min(usize::from(u16::MAX))];
        let mut out = Vec::with_capacity(40 + gateway.len());
        out.extend_from_slice(&MAGIC.to_le_bytes());
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&self.store.to_le_bytes());
        out.extend_from_slice(&self.segment_bytes.to_le_bytes());
        out.extend_from_slice(&(gateway.len() as u16).to_le_bytes());
        out.extend_from_slice(gateway);
        let crc = crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads and verifies the file.
    ///
    /// # Errors
    /// When these are not the bytes of a STORE file.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Cookie, FormatError> {
        let mut take = Take(bytes);
        if take.u32()? != MAGIC {
            return Err(FormatError::Magic);
        }
        let version = take.u16()?;
        take.u16()?;
        let store = take.u128()?;
        let segment_bytes = take.u64()?;
        let len = take.u16()?;
        let gateway = String::from_utf8_lossy(take.bytes(len.into())?).into_owned();
        let crc = take.u32()?;
        if crc32c(&bytes[..34 + usize::from(len)]) != crc {
            return Err(FormatError::Checksum);
        }
        if version != VERSION {
            return Err(FormatError::Version(version));
        }
        Ok(Cookie { store, segment_bytes, gateway })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golden_bytes() {
        let cookie = Cookie { store: 1, segment_bytes: 1 << 20, gateway: "gw".to_owned() };
        let bytes = cookie.encode();
        let hex: String = bytes[..36].iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "53544f520100000001000000000000000000000000000000000010000000000002006777");
        assert_eq!(bytes[36..], crc32c(&bytes[..36]).to_le_bytes());
    }

    proptest! {
        #[test]
        fn round_trip(store: u128, segment_bytes: u64, gateway in "[a-z0-9-]{0,40}") {
            let cookie = Cookie { store, segment_bytes, gateway };
            prop_assert_eq!(Cookie::decode(&cookie.encode()), Ok(cookie));
        }

        #[test]
        fn any_flipped_bit_is_refused(bit in 0..40 * 8usize) {
            let mut bytes =
                Cookie { store: 1, segment_bytes: 1 << 20, gateway: "gw".to_owned() }.encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Cookie::decode(&bytes).is_err());
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Cookie::decode(&bytes);
        }
    }
}
