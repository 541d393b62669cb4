//! What a job may do: the store's rules, inside one redb transaction, at one moment. No thread, no clock.

use super::table::{self, HISTORY, KV, LEASES, META, META_LEASE, META_REVISION};
use crate::store::{
    Applied, Change, Compare, EVENTS_BATCH_MAX, Error, Event, Expect, KeyValue, LeaseId, OPS_MAX,
    REQUEST_BYTES_MAX, Range, Revision, Txn, TxnOutcome, WatchItem,
};
use redb::{ReadableTable, Table, WriteTransaction};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// What is kept in memory of what is in the file. After a failed commit it is ahead of the file, and not used again.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) revision: i64,
    last_lease: i64,
    leases: BTreeMap<LeaseId, Lease>,
    history: History,
}

#[derive(Debug)]
struct Lease {
    ttl: Duration,
    /// By the monotonic clock of this process.
    deadline: Duration,
    keys: BTreeSet<Arc<str>>,
}

/// The transactions that a watch can still be told, each with its size.
#[derive(Debug, Default)]
struct History {
    sizes: VecDeque<(i64, u64)>,
    bytes: u64,
}

/// How much history is kept; the youngest transaction always is.
#[derive(Clone, Copy, Debug)]
pub(super) struct HistoryLimit {
    pub(super) transactions: usize,
    pub(super) bytes: u64,
}

/// One redb transaction with its tables.
pub(super) struct Batch<'t> {
    meta: Table<'t, &'static str, i64>,
    kv: Table<'t, &'static str, &'static [u8]>,
    history: Table<'t, i64, &'static [u8]>,
    leases: Table<'t, i64, u64>,
    state: &'t mut State,
    limit: HistoryLimit,
    now: Duration,
    changed: bool,
}

impl State {
    /// Reads the file. Every lease has its full time from `now`.
    pub(super) fn load(txn: &WriteTransaction, now: Duration) -> Result<State, redb::Error> {
        let mut state = State::default();
        let mut meta = txn.open_table(META)?;
        let format = meta.get(table::META_FORMAT)?.map(|value| value.value());
        match format {
            None => drop(meta.insert(table::META_FORMAT, table::FORMAT)?),
            Some(table::FORMAT) => {}
            Some(other) => return Err(table::corrupt("meta", &format!("format {other}"))),
        }
        state.revision = meta.get(META_REVISION)?.map_or(0, |value| value.value());
        state.last_lease = meta.get(META_LEASE)?.map_or(0, |value| value.value());
        for row in txn.open_table(LEASES)?.iter()? {
            let (id, ttl_ms) = row?;
            let ttl = Duration::from_millis(ttl_ms.value());
            let lease = Lease { ttl, deadline: now.saturating_add(ttl), keys: BTreeSet::new() };
            state.leases.insert(LeaseId(id.value()), lease);
        }
        for row in txn.open_table(KV)?.iter()? {
            let (key, bytes) = row?;
            let pair = table::decode_pair(key.value(), bytes.value())?;
            if let Some(lease) = pair.lease.and_then(|id| state.leases.get_mut(&id)) {
                lease.keys.insert(pair.key);
            }
        }
        for row in txn.open_table(HISTORY)?.iter()? {
            let (revision, bytes) = row?;
            state.history.push(revision.value(), bytes.value().len());
        }
        Ok(state)
    }

    /// When the next lease ends, by the monotonic clock.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.leases.values().map(|lease| lease.deadline).min()
    }

    /// The oldest revision from which a watch can begin.
    fn oldest(&self) -> i64 {
        self.history.sizes.front().map_or(self.revision + 1, |(revision, _)| *revision)
    }
}

impl History {
    fn push(&mut self, revision: i64, bytes: usize) {
        let bytes = bytes as u64;
        self.sizes.push_back((revision, bytes));
        self.bytes += bytes;
    }

    /// Forgets the oldest, if there is more than `limit`.
    fn pop_over(&mut self, limit: HistoryLimit) -> Option<i64> {
        let over = self.sizes.len() > limit.transactions || self.bytes > limit.bytes;
        if !over || self.sizes.len() <= 1 {
            return None;
        }
        let (revision, bytes) = self.sizes.pop_front()?;
        self.bytes -= bytes;
        Some(revision)
    }
}

