//! A broker's own numbers, as `clusterList` and `brokerStatus` of `mqadmin` read them.
//!
//! The request (28) does not say which broker it means, and all brokers of a gateway share an
//! address. `clusterList`, dashboards and exporters ask once per broker of the cluster, one after
//! another on one connection. So the requests of a connection take turns: the first is about the
//! first broker of this gateway by name, the next about the next, and after the last, or after a
//! pause of [`TURN_PAUSE`], it begins anew. Each row is then a broker's own, and rows add up to
//! what the gateway did. Who asks once (`brokerStatus -b`) gets the first broker, is told so by
//! `brokerName`, and finds the sums over all brokers at this address under keys that begin with
//! `address`.

use super::reply::{Answer, Refusal, Reply};
use super::session::Session;
use crate::broker::Broker;
use crate::observe::{PgStats, Rates};
use crate::ownership::PlacementGroup;
use metadata::model::TopicQueue;
use protocol::remoting::body::KvTable;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;
use storage::env::Timestamp;
use storage::{Fill, Level};

/// How long after a request the next one on its connection begins anew, in the middle of a round;
/// whole rounds follow each other at any pace. Longer than tools wait for one answer (5 s) before
/// they go on to the next broker.
pub(super) const TURN_PAUSE: Duration = Duration::from_secs(6);

/// What tools gate features by (`MQVersion`).
const VERSION: &str = "V5_5_0";

/// Whose turn it is on a connection.
#[derive(Debug, Default)]
pub(super) struct Turn {
    next: usize,
    asked: Option<Duration>,
}

impl Turn {
    /// The index of the broker that a request at `now` (monotonic) is about, of `brokers`.
    fn take(&mut self, now: Duration, brokers: usize) -> usize {
        let fresh = self.asked.is_some_and(|asked| now.saturating_sub(asked) < TURN_PAUSE);
        let index = if fresh { self.next % brokers.max(1) } else { 0 };
        self.next = index + 1;
        self.asked = Some(now);
        index
    }
}

/// GET_BROKER_RUNTIME_INFO (28).
pub(super) fn info(session: &mut Session<'_>) -> Answer {
    let broker = session.broker;
    let brokers = broker.owned.all().count();
    let turn = session.turn.take(broker.env.monotonic(), brokers);
    let Some(group) = broker.owned.all().nth(turn) else {
        return Err(Refusal::Busy("this gateway owns no placement group yet".to_owned()));
    };
    let mut table = Table::default();
    of_broker(&mut table, broker, group);
    of_gateway(&mut table, broker);
    of_address(&mut table, broker);
    Ok(Reply::json(KvTable { table: table.0 }))
}

/// Keys and values as `KVTable` has them.
#[derive(Default)]
struct Table(BTreeMap<String, String>);

impl Table {
    fn put(&mut self, key: &str, value: impl ToString) {
        self.0.insert(key.to_owned(), value.to_string());
    }

    fn rates(&mut self, key: &str, rates: Rates) {
        let Rates { ten_seconds, minute, ten_minutes } = rates;
        self.put(key, format!("{ten_seconds:.2} {minute:.2} {ten_minutes:.2}"));
    }
}

/// What belongs to one broker: its counts and rates, and the extent of its log.
fn of_broker(table: &mut Table, broker: &Broker, group: &PlacementGroup) {
    table.put("brokerName", &group.broker_name);
    if let Some(stats) = broker.stats.pg(group.id) {
        counts(table, broker, stats);
    }
    let log = &group.log;
    let behind = log.end().0.saturating_sub(log.watermark(Level::Local).0);
    table.put("remainHowManyDataToFlush", bytes(behind));
    table.put("commitLogMinOffset", group.id.first_lsn().0);
    table.put("commitLogMaxOffset", log.end().0);
    // Nothing stored is nothing older than now: the age that tools work out of it is then 0.
    let earliest = earliest(broker, group).unwrap_or(broker.env.now());
    table.put("earliestMessageTimeStamp", earliest.0);
}

fn counts(table: &mut Table, broker: &Broker, stats: &PgStats) {
    let (put, put_bytes) = stats.received();
    let mornings = stats.received_mornings();
    table.put("msgPutTotalYesterdayMorning", mornings.yesterday);
    table.put("msgPutTotalTodayMorning", mornings.today);
    table.put("msgPutTotalTodayNow", put);
    table.put("putMessageTimesTotal", put);
    table.put("putMessageSizeTotal", put_bytes);
    let average = if put == 0 { 0.0 } else { put_bytes as f64 / put as f64 };
    table.put("putMessageAverageSize", format!("{average:.1}"));
    table.rates("putTps", broker.stats.received_rates(stats));
    let mornings = stats.delivered_mornings();
    table.put("msgGetTotalYesterdayMorning", mornings.yesterday);
    table.put("msgGetTotalTodayMorning", mornings.today);
    table.put("msgGetTotalTodayNow", stats.delivered().0);
    let delivered = broker.stats.delivered_rates(stats);
    for key in ["getTransferredTps", "getFoundTps", "getTotalTps"] {
        table.rates(key, delivered);
    }
    table.rates("getMissTps", Rates::default());
}

