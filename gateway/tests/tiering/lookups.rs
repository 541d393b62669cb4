//! Messages looked at though the journal let go of them.

use super::trimmed::body;
use super::world::{SOON, World, word};
use gateway::query::{self, Found, Library, LookRefused, Matches, Search, SearchRefused, Wanted};
use metadata::model::{Topic, TopicQueue};
use std::sync::Arc;
use std::time::Duration;
use storage::env::{Env, Timestamp};
use storage::format::QueueOffset;
use storage::object::testing::{Faults, Plan, hasty};
use storage::object::{Bucket, Kind, Patience, Purpose};

fn search(topic: &Arc<Topic>, wanted: Wanted) -> Search {
    let topic = Arc::clone(topic);
    Search { topic, wanted, from: Timestamp(0), to: Timestamp(u64::MAX), max: 64 }
}

async fn try_find(
    world: &World,
    topic: &Arc<Topic>,
    wanted: Wanted,
) -> Result<Matches, SearchRefused> {
    query::search(&Library::of(world.broker()), search(topic, wanted)).await
}

/// All there is; it must be said to be all.
async fn find(world: &World, topic: &Arc<Topic>, wanted: Wanted) -> Vec<String> {
    let matches = try_find(world, topic, wanted).await.unwrap();
    assert!(matches.is_complete());
    words(&matches.found)
}

fn words(found: &[Found]) -> Vec<String> {
    let text = |one: &Found| std::str::from_utf8(&one.message.body).unwrap().to_owned();
    found.iter().map(text).map(|text| text.split(' ').next().unwrap().to_owned()).collect()
}

fn names(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(|number| format!("m{number}")).collect()
}

