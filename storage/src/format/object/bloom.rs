//! A split-block bloom filter: a hash picks one block of 32 bytes and a bit in each of its eight
//! words, so that one cache line answers. At ten bits a key about one in a hundred answers is a
//! false yes; none is a false no.
//!
//! | off | field |
//! |---|---|
//! | 32 b | block b: word u32, 8 times |

/// Bytes of a block.
pub(crate) const BLOOM_BLOCK_BYTES: usize = 32;
const BITS_PER_KEY: usize = 10;
/// Odd numbers that spread a hash over the words; Parquet's.
const SALTS: [u32; 8] = [
    0x47b6_137b,
    0x4497_4d91,
    0x8824_ad5b,
    0xa2b7_289d,
    0x7054_95c7,
    0x2df1_424b,
    0x9efc_4947,
    0x5c6b_fb31,
];

/// Bytes of a filter for so many keys.
pub(crate) const fn bloom_bytes(keys: usize) -> usize {
    let blocks = (keys * BITS_PER_KEY).div_ceil(8 * BLOOM_BLOCK_BYTES);
    if blocks == 0 { BLOOM_BLOCK_BYTES } else { blocks * BLOOM_BLOCK_BYTES }
}

/// The block for a hash, by its middle bits: the upper ones chose the partition.
fn block_of(hash: u64, len: usize) -> usize {
    let blocks = (len / BLOOM_BLOCK_BYTES) as u64;
    let at = (((hash >> 16) & 0xffff_ffff) * blocks) >> 32;
    at as usize * BLOOM_BLOCK_BYTES
}

/// The bit for a hash in each word.
fn bits_of(hash: u64) -> [u32; 8] {
    let low = (super::mix64(hash) & 0xffff_ffff) as u32;
    SALTS.map(|salt| 1 << (low.wrapping_mul(salt) >> 27))
}

/// Adds a hash. `filter` has [`bloom_bytes`] bytes.
pub(crate) fn bloom_add(filter: &mut [u8], hash: u64) {
    let at = block_of(hash, filter.len());
    for (word, bit) in filter[at..].chunks_exact_mut(4).zip(bits_of(hash)) {
        for (byte, bits) in word.iter_mut().zip(bit.to_le_bytes()) {
            *byte |= bits;
        }
    }
}

/// Whether a hash may have been added.
pub(crate) fn bloom_has(filter: &[u8], hash: u64) -> bool {
    let at = block_of(hash, filter.len());
    let Some(block) = filter.get(at..at + BLOOM_BLOCK_BYTES) else { return true };
    block.chunks_exact(4).zip(bits_of(hash)).all(|(word, bit)| {
        word.iter().zip(bit.to_le_bytes()).all(|(byte, bits)| byte & bits == bits)
    })
}

#[cfg(test)]
mod tests {
    use super::super::mix64;
    use super::*;

    #[test]
    fn no_key_is_missed_and_few_others_are_found() {
        for keys in [1u64, 10, 1000, 40_000] {
            let mut filter = vec![0; bloom_bytes(keys as usize)];
            (0..keys).for_each(|key| bloom_add(&mut filter, mix64(key)));
            assert!((0..keys).all(|key| bloom_has(&filter, mix64(key))));
            let others = (keys..keys + 10_000).filter(|key| bloom_has(&filter, mix64(*key)));
            assert!(others.count() < 250, "{keys} keys");
        }
    }

    #[test]
    fn golden_bits() {
        let mut filter = vec![0; bloom_bytes(1)];
        bloom_add(&mut filter, 1);
        let hex: String = filter.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex.len(), 64);
        assert_eq!(filter.iter().map(|byte| byte.count_ones()).sum::<u32>(), 8);
    }
}