/// When the oldest message of this broker was stored, as far as it is known without asking the object store.
fn earliest(broker: &Broker, group: &PlacementGroup) -> Option<Timestamp> {
    let topics = broker.catalog.topics();
    let queues = topics.iter().flat_map(|topic| topic.queues_in(group.id));
    let first = |queue: &TopicQueue| {
        let first = group.history.bounds(queue.uid).first;
        Some(group.history.entries_here(queue.uid, first, 1).entries.first()?.time)
    };
    let in_bucket = broker.tiering.view(group.id).and_then(|view| view.earliest());
    queues.filter_map(first).chain(in_bucket).min()
}

/// What all brokers of the gateway share: the process and its journal.
fn of_gateway(table: &mut Table, broker: &Broker) {
    let started = broker.stats.started();
    table.put("brokerVersionDesc", VERSION);
    table.put("brokerActive", broker.ready.load(Ordering::Relaxed));
    table.put("bootTimestamp", started.0);
    table.put("startAcceptSendRequestTimeStamp", started.0);
    table.put("runtime", runtime(broker.env.now().since(started)));
    let Fill { used, capacity, free, .. } = broker.store.fill();
    let ratio = if capacity == 0 { 0.0 } else { used as f64 / capacity as f64 };
    table.put("commitLogDiskRatio", format!("{ratio:.4}"));
    table.put("consumeQueueDiskRatio", format!("{ratio:.4}"));
    let capacity = format!("Total : {}, Free : {}.", bytes(capacity), bytes(free));
    table.put("commitLogDirCapacity", capacity);
    // Measures of thread pools, page cache and timer wheel, none of which are here: nothing waits
    // in them.
    for pool in ["send", "pull", "litePull", "query", "ack"] {
        table.put(&format!("{pool}ThreadPoolQueueSize"), 0);
        table.put(&format!("{pool}ThreadPoolQueueHeadWaitTimeMills"), 0);
    }
    for key in ["pageCacheLockTimeMills", "dispatchBehindBytes", "timerReadBehind"] {
        table.put(key, 0);
    }
    for key in ["timerOffsetBehind", "timerCongestNum"] {
        table.put(key, 0);
    }
    for key in ["timerEnqueueTps", "timerDequeueTps"] {
        table.put(key, "0.0");
    }
}

/// The sums over every broker at this address.
fn of_address(table: &mut Table, broker: &Broker) {
    let groups = broker.owned.all();
    let stats: Vec<&PgStats> = groups.filter_map(|group| broker.stats.pg(group.id)).collect();
    let sum = |count: fn(&PgStats) -> u64| stats.iter().map(|stats| count(stats)).sum::<u64>();
    table.put("addressBrokers", stats.len());
    table.put("addressMsgPutTotalTodayNow", sum(|stats| stats.received().0));
    table.put("addressMsgGetTotalTodayNow", sum(|stats| stats.delivered().0));
    let put = stats.iter().map(|stats| broker.stats.received_rates(stats));
    table.rates("addressPutTps", put.fold(Rates::default(), added));
    let got = stats.iter().map(|stats| broker.stats.delivered_rates(stats));
    table.rates("addressGetTransferredTps", got.fold(Rates::default(), added));
}

fn added(one: Rates, other: Rates) -> Rates {
    Rates {
        ten_seconds: one.ten_seconds + other.ten_seconds,
        minute: one.minute + other.minute,
        ten_minutes: one.ten_minutes + other.ten_minutes,
    }
}

/// `[ 1 days, 2 hours, 3 minutes, 4 seconds ]`, as `StoreStatsService` writes it.
fn runtime(since: Duration) -> String {
    let seconds = since.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    format!("[ {days} days, {hours} hours, {minutes} minutes, {} seconds ]", seconds % 60)
}

/// `1.5 GiB`, as `MixAll.humanReadableByteCount` writes it.
fn bytes(count: u64) -> String {
    let mut amount = count as f64;
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
        if amount < 1024.0 {
            let digits = if unit == "B" { 0 } else { 1 };
            return format!("{amount:.digits$} {unit}");
        }
        amount /= 1024.0;
    }
    format!("{amount:.1} PiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_broker_has_its_turn_and_then_the_first_again() {
        let mut turn = Turn::default();
        let at = |ms| Duration::from_millis(ms);
        let turns: Vec<usize> =
            [0, 5, 10, 5_000, 5_010, 5_400].map(|ms| turn.take(at(ms), 4)).into();
        assert_eq!(turns, [0, 1, 2, 3, 0, 1]);
    }

    #[test]
    fn a_pause_begins_anew() {
        let mut turn = Turn::default();
        assert_eq!(turn.take(Duration::ZERO, 4), 0);
        assert_eq!(turn.take(Duration::from_millis(10), 4), 1);
        assert_eq!(turn.take(Duration::from_millis(10) + TURN_PAUSE, 4), 0);
        assert_eq!(turn.take(Duration::from_millis(20) + TURN_PAUSE, 4), 1);
    }

    #[test]
    fn sizes_and_times_read_as_apaches() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(252 << 30), "252.0 GiB");
        let since = Duration::from_secs(2 * 86_400 + 3 * 3600 + 4 * 60 + 5);
        assert_eq!(runtime(since), "[ 2 days, 3 hours, 4 minutes, 5 seconds ]");
    }
}
