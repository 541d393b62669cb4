//! A gateway's consumption with a topic, a group and a log for each placement group.

use super::*;
use crate::history::testing::{Bucket, Cut};
use crate::history::{History, Loader};
use crate::record;
use bytes::Bytes;
use metadata::model::{Cluster, Group, GroupSpec, Topic, TopicQueue, TopicSpec};
use protocol::names::{GroupName, TopicName};
use protocol::stored::{Properties, StoredMessage, SysFlag, tag_hash};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use storage::env::{Env, ManualClock, Timestamp};
use storage::format::{Epoch, PgId, QueueUid};
use storage::{Class, Draft, JoinedBy, Level, Log, Refused, Sealed, Store, StoreConfig};
use tempfile::TempDir;
use tokio::task::JoinHandle;

const SECRET: [u8; 32] = [3; 32];

pub(super) struct World {
    pub(super) env: Env,
    pub(super) consume: Consume,
    pub(super) topic: Arc<Topic>,
    pub(super) group: Arc<Group>,
    /// A group that gives nothing up.
    pub(super) patient: Arc<Group>,
    disk: Arc<Disk>,
    /// What is to be seen of the logs, above a bucket.
    pub(super) cuts: BTreeMap<PgId, Cut>,
    /// Whether clients are alive.
    pub(super) alive: Arc<AtomicBool>,
    delivered: Arc<AtomicU64>,
    dead_letters: Arc<AtomicU64>,
    turn: AtomicUsize,
}

/// An open store and its logs.
struct Disk {
    dir: Arc<TempDir>,
    store: Store,
    epoch: Epoch,
    logs: BTreeMap<PgId, Log>,
}

/// A receive to be; asks for whatever there is, for a minute, without waiting.
pub(super) struct Asking(pub(super) Receive);

impl Disk {
    /// Opens the store in its next epoch, with the queues of a topic.
    async fn open(dir: Arc<TempDir>, epoch: Epoch, topic: &Topic) -> Disk {
        let config = StoreConfig {
            dir: dir.path().to_owned(),
            capacity: 64 << 20,
            segment_bytes: 4 << 20,
            spare_segments: 2,
            index_bytes: 64 << 20,
            gateway: "gateway".to_owned(),
        };
        let store = Store::open(config, Env::system()).unwrap();
        let mut logs = BTreeMap::new();
        for pg in World::cluster().pgs() {
            let first = pg.first_lsn();
            let base = match store.seal(pg, Epoch(epoch.0 - 1), first).await.unwrap() {
                Sealed::End(end) => end,
                Sealed::Nothing => first,
            };
            store.join(pg, epoch, base, first, JoinedBy::Owner).await.unwrap();
            logs.insert(pg, store.log(pg, epoch).unwrap());
        }
        for queue in topic.queues() {
            logs[&queue.pg].open_queue(queue.uid, Level::Local);
        }
        Disk { dir, store, epoch, logs }
    }
}

impl World {
    /// A topic of so many queues on four placement groups.
    pub(super) async fn new(queues: u32) -> World {
        let topic = World::topic("topic", queues, 1000);
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let disk = Disk::open(dir, Epoch(1), &topic).await;
        World::at(Env::system(), Arc::new(disk), Arc::new(topic))
    }

    /// The next gateway on the same disk: it knows only what the logs say. This one is over.
    pub(super) async fn restarted(&self) -> World {
        self.consume.stop();
        self.disk.store.close().await;
        let disk = Disk::open(Arc::clone(&self.disk.dir), self.disk.epoch.next(), &self.topic);
        World::at(Env::system(), Arc::new(disk.await), Arc::clone(&self.topic))
    }

    /// The same logs at a time that the caller moves; the timekeeper sleeps on in real time. This
    /// one is over.
    pub(super) fn at_time_of(&self, clock: &Arc<ManualClock>) -> World {
        self.consume.stop();
        let clock: Arc<ManualClock> = Arc::clone(clock);
        World::at(Env::with_clock(clock), Arc::clone(&self.disk), Arc::clone(&self.topic))
    }

    /// The same logs, later. This one is over.
    pub(super) fn in_an_hour(&self) -> World {
        let later = self.env.now().plus(Duration::from_secs(3600));
        self.at_time_of(&Arc::new(ManualClock::at(later)))
    }

    /// A gateway that owns nothing.
    pub(super) fn elsewhere(&self) -> World {
        let world = World::at(Env::system(), Arc::clone(&self.disk), Arc::clone(&self.topic));
        world.consume.stop();
        world
    }

    /// The same logs above a bucket, of which nothing is in the bucket yet. This one is over.
    pub(super) fn above(&self, bucket: &Arc<Bucket>) -> World {
        self.consume.stop();
        let logs = self.disk.logs.iter();
        let cuts: BTreeMap<PgId, Cut> = logs.map(|(pg, log)| (*pg, Cut::of(log.clone()))).collect();
        let (disk, topic, env) = (Arc::clone(&self.disk), Arc::clone(&self.topic), Env::system());
        let history = |log: &Log| {
            let cut = Box::new(cuts[&log.pg()].clone());
            let remote = (Arc::clone(bucket) as Arc<dyn Loader>, env.clone());
            History::over(log.clone(), cut, BTreeMap::new(), Some(remote))
        };
        let world = World::with(env.clone(), disk, topic, &history);
        World { cuts, ..world }
    }

