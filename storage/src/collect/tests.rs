use super::*;
use crate::compact::world::World;
use crate::format::Lsn;
use crate::object::testing::Plan as FaultPlan;
use crate::object::{Kind, Name, Purpose};
use crate::tier::{ObjectId, ObjectName};
use std::future::Future;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(work)
}

/// A bundle of two placement groups, compacted out by the first of them only.
async fn shared_bundles() -> World {
    let mut world = World::new(3, 2);
    for _ in 0..4 {
        world.append(&[1, 2], &[1; 30]);
        world.upload().await.unwrap();
        world.commit_bundles().await.unwrap();
    }
    world.advance(HOUR * 2);
    let pg = world.groups[0].pg;
    assert!(world.merge(pg).await.unwrap());
    world.commit_merges().await.unwrap();
    world
}

/// Past grace and rest.
async fn sweep_at_leisure(world: &mut World) -> Swept {
    world.advance(DAY * 2);
    world.sweep().await.unwrap();
    world.advance(HOUR * 2);
    world.sweep().await.unwrap()
}

#[test]
fn a_bundle_goes_when_no_placement_group_references_it() {
    run(async {
        let mut world = shared_bundles().await;
        let swept = sweep_at_leisure(&mut world).await;
        assert_eq!((swept.deleted, swept.referenced), (0, 6), "the other one has them");
        let pg = world.groups[1].pg;
        assert!(world.merge(pg).await.unwrap());
        world.commit_merges().await.unwrap();
        let swept = sweep_at_leisure(&mut world).await;
        assert_eq!((swept.deleted, swept.open), (4, 0));
        assert!(swept.deleted_bytes > 0);
        world.check().await;
        assert_eq!(world.names().await, world.referenced().await);
    });
}

#[test]
fn nothing_goes_before_its_grace_and_rest_are_over() {
    run(async {
        let mut world = shared_bundles().await;
        let pg = world.groups[1].pg;
        world.merge(pg).await.unwrap();
        world.commit_merges().await.unwrap();
        let swept = world.sweep().await.unwrap();
        assert_eq!((swept.deleted, swept.young), (0, swept.listed), "stored just now");
        world.advance(DAY * 2);
        let swept = world.sweep().await.unwrap();
        assert_eq!((swept.deleted, swept.young), (0, 4), "seen unreferenced just now");
        world.advance(HOUR);
        assert_eq!(world.sweep().await.unwrap().deleted, 4);
    });
}

#[test]
fn a_bundle_that_may_still_be_committed_stays_until_its_epoch_is_over() {
    run(async {
        let mut world = World::new(3, 2);
        world.append(&[1], &[1; 30]);
        world.upload().await.unwrap();
        let swept = sweep_at_leisure(&mut world).await;
        assert_eq!((swept.deleted, swept.open), (0, 1));
        let pending = std::mem::take(&mut world.uploaded);
        world.take_over();
        // The owner of the past wakes up: too late.
        world.uploaded = pending;
        world.commit_bundles().await.unwrap();
        assert!(world.entries(world.groups[0].pg).await.unwrap().is_empty());
        assert_eq!(sweep_at_leisure(&mut world).await.deleted, 1);
    });
}

#[test]
fn a_bundle_whose_range_another_bundle_has_goes_in_the_same_epoch() {
    run(async {
        let mut world = World::new(3, 2);
        world.append(&[1], &[1; 30]);
        world.upload().await.unwrap();
        // Of unknown outcome, and stored once more.
        let first = world.uploaded.remove(0);
        world.upload().await.unwrap();
        world.commit_bundles().await.unwrap();
        // The first request arrives late, and fails.
        world.uploaded.push(first);
        world.commit_bundles().await.unwrap();
        let swept = sweep_at_leisure(&mut world).await;
        assert_eq!((swept.deleted, swept.referenced), (1, 1));
        world.check().await;
    });
}

#[test]
fn a_merge_under_way_keeps_its_outputs_and_a_dead_owners_go() {
    run(async {
        let mut world = shared_bundles().await;
        let pg = world.groups[1].pg;
        assert!(world.merge(pg).await.unwrap());
        let swept = sweep_at_leisure(&mut world).await;
        assert!(swept.open > 0 && swept.deleted == 0, "{swept:?}");
        world.commit_merges().await.unwrap();
        world.check().await;
        let mut world = shared_bundles().await;
        assert!(world.merge(pg).await.unwrap());
        world.take_over();
        let swept = sweep_at_leisure(&mut world).await;
        assert!(swept.open == 0 && swept.deleted > 0, "{swept:?}");
        assert_eq!(world.commit_merges().await.unwrap(), 0);
        world.check().await;
        assert_eq!(world.names().await, world.referenced().await);
    });
}

#[test]
fn what_is_not_ours_is_left_alone_and_counted() {
    run(async {
        let mut world = World::new(3, 2);
        for name in ["l0/readme", "l1/0000/x", "catalog/a", "proof/b", "roots/c", "zebra"] {
            let name = Name::parse(name).unwrap();
            world.bucket.create(&name, vec![1], Purpose::Check).await.unwrap();
        }
        let swept = sweep_at_leisure(&mut world).await;
        assert_eq!((swept.listed, swept.foreign, swept.deleted), (2, 2, 0));
        assert_eq!(world.names().await.len(), 6);
    });
}