/// Numbers from `from` to before `to`, each a millisecond after the one before.
async fn send(world: &World, topic: &Arc<Topic>, numbers: std::ops::Range<usize>) {
    for number in numbers {
        world.send(topic, format!("m{number}")).await;
        Env::system().sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_a_message_goes_below_the_journal_and_over_a_kill() {
    let mut world = World::start().await;
    let orders = world.topic("orders", |spec| spec.queues = 3).await;
    let mut sent = Vec::new();
    for number in 0..30 {
        sent.push(world.send(&orders, format!("m{number}")).await);
    }
    world.trimmed().await;
    for round in 0..2 {
        let orders = world.known("orders");
        let library = Library::of(world.broker());
        for number in [0, 7, 29] {
            let at = &sent[number];
            let by_lsn = query::by_lsn(&library, at.lsn).await.unwrap();
            assert_eq!(words(std::slice::from_ref(&by_lsn)), names([number]), "round {round}");
            let is_its = |queue: &&TopicQueue| {
                let pg = by_lsn.pg;
                queue.pg == pg && queue.id == by_lsn.message.queue_id.cast_unsigned()
            };
            let queue = *orders.queues().iter().find(is_its).unwrap();
            let by_offset = query::by_offset(&library, queue, at.offset).await.unwrap();
            assert_eq!(by_offset, by_lsn);
            let key = Wanted::Key(format!("key-m{number}"));
            assert_eq!(find(&world, &orders, key).await, names([number]));
            let id = Wanted::UniqueId(format!("id-m{number}"));
            assert_eq!(find(&world, &orders, id).await, names([number]));
            let either = Wanted::KeyOrUniqueId(format!("id-m{number}"));
            assert_eq!(find(&world, &orders, either).await, names([number]));
        }
        assert_eq!(find(&world, &orders, Wanted::Key("key-m3 all".into())).await, [""; 0]);
        assert_eq!(find(&world, &orders, Wanted::Key("id-m3".into())).await, [""; 0]);
        assert_eq!(find(&world, &orders, Wanted::Key("all".into())).await.len(), 30);
        let no_message = query::by_lsn(&library, sent[3].lsn.plus(1)).await;
        assert_eq!(no_message, Err(LookRefused::Missing));
        let behind = query::by_offset(&library, orders.queues()[0], QueueOffset(1000)).await;
        assert_eq!(behind, Err(LookRefused::Missing));
        world = world.begun_again().await;
    }
    world.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_begins_at_a_time_and_goes_on_from_the_bucket_into_the_journal() {
    let mut world = World::start().await;
    let orders = world.topic("orders", |spec| spec.queues = 3).await;
    send(&world, &orders, 0..10).await;
    let middle = Env::system().now();
    send(&world, &orders, 10..20).await;
    world.trimmed().await;
    world = world.begun_again().await;
    let orders = world.known("orders");
    send(&world, &orders, 20..25).await;
    let library = Library::of(world.broker());
    let mut places = query::places_at(&library, orders.queues(), middle).await.unwrap();
    let mut seen = Vec::new();
    loop {
        let page = query::follow(&library, &places, 4, u64::MAX).await.unwrap();
        places.iter_mut().zip(page.next).for_each(|((_, at), next)| *at = next);
        if page.messages.is_empty() {
            break;
        }
        seen.extend(words(&page.messages));
    }
    assert_eq!(seen, names(10..25));
    world.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_gives_the_newest_first_out_of_the_journal_and_the_bucket_together() {
    let world = World::start_over(Bucket::in_memory(Env::system()), |settings| {
        settings.tiering.bundle_age = Duration::from_secs(3600);
    })
    .await;
    let orders = world.topic("orders", |spec| spec.queues = 3).await;
    let upload = async |world: &World| {
        for pg in world.broker().owned.all() {
            world.broker().tiering.handle().hurry(pg.id, pg.log.end());
        }
        world.trimmed().await;
    };
    send(&world, &orders, 0..40).await;
    upload(&world).await;
    send(&world, &orders, 40..70).await;
    upload(&world).await;
    send(&world, &orders, 70..100).await;
    let wanted = || Wanted::Key("all".into());
    let (mut all, mut ask) = (Vec::new(), search(&orders, wanted()));
    ask.max = 16;
    loop {
        let found = query::search(&Library::of(world.broker()), ask.clone()).await.unwrap();
        assert!(found.found.len() <= 16);
        for word in words(&found.found) {
            // The millisecond where it stopped is looked through again.
            if !all.contains(&word) {
                all.push(word);
            }
        }
        let Some(at) = found.stopped_at else { break };
        assert!(at < ask.to);
        ask.to = at;
    }
    assert_eq!(all, names((0..100).rev()));
    let mut times = Vec::new();
    for number in [20, 50, 80] {
        let id = Wanted::UniqueId(format!("id-m{number}"));
        times.push(try_find(&world, &orders, id).await.unwrap().found[0].stored_at());
    }
    for (from, to, numbers) in [(0, 1, 20..=50), (1, 2, 50..=80)] {
        let within = Search { from: times[from], to: times[to], ..search(&orders, wanted()) };
        let found = query::search(&Library::of(world.broker()), within).await.unwrap();
        assert!(found.is_complete());
        assert_eq!(words(&found.found), names(numbers.rev()));
    }
    world.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_in_a_gateway_that_just_began_costs_few_requests() {
    let bucket = Bucket::in_memory(Env::system());
    let mut world = World::start_over(bucket.clone(), |_| {}).await;
    let orders = world.topic("orders", |spec| spec.queues = 1).await;
    for round in 0..5 {
        send(&world, &orders, 20 * round..20 * round + 20).await;
        world.until_sealed().await;
    }
    world.trimmed().await;
    world = world.begun_again().await;
    let gets = |world: &World| -> u64 {
        let of_search = |usage: &&storage::object::Usage| {
            let for_it = [Purpose::Search, Purpose::Read, Purpose::Manifest];
            usage.kind == Kind::Get && for_it.contains(&usage.purpose)
        };
        world.broker().tiering.usage().iter().filter(of_search).map(|usage| usage.requests).sum()
    };
    let pg = orders.queues()[0].pg;
    let objects = world.broker().tiering.view(pg).unwrap().entries();
    let before = gets(&world);
    let orders = world.known("orders");
    assert_eq!(find(&world, &orders, Wanted::Key("key-m33".into())).await, ["m33"]);
    let took = gets(&world) - before;
    // A small object is one page, read once; nothing else is needed of it.
    assert!(took <= objects, "{took} requests of {objects} objects");
    world.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_shows_what_it_took_over_and_goes_on_by_itself() {
    let mut world = World::start().await;
    let orders = world.topic("orders", |spec| spec.queues = 2).await;
    send(&world, &orders, 0..10).await;
    let first = world.clone_of(&orders, "first").await;
    // The source goes on, and the clone too.
    send(&world, &orders, 10..20).await;
    send(&world, &first, 20..26).await;
    let second = world.clone_of(&first, "second").await;
    send(&world, &second, 26..30).await;
    world.trimmed().await;
    for round in 0..2 {
        world = world.begun_again().await;
        let (first, second) = (world.known("first"), world.known("second"));
        let of_first: Vec<usize> = (0..10).chain(20..26).rev().collect();
        let of_second: Vec<usize> = (0..10).chain(20..30).rev().collect();
        let all = || Wanted::Key("all".into());
        assert_eq!(find(&world, &first, all()).await, names(of_first));
        assert_eq!(find(&world, &second, all()).await, names(of_second), "round {round}");
        for (topic, number, is_shown) in [
            (&first, 3, true),
            (&second, 3, true),
            (&first, 13, false),
            (&second, 13, false),
            (&second, 22, true),
            (&first, 27, false),
        ] {
            let id = Wanted::UniqueId(format!("id-m{number}"));
            let expected = if is_shown { names([number]) } else { Vec::new() };
            assert_eq!(find(&world, topic, id).await, expected, "m{number} in {}", topic.name);
        }
        // Without the source their names are told by the messages.
        if let Some(orders) = world.broker().catalog.topic("orders") {
            world.broker().catalog.delete_topic(&orders.name, None).await.unwrap();
        }
    }
    let second = world.known("second");
    let group = world.group("readers").await;
    let mut got = world.drain(&second, &group).await;
    got.sort();
    let mut expected = names((0..10).chain(20..30));
    expected.sort();
    assert_eq!(got, expected);
    for queue in second.queues() {
        let bounds = world.broker().owned.get(queue.pg).unwrap().history.bounds(queue.uid);
        assert_eq!((bounds.first.0, bounds.next.0), (0, 10));
        let last = query::by_offset(&Library::of(world.broker()), *queue, QueueOffset(9)).await;
        assert_eq!(last.unwrap().message.queue_offset, 9);
    }
    world.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_deleted_topic_nothing_is_found() {
    let world = World::start().await;
    let orders = world.topic("orders", |spec| spec.queues = 1).await;
    let sent = world.send(&orders, "m0".to_owned()).await;
    world.trimmed().await;
    world.broker().catalog.delete_topic(&orders.name, None).await.unwrap();
    let library = Library::of(world.broker());
    assert_eq!(query::by_lsn(&library, sent.lsn).await, Err(LookRefused::Missing));
    let anew = world.topic("orders", |spec| spec.queues = 1).await;
    assert_eq!(find(&world, &anew, Wanted::Key("key-m0".into())).await, [""; 0]);
    world.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_down_is_said_and_what_the_journal_has_is_shown() {
    let faults = Faults::seeded(1, Env::system());
    let bucket = Bucket::faulty(&faults, Env::system())
        .with_patience(Patience { attempts_max: 2, ..hasty() });
    // Objects of many pages, few of which are kept, so that reading asks the store.
    let mut world = World::start_over(bucket, |settings| settings.tiering.cache_memory = 1).await;
    let orders = world.topic("orders", |spec| spec.queues = 1).await;
    let old = world.send(&orders, body(0)).await;
    for number in 1..60 {
        world.send(&orders, body(number)).await;
    }
    world.trimmed().await;
    world = world.begun_again().await;
    let orders = world.known("orders");
    faults.set(Plan { down: true, ..Plan::default() });
    let new = world.send(&orders, "m60".to_owned()).await;
    let library = Library::of(world.broker());
    let queue = orders.queues()[0];
    let is_down = |refused: &LookRefused| matches!(refused, LookRefused::NotLoaded(_));
    assert!(is_down(&query::by_lsn(&library, old.lsn).await.unwrap_err()));
    assert!(is_down(&query::by_offset(&library, queue, old.offset).await.unwrap_err()));
    let places = [(queue, QueueOffset(0))];
    assert!(is_down(&query::follow(&library, &places, 9, u64::MAX).await.unwrap_err()));
    let searched = try_find(&world, &orders, Wanted::Key("key-m0".into())).await;
    assert!(
        matches!(&searched, Err(SearchRefused::Look(refused)) if is_down(refused)),
        "{searched:?}"
    );
    assert_eq!(words(&[query::by_lsn(&library, new.lsn).await.unwrap()]), ["m60"]);
    assert_eq!(words(&[query::by_offset(&library, queue, new.offset).await.unwrap()]), ["m60"]);
    faults.set(Plan::default());
    let end = Env::system().monotonic() + SOON;
    while query::by_lsn(&library, old.lsn).await.is_err() {
        assert!(Env::system().monotonic() < end, "the store is back and nothing is found");
        Env::system().sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(words(&[query::by_offset(&library, queue, old.offset).await.unwrap()]), ["m0"]);
    assert_eq!(find(&world, &orders, Wanted::Key("key-m0".into())).await, ["m0"]);
    let group = world.group("readers").await;
    let got = world.receive(&orders, &group, SOON).await;
    assert!(got.iter().map(word).any(|word| word == "m0"));
    world.gateway.stop().await;
}