    /// Moves every message of the topic to the bucket.
    pub(super) fn tier(&self, bucket: &Bucket) {
        for queue in self.topic.queues() {
            let (log, cut) = (&self.disk.logs[&queue.pg], &self.cuts[&queue.pg]);
            bucket.tier(log, queue.uid);
            cut.cut(queue.uid, log.bounds(queue.uid).visible_end);
        }
    }

    fn at(env: Env, disk: Arc<Disk>, topic: Arc<Topic>) -> World {
        World::with(env, disk, topic, &|log| History::of_log(log.clone()))
    }

    fn with(
        env: Env,
        disk: Arc<Disk>,
        topic: Arc<Topic>,
        history: &dyn Fn(&Log) -> History,
    ) -> World {
        let group = World::group("group", 7);
        let patient = World::group("patient", 8);
        let patient = Arc::new(Group { max_attempts: u32::MAX, ..Group::clone(&patient) });
        let alive = Arc::new(AtomicBool::new(true));
        let is_alive = Arc::clone(&alive);
        let delivered = Arc::new(AtomicU64::new(0));
        let dead_letters = Arc::new(AtomicU64::new(0));
        let (known, count) = (Arc::clone(&group), Arc::clone(&delivered));
        let given_up = Arc::clone(&dead_letters);
        let neighbours = Neighbours {
            is_alive: Box::new(move |_| is_alive.load(Ordering::Relaxed)),
            group: Box::new(move |uid| (uid.0 == known.uid).then(|| Arc::clone(&known))),
            count_delivered: Box::new(move |_, _, _, what| {
                count.fetch_add(what.first.messages + what.again.messages, Ordering::Relaxed);
                given_up.fetch_add(what.dead_letters, Ordering::Relaxed);
            }),
        };
        let consume = Consume::new(env.clone(), &SECRET, neighbours);
        for log in disk.logs.values() {
            consume.adopt(history(log), Replay::default(), |_| true).unwrap();
        }
        let (turn, cuts) = (AtomicUsize::new(0), BTreeMap::new());
        World {
            env,
            consume,
            topic,
            group,
            patient,
            disk,
            cuts,
            alive,
            delivered,
            dead_letters,
            turn,
        }
    }

    pub(super) fn cluster() -> Cluster {
        Cluster { name: "c".into(), pgs: 4, secret: SECRET, created: Timestamp(0) }
    }

    pub(super) fn topic(name: &str, queues: u32, uid_base: u64) -> Topic {
        let spec = TopicSpec { queues, ..TopicSpec::new(TopicName::parse(name).unwrap()) };
        Topic::create(spec, &World::cluster(), uid_base, Timestamp(0))
    }

    /// Gives a message up after three attempts.
    pub(super) fn group(name: &str, uid: u64) -> Arc<Group> {
        let spec = GroupSpec { max_attempts: 3, ..GroupSpec::new(GroupName::parse(name).unwrap()) };
        Arc::new(Group::create(spec, uid, Timestamp(0)))
    }

    pub(super) fn pgs(&self) -> Vec<PgId> {
        self.disk.logs.keys().copied().collect()
    }

    /// What the timekeeper does when it wakes up.
    pub(super) fn keep_time(&self, strangers_live: bool) {
        for pg in self.pgs() {
            timekeeper::look(&self.consume.0, &self.consume.0.pg(pg).unwrap(), strangers_live);
        }
    }

    pub(super) fn dead_letters(&self) -> u64 {
        self.dead_letters.load(Ordering::Relaxed)
    }

    pub(super) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Sends `name-0`, `name-1` ... to the topic's queues in turn; those of one placement group
    /// become visible together, and are then.
    pub(super) async fn send(&self, name: &str, count: usize) {
        self.send_tagged(name, count, "a").await;
    }

    pub(super) async fn send_tagged(&self, name: &str, count: usize, tag: &str) {
        let mut drafts: BTreeMap<PgId, Vec<Draft>> = BTreeMap::new();
        for number in 0..count {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let queues = self.topic.queues();
            let queue = queues[turn % queues.len()];
            let message = message(queue.id, Bytes::from(format!("{name}-{number}")), tag);
            drafts.entry(queue.pg).or_default().push(draft(&message, queue.uid, tag));
        }
        for (pg, drafts) in drafts {
            for group in drafts.chunks(1000) {
                let log = &self.disk.logs[&pg];
                let appended = loop {
                    match log.append(group.to_vec(), Class::Message) {
                        Err(Refused::Busy) => self.env.sleep(Duration::from_millis(5)).await,
                        appended => break appended.unwrap(),
                    }
                };
                log.reached(Level::Local, appended.end).await.unwrap();
            }
        }
    }

