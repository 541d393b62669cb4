//! The journal: how full, how far behind, how fast; and the logs of the placement groups in it.

use crate::Broker;
use crate::observe::Exposition;
use crate::observe::names::{self, journal_state, level};
use std::ops::ControlFlow;
use storage::env::Timestamp;
use storage::format::QueueOffset;
use storage::{FillState, Level, Log, Lsn};

/// Where a placement group's log is.
struct Ends {
    end: Lsn,
    of_async: Lsn,
    of_local: Lsn,
    of_object: Lsn,
}

impl Ends {
    /// The watermarks first, so that none is beyond the end.
    fn of(log: &Log) -> Ends {
        let of_object = log.watermark(Level::Object);
        let of_local = log.watermark(Level::Local);
        let of_async = log.watermark(Level::Async);
        Ends { of_object, of_local, of_async, end: log.end() }
    }
}

pub(super) fn write(to: &mut Exposition, broker: &Broker) {
    let groups: Vec<_> = broker.owned.all().map(|pg| (pg, Ends::of(&pg.log))).collect();
    let sum = |of: fn(&Ends) -> u64| groups.iter().map(|(_, ends)| of(ends)).sum::<u64>();
    to.value(&names::FLUSH_BEHIND, sum(|ends| ends.end.since(ends.of_local)));
    to.value(&names::BYTES_AT_RISK, sum(|ends| ends.of_async.since(ends.of_local)));
    let mut family = to.family(&names::WATERMARK_LAG);
    for (pg, ends) in &groups {
        family.value(&[&pg.broker_name, level::ASYNC], ends.end.since(ends.of_async));
        family.value(&[&pg.broker_name, level::LOCAL], ends.end.since(ends.of_local));
        family.value(&[&pg.broker_name, level::OBJECT], ends.end.since(ends.of_object));
    }
    let mut family = to.family(&names::EPOCH);
    for (pg, _) in &groups {
        family.value(&[&pg.broker_name], pg.log.epoch().0);
    }
    fill(to, broker);
    let metrics = broker.store.metrics();
    to.family(&names::GROUP_BYTES).distribution(&[], &metrics.group_bytes);
    to.family(&names::GROUP_RECORDS).distribution(&[], &metrics.group_records);
    to.family(&names::SYNC_SECONDS).distribution(&[], &metrics.sync_micros);
}

fn fill(to: &mut Exposition, broker: &Broker) {
    let fill = broker.store.fill();
    to.value(&names::STORAGE_SIZE, fill.used);
    to.value(&names::JOURNAL_USED, fill.used);
    to.value(&names::JOURNAL_FREE, fill.free);
    to.value(&names::JOURNAL_CAPACITY, fill.capacity);
    to.value(&names::INDEX_BYTES, fill.index.used);
    to.value(&names::INDEX_LIMIT, fill.index.limit);
    to.value(&names::DISK_FULL, u8::from(fill.disk_full));
    let is = match fill.state {
        FillState::Open => journal_state::OPEN,
        FillState::RefusingMessages => journal_state::REFUSING_MESSAGES,
        FillState::RefusingAll => journal_state::REFUSING_ALL,
    };
    let mut family = to.family(&names::JOURNAL_STATE);
    for state in journal_state::ALL {
        family.value(&[state], u8::from(state == is));
    }
    let oldest = oldest(broker).map_or(0, |stored| broker.env.now().since(stored).as_millis());
    to.value(&names::RESERVE_TIME, oldest);
}

/// When the oldest message here was stored.
fn oldest(broker: &Broker) -> Option<Timestamp> {
    let topics = broker.catalog.topics();
    let queues = topics.iter().flat_map(|topic| topic.queues());
    let first = queues.filter_map(|queue| {
        let mut found = None;
        broker.owned.get(queue.pg)?.log.scan(queue.uid, QueueOffset(0), &mut |entry| {
            found = Some(entry.time);
            ControlFlow::Break(())
        });
        found
    });
    first.min()
}
