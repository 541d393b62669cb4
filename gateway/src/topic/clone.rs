//! Making a clone of a topic, and putting groups where they are in the source.

use super::refused::CloneRefused;
use super::share::{Spans, TIERED_WAIT_MAX, spans, until_tiered};
use crate::broker::Broker;
use crate::consume::{Position, QueueProgress};
use metadata::CatalogError;
use metadata::model::{Group, Topic, TopicQueue};
use protocol::names::{GroupName, TopicName};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use storage::env::Timestamp;
use storage::format::{PgId, QueueOffset};

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct CloneOrder {
    /// What to clone.
    pub(crate) source: TopicName,
    /// The clone's name.
    pub(crate) name: TopicName,
    /// What was stored later is left out; `None`: nothing is. The future is now.
    pub(crate) at: Option<Timestamp>,
    /// Whether groups begin in the clone where they are in the source.
    pub(crate) with_offsets: bool,
    /// Only say what would be made.
    pub(crate) dry_run: bool,
}

/// What was made, or would be.
#[derive(Clone, Debug)]
pub(crate) struct Cloned {
    /// Whether it was there already.
    pub(crate) existed: bool,
    /// What was stored later is left out.
    pub(crate) at: Timestamp,
    /// By queue of the clone, or of the source in a dry run: the first offset shown, and the one behind the last.
    pub(crate) queues: Vec<(TopicQueue, QueueOffset, QueueOffset)>,
    /// The groups that are put where they are in the source, by name.
    pub(crate) groups: Vec<GroupName>,
}

/// Clones a topic. Repeating it gives the clone that there is, and finishes what was left undone.
///
/// # Errors
/// [`CloneRefused`].
pub(crate) async fn clone_topic(
    broker: &Broker,
    order: CloneOrder,
) -> Result<Cloned, CloneRefused> {
    let (catalog, now) = (&broker.catalog, broker.env.now());
    let source = catalog.topic(order.source.as_str());
    let source = source.ok_or_else(|| CloneRefused::NoSource(order.source.clone()))?;
    let there = catalog.topic(order.name.as_str());
    if there.as_ref().is_some_and(|there| !is_asked_for(there, &source, &order)) {
        return Err(CatalogError::TopicExists(order.name).into());
    }
    let at = match there.as_ref().and_then(|there| there.origin.as_ref()) {
        Some(origin) => origin.at,
        None => order.at.map_or(now, |at| at.min(now)),
    };
    let groups = if order.with_offsets { groups(broker, &source) } else { Vec::new() };
    let names = groups.iter().map(|group| group.name.clone()).collect();
    if let Some(clone) = there {
        if !order.dry_run {
            put_groups(broker, &source, &clone, &groups).await?;
        }
        return Ok(Cloned { queues: shown(&clone), existed: true, at, groups: names });
    }
    let spans = spans(broker, &source, order.at.filter(|at| *at < now)).await?;
    if order.dry_run {
        let queues = would_show(&source, &spans);
        return Ok(Cloned { existed: false, at, queues, groups: names });
    }
    until_tiered(broker, &source, &spans, TIERED_WAIT_MAX).await?;
    let span = |queue| spans.get(&queue).copied().unwrap_or_default();
    let clone = catalog.clone_topic(&source, &order.name, at, span).await?;
    broker.owned.open_topic(&clone);
    tracing::info!(topic = %clone.name, source = %source.name, at = at.0, "topic cloned");
    put_groups(broker, &source, &clone, &groups).await?;
    Ok(Cloned { queues: shown(&clone), existed: false, at, groups: names })
}

fn is_asked_for(there: &Topic, source: &Topic, order: &CloneOrder) -> bool {
    there.origin.as_ref().is_some_and(|origin| {
        origin.uid_base == source.uid_base && order.at.is_none_or(|at| at == origin.at)
    })
}

