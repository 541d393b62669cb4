//! The bucket that measurements read: what was made is found, by queue and offset, by place in the
//! log and by key.
#![expect(clippy::unwrap_used, reason = "tests")]

#[expect(dead_code, reason = "the measurements take the rest")]
#[path = "../benches/archive/generate/mod.rs"]
mod generate;

use generate::{Archive, MergeShape, Shape, fill, look_up};
use std::time::Duration;
use storage::env::Env;
use storage::object::{Bucket, Name, Purpose};

const HOUR: Duration = Duration::from_secs(3_600);

/// Days, hours and bundles of two placement groups.
fn small() -> Shape {
    let merge = |inputs, window| MergeShape { inputs, window, run_bytes: 256 << 20 };
    Shape {
        groups: 2,
        queues: 30,
        bundles: 205,
        messages: 12,
        queues_at_once: 4,
        span: 100 * HOUR,
        merges: vec![merge(10, HOUR), merge(9, 24 * HOUR)],
        ..Shape::many_small()
    }
}

async fn names(bucket: &Bucket, folder: &str) -> Vec<Name> {
    let folder = Name::parse(folder).unwrap();
    let mut listing = bucket.list(Some(&folder), None, Purpose::Check);
    let mut names = Vec::new();
    while let Some(entry) = listing.next().await.unwrap() {
        names.push(entry.name);
    }
    names
}

async fn made(shape: &Shape) -> (Bucket, Archive) {
    let bucket = Bucket::in_memory(Env::system());
    let archive = fill(&bucket, shape).await.unwrap();
    (bucket, archive)
}

#[tokio::test]
async fn every_sample_is_found_in_every_way() {
    let (bucket, archive) = made(&small()).await;
    assert!(archive.samples.len() >= 400);
    for sample in archive.samples.iter().step_by(7) {
        let group = archive.groups.iter().find(|group| group.pg == sample.pg).unwrap();
        look_up(&bucket, group, sample).await.unwrap();
    }
}

#[tokio::test]
async fn the_bucket_holds_what_the_manifests_name_and_nothing_else() {
    let (bucket, archive) = made(&small()).await;
    for (level, (objects, _)) in &archive.size.levels {
        let there = names(&bucket, &format!("l{level}")).await;
        assert_eq!(there.len() as u64, *objects, "level {level}");
    }
    assert_eq!(archive.size.levels.len(), 3, "{:?}", archive.size);
    let roots = archive.groups.iter().filter(|group| group.root.is_some()).count() as u64;
    let manifest = names(&bucket, "manifest").await.len() as u64;
    assert_eq!(manifest, archive.size.manifest.pages.0 + roots);
}

#[tokio::test]
async fn the_same_shape_makes_the_same_bucket() {
    let (first, _) = made(&small()).await;
    let (second, _) = made(&small()).await;
    assert_eq!(names(&first, "l2").await, names(&second, "l2").await);
}
