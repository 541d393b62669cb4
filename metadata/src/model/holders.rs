//! Who needs what of a queue: itself, while its topic is there, and the clones that show some of it.
//!
//! Every holder has its own retention. What none of them keeps may be dropped; a queue that nobody holds is gone. The
//! answers are of one snapshot of the catalog. A clone that is made meanwhile shows what is still there: its source was
//! there then, so that only what the source's own retention let go can be missing.

use super::{Group, Retention, Topic};
use std::sync::Arc;
use storage::format::{QueueOffset, QueueUid};

/// Whose messages they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeldBy {
    /// The topic that the queue is of.
    Topic(Arc<Topic>),
    /// The group whose dead letters they are.
    Group(Arc<Group>),
    /// A clone, which shows them as its own.
    Clone {
        /// The clone.
        topic: Arc<Topic>,
        /// The queue of it that shows them.
        queue: QueueUid,
    },
}

/// Who needs some of a queue's messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Who.
    pub by: HeldBy,
    /// From this offset on.
    pub from: QueueOffset,
    /// Up to this one, excluded; `None`: whatever comes.
    pub to: Option<QueueOffset>,
}

impl Holder {
    /// How long it keeps messages. Dead letters are kept for ever, and never locked.
    pub fn retention(&self) -> Retention {
        match &self.by {
            HeldBy::Topic(topic) | HeldBy::Clone { topic, .. } => topic.retention(),
            HeldBy::Group(_) => Retention::Forever,
        }
    }
}

/// What is needed of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needed {
    /// What is below may be dropped.
    pub from: QueueOffset,
    /// What is here and above may be dropped; `None`: nothing of it.
    pub to: Option<QueueOffset>,
}

/// What `holders` need of a queue, of whose messages each keeps those from `kept_from` on; `None` when they need
/// nothing. What lies between two of them is kept with them.
pub fn needed(holders: &[Holder], kept_from: impl Fn(&Holder) -> QueueOffset) -> Option<Needed> {
    let each = holders.iter().map(|holder| {
        let from = holder.from.max(kept_from(holder));
        Needed { from, to: holder.to }
    });
    let some = each.filter(|needed| needed.to.is_none_or(|to| needed.from < to));
    some.reduce(|a, b| Needed {
        from: a.from.min(b.from),
        to: a.to.zip(b.to).map(|(a, b)| a.max(b)),
    })
}

/// The only holder, if there is one: only where nobody else sees a queue may messages go from its middle
/// ([`Retention::Compacted`]).
pub fn sole_holder(holders: &[Holder]) -> Option<&Holder> {
    match holders {
        [one] => Some(one),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::GroupSpec;
    use protocol::names::GroupName;
    use storage::env::Timestamp;

    fn holder(from: u64, to: Option<u64>) -> Holder {
        let spec = GroupSpec::new(GroupName::parse("g").unwrap());
        let group = Arc::new(Group::create(spec, 9, Timestamp(0)));
        Holder { by: HeldBy::Group(group), from: QueueOffset(from), to: to.map(QueueOffset) }
    }

    fn hull(holders: &[Holder], kept_from: u64) -> Option<(u64, Option<u64>)> {
        let needed = needed(holders, |_| QueueOffset(kept_from));
        needed.map(|needed| (needed.from.0, needed.to.map(|to| to.0)))
    }

    #[test]
    fn what_somebody_keeps_is_needed() {
        let (own, clone, older) = (holder(0, None), holder(10, Some(20)), holder(4, Some(12)));
        assert_eq!(hull(&[], 0), None);
        assert_eq!(hull(&[own.clone(), clone.clone()], 30), Some((30, None)));
        assert_eq!(hull(&[own, clone.clone(), older.clone()], 3), Some((3, None)));
        assert_eq!(hull(&[clone.clone(), older.clone()], 0), Some((4, Some(20))));
        assert_eq!(hull(&[clone.clone(), older.clone()], 15), Some((15, Some(20))));
        assert_eq!(hull(&[clone, older], 20), None);
    }

    #[test]
    fn each_holder_keeps_as_long_as_it_says() {
        let holders = [holder(0, None), holder(0, Some(50))];
        let kept = |holder: &Holder| QueueOffset(if holder.to.is_none() { 40 } else { 7 });
        let from = needed(&holders, kept).map(|needed| needed.from);
        assert_eq!(from, Some(QueueOffset(7)));
    }
}
