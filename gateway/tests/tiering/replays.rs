//! Replays of what the journal let go of.

use super::trimmed::body;
use super::world::World;
use metadata::model::{
    AttributeChange, Destination, GROUP_CONSUME_FROM, Group, GroupSpec, Job, JobFilter, JobName,
    JobSpec, JobState, Limits, Topic,
};
use protocol::names::GroupName;
use std::sync::Arc;
use std::time::Duration;
use storage::env::{Env, Timestamp};
use storage::object::Bucket;
use storage::object::testing::{Faults, Plan, hasty};

fn spec(source: &Topic, into: Destination) -> JobSpec {
    JobSpec {
        source: source.name.clone(),
        from: Timestamp(0),
        to: Timestamp(u64::MAX),
        filter: JobFilter::All,
        into,
        limits: Limits::default(),
    }
}

async fn begin(world: &World, name: &str, spec: &JobSpec) {
    // What was stored in this very millisecond is not in the range.
    Env::system().sleep(Duration::from_millis(2)).await;
    world.broker().replays.create(&JobName::parse(name).unwrap(), spec).await.unwrap();
}

async fn over(world: &World, name: &str) -> Arc<Job> {
    let found = || world.broker().catalog.job(name);
    world.until("the job's end", |_| found().is_some_and(|job| job.state.is_over())).await;
    let job = found().unwrap();
    assert_eq!(job.state, JobState::Done);
    job
}

/// What a topic has, by a new group.
async fn received(world: &World, topic: &Arc<Topic>, group: &str) -> Vec<String> {
    let mut got = world.drain(topic, &world.group(group).await).await;
    got.sort();
    got
}

fn names(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    let mut names: Vec<String> = numbers.into_iter().map(|number| format!("m{number}")).collect();
    names.sort();
    names
}

async fn send(world: &World, topic: &Arc<Topic>, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let tag = ["", "a", "b"][number % 3];
        world.try_send_tagged(topic, format!("m{number}"), tag, None).await.unwrap();
    }
}

