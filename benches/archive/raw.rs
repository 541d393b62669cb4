//! The limit of catching up: parallel ranged GETs of whole objects, without any code of ours.

use super::generate::{Archive, LARGE_BODY_BYTES, Shape, fill};
use super::stores::Store;
use super::{Amount, Numbers, as_f64};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;
use storage::object::{Bucket, Purpose};
use tokio::task::JoinSet;

/// What the bodies are like: the folder, what the numbers' names say, and bytes that cannot be compressed.
pub(crate) const BODIES: [(&str, &str, usize); 2] =
    [("large", "", LARGE_BODY_BYTES / 2), ("large-noise", "noise_", LARGE_BODY_BYTES)];

/// Bytes of a GET, and how many are under way at once.
const WAYS: [(u64, usize); 4] = [(1 << 20, 4), (1 << 20, 16), (4 << 20, 4), (8 << 20, 8)];

/// A store with large bundles.
pub(crate) struct Large {
    /// What numbers of it begin with.
    pub(crate) name: String,
    pub(crate) bucket: Bucket,
    pub(crate) archive: Archive,
    /// From 1 on.
    pub(crate) queues: u64,
    objects: Vec<(Path, u64)>,
}

/// Fills the store.
pub(crate) async fn large(
    store: &Store,
    amount: &Amount,
    (folder, what, noise): (&str, &str, usize),
) -> io::Result<Large> {
    let bucket = store.bucket_in(folder)?;
    let shape = Shape::few_large(amount.read_bytes, noise);
    let archive = fill(&bucket, &shape).await?;
    let mut listing = bucket.list(None, None, Purpose::Check);
    let mut objects = Vec::new();
    while let Some(entry) = listing.next().await.map_err(io::Error::other)? {
        if entry.name.as_str().starts_with("l0/") {
            let path = Path::from(format!("{}{}", store.prefix(folder), entry.name));
            objects.push((path, entry.bytes));
        }
    }
    let (name, bucket) = (format!("{}.{what}", store.name), store.bucket_in(folder)?);
    Ok(Large { name, bucket, archive, queues: shape.queues, objects })
}

/// Reads all bundles in several ways. The best of them is the limit.
pub(crate) async fn measure(store: &Store, large: &Large, numbers: &mut Numbers) -> io::Result<()> {
    let raw = store.raw()?;
    let mut best = 0f64;
    for (part, at_once) in WAYS {
        let began = Instant::now();
        let bytes = read(&raw, &large.objects, part, at_once).await?;
        let rate = as_f64(bytes) / began.elapsed().as_secs_f64();
        let name = format!("{}raw_get_{}_mib_x{at_once}_bytes_per_s", large.name, part >> 20);
        numbers.insert(name, rate);
        best = best.max(rate);
    }
    numbers.insert(format!("{}raw_get_best_bytes_per_s", large.name), best);
    let size = &large.archive.size;
    let stored = as_f64(size.object_bytes()) / as_f64(size.body_bytes);
    numbers.insert(format!("{}stored_per_body_byte", large.name), stored);
    Ok(())
}

/// All bytes of all objects.
async fn read(
    store: &Arc<dyn ObjectStore>,
    objects: &[(Path, u64)],
    part: u64,
    at_once: usize,
) -> io::Result<u64> {
    let parts = |(path, len): &(Path, u64)| {
        let (path, len) = (path.clone(), *len);
        (0..len.div_ceil(part)).map(move |at| (path.clone(), at * part..len.min((at + 1) * part)))
    };
    let mut left: VecDeque<(Path, Range<u64>)> = objects.iter().flat_map(parts).collect();
    let mut under_way = JoinSet::new();
    let mut bytes = 0;
    loop {
        while under_way.len() < at_once
            && let Some((path, range)) = left.pop_front()
        {
            let store = Arc::clone(store);
            under_way.spawn(async move { store.get_range(&path, range).await });
        }
        match under_way.join_next().await {
            Some(outcome) => {
                let got = outcome.map_err(io::Error::other)?.map_err(io::Error::other)?;
                bytes += got.len() as u64;
            }
            None => return Ok(bytes),
        }
    }
}