    /// Puts `name-0`, `name-1` ... into the queues of what is replayed to `group` on the topic, in turn.
    pub(super) async fn replay(&self, group: &Group, name: &str, count: usize) {
        let queues = group.replayed(&self.topic);
        for number in 0..count {
            let queue = queues[number % queues.len()];
            let log = &self.disk.logs[&queue.pg];
            log.open_queue(queue.uid, Level::Local);
            let draft = plain(queue, &format!("{name}-{number}"));
            let appended = log.append(vec![draft], Class::Message).unwrap();
            log.reached(Level::Local, appended.end).await.unwrap();
        }
    }

    pub(super) fn ask(&self) -> Asking {
        Asking(receive(&self.topic, &self.group))
    }

    pub(super) fn ask_dead_letters(&self) -> Asking {
        let topic = Topic::dead_letter(&self.group, &World::cluster());
        let ask = self.ask().topic(topic).group(&World::group("undertaker", 55));
        ask.wait(Duration::from_secs(10))
    }

    pub(super) async fn receive(&self, ask: &Asking) -> Vec<Delivery> {
        self.consume.receive(&ask.0).await.unwrap()
    }

    pub(super) async fn ack(&self, delivery: &Delivery) -> Result<(), AckRefused> {
        self.consume.ack(&self.group, &self.topic, &delivery.receipt_handle).await
    }

    pub(super) async fn change(
        &self,
        delivery: &Delivery,
        invisible: Duration,
        suspend: bool,
    ) -> Result<String, AckRefused> {
        let handle = &delivery.receipt_handle;
        self.consume.change(&self.group, &self.topic, handle, invisible, suspend).await
    }

    /// Begins a receive and waits until it is parked.
    pub(super) async fn parked(self: &Arc<Self>, ask: Asking) -> JoinHandle<Vec<Delivery>> {
        let before = self.consume.polls_waiting();
        let world = Arc::clone(self);
        let poll = self.env.spawn("poll", async move { world.receive(&ask).await });
        self.until_parked(before + 1).await;
        poll
    }

    pub(super) async fn until_parked(&self, count: usize) {
        within(async {
            while self.consume.polls_waiting() < count {
                self.env.sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }
}

impl Asking {
    pub(super) fn max(mut self, max: u16) -> Asking {
        self.0.max = max;
        self
    }
    pub(super) fn wait(mut self, wait: Duration) -> Asking {
        self.0.wait = wait;
        self
    }
    pub(super) fn prefer(mut self, pg: PgId) -> Asking {
        self.0.prefer = Some(pg);
        self
    }
    pub(super) fn filter(mut self, filter: Filter) -> Asking {
        self.0.filter = filter;
        self
    }
    pub(super) fn invisible(mut self, time: Duration) -> Asking {
        self.0.invisible = Invisible::Fixed(time);
        self
    }
    pub(super) fn leased(mut self, client: &str) -> Asking {
        self.0.invisible = Invisible::AutoRenew(ClientId::new(client));
        self
    }
    pub(super) fn group(mut self, group: &Arc<Group>) -> Asking {
        self.0.group = Arc::clone(group);
        self
    }
    pub(super) fn topic(mut self, topic: Topic) -> Asking {
        self.0.topic = Arc::new(topic);
        self
    }
}

/// Whatever there is, for a minute, without waiting.
pub(super) fn receive(topic: &Arc<Topic>, group: &Arc<Group>) -> Receive {
    Receive {
        topic: Arc::clone(topic),
        group: Arc::clone(group),
        prefer: None,
        filter: Filter::All,
        max: 32,
        invisible: Invisible::Fixed(Duration::from_secs(60)),
        wait: Duration::ZERO,
    }
}

/// A message as its queue's record.
pub(super) fn plain(queue: TopicQueue, body: &str) -> Draft {
    draft(&message(queue.id, Bytes::from(body.to_owned()), "a"), queue.uid, "a")
}

fn message(queue: u32, body: Bytes, tag: &str) -> StoredMessage {
    let host = "127.0.0.1:8081".parse().unwrap();
    StoredMessage {
        queue_id: queue.cast_signed(),
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
        body,
        topic: "topic".to_owned(),
        properties: Properties::from_iter([(property::TAGS, tag), (property::UNIQ_KEY, "id")]),
    }
}

fn draft(message: &StoredMessage, queue: QueueUid, tag: &str) -> Draft {
    let encoded = message.encode().unwrap();
    record::of_message(queue, tag_hash(tag), encoded)
}

/// The bodies, sorted.
pub(super) fn bodies(deliveries: &[Delivery]) -> Vec<String> {
    let text = |delivery: &Delivery| String::from_utf8(delivery.message.body.to_vec()).unwrap();
    let mut bodies: Vec<String> = deliveries.iter().map(text).collect();
    bodies.sort();
    bodies
}

/// What a future gives, which must be soon.
pub(super) async fn within<F: IntoFuture>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("done within 30 s")
}