#[test]
fn a_placement_group_without_a_record_keeps_what_it_has() {
    run(async {
        let mut world = shared_bundles().await;
        let pg = world.groups[0].pg;
        world.metadata.records.lock().remove(&pg);
        let swept = sweep_at_leisure(&mut world).await;
        assert_eq!((swept.deleted, swept.no_record + swept.referenced), (0, swept.listed));
        assert!(swept.no_record > 0);
    });
}

#[test]
fn the_snapshot_that_the_record_names_stays_and_the_one_before_goes() {
    run(async {
        let mut world = World::new(3, 1);
        let pg = world.groups[0].pg;
        let snapshot =
            |id| ObjectName::Snapshot { pg, epoch: crate::Epoch(1), id: ObjectId { id, nonce: 1 } };
        for id in [1, 2] {
            let name = Name::parse(&snapshot(id).to_string()).unwrap();
            world.bucket.create(&name, vec![1], Purpose::Snapshot).await.unwrap();
            let mut records = world.metadata.records.lock();
            records.get_mut(&pg).unwrap().view.snapshot = Some(snapshot(id));
        }
        assert_eq!(sweep_at_leisure(&mut world).await.deleted, 1);
        assert_eq!(world.names().await, world.referenced().await);
    });
}

#[test]
fn what_is_locked_is_counted_and_tried_again_much_later() {
    run(async {
        let mut world = shared_bundles().await;
        let pg = world.groups[1].pg;
        world.merge(pg).await.unwrap();
        world.commit_merges().await.unwrap();
        world.faults.lock(Some("l0"));
        let swept = sweep_at_leisure(&mut world).await;
        assert_eq!((swept.deleted, swept.locked), (0, 4));
        world.faults.lock(None);
        world.advance(DAY);
        let swept = world.sweep().await.unwrap();
        assert_eq!((swept.deleted, swept.locked), (0, 4), "not asked again so soon");
        world.advance(DAY * 7);
        assert_eq!(world.sweep().await.unwrap().deleted, 4);
    });
}

#[test]
fn deletes_that_lag_are_no_error() {
    run(async {
        let mut world = shared_bundles().await;
        let pg = world.groups[1].pg;
        world.merge(pg).await.unwrap();
        world.commit_merges().await.unwrap();
        world.faults.set(FaultPlan { delete_lag: 40, ..FaultPlan::default() });
        let mut deleted = 0;
        for _ in 0..8 {
            deleted += sweep_at_leisure(&mut world).await.deleted;
        }
        assert!(deleted >= 4, "{deleted}");
        world.check().await;
    });
}

#[test]
fn a_damaged_bundle_stays_to_be_looked_at() {
    run(async {
        let mut world = World::new(3, 1);
        let id = ObjectId { id: 77, nonce: 1 };
        let name = Name::parse(&ObjectName::Bundle { session: 1, id }.to_string()).unwrap();
        world.bucket.create(&name, vec![1; 500], Purpose::Upload).await.unwrap();
        let swept = sweep_at_leisure(&mut world).await;
        assert_eq!((swept.deleted, swept.damaged), (0, 1));
    });
}

#[test]
fn a_sweep_costs_a_list_a_thousand_names_and_no_directory_of_what_is_referenced() {
    run(async {
        let mut world = World::new(3, 2);
        for _ in 0..20 {
            world.append(&[1], &[1; 30]);
            world.upload().await.unwrap();
            world.commit_bundles().await.unwrap();
        }
        for id in 0..1500 {
            let name = format!("l0/{:016x}/{:016x}-00000001.tmp", 1, id);
            let name = Name::parse(&name).unwrap();
            world.bucket.create(&name, vec![1], Purpose::Check).await.unwrap();
        }
        world.advance(DAY * 2);
        world.sweep().await.unwrap();
        let usage = world.bucket.usage();
        let requests = |kind| {
            let of = |row: &&crate::object::Usage| {
                (row.purpose, row.kind) == (Purpose::Collection, kind)
            };
            usage.iter().find(of).map_or(0, |row| row.requests)
        };
        assert!(requests(Kind::List) <= 14, "{}", requests(Kind::List));
        // Roots and pages, for the bundles and for what has the placement group in its name.
        let mut objects = 0;
        for group in &world.groups {
            objects += 1 + world.manifest(group.pg).await.unwrap().root.pages.len() as u64;
        }
        assert!(requests(Kind::Get) <= 2 * objects, "{}", requests(Kind::Get));
    });
}

#[test]
fn a_sweep_goes_on_after_the_store_was_down() {
    run(async {
        let mut world = shared_bundles().await;
        let pg = world.groups[1].pg;
        world.merge(pg).await.unwrap();
        world.commit_merges().await.unwrap();
        world.advance(DAY * 2);
        world.sweep().await.unwrap();
        world.advance(HOUR * 2);
        let mut sweep = Sweep::all().unwrap();
        world.collector.step(&mut sweep).await.unwrap();
        let place = sweep.clone();
        world.faults.die_after(0);
        assert!(world.collector.step(&mut sweep).await.is_err());
        assert_eq!(sweep, place);
        world.faults.revive();
        while world.collector.step(&mut sweep).await.unwrap().is_some() {}
        assert_eq!(world.names().await, world.referenced().await);
        assert!(world.record(pg).tiered > Lsn(0));
    });
}