/// A group that only gets what is replayed to it.
async fn from_now_on(world: &World, name: &str) -> Arc<Group> {
    let mut spec = GroupSpec::new(GroupName::parse(name).unwrap());
    let (key, value) = (GROUP_CONSUME_FROM.to_owned(), "latest".to_owned());
    spec.change(&AttributeChange::Set { key, value }).unwrap();
    let group = world.broker().catalog.put_group(spec).await.unwrap();
    world.broker().owned.open_group(&group);
    group
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_in_the_bucket_is_replayed_to_a_topic_and_to_a_group() {
    let mut world = World::start().await;
    let orders = world.topic("orders", |spec| spec.queues = 3).await;
    send(&world, &orders, 0..40).await;
    Env::system().sleep(Duration::from_millis(2)).await;
    let (from, to) = (Env::system().now(), |now: Timestamp| Timestamp(now.0 + 1));
    send(&world, &orders, 40..80).await;
    let until = to(Env::system().now());
    Env::system().sleep(Duration::from_millis(4)).await;
    send(&world, &orders, 80..90).await;
    world.trimmed().await;
    world = world.begun_again().await;
    let (orders, copy) = (world.known("orders"), world.topic("copy", |_| {}).await);
    let part = JobSpec { from, to: until, ..spec(&orders, Destination::Topic(copy.name.clone())) };
    let estimate = world.broker().replays.estimate(&part).await.unwrap();
    assert_eq!((estimate.messages, estimate.exact, estimate.complete), (40, true, true));
    assert!(estimate.gets > 0 && estimate.bytes > 0);
    begin(&world, "to-topic", &part).await;
    let job = over(&world, "to-topic").await;
    assert_eq!((job.progress.written, job.progress.read), (40, 40));
    assert_eq!(received(&world, &copy, "readers").await, names(40..80));
    let group = from_now_on(&world, "again").await;
    assert_eq!(world.drain(&orders, &group).await, [""; 0]);
    begin(&world, "to-group", &JobSpec { into: Destination::Group(group.name.clone()), ..part })
        .await;
    over(&world, "to-group").await;
    let group = world.group("again").await;
    let mut got = world.drain(&orders, &group).await;
    got.sort();
    assert_eq!(got, names(40..80));
    world.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_and_keys_are_told_apart_in_the_bucket_and_in_the_journal() {
    let mut world = World::start().await;
    let orders = world.topic("orders", |spec| spec.queues = 2).await;
    send(&world, &orders, 0..30).await;
    world.trimmed().await;
    world = world.begun_again().await;
    let orders = world.known("orders");
    send(&world, &orders, 30..45).await;
    for (name, filter, expected) in [
        ("tags", JobFilter::Tags("a".into()), names((0..45).filter(|number| number % 3 == 1))),
        ("key", JobFilter::Key("key-m7".into()), names([7])),
        ("none", JobFilter::Tags("c".into()), names([])),
    ] {
        let copy = world.topic(name, |_| {}).await;
        let into = Destination::Topic(copy.name.clone());
        begin(&world, name, &JobSpec { filter, ..spec(&orders, into) }).await;
        over(&world, name).await;
        assert_eq!(received(&world, &copy, name).await, expected, "{name}");
    }
    world.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_is_replayed_with_what_it_took_over() {
    let mut world = World::start().await;
    let orders = world.topic("orders", |spec| spec.queues = 2).await;
    send(&world, &orders, 0..10).await;
    let clone = world.clone_of(&orders, "clone").await;
    send(&world, &orders, 10..20).await;
    send(&world, &clone, 20..26).await;
    world.trimmed().await;
    world = world.begun_again().await;
    let (clone, copy) = (world.known("clone"), world.topic("copy", |_| {}).await);
    send(&world, &clone, 26..30).await;
    let all = spec(&clone, Destination::Topic(copy.name.clone()));
    Env::system().sleep(Duration::from_millis(2)).await;
    assert_eq!(world.broker().replays.estimate(&all).await.unwrap().messages, 20);
    begin(&world, "all", &all).await;
    over(&world, "all").await;
    assert_eq!(received(&world, &copy, "readers").await, names((0..10).chain(20..30)));
    world.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_journal_gives_up_while_it_is_replayed_is_read_from_the_bucket() {
    let world = World::start().await;
    let orders = world.topic("orders", |spec| spec.queues = 2).await;
    send(&world, &orders, 0..200).await;
    let copy = world.topic("copy", |_| {}).await;
    let limits = Limits { messages: None, bytes: Some(8_000) };
    let slow = JobSpec { limits, ..spec(&orders, Destination::Topic(copy.name.clone())) };
    begin(&world, "slow", &slow).await;
    let progress = || world.broker().catalog.job("slow").unwrap().progress.clone();
    world.until("some is copied", |_| progress().written > 20).await;
    world.trimmed().await;
    assert!(progress().written < 200, "all was copied before the journal let go of it");
    let job = over(&world, "slow").await;
    assert_eq!((job.progress.written, job.progress.left_out), (200, 0));
    assert_eq!(received(&world, &copy, "readers").await, names(0..200));
    world.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_waits_for_a_store_that_is_down() {
    let faults = Faults::seeded(1, Env::system());
    let bucket = Bucket::faulty(&faults, Env::system()).with_patience(hasty());
    // Objects of many pages, few of which are kept, so that reading asks the store.
    let mut world = World::start_over(bucket, |settings| settings.tiering.cache_memory = 1).await;
    let orders = world.topic("orders", |spec| spec.queues = 1).await;
    for number in 0..60 {
        world.send(&orders, body(number)).await;
    }
    let copy = world.topic("copy", |_| {}).await;
    world.trimmed().await;
    world = world.begun_again().await;
    faults.set(Plan { down: true, ..Plan::default() });
    let all = spec(&orders, Destination::Topic(copy.name.clone()));
    begin(&world, "waits", &all).await;
    let at_work = |broker: &gateway::Broker| broker.replays.at_work() == 1;
    world.until("the job is at work", at_work).await;
    Env::system().sleep(Duration::from_millis(600)).await;
    let job = world.broker().catalog.job("waits").unwrap();
    assert_eq!((job.state.clone(), job.progress.written), (JobState::Running, 0));
    faults.set(Plan::default());
    over(&world, "waits").await;
    assert_eq!(received(&world, &world.known("copy"), "readers").await, names(0..60));
    world.gateway.stop().await;
}
