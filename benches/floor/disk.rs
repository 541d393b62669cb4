//! A loop of write and fdatasync, group by group, into space that is already zeroed and synced.

use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// The file is written from its beginning again when its end is reached.
const FILE_BYTES: u64 = 256 << 20;

/// One group size.
#[derive(Debug, Serialize)]
pub(crate) struct DiskFloor {
    /// Bytes of one write.
    pub(crate) group_bytes: u64,
    /// Bytes that were synced, per second.
    pub(crate) bytes_per_second: f64,
    /// Write and sync of one group.
    pub p50_us: u64,
    /// The slowest hundredth.
    pub p99_us: u64,
}

/// Measures each group size for `each`, in a file in `folder` that is removed again.
pub(crate) fn measure(folder: &Path, groups: &[u64], each: Duration) -> io::Result<Vec<DiskFloor>> {
    let path = folder.join("floor");
    let file = zeroed(&path)?;
    let measured = groups.iter().map(|group| measure_one(&file, *group, each)).collect();
    std::fs::remove_file(&path)?;
    measured
}

fn zeroed(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(path)?;
    let zeroes = vec![0; 1 << 20];
    for _ in 0..FILE_BYTES >> 20 {
        file.write_all(&zeroes)?;
    }
    file.sync_all()?;
    Ok(file)
}

fn measure_one(file: &File, group_bytes: u64, each: Duration) -> io::Result<DiskFloor> {
    let group: Vec<u8> = (0..group_bytes).map(|n| n.to_le_bytes()[0]).collect();
    let mut took = Vec::new();
    let mut at = 0;
    let began = Instant::now();
    while began.elapsed() < each {
        let before = Instant::now();
        file.write_all_at(&group, at)?;
        file.sync_data()?;
        took.push(u64::try_from(before.elapsed().as_micros()).unwrap_or(u64::MAX));
        at = (at + group_bytes) % (FILE_BYTES - group_bytes);
    }
    let seconds = began.elapsed().as_secs_f64();
    took.sort_unstable();
    let at = |percent: usize| took[took.len() * percent / 100];
    let bytes = group_bytes * u64::try_from(took.len()).unwrap_or(u64::MAX);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let bytes_per_second = bytes as f64 / seconds;
    Ok(DiskFloor { group_bytes, bytes_per_second, p50_us: at(50), p99_us: at(99) })
}
