//! Consumption with its real neighbours: catalog, ownership, clients, counters.

use super::world::{self, bodies};
use super::*;
use crate::group::Clients;
use crate::observe::Stats;
use crate::ownership::{self, Owned};
use metadata::model::{GatewayId, Group, GroupSpec, Incarnation, Owner, Topic, TopicSpec};
use metadata::store::redb::RedbStore;
use metadata::{Catalog, ClusterSpec};
use protocol::names::{GroupName, TopicName};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use storage::env::Env;
use storage::{Class, Level, Store, StoreConfig};

struct Gateway {
    catalog: Catalog,
    store: Store,
    owned: Owned,
    stats: Stats,
    consume: Consume,
}

impl Gateway {
    async fn start(dir: &Path, incarnation: u64) -> Gateway {
        let env = Env::system();
        let config = StoreConfig {
            dir: dir.join("journal"),
            capacity: 64 << 20,
            segment_bytes: 4 << 20,
            spare_segments: 1,
            index_bytes: 64 << 20,
            gateway: "gateway".to_owned(),
        };
        let store = Store::open(config, env.clone()).unwrap();
        let redb = RedbStore::open(&dir.join("metadata.redb"), env.clone()).unwrap();
        let spec = ClusterSpec { name: "c".to_owned(), pgs: 2 };
        let catalog = Catalog::start(Arc::new(redb), env.clone(), spec).await.unwrap();
        let gateway = GatewayId::parse("gateway").unwrap();
        let me = Owner { gateway, incarnation: Incarnation(incarnation) };
        let opened = ownership::open_all(&catalog, &store, &me).await.unwrap();
        let owned = Owned::of_logs(opened);
        catalog.topics().iter().for_each(|topic| owned.open_topic(topic));
        let stats = Stats::new(owned.all().map(|pg| pg.id), env.clone());
        let clients = Clients::new(env.clone());
        let replays = BTreeMap::new();
        let consume =
            Consume::start(env, &catalog, &owned, clients, stats.clone(), replays).unwrap();
        Gateway { catalog, store, owned, stats, consume }
    }

    async fn stop(self) {
        self.consume.stop();
        self.store.close().await;
        self.catalog.close().await;
    }

    async fn topic(&self) -> Arc<Topic> {
        let spec = TopicSpec::new(TopicName::parse("topic").unwrap());
        let topic = self.catalog.create_topic(spec).await.unwrap();
        self.owned.open_topic(&topic);
        topic
    }

    async fn group(&self) -> Arc<Group> {
        self.catalog.put_group(GroupSpec::new(GroupName::parse("group").unwrap())).await.unwrap()
    }

    async fn send(&self, topic: &Topic, count: usize) {
        for number in 0..count {
            let queue = topic.queues()[number % topic.queues().len()];
            let log = &self.owned.get(queue.pg).unwrap().log;
            let draft = world::plain(queue, &format!("m-{number}"));
            let end = log.append(vec![draft], Class::Message).unwrap().end;
            log.reached(Level::Local, end).await.unwrap();
        }
    }

    async fn receive(&self, topic: &Arc<Topic>, group: &Arc<Group>) -> Vec<Delivery> {
        let ask = world::receive(topic, group);
        self.consume.receive(&ask).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_places_and_a_deletion_ends_them() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path(), 1).await;
    let (topic, group) = (gateway.topic().await, gateway.group().await);
    gateway.send(&topic, 3).await;
    let got = gateway.receive(&topic, &group).await;
    assert_eq!(bodies(&got), ["m-0", "m-1", "m-2"]);
    let counted: u64 =
        gateway.owned.all().map(|pg| gateway.stats.pg(pg.id).unwrap().delivered().0).sum();
    assert_eq!(counted, 3);
    gateway.consume.ack(&group, &topic, &got[0].receipt_handle).await.unwrap();
    gateway.stop().await;

    let gateway = Gateway::start(dir.path(), 2).await;
    let topic = gateway.catalog.topic("topic").unwrap();
    assert_eq!(gateway.receive(&topic, &group).await, []);
    gateway.consume.ack(&group, &topic, &got[1].receipt_handle).await.unwrap();
    assert_eq!(gateway.consume.groups_of_topic(&topic), [group.name.clone()].into());
    gateway.consume.forget_deleted(&gateway.catalog);
    assert_eq!(gateway.consume.progress(&group, &topic).len(), topic.queues().len());

    gateway.catalog.delete_group(&group.name).await.unwrap();
    gateway.consume.forget_deleted(&gateway.catalog);
    assert_eq!(gateway.consume.progress(&group, &topic), []);
    let again = gateway.group().await;
    assert_eq!(gateway.receive(&topic, &again).await.len(), 3);
    gateway.catalog.delete_topic(&topic.name, None).await.unwrap();
    gateway.stop().await;

    let gateway = Gateway::start(dir.path(), 3).await;
    assert_eq!(gateway.consume.progress(&again, &topic), []);
    gateway.stop().await;
}
