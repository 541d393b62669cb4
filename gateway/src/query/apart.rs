//! Searches, through the logs and the bucket.
//!
//! ```text
//!   log:  from where the bucket ends ──► newest          looked through beside the runtime
//!   then bucket: everything there is when the log was looked through, so that what the log gave
//!   up meanwhile is not missed; what both have is given once
//! ```

use super::library::soon;
use super::search::{Stretch, in_logs};
use super::shelf::{Shelf, shelves};
use super::{Found, Library, LookRefused, Matches, Search};
use crate::tiering::key_hash;
use metadata::model::{NEVER_OPENED, Topic};
use storage::env::Timestamp;
use storage::reader::KeyQuery;
use tokio::sync::Semaphore;

/// Searches of the gateway that run at once. One more is refused, not queued: whoever asks knows
/// best whether to wait.
pub const SEARCHES_MAX: usize = 16;
/// Of these, how many look through logs: each may keep a core busy for some tenths of a second. The
/// others wait.
const LOG_SEARCHES_MAX: usize = 2;
/// How often one search asks the bucket again where messages that only look alike took the place of
/// what is looked for.
const ROUNDS_MAX: usize = 8;

static SEARCHES: Semaphore = Semaphore::const_new(SEARCHES_MAX);
static LOG_SEARCHES: Semaphore = Semaphore::const_new(LOG_SEARCHES_MAX);

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchRefused {
    /// [`SEARCHES_MAX`] run already. Ask again soon.
    #[error("too many searches run already; ask again soon")]
    Busy,
    /// What is searched cannot be looked at.
    #[error(transparent)]
    Look(#[from] LookRefused),
    /// A fault of ours.
    #[error("the search broke: {0}")]
    Broke(String),
}

/// Searches the topic's queues together, newest first.
///
/// # Errors
/// [`SearchRefused`]; [`LookRefused::NotServedHere`] where a queue lies elsewhere: a search that
/// leaves something out would say that it is not there.
pub async fn search(library: &Library, what: Search) -> Result<Matches, SearchRefused> {
    let _turn = SEARCHES.try_acquire().map_err(|_| SearchRefused::Busy)?;
    let mut matches = through_logs(stretches(library, &what.topic)?, &what).await?;
    // Where the logs had enough, older messages do not matter.
    let since = matches.stopped_at.unwrap_or(what.from).max(what.from);
    matches.add(soon(through_bucket(library, &what, since)).await?);
    matches.settle(what.max());
    Ok(matches)
}

async fn through_bucket(
    library: &Library,
    what: &Search,
    since: Timestamp,
) -> Result<Matches, LookRefused> {
    let (mut matches, mut rounds) = (Matches::default(), ROUNDS_MAX);
    for shelf in shelves(library, &what.topic).await? {
        matches.add(through_shelf(library, &shelf, what, since, &mut rounds).await?);
    }
    Ok(matches)
}

fn stretches(library: &Library, topic: &Topic) -> Result<Vec<Stretch>, LookRefused> {
    let queues = topic.queues().iter().filter(|queue| queue.uid != NEVER_OPENED);
    let stretch = |queue: &_| {
        let pg = library.served(*queue)?.clone();
        let from = library.tiered(pg.id);
        Ok(Stretch { pg, queue: *queue, from })
    };
    queues.map(stretch).collect()
}

/// [`in_logs`], where it is in nobody's way. A search that nobody waits for any longer goes on to
/// its end.
async fn through_logs(stretches: Vec<Stretch>, what: &Search) -> Result<Matches, SearchRefused> {
    let turn = LOG_SEARCHES.acquire().await;
    let turn = turn.map_err(|error| SearchRefused::Broke(error.to_string()))?;
    let what = what.clone();
    let searching = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        in_logs(&stretches, &what)
    });
    searching.await.map_err(|error| SearchRefused::Broke(error.to_string()))
}

/// What the bucket has of what lies there under one topic's name.
async fn through_shelf(
    library: &Library,
    shelf: &Shelf,
    what: &Search,
    since: Timestamp,
    rounds: &mut usize,
) -> Result<Matches, LookRefused> {
    let newest = what.to.min(shelf.newest);
    let mut query = KeyQuery {
        hash: key_hash(&shelf.topic, what.wanted.text()),
        queues: Some(shelf.queues()),
        since,
        until: Timestamp(newest.0.saturating_add(1)),
        max: what.max(),
    };
    let mut matches = Matches::default();
    loop {
        let there = library.by_key(&shelf.pgs, &query).await?;
        for record in there.records.iter().filter(|record| shelf.has(record)) {
            let Some(pg) = record.lsn.pg() else { continue };
            // What cannot be read is told in the gateway's log; it has no key that anyone could know.
            let found = Found::of_record(pg, record).ok();
            matches.found.extend(found.filter(|found| what.wanted.is(&found.message)));
        }
        matches.damaged.extend(there.damaged.iter().map(ToString::to_string));
        let stopped_at = there.stopped_at.map(|at| at.min(newest));
        let goes_on = Timestamp(stopped_at.map_or(0, |at| at.0.saturating_add(1)));
        let has_enough = matches.found.len() >= what.max();
        if stopped_at.is_none() || has_enough || *rounds == 0 || query.until <= goes_on {
            matches.stopped_at = stopped_at;
            return Ok(matches);
        }
        *rounds -= 1;
        query.until = goes_on;
    }
}
