//! How far consumer groups are, by topic.

use crate::Broker;
use crate::consume::Standing;
use crate::observe::names::{self, yes_or_no};
use crate::observe::{Exposition, Family};
use metadata::Catalog;
use protocol::names::{GroupName, TopicName};
use std::collections::{BTreeMap, HashMap};
use storage::env::Timestamp;
use storage::format::QueueUid;

/// A group on all queues of a topic here.
#[derive(Default)]
struct Lag {
    ready: u64,
    in_flight: u64,
    oldest: Option<Timestamp>,
    oldest_ready: Option<Timestamp>,
}

type Lags = BTreeMap<(GroupName, TopicName), Lag>;

pub(super) fn write(to: &mut Exposition, broker: &Broker) {
    let lags = gather(&broker.catalog, broker.consume.standings());
    let (now, cluster) = (broker.env.now(), broker.settings.cluster.as_str());
    let age = |stored: Option<Timestamp>| stored.map_or(0, |stored| now.since(stored).as_millis());
    let each = |mut family: Family<'_>, value: &dyn Fn(&Lag) -> u128| {
        for ((group, topic), lag) in &lags {
            let retry = yes_or_no(topic.as_retry().is_some());
            let system = yes_or_no(topic.is_system(cluster) || group.is_system());
            family.value(&[group.as_str(), topic.as_str(), retry, system], value(lag));
        }
    };
    let all = |lag: &Lag| (lag.ready + lag.in_flight).into();
    each(to.family(&names::CONSUMER_LAG_MESSAGES), &all);
    each(to.family(&names::CONSUMER_LAG_LATENCY), &|lag| age(lag.oldest));
    each(to.family(&names::CONSUMER_INFLIGHT), &|lag| lag.in_flight.into());
    each(to.family(&names::CONSUMER_READY), &|lag| lag.ready.into());
    each(to.family(&names::CONSUMER_QUEUEING_LATENCY), &|lag| age(lag.oldest_ready));
}

/// Places on queues, as what they are to operators. Those of what was just deleted are left out.
fn gather(catalog: &Catalog, standings: Vec<Standing>) -> Lags {
    let (groups, topics) = (catalog.groups(), catalog.topics());
    let names: HashMap<u64, &GroupName> =
        groups.iter().map(|group| (group.uid, &group.name)).collect();
    let of_topics = topics
        .iter()
        .flat_map(|topic| topic.queues().iter().map(|queue| (queue.uid, topic.name.clone())));
    let of_groups = groups
        .iter()
        .map(|group| (group.dead_letter_queue(), TopicName::dead_letter_of(&group.name)));
    let mut queues: HashMap<QueueUid, TopicName> = of_topics.chain(of_groups).collect();
    let by_uid: HashMap<u64, &TopicName> =
        topics.iter().map(|topic| (topic.uid_base, &topic.name)).collect();
    for replayed in groups.iter().flat_map(|group| &group.replayed) {
        let name = by_uid.get(&replayed.topic).copied();
        let named = replayed.queues.iter().filter_map(|queue| Some((queue.uid, name?.clone())));
        queues.extend(named);
    }
    let mut lags = Lags::new();
    for standing in standings {
        let group = names.get(&standing.group.0);
        let Some((group, topic)) = group.zip(queues.get(&standing.queue)) else { continue };
        lags.entry(((*group).clone(), topic.clone())).or_default().add(&standing);
    }
    lags
}

impl Lag {
    fn add(&mut self, standing: &Standing) {
        self.ready += standing.ready;
        self.in_flight += standing.in_flight;
        self.oldest = older(self.oldest, standing.oldest);
        self.oldest_ready = older(self.oldest_ready, standing.oldest_ready);
    }
}

fn older(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}
