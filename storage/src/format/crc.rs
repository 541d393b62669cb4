//! CRC-32C (Castagnoli; CRC-32/ISCSI), and the chain that tells copies of one log apart.

/// CRC-32C of `bytes`.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// The chain value after a frame: it depends on all payloads since the log's first byte.
pub(crate) fn chain_of(previous: u32, payload_crc: u32) -> u32 {
    let mut both = [0; 8];
    both[..4].copy_from_slice(&previous.to_le_bytes());
    both[4..].copy_from_slice(&payload_crc.to_le_bytes());
    crc32c(&both)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_is_castagnoli() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(b""), 0);
    }

    #[test]
    fn chain_depends_on_order() {
        assert_ne!(chain_of(chain_of(0, 1), 2), chain_of(chain_of(0, 2), 1));
    }
}
