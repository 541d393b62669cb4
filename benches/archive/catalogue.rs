//! A year in ten thousand objects: how large the manifest is, and what it costs to find a message
//! where nothing is cached: by requests of our own here, by a reader in [`search`].

use super::generate::paper::{self, Cluster, per};
use super::generate::{Archive, GroupRecord, Shape, fill, look_up};
use super::stores::{Slow, Store};
use super::system::Kit;
use super::{Amount, Numbers, as_f64};
use super::{recovery, search};
use std::io;
use std::time::Instant;
use storage::object::{Bucket, Purpose, Span};
use tokio::task::JoinSet;

const YEAR: &str = "year";
const YEARS_END: &str = "years_end";
const COPIES_AT_ONCE: usize = 16;

/// Returns what a petabyte would be, as a table. Each shape in a bucket of its own. Objects are made
/// once, in the first store; others get copies.
pub(crate) async fn measure(
    kit: &Kit,
    stores: &[Store],
    amount: &Amount,
    numbers: &mut Numbers,
) -> io::Result<String> {
    let (first, others) =
        stores.split_first().ok_or_else(|| io::Error::other("no store is measured"))?;
    let archive = made(first, (YEAR, Shape::many_small()), amount, numbers).await?;
    let group = search::summarised(&first.bucket_in(YEAR)?, &archive).await?;
    search(first, &archive, &group, amount, numbers).await?;
    for store in others {
        copy(&first.bucket_in(YEAR)?, &store.bucket_in(YEAR)?).await?;
        search(store, &archive, &group, amount, numbers).await?;
    }
    let slow = Slow::start(kit)?;
    copy(&first.bucket_in(YEAR)?, &slow.store.bucket_in(YEAR)?).await?;
    slow.delay();
    search(&slow.store, &archive, &group, amount, numbers).await?;
    let archive = made(first, (YEARS_END, Shape::years_end()), amount, numbers).await?;
    Ok(paper::table(&archive.size, Cluster::PETABYTE))
}

async fn search(
    store: &Store,
    archive: &Archive,
    group: &GroupRecord,
    amount: &Amount,
    numbers: &mut Numbers,
) -> io::Result<()> {
    let open = || store.bucket_in(YEAR);
    search::measure((store.name, open), archive, group, amount, numbers).await
}

/// Makes objects of a shape and looks messages up in them.
async fn made(
    store: &Store,
    (name, shape): (&str, Shape),
    amount: &Amount,
    numbers: &mut Numbers,
) -> io::Result<Archive> {
    let bucket = store.bucket_in(name)?;
    let began = Instant::now();
    let shape = part_of(shape, amount);
    let archive = fill(&bucket, &shape).await?;
    let mut note = |what: &str, value: f64| {
        numbers.insert(format!("{name}.{what}"), value);
    };
    note("made_in_s", began.elapsed().as_secs_f64());
    sizes(&archive, &mut note);
    look_ups(&bucket, &archive, amount, &mut note).await?;
    recovery::measure(name, || store.bucket_in(name), &archive, shape.bundles, numbers).await?;
    Ok(archive)
}

/// All objects.
async fn copy(from: &Bucket, to: &Bucket) -> io::Result<()> {
    let mut listing = from.list(None, None, Purpose::Check);
    let mut under_way = JoinSet::<Result<(), storage::object::Error>>::new();
    while let Some(entry) = listing.next().await.map_err(io::Error::other)? {
        if under_way.len() >= COPIES_AT_ONCE
            && let Some(ended) = under_way.join_next().await
        {
            ended.map_err(io::Error::other)?.map_err(io::Error::other)?;
        }
        let (from, to) = (from.clone(), to.clone());
        under_way.spawn(async move {
            let object = from.get(&entry.name, Span::All, Purpose::Check).await?;
            to.create(&entry.name, object.bytes, Purpose::Upload).await.map(drop)
        });
    }
    while let Some(ended) = under_way.join_next().await {
        ended.map_err(io::Error::other)?.map_err(io::Error::other)?;
    }
    Ok(())
}

/// All of a shape, or a tenth of it whose last merge is whole.
fn part_of(mut shape: Shape, amount: &Amount) -> Shape {
    if amount.quick {
        let whole = shape.merges.first().map_or(1, |merge| merge.inputs as u64);
        shape.bundles = shape.bundles / 10 / whole * whole;
    }
    shape
}

fn sizes(archive: &Archive, note: &mut impl FnMut(&str, f64)) {
    let size = &archive.size;
    note("objects", as_f64(size.objects()));
    note("object_bytes", as_f64(size.object_bytes()));
    note("merge_written_per_body_byte", per(size.merged.1, size.body_bytes));
    note("manifest_pages", as_f64(size.manifest.pages.0));
    note("manifest_bytes", as_f64(size.manifest.pages.1 + size.manifest.root_bytes));
    note("manifest_written_bytes", as_f64(size.manifest.written.1));
    note("manifest_bytes_per_entry", per(size.manifest.pages.1, size.manifest.entries_in_pages));
    note("delta_bytes_each", per(size.manifest.deltas.1, size.manifest.deltas.0));
}

async fn look_ups(
    bucket: &Bucket,
    archive: &Archive,
    amount: &Amount,
    note: &mut impl FnMut(&str, f64),
) -> io::Result<()> {
    let every = (archive.samples.len() / amount.lookups.max(1)).max(1);
    let (mut offset, mut lsn, mut key) = (Vec::new(), Vec::new(), Vec::new());
    for sample in archive.samples.iter().step_by(every) {
        let group = archive.groups.iter().find(|group| group.pg == sample.pg);
        let group = group.ok_or_else(|| io::Error::other("a sample of no group"))?;
        let gets = look_up(bucket, group, sample).await?;
        offset.push(gets.by_offset);
        lsn.push(gets.by_lsn);
        key.push(gets.by_key);
    }
    for (what, mut gets) in [("offset", offset), ("lsn", lsn), ("key_and_second", key)] {
        gets.sort_unstable();
        let at = |part: usize| gets.get(gets.len().saturating_sub(1) * part / 100);
        note(&format!("cold_{what}_gets_p50"), f64::from(at(50).copied().unwrap_or(0)));
        note(&format!("cold_{what}_gets_max"), f64::from(at(100).copied().unwrap_or(0)));
    }
    Ok(())
}
