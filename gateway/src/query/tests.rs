//! Looks at a real log.

use super::*;
use crate::ownership::{self, Owned};
use crate::record;
use metadata::model::{GatewayId, Incarnation, Owner, Topic, TopicQueue, TopicSpec};
use metadata::store::redb::RedbStore;
use metadata::{Catalog, ClusterSpec};
use protocol::names::TopicName;
use protocol::stored::{Properties, SysFlag, property};
use std::sync::Arc;
use storage::env::{Env, Timestamp};
use storage::format::QueueOffset;
use storage::{Class, Draft, Level, Store, StoreConfig};
use tempfile::TempDir;

struct World {
    _dir: TempDir,
    _store: Store,
    library: Library,
    topic: Arc<Topic>,
}

impl World {
    async fn new(queues: u32) -> World {
        let (dir, env) = (tempfile::tempdir().unwrap(), Env::system());
        let config = StoreConfig {
            dir: dir.path().join("journal"),
            capacity: 64 << 20,
            segment_bytes: 4 << 20,
            spare_segments: 1,
            index_bytes: 64 << 20,
            gateway: "gateway".to_owned(),
        };
        let store = Store::open(config, env.clone()).unwrap();
        let redb = RedbStore::open(&dir.path().join("metadata.redb"), env.clone()).unwrap();
        let spec = ClusterSpec { name: "c".to_owned(), pgs: 2 };
        let catalog = Catalog::start(Arc::new(redb), env, spec).await.unwrap();
        let gateway = GatewayId::parse("gateway").unwrap();
        let me = Owner { gateway, incarnation: Incarnation(1) };
        let opened = ownership::open_all(&catalog, &store, &me).await.unwrap();
        let owned = Owned::of_logs(opened);
        let spec = TopicSpec { queues, ..TopicSpec::new(TopicName::parse("topic").unwrap()) };
        let topic = catalog.create_topic(spec).await.unwrap();
        owned.open_topic(&topic);
        World { _dir: dir, _store: store, library: Library::of_logs(owned, catalog), topic }
    }

    /// Stores a message; gives its store time.
    async fn send(&self, queue: usize, id: &str, keys: &str) -> Timestamp {
        let queue = self.topic.queues()[queue];
        let log = &self.library.owned.get(queue.pg).unwrap().log;
        let appended = log.append(vec![draft(queue, id, keys)], Class::Message).unwrap();
        log.reached(Level::Local, appended.end).await.unwrap();
        appended.time
    }

    fn search(&self, wanted: Wanted) -> Search {
        let topic = Arc::clone(&self.topic);
        Search { topic, wanted, from: Timestamp(0), to: Timestamp(u64::MAX), max: 64 }
    }
}

fn draft(queue: TopicQueue, id: &str, keys: &str) -> Draft {
    let host = "127.0.0.1:8081".parse().unwrap();
    let pairs = [(property::UNIQ_KEY, id), (property::KEYS, keys)];
    let message = StoredMessage {
        queue_id: queue.id.cast_signed(),
        flag: 0,
        queue_offset: 0,
        physical_offset: 0,
        sys_flag: SysFlag(0),
        born_at: 1,
        born_host: host,
        stored_at: 0,
        store_host: host,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: Bytes::from(id.to_owned()),
        topic: "topic".to_owned(),
        properties: Properties::from_iter(pairs),
    };
    let encoded = message.encode().unwrap();
    record::of_message(queue.uid, 0, encoded)
}

