//! Counters of what passed through, and what they show.

use super::days::{Days, Mornings};
use super::names::MessageType;
use super::rates::{Rates, SAMPLE_INTERVAL, SAMPLES_MAX, Samples};
use super::requests::{Request, Requests};
use super::traffic::{Delivered, Deliveries, Sent, Tally, Traffic};
use parking_lot::Mutex;
use protocol::names::{GroupName, TopicName};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use storage::Distribution;
use storage::env::{Env, Timestamp};
use storage::format::PgId;

/// All counters of this gateway. Cheap to clone.
#[derive(Clone)]
pub struct Stats {
    pgs: Arc<BTreeMap<PgId, PgStats>>,
    traffic: Arc<Traffic>,
    requests: Arc<Requests>,
    started: Timestamp,
    env: Env,
}

/// One placement group's counters since the process started; they only grow.
#[derive(Default)]
pub struct PgStats {
    received: Counter,
    delivered: Counter,
}

#[derive(Default)]
struct Counter {
    messages: AtomicU64,
    bytes: AtomicU64,
    samples: Mutex<Samples<SAMPLES_MAX>>,
    days: Mutex<Days>,
}

impl Stats {
    /// Counters at zero for `pgs`.
    pub fn new(pgs: impl IntoIterator<Item = PgId>, env: Env) -> Stats {
        let pgs = pgs.into_iter().map(|pg| (pg, PgStats::default())).collect();
        let (traffic, requests) = (Arc::default(), Arc::default());
        let stats = Stats { pgs: Arc::new(pgs), traffic, requests, started: env.now(), env };
        stats.sample();
        stats
    }

    /// `None` for a placement group that this gateway did not open at its start.
    pub fn pg(&self, pg: PgId) -> Option<&PgStats> {
        self.pgs.get(&pg)
    }

    /// Counts acknowledged sends to a topic, all of one type.
    pub fn count_received(&self, pg: PgId, topic: &TopicName, kind: MessageType, tally: Tally) {
        if let Some(pg) = self.pg(pg) {
            pg.received.add(tally);
        }
        self.traffic.received(topic, kind, tally);
    }

    /// Counts what a group got of a topic from one placement group, or gave up.
    pub fn count_delivered(
        &self,
        pg: PgId,
        topic: &TopicName,
        group: &GroupName,
        what: &Deliveries,
    ) {
        if let Some(pg) = self.pg(pg) {
            pg.delivered.add(what.first);
            pg.delivered.add(what.again);
        }
        self.traffic.delivered(topic, group, what);
    }

    /// Messages a second that a group got of a topic in the last minute; 0 until the second sample
    /// after its first message.
    pub fn group_rate(&self, topic: &TopicName, group: &GroupName) -> f64 {
        self.traffic.rate(self.env.monotonic(), topic, group)
    }

    /// Counts a request that was answered with `response`, which is the name of a code.
    pub fn count_request(&self, request: &Request, response: &'static str, took: Duration) {
        self.requests.answered(request, response, took);
    }

    /// What came in and went out by name, in no order. Lets go of topics and groups that `topic`
    /// and `group` do not want.
    pub fn traffic(
        &self,
        topic: impl Fn(&TopicName) -> bool,
        group: impl Fn(&GroupName) -> bool,
    ) -> (Vec<Sent>, Vec<Delivered>) {
        self.traffic.read(topic, group)
    }

    /// Microseconds that requests took, by request and the name of the response's code, in order.
    pub fn request_times(&self) -> Vec<(Request, &'static str, Distribution)> {
        self.requests.read()
    }

    /// When counting began.
    pub fn started(&self) -> Timestamp {
        self.started
    }

    /// Samples for the rates until dropped.
    pub async fn follow(self) {
        loop {
            self.env.sleep(SAMPLE_INTERVAL).await;
            self.sample();
        }
    }

    fn sample(&self) {
        let (now, wall) = (self.env.monotonic(), self.env.now());
        for counter in self.pgs.values().flat_map(|pg| [&pg.received, &pg.delivered]) {
            let messages = counter.messages.load(Ordering::Relaxed);
            counter.samples.lock().add(now, messages);
            counter.days.lock().see(wall, messages);
        }
        self.traffic.sample(now);
    }

    /// Messages a second that came in.
    pub fn received_rates(&self, pg: &PgStats) -> Rates {
        pg.received.rates(self.env.monotonic())
    }

    /// Messages a second that went out.
    pub fn delivered_rates(&self, pg: &PgStats) -> Rates {
        pg.delivered.rates(self.env.monotonic())
    }
}

impl PgStats {
    /// Messages that had come in when today and yesterday began.
    pub fn received_mornings(&self) -> Mornings {
        self.received.days.lock().mornings()
    }

    /// Messages that had gone out when today and yesterday began.
    pub fn delivered_mornings(&self) -> Mornings {
        self.delivered.days.lock().mornings()
    }

    /// (messages, body bytes) that came in.
    pub fn received(&self) -> (u64, u64) {
        self.received.read()
    }

    /// (messages, body bytes) that went out.
    pub fn delivered(&self) -> (u64, u64) {
        self.delivered.read()
    }
}

impl Counter {
    fn add(&self, tally: Tally) {
        if tally.messages > 0 {
            self.messages.fetch_add(tally.messages, Ordering::Relaxed);
            self.bytes.fetch_add(tally.bytes, Ordering::Relaxed);
        }
    }

    fn read(&self) -> (u64, u64) {
        (self.messages.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    fn rates(&self, now: Duration) -> Rates {
        self.samples.lock().rates(now, self.messages.load(Ordering::Relaxed))
    }
}
