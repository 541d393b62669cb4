//! Counters of what passed through, per placement group.

use super::days::{Days, Mornings};
use super::rates::{Rates, SAMPLE_INTERVAL, Samples};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use storage::env::{Env, Timestamp};
use storage::format::PgId;

/// The counters of all placement groups of this gateway. Cheap to clone.
#[derive(Clone)]
pub struct Stats {
    pgs: Arc<BTreeMap<PgId, PgStats>>,
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
    samples: Mutex<Samples>,
    days: Mutex<Days>,
}

impl Stats {
    /// Counters at zero for `pgs`.
    pub fn new(pgs: impl IntoIterator<Item = PgId>, env: Env) -> Stats {
        let pgs = pgs.into_iter().map(|pg| (pg, PgStats::default())).collect();
        let stats = Stats { pgs: Arc::new(pgs), started: env.now(), env };
        stats.sample();
        stats
    }

    /// `None` for a placement group that this gateway did not open at its start.
    pub fn pg(&self, pg: PgId) -> Option<&PgStats> {
        self.pgs.get(&pg)
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
    /// Counts acknowledged sends; `bytes` are body bytes.
    pub fn count_received(&self, messages: u64, bytes: u64) {
        self.received.add(messages, bytes);
    }

    /// Counts deliveries, each redelivery anew.
    pub fn count_delivered(&self, messages: u64, bytes: u64) {
        self.delivered.add(messages, bytes);
    }

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
    fn add(&self, messages: u64, bytes: u64) {
        self.messages.fetch_add(messages, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn read(&self) -> (u64, u64) {
        (self.messages.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    fn rates(&self, now: Duration) -> Rates {
        self.samples.lock().rates(now, self.messages.load(Ordering::Relaxed))
    }
}
