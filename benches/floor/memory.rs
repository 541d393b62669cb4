//! A copy and a CRC-32C of it: what a journal does with every byte.

use serde::Serialize;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// More than the caches hold, as a journal's segment is.
const TARGET_BYTES: usize = 64 << 20;

/// One size of record.
#[derive(Debug, Serialize)]
pub(crate) struct MemoryFloor {
    /// Bytes of one copy.
    pub(crate) record_bytes: usize,
    /// Copied and checksummed, per second, on one core.
    pub(crate) bytes_per_second: f64,
}

/// Measures one record size for `each`.
pub(crate) fn measure(record_bytes: usize, each: Duration) -> MemoryFloor {
    let record: Vec<u8> = (0..record_bytes).map(|n| n.to_le_bytes()[0]).collect();
    let mut target = vec![1_u8; TARGET_BYTES];
    let (mut at, mut copied) = (0, 0_usize);
    let began = Instant::now();
    while began.elapsed() < each {
        let place = &mut target[at..at + record_bytes];
        place.copy_from_slice(black_box(&record));
        black_box(crc_fast::crc32_iscsi(place));
        copied += record_bytes;
        at = (at + record_bytes) % (TARGET_BYTES - record_bytes);
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let bytes_per_second = copied as f64 / began.elapsed().as_secs_f64();
    MemoryFloor { record_bytes, bytes_per_second }
}
