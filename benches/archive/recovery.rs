//! What a start reads from the bucket before it serves, where there are tens of thousands of objects:
//! the manifest, and what its log says behind the newest snapshot.

use super::generate::Archive;
use super::{Numbers, as_f64, median};
use std::io;
use std::time::Instant;
use storage::env::Env;
use storage::object::{Bucket, Kind};
use storage::reader::{Reader, ReaderConfig};

/// Bundles behind the newest snapshot: of a minute, at the default age of bundles.
const BUNDLES_BEHIND: u64 = 6;
const TRIES: usize = 5;

/// Each time with a reader that has read nothing, one placement group after the other.
pub(crate) async fn measure(
    name: &str,
    open: impl Fn() -> io::Result<Bucket>,
    archive: &Archive,
    bundles: u64,
    numbers: &mut Numbers,
) -> io::Result<()> {
    let (mut ms, mut gets, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    let mut found = Vec::new();
    for _ in 0..TRIES {
        let (bucket, began) = (open()?, Instant::now());
        let reader = Reader::open(&bucket, ReaderConfig::default(), &Env::system()).await;
        let reader = reader.map_err(io::Error::other)?;
        let mut operations = 0u64;
        for group in &archive.groups {
            let root = group.root.map(|name| name.to_string());
            let view = reader.view(group.pg, root.as_deref(), &group.deltas).await;
            let view = view.map_err(io::Error::other)?;
            let each = group.tiered.since(group.pg.first_lsn()) / bundles.max(1);
            let from = group.pg.first_lsn().plus(each * bundles.saturating_sub(BUNDLES_BEHIND));
            let count = |_| operations += 1;
            let read = reader.operations(&view, from, view.tiered(), count).await;
            read.map_err(io::Error::other)?;
            reader.queue_ends(&view, from).await.map_err(io::Error::other)?;
            reader.starts(&view).await.map_err(io::Error::other)?;
        }
        ms.push(began.elapsed().as_secs_f64() * 1e3);
        // Merges leave out those that a snapshot has: there may be none.
        found.push(as_f64(operations));
        let usage = bucket.usage();
        let of_gets = || usage.iter().filter(|usage| usage.kind == Kind::Get);
        gets.push(as_f64(of_gets().map(|usage| usage.requests).sum()));
        bytes.push(as_f64(of_gets().map(|usage| usage.received_bytes).sum()));
        reader.close().await;
    }
    for (what, values) in [("ms", ms), ("gets", gets), ("bytes", bytes), ("operations", found)] {
        let middle = median(values).unwrap_or(f64::NAN);
        numbers.insert(format!("{name}.recovery_{what}_p50"), middle);
    }
    Ok(())
}
