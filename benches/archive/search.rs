//! A message by its key among all objects of a year, with nothing known but the placement group's
//! record: how long, and how many GETs. Summaries of keys are made first, as compaction makes them.

use super::generate::{Archive, GroupRecord, Sample};
use super::{Amount, Numbers, as_f64};
use bytes::Bytes;
use std::collections::VecDeque;
use std::io;
use std::time::Instant;
use storage::Epoch;
use storage::env::{Env, Timestamp};
use storage::format::object::{SUMMARY_OBJECTS_MAX, Span, Tail, TailRead};
use storage::object::{Bucket, Kind, Name, Purpose};
use storage::reader::{KeyQuery, Reader, ReaderConfig, View};
use storage::tier::manifest::{Change, Delta, Query, RunEntry, select};
use storage::tier::{ObjectId, ObjectName, Summary, SummaryStep};
use tokio::task::JoinSet;

/// The one that the archive was made in.
const EPOCH: Epoch = Epoch(3);
/// Above all ids of the archive.
const FIRST_ID: u64 = 1 << 60;
const AT_ONCE: usize = 16;
/// Messages with one key: one, and who shares its hash.
const MESSAGES_MAX: usize = 64;

/// Searches for samples, each with a reader of its own that has read nothing.
pub(crate) async fn measure(
    (name, open): (&str, impl Fn() -> io::Result<Bucket>),
    archive: &Archive,
    group: &GroupRecord,
    amount: &Amount,
    numbers: &mut Numbers,
) -> io::Result<()> {
    let every = (archive.samples.len() / amount.lookups.max(1)).max(1);
    let (mut ms, mut gets, mut one) = (Vec::new(), Vec::new(), Vec::new());
    for sample in archive.samples.iter().step_by(every) {
        let (took, asked) = search(&open()?, group, sample).await?;
        ms.push(took);
        gets.push(asked);
        one.push(one_get(&open()?, group).await?);
    }
    let mut note = |what: &str, mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        let middle = values.get(values.len().saturating_sub(1) / 2);
        numbers.insert(format!("{name}.search_{what}_p50"), middle.copied().unwrap_or(f64::NAN));
        let most = values.last().copied().unwrap_or(f64::NAN);
        numbers.insert(format!("{name}.search_{what}_max"), most);
    };
    note("ms", ms);
    note("gets", gets);
    note("one_get_ms", one);
    numbers.insert(format!("{name}.search_objects"), as_f64(archive.size.objects()));
    Ok(())
}

/// Milliseconds and GETs of one search from cold.
async fn search(bucket: &Bucket, group: &GroupRecord, sample: &Sample) -> io::Result<(f64, f64)> {
    let began = Instant::now();
    let (reader, view) = view(bucket, group).await?;
    let (since, until) = (Timestamp(0), Timestamp(u64::MAX));
    let query = KeyQuery { hash: sample.key, queues: None, since, until, max: MESSAGES_MAX };
    let found = reader.by_key(&[view], query).await.map_err(io::Error::other)?;
    let ms = began.elapsed().as_secs_f64() * 1e3;
    if !found.is_complete() || !found.records.iter().any(|record| record.lsn == sample.lsn) {
        return Err(io::Error::other(format!("not found, or not all: {sample:?}")));
    }
    let usage = bucket.usage();
    let gets = usage.iter().filter(|usage| usage.kind == Kind::Get);
    let gets = gets.map(|usage| usage.requests).sum();
    reader.close().await;
    Ok((ms, as_f64(gets)))
}

/// The limit of each step: one small object.
async fn one_get(bucket: &Bucket, group: &GroupRecord) -> io::Result<f64> {
    let root = group.root.ok_or_else(|| io::Error::other("an archive without root"))?;
    let began = Instant::now();
    get(bucket, &root, None).await?;
    Ok(began.elapsed().as_secs_f64() * 1e3)
}

/// With no caches on a disk.
async fn view(bucket: &Bucket, group: &GroupRecord) -> io::Result<(Reader, View)> {
    let reader = Reader::open(bucket, ReaderConfig::default(), &Env::system()).await;
    let reader = reader.map_err(io::Error::other)?;
    let root = group.root.map(|name| name.to_string());
    let view = reader.view(group.pg, root.as_deref(), &group.deltas).await;
    Ok((reader, view.map_err(io::Error::other)?))
}

