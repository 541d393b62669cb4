//! What a clone shows of its source, as the logs and the records of placement groups tell it.

use super::refused::CloneRefused;
use crate::broker::Broker;
use crate::ownership::PlacementGroup;
use futures_util::{StreamExt, TryStreamExt, stream};
use metadata::model::{Span, Topic, TopicQueue};
use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use storage::env::Timestamp;
use storage::format::{Lsn, PgId, QueueOffset, QueueUid};

/// Queues that are asked at once.
const AT_ONCE: usize = 16;
/// How long messages may take to get into the bucket: twice the time after which a bundle is made of what there is.
pub(super) const TIERED_WAIT_MAX: Duration = Duration::from_secs(20);

/// Of each of a topic's queues, what a clone shows.
pub(super) type Spans = HashMap<QueueUid, Span>;

/// What is visible, and was stored up to `at` where that is in the past.
///
/// # Errors
/// [`CloneRefused::NotServedHere`], [`CloneRefused::NotLoaded`].
pub(super) async fn spans(
    broker: &Broker,
    source: &Topic,
    at: Option<Timestamp>,
) -> Result<Spans, CloneRefused> {
    let span = |queue: TopicQueue| async move {
        let pg = owned(broker, queue.pg)?;
        Ok::<_, CloneRefused>((queue.uid, span(pg, queue.uid, at).await?))
    };
    stream::iter(source.queues().iter().copied().map(span)).buffered(AT_ONCE).try_collect().await
}

async fn span(
    pg: &PlacementGroup,
    queue: QueueUid,
    at: Option<Timestamp>,
) -> Result<Span, CloneRefused> {
    let bounds = pg.history.bounds(queue);
    let to = match at {
        None => bounds.visible_end,
        Some(at) => pg.history.offset_at_time(queue, Timestamp(at.0.saturating_add(1))).await?,
    };
    Ok(Span { from: bounds.first, to: to.max(bounds.first) })
}

/// Waits until what `spans` name is in the bucket.
///
/// # Errors
/// [`CloneRefused::NotServedHere`], [`CloneRefused::NotTiered`].
pub(super) async fn until_tiered(
    broker: &Broker,
    source: &Topic,
    spans: &Spans,
    patience: Duration,
) -> Result<(), CloneRefused> {
    let last = last_lsns(broker, source, spans)?;
    for (pg, lsn) in &last {
        broker.tiering.handle().hurry(*pg, lsn.plus(1));
    }
    let mut changed = broker.catalog.changed();
    let late = || last.iter().find(|(pg, lsn)| !is_tiered(broker, **pg, **lsn));
    let wait = async { changed.wait_for(|_| late().is_none()).await.map(drop) };
    match (tokio::time::timeout(patience, wait).await, late()) {
        (_, None) => Ok(()),
        (_, Some((pg, _))) => Err(CloneRefused::NotTiered { pg: *pg, waited: patience }),
    }
}

/// Of each placement group, the record of the last message that is to be shown and still in the journal. What is not
/// there any more is in the bucket.
fn last_lsns(
    broker: &Broker,
    source: &Topic,
    spans: &Spans,
) -> Result<BTreeMap<PgId, Lsn>, CloneRefused> {
    let mut last = BTreeMap::new();
    for queue in source.queues() {
        let pg = owned(broker, queue.pg)?;
        let end = spans.get(&queue.uid).map_or(QueueOffset(0), |span| span.to);
        let Some(newest) = end.0.checked_sub(1).map(QueueOffset) else { continue };
        pg.log.scan(queue.uid, newest, &mut |entry| {
            if entry.offset == newest {
                let lsn = last.entry(queue.pg).or_insert(entry.lsn);
                *lsn = entry.lsn.max(*lsn);
            }
            ControlFlow::Break(())
        });
    }
    Ok(last)
}

/// Whether the record at `lsn` is in the bucket.
fn is_tiered(broker: &Broker, pg: PgId, lsn: Lsn) -> bool {
    broker.catalog.pg(pg).is_some_and(|(record, _)| lsn < record.tiered)
}

fn owned(broker: &Broker, pg: PgId) -> Result<&Arc<PlacementGroup>, CloneRefused> {
    broker.owned.get(pg).ok_or(CloneRefused::NotServedHere(pg))
}