fn ids(found: &[Found]) -> Vec<&str> {
    found.iter().map(|found| std::str::from_utf8(&found.message.body).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_found_by_offset_and_by_position_and_nothing_between() {
    let world = World::new(2).await;
    for number in 0..3 {
        world.send(1, &format!("m{number}"), "").await;
    }
    let queue = world.topic.queues()[1];
    let found = by_offset(&world.library, queue, QueueOffset(1)).await.unwrap();
    assert_eq!(found.message.body, "m1");
    assert_eq!(found.message.physical_offset.cast_unsigned(), found.lsn.0);
    assert_eq!(by_lsn(&world.library, found.lsn).await, Ok(found.clone()));
    for next in 1..200 {
        if let Ok(other) = by_lsn(&world.library, found.lsn.plus(next)).await {
            assert_eq!((other.message.queue_offset, other.lsn), (2, found.lsn.plus(next)));
        }
    }
    for offset in [3, u64::MAX] {
        let missing = by_offset(&world.library, queue, QueueOffset(offset)).await;
        assert_eq!(missing, Err(LookRefused::Missing));
    }
    assert!(by_lsn(&world.library, Lsn(1 << 60)).await.is_err());
    assert_eq!(by_lsn(&world.library, Lsn(0)).await, Err(LookRefused::Missing));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn following_gives_what_is_new_in_all_queues_once_and_in_order() {
    let world = World::new(3).await;
    let mut places: Vec<_> =
        world.topic.queues().iter().map(|queue| (*queue, QueueOffset(0))).collect();
    let mut seen = Vec::new();
    for round in 0..3 {
        for number in 0..10 {
            world.send(number % 3, &format!("{}", 10 * round + number), "").await;
        }
        loop {
            let page = follow(&world.library, &places, 4, u64::MAX).await.unwrap();
            assert!(page.messages.len() <= 4);
            let times = page.messages.iter().map(|one| one.message.stored_at);
            assert!(times.is_sorted());
            seen.extend(ids(&page.messages).into_iter().map(|id| id.parse::<usize>().unwrap()));
            places.iter_mut().zip(page.next).for_each(|((_, at), next)| *at = next);
            if page.messages.is_empty() {
                break;
            }
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..30).collect::<Vec<_>>());
    let one_at_a_time = [(places[0].0, QueueOffset(0))];
    let page = follow(&world.library, &one_at_a_time, 9, 1).await.unwrap();
    assert_eq!(page.messages.len(), 1, "there is always one, however large");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_gives_the_newest_first_from_all_queues() {
    let world = World::new(4).await;
    for number in 0..12 {
        let key = if number % 3 == 0 { "third x" } else { "x" };
        world.send(number % 4, &format!("m{number}"), key).await;
    }
    let find = async |wanted| search(&world.library, world.search(wanted)).await.unwrap();
    let all = find(Wanted::Key("x".into())).await;
    assert_eq!((all.found.len(), all.stopped_at), (12, None));
    let thirds = find(Wanted::Key("third".into())).await;
    let mut times: Vec<i64> = thirds.found.iter().map(|one| one.message.stored_at).collect();
    times.reverse();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(thirds.found.len(), 4);
    assert_eq!(ids(&find(Wanted::UniqueId("m7".into())).await.found), ["m7"]);
    assert_eq!(ids(&find(Wanted::KeyOrUniqueId("m7".into())).await.found), ["m7"]);
    assert_eq!(find(Wanted::Key("m7".into())).await.found, []);
    assert_eq!(find(Wanted::Key("thir".into())).await.found, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_that_stops_says_where_and_goes_on_from_there() {
    let world = World::new(1).await;
    let mut times = Vec::new();
    for number in 0..600 {
        times.push(world.send(0, &format!("m{number}"), "k").await);
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut ask = Search { max: 9999, ..world.search(Wanted::Key("k".into())) };
    loop {
        let matches = search(&world.library, ask.clone()).await.unwrap();
        assert!(matches.found.len() <= FOUND_MAX);
        seen.extend(matches.found.iter().map(|found| found.lsn));
        let Some(stopped_at) = matches.stopped_at else { break };
        assert!(stopped_at < ask.to);
        ask.to = stopped_at;
    }
    assert_eq!(seen.len(), 600);
    let within = Search { from: times[10], to: times[10], ..ask };
    let found = search(&world.library, within).await.unwrap().found;
    assert!(ids(&found).contains(&"m10"));
    assert!(found.iter().all(|one| one.message.stored_at.cast_unsigned() == times[10].0));
}
