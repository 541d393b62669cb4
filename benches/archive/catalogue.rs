//! A year in ten thousand objects: how large the manifest is, and what it costs to find a message
//! where nothing is cached and no reader helps.

use super::generate::paper::{self, Cluster, per};
use super::generate::{Archive, Shape, fill, look_up};
use super::search;
use super::stores::Store;
use super::{Amount, Numbers, as_f64};
use std::io;
use std::time::Instant;
use storage::object::Bucket;

/// Returns what a petabyte would be, as a table. Each shape in a bucket of its own.
pub(crate) async fn measure(
    store: &Store,
    amount: &Amount,
    numbers: &mut Numbers,
) -> io::Result<String> {
    let shapes = [("year", Shape::many_small()), ("years_end", Shape::years_end())];
    let mut paper = String::new();
    for (name, shape) in shapes {
        let shape = part_of(shape, amount);
        let bucket = store.bucket_in(name)?;
        let began = Instant::now();
        let archive = fill(&bucket, &shape).await?;
        let mut note = |what: &str, value: f64| {
            numbers.insert(format!("{}.{name}_{what}", store.name), value);
        };
        note("made_in_s", began.elapsed().as_secs_f64());
        sizes(&archive, &mut note);
        look_ups(&bucket, &archive, amount, &mut note).await?;
        // What is merged once has the most objects.
        if shape.merges.len() == 1 {
            let group = search::summarised(&bucket, &archive).await?;
            let open = || store.bucket_in(name);
            search::measure((store.name, open), &archive, &group, amount, numbers).await?;
        }
        paper = paper::table(&archive.size, Cluster::PETABYTE);
    }
    Ok(paper)
}

/// All of a shape, or a tenth of it whose last merge is whole.
pub(crate) fn part_of(mut shape: Shape, amount: &Amount) -> Shape {
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
