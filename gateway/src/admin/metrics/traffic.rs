//! What passed through: messages and bytes by topic and group, and requests by their time.

use crate::Broker;
use crate::observe::names::{self, yes_or_no};
use crate::observe::{Delivered, Exposition, Sent, Tally};
use storage::Distribution;

pub(super) fn write(to: &mut Exposition, broker: &Broker) {
    let catalog = &broker.catalog;
    let (mut sent, mut delivered) = broker.stats.traffic(
        |topic| catalog.resolve(topic).is_some(),
        |group| catalog.group(group.as_str()).is_some(),
    );
    sent.sort_unstable_by(|a, b| (&a.topic, a.kind as u8).cmp(&(&b.topic, b.kind as u8)));
    delivered.sort_unstable_by(|a, b| (&a.topic, &a.group).cmp(&(&b.topic, &b.group)));
    let cluster = broker.settings.cluster.as_str();
    came_in(to, cluster, &sent);
    went_out(to, cluster, &delivered);
    dead_letters(to, cluster, &delivered);
    let mut family = to.family(&names::RPC_LATENCY);
    for (request, response, times) in broker.stats.request_times() {
        let polling = yes_or_no(request.long_polling);
        family.distribution(&[request.protocol.as_str(), request.code, response, polling], &times);
    }
}

fn came_in(to: &mut Exposition, cluster: &str, sent: &[Sent]) {
    for (metric, count) in [
        (&names::MESSAGES_IN, Distribution::count as fn(&Distribution) -> u64),
        (&names::THROUGHPUT_IN, |sizes| sizes.sum),
    ] {
        let mut family = to.family(metric);
        sent.iter().for_each(|sent| family.value(&received(cluster, sent), count(&sent.sizes)));
    }
    let mut family = to.family(&names::MESSAGE_SIZE);
    sent.iter().for_each(|sent| family.distribution(&received(cluster, sent), &sent.sizes));
}

fn received<'a>(cluster: &str, sent: &'a Sent) -> [&'a str; 3] {
    [sent.topic.as_str(), sent.kind.as_str(), yes_or_no(sent.topic.is_system(cluster))]
}

fn went_out(to: &mut Exposition, cluster: &str, delivered: &[Delivered]) {
    for (metric, count) in [
        (&names::MESSAGES_OUT, (|tally| tally.messages) as fn(Tally) -> u64),
        (&names::THROUGHPUT_OUT, |tally| tally.bytes),
    ] {
        let mut family = to.family(metric);
        for Delivered { topic, group, deliveries } in delivered {
            let system = yes_or_no(topic.is_system(cluster) || group.is_system());
            for (is_retry, tally) in [(false, deliveries.first), (true, deliveries.again)] {
                if tally.messages > 0 {
                    let labels = [topic.as_str(), group.as_str(), system, yes_or_no(is_retry)];
                    family.value(&labels, count(tally));
                }
            }
        }
    }
}

fn dead_letters(to: &mut Exposition, cluster: &str, delivered: &[Delivered]) {
    let mut family = to.family(&names::SEND_TO_DLQ);
    for Delivered { topic, group, deliveries } in delivered {
        if deliveries.dead_letters > 0 {
            let system = yes_or_no(topic.is_system(cluster) || group.is_system());
            family.value(&[group.as_str(), topic.as_str(), system], deliveries.dead_letters);
        }
    }
}