fn shown(clone: &Topic) -> Vec<(TopicQueue, QueueOffset, QueueOffset)> {
    let shown = |queue: &TopicQueue| {
        let end = clone.queue_start(queue.uid);
        let first = clone.inherited(queue.uid).first().map_or(end, |part| part.span.from);
        (*queue, first, end)
    };
    clone.queues().iter().map(shown).collect()
}

fn would_show(source: &Topic, spans: &Spans) -> Vec<(TopicQueue, QueueOffset, QueueOffset)> {
    let shown = |queue: &TopicQueue| {
        let span = spans.get(&queue.uid).copied().unwrap_or_default();
        (*queue, span.from, span.to)
    };
    source.queues().iter().map(shown).collect()
}

/// The groups that ever received from the source.
fn groups(broker: &Broker, source: &Topic) -> Vec<Arc<Group>> {
    let names = broker.consume.groups_of_topic(source).into_iter();
    names.filter_map(|name| broker.catalog.group(name.as_str())).collect()
}

/// Where a group has been in the clone already, it stays.
async fn put_groups(
    broker: &Broker,
    source: &Topic,
    clone: &Topic,
    groups: &[Arc<Group>],
) -> Result<(), CloneRefused> {
    for group in groups {
        let has_been = broker.consume.progress(group, clone);
        let wanted = broker.consume.progress(group, source);
        for (offset, queues) in places(clone, &wanted, &has_been) {
            let moved = broker.consume.reset(group, &queues, Position::Offset(offset)).await;
            moved.map_err(CloneRefused::Offsets)?;
        }
    }
    Ok(())
}

/// By offset, the queues of the clone in which a group that is at `wanted` in the source begins there.
fn places(
    clone: &Topic,
    wanted: &[QueueProgress],
    has_been: &[QueueProgress],
) -> BTreeMap<QueueOffset, Vec<TopicQueue>> {
    let has_been: HashSet<(PgId, u32)> = has_been.iter().map(|at| (at.pg, at.id)).collect();
    let mut places: BTreeMap<QueueOffset, Vec<TopicQueue>> = BTreeMap::new();
    for at in wanted.iter().filter(|at| !has_been.contains(&(at.pg, at.id))) {
        if let Some(queue) = clone.queue(at.pg, at.id) {
            let offset = at.committed.min(clone.queue_start(queue.uid));
            places.entry(offset).or_default().push(*queue);
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use metadata::model::{Cluster, Origin, Span, TopicSpec};

    fn at(clone: &Topic, i: usize, committed: u64) -> QueueProgress {
        let TopicQueue { pg, id, .. } = clone.queues()[i];
        let committed = QueueOffset(committed);
        QueueProgress { pg, id, committed, next: committed, in_flight: 0, end: committed }
    }

    #[test]
    fn a_group_begins_where_it_is_or_at_the_end_of_what_is_shown_unless_it_has_been_there() {
        let cluster = Cluster { name: "C".into(), pgs: 4, secret: [0; 32], created: Timestamp(0) };
        let name = |name| TopicName::parse(name).unwrap();
        let spec = TopicSpec { queues: 4, ..TopicSpec::new(name("orders")) };
        let source = Topic::create(spec, &cluster, 1 << 16, Timestamp(0));
        let span = Span { from: QueueOffset(0), to: QueueOffset(10) };
        let origin = Origin::of(&source, Timestamp(0), |_| span);
        let clone = Topic::cloned(&source, name("copy"), origin, 2 << 16, Timestamp(0));
        let wanted: Vec<_> =
            [4, 30, 4, 5].iter().enumerate().map(|(i, to)| at(&clone, i, *to)).collect();
        let queue = |i: usize| clone.queues()[i];
        let places = places(&clone, &wanted, &[at(&clone, 3, 0)]);
        let (four, ten) = (QueueOffset(4), QueueOffset(10));
        let expected = [(four, vec![queue(0), queue(2)]), (ten, vec![queue(1)])];
        assert_eq!(places, BTreeMap::from(expected));
    }
}
