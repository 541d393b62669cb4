//! The object store: what it is asked, what the caches spare it, and what it has.

use crate::Broker;
use crate::observe::Exposition;
use crate::observe::names::{self, Metric};
use crate::tiering::Done;
use storage::object::{Health, Usage};

pub(super) fn write(to: &mut Exposition, broker: &Broker) {
    requests(to, broker);
    let is_up = broker.tiering.health() == Health::Up;
    to.value(&names::STORE_UP, u8::from(is_up));
    let looks = broker.tiering.looks();
    let mut family = to.family(&names::CACHE_HITS);
    looks.iter().for_each(|(kind, looks)| family.value(&[kind.label()], looks.hits));
    let mut family = to.family(&names::CACHE_MISSES);
    looks.iter().for_each(|(kind, looks)| family.value(&[kind.label()], looks.misses));
    manifests(to, broker);
    maintained(to, broker);
}

fn requests(to: &mut Exposition, broker: &Broker) {
    let usage = broker.tiering.usage();
    type Column = (&'static Metric, fn(&Usage) -> u64);
    let columns: [Column; 4] = [
        (&names::STORE_REQUESTS, |usage| usage.requests),
        (&names::STORE_FAILURES, |usage| usage.failures),
        (&names::STORE_SENT, |usage| usage.sent_bytes),
        (&names::STORE_RECEIVED, |usage| usage.received_bytes),
    ];
    for (metric, column) in columns {
        let mut family = to.family(metric);
        for usage in &usage {
            family.value(&[usage.purpose.label(), usage.kind.label()], column(usage));
        }
    }
}

fn manifests(to: &mut Exposition, broker: &Broker) {
    let views: Vec<_> = broker.owned.all().map(|pg| (pg, broker.tiering.view(pg.id))).collect();
    let known = || views.iter().filter_map(|(pg, view)| Some((pg, view.as_ref()?)));
    let mut family = to.family(&names::TIERED_BYTES);
    for (pg, view) in known() {
        family.value(&[&pg.broker_name], view.tiered().since(pg.id.first_lsn()));
    }
    let mut family = to.family(&names::MANIFEST_OBJECTS);
    for (pg, view) in known() {
        family.value(&[&pg.broker_name], view.entries());
    }
    let mut family = to.family(&names::MANIFEST_BYTES);
    for (pg, view) in known() {
        family.value(&[&pg.broker_name], view.bytes());
    }
}

fn maintained(to: &mut Exposition, broker: &Broker) {
    let Done { merges, runs, read_bytes, written_bytes, set_aside, sweeps, deleted, deleted_bytes } =
        broker.tiering.maintained();
    for (metric, value) in [
        (&names::MERGES, merges),
        (&names::MERGED_RUNS, runs),
        (&names::MERGES_READ, read_bytes),
        (&names::MERGES_WRITTEN, written_bytes),
        (&names::SET_ASIDE, set_aside),
        (&names::SWEEPS, sweeps),
        (&names::COLLECTED, deleted),
        (&names::COLLECTED_BYTES, deleted_bytes),
    ] {
        to.value(metric, value);
    }
}