impl<'t> Batch<'t> {
    pub(super) fn open(
        txn: &'t WriteTransaction,
        state: &'t mut State,
        limit: HistoryLimit,
        now: Duration,
    ) -> Result<Batch<'t>, redb::Error> {
        Ok(Batch {
            meta: txn.open_table(META)?,
            kv: txn.open_table(KV)?,
            history: txn.open_table(HISTORY)?,
            leases: txn.open_table(LEASES)?,
            state,
            limit,
            now,
            changed: false,
        })
    }

    /// Ends the batch; whether there is anything to commit.
    pub(super) fn finish(mut self) -> Result<bool, redb::Error> {
        if self.changed {
            self.meta.insert(META_REVISION, self.state.revision)?;
            self.meta.insert(META_LEASE, self.state.last_lease)?;
        }
        Ok(self.changed)
    }

    pub(super) fn get(&self, key: &str) -> Result<Option<KeyValue>, Error> {
        let row = self.kv.get(key).map_err(failed)?;
        row.map(|bytes| table::decode_pair(key, bytes.value())).transpose().map_err(failed)
    }

    pub(super) fn range(&self, prefix: &str) -> Result<Range, Error> {
        let mut pairs = Vec::new();
        for row in self.kv.range(prefix..).map_err(failed)? {
            let (key, bytes) = row.map_err(failed)?;
            if !key.value().starts_with(prefix) {
                break;
            }
            pairs.push(table::decode_pair(key.value(), bytes.value()).map_err(failed)?);
        }
        Ok(Range { pairs, revision: Revision(self.state.revision) })
    }

    pub(super) fn txn(&mut self, txn: Txn) -> Result<TxnOutcome, Error> {
        check_limits(&txn)?;
        for compare in &txn.compare {
            if !self.holds(compare)? {
                return self.refused(&txn.otherwise);
            }
        }
        // Everything that could still refuse comes before the first change.
        for change in &txn.then {
            if let Change::Put { lease: Some(lease), .. } = change {
                self.lease(*lease)?;
            }
        }
        let revision = Revision(self.state.revision).next();
        let mut events = Vec::with_capacity(txn.then.len());
        for change in txn.then {
            events.extend(self.apply(change, revision)?);
        }
        self.record(events)?;
        Ok(TxnOutcome::Done { revision: Revision(self.state.revision) })
    }

    pub(super) fn grant(&mut self, ttl: Duration) -> Result<LeaseId, Error> {
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1);
        self.state.last_lease += 1;
        let id = LeaseId(self.state.last_lease);
        self.leases.insert(id.0, ttl_ms).map_err(failed)?;
        self.changed = true;
        let ttl = Duration::from_millis(ttl_ms);
        let deadline = self.now.saturating_add(ttl);
        self.state.leases.insert(id, Lease { ttl, deadline, keys: BTreeSet::new() });
        Ok(id)
    }

    pub(super) fn keepalive(&mut self, id: LeaseId) -> Result<(), Error> {
        let now = self.now;
        let lease = self.lease(id)?;
        lease.deadline = now.saturating_add(lease.ttl);
        Ok(())
    }

    pub(super) fn revoke(&mut self, id: LeaseId) -> Result<(), Error> {
        self.lease(id)?;
        self.end_lease(id)
    }

    /// Ends the leases whose time has passed.
    pub(super) fn expire(&mut self) -> Result<(), Error> {
        let now = self.now;
        let over = |(id, lease): (&LeaseId, &Lease)| (lease.deadline <= now).then_some(*id);
        let ended: Vec<LeaseId> = self.state.leases.iter().filter_map(over).collect();
        for id in ended {
            tracing::debug!(lease = %id, "lease expired");
            self.end_lease(id)?;
        }
        Ok(())
    }

    /// The changes of keys with `prefix` from `from` on; events may be empty.
    pub(super) fn since(&self, prefix: &str, from: Revision) -> Result<WatchItem, Error> {
        let oldest = self.state.oldest();
        if from.0 < oldest {
            return Ok(WatchItem::Compacted { oldest: Revision(oldest) });
        }
        let mut events = Vec::new();
        let mut upto = self.state.revision;
        for row in self.history.range(from.0..).map_err(failed)? {
            let (revision, bytes) = row.map_err(failed)?;
            let revision = Revision(revision.value());
            let all = table::decode_events(revision, bytes.value()).map_err(failed)?;
            events.extend(all.into_iter().filter(|event| event.key().starts_with(prefix)));
            if events.len() >= EVENTS_BATCH_MAX {
                upto = revision.0;
                break;
            }
        }
        Ok(WatchItem::Batch { revision: Revision(upto), events })
    }

    fn lease(&mut self, id: LeaseId) -> Result<&mut Lease, Error> {
        self.state.leases.get_mut(&id).ok_or(Error::LeaseGone(id))
    }

    fn holds(&self, compare: &Compare) -> Result<bool, Error> {
        let found = self.get(&compare.key)?;
        Ok(match compare.expect {
            Expect::Absent => found.is_none(),
            Expect::Present => found.is_some(),
            Expect::Modified(revision) => found.is_some_and(|pair| pair.modified == revision),
        })
    }

    fn refused(&self, keys: &[String]) -> Result<TxnOutcome, Error> {
        let read = keys.iter().map(|key| self.get(key)).collect::<Result<_, _>>()?;
        Ok(TxnOutcome::Refused { revision: Revision(self.state.revision), read })
    }

    /// Makes one change. `None` where it changes nothing.
    fn apply(&mut self, change: Change, revision: Revision) -> Result<Option<Event>, Error> {
        match change {
            Change::Put { key, value, lease } => {
                self.detach(&key)?;
                let pair = KeyValue { key: key.into(), value, modified: revision, lease };
                let bytes = table::encode_pair(&pair);
                self.kv.insert(&*pair.key, bytes.as_slice()).map_err(failed)?;
                if let Some(id) = lease {
                    self.lease(id)?.keys.insert(pair.key.clone());
                }
                Ok(Some(Event::Put(pair)))
            }
            Change::Delete { key } => {
                self.detach(&key)?;
                let was = self.kv.remove(key.as_str()).map_err(failed)?.is_some();
                Ok(was.then(|| Event::Delete { key: key.into(), revision }))
            }
        }
    }

    /// Takes a key off the lease that it has.
    fn detach(&mut self, key: &str) -> Result<(), Error> {
        let lease = self.get(key)?.and_then(|pair| pair.lease);
        if let Some(lease) = lease.and_then(|id| self.state.leases.get_mut(&id)) {
            lease.keys.remove(key);
        }
        Ok(())
    }

    fn end_lease(&mut self, id: LeaseId) -> Result<(), Error> {
        let keys = self.state.leases.remove(&id).map(|lease| lease.keys).unwrap_or_default();
        let revision = Revision(self.state.revision).next();
        let mut events = Vec::with_capacity(keys.len());
        for key in keys {
            self.kv.remove(&*key).map_err(failed)?;
            events.push(Event::Delete { key, revision });
        }
        self.leases.remove(id.0).map_err(failed)?;
        self.changed = true;
        self.record(events)
    }

    /// Gives `events` the next revision, and forgets what is too old to be told.
    fn record(&mut self, events: Vec<Event>) -> Result<(), Error> {
        if events.is_empty() {
            return Ok(());
        }
        self.changed = true;
        self.state.revision += 1;
        let bytes = table::encode_events(&events);
        self.history.insert(self.state.revision, bytes.as_slice()).map_err(failed)?;
        self.state.history.push(self.state.revision, bytes.len());
        while let Some(old) = self.state.history.pop_over(self.limit) {
            self.history.remove(old).map_err(failed)?;
        }
        Ok(())
    }
}

fn check_limits(txn: &Txn) -> Result<(), Error> {
    let Txn { compare, then, otherwise } = txn;
    let ops = compare.len().max(then.len()).max(otherwise.len());
    if ops > OPS_MAX {
        return Err(Error::TooManyOps { ops });
    }
    let value = |change: &Change| match change {
        Change::Put { key, value, .. } => key.len() + value.len(),
        Change::Delete { key } => key.len(),
    };
    let bytes = compare.iter().map(|compare| compare.key.len()).sum::<usize>()
        + then.iter().map(value).sum::<usize>()
        + otherwise.iter().map(String::len).sum::<usize>();
    if bytes > REQUEST_BYTES_MAX {
        return Err(Error::TooLarge { bytes });
    }
    let mut seen = BTreeSet::new();
    match then.iter().find(|change| change.key().is_empty() || !seen.insert(change.key())) {
        Some(change) => Err(Error::BadKey(change.key().to_owned())),
        None => Ok(()),
    }
}

/// The batch is not committed after this.
fn failed(error: impl Into<redb::Error>) -> Error {
    Error::Broken { applied: Applied::No, source: Box::new(error.into()) }
}