/// Makes summaries of all runs of the only group; its record with them.
pub(crate) async fn summarised(bucket: &Bucket, archive: &Archive) -> io::Result<GroupRecord> {
    let [group] = archive.groups.as_slice() else {
        return Err(io::Error::other("summaries are made of one group"));
    };
    let (reader, view) = view(bucket, group).await?;
    let mut pages = Vec::new();
    for page in &view.root().pages {
        let bytes = get(bucket, &page.page.name(group.pg), None).await?;
        pages.push(page.open(&bytes).map_err(io::Error::other)?);
    }
    let mut runs = select(&Query::default(), &pages, view.overlay());
    reader.close().await;
    runs.retain(|run| run.level() > 0);
    let mut changes = Vec::new();
    for (id, runs) in (FIRST_ID..).zip(runs.chunks(SUMMARY_OBJECTS_MAX)) {
        changes.push(summarise(bucket, group, id, runs).await?);
    }
    let delta = Delta { from: group.tiered, to: group.tiered, changes };
    let mut group = group.clone();
    group.deltas.push(Bytes::from(delta.encode()));
    Ok(group)
}

async fn summarise(
    bucket: &Bucket,
    group: &GroupRecord,
    id: u64,
    runs: &[RunEntry],
) -> io::Result<Change> {
    let tails = tails(bucket, group, runs).await?;
    let pages = tails.iter().map(|tail| tail.keys.all_pages());
    let inputs: Vec<(RunEntry, Span)> = runs.iter().copied().zip(pages).collect();
    let object = ObjectId { id, nonce: 11 };
    let mut summary = Summary::new(group.pg, EPOCH, object, &inputs).map_err(io::Error::other)?;
    let mut parts = Vec::new();
    loop {
        match summary.step() {
            SummaryStep::Read { input, span } => {
                let bytes = get(bucket, &runs[input].name(group.pg), Some(span)).await?;
                summary.feed(&bytes).map_err(io::Error::other)?;
            }
            SummaryStep::Write(part) => parts.push(part),
            SummaryStep::Done(reference) => {
                let name = Name::parse(&reference.name(group.pg).to_string());
                let name = name.map_err(io::Error::other)?;
                let put = bucket.create(&name, parts, Purpose::Compaction).await;
                return put.map(|_| Change::Summary(reference)).map_err(io::Error::other);
            }
        }
    }
}

/// Several at once, in their order.
async fn tails(bucket: &Bucket, group: &GroupRecord, runs: &[RunEntry]) -> io::Result<Vec<Tail>> {
    let mut left: VecDeque<(usize, RunEntry)> = runs.iter().copied().enumerate().collect();
    let (mut under_way, mut done) = (JoinSet::new(), Vec::new());
    loop {
        while under_way.len() < AT_ONCE
            && let Some((at, run)) = left.pop_front()
        {
            let (bucket, name) = (bucket.clone(), run.name(group.pg));
            under_way.spawn(async move { Ok((at, tail(&bucket, &name, run.object_len).await?)) });
        }
        let Some(ended) = under_way.join_next().await else { break };
        let tail: io::Result<(usize, Tail)> = ended.map_err(io::Error::other)?;
        done.push(tail?);
    }
    done.sort_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, tail)| tail).collect())
}

async fn tail(bucket: &Bucket, name: &ObjectName, len: u64) -> io::Result<Tail> {
    let mut span = Tail::first_read(len);
    loop {
        let bytes = get(bucket, name, Some(span)).await?;
        match Tail::read(&bytes).map_err(io::Error::other)? {
            TailRead::Whole(tail) => return Ok(*tail),
            TailRead::Longer(more) => span = more,
        }
    }
}

async fn get(bucket: &Bucket, name: &ObjectName, span: Option<Span>) -> io::Result<Bytes> {
    let name = Name::parse(&name.to_string()).map_err(io::Error::other)?;
    let fetched = match span {
        Some(span) => bucket.get(&name, span.at..span.end(), Purpose::Compaction).await,
        None => bucket.get(&name, storage::object::Span::All, Purpose::Compaction).await,
    };
    fetched.map(|fetched| fetched.bytes).map_err(io::Error::other)
}
