//! What one placement group's turn does. Each step ends with a commit, or with nothing.

use super::super::lane::Lane;
use super::super::ledger::Proposal;
use super::error::Failed;
use super::rules::Rules;
use super::turns::Turns;
use super::upkeep::Parts;
use futures_util::future::BoxFuture;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use storage::compact::{
    Aged, CompactError, Compactor, Manifest, MergeRequest, entries_of, let_go, runs_in,
    starts_by_size, starts_by_time,
};
use storage::env::Timestamp;
use storage::format::{Lsn, PgId};
use storage::object::{Name, Purpose};
use storage::reader::View;
use storage::tier::ObjectId;
use storage::tier::compact::{Plan, PlannedMerge, Summarised, plan_reclaim, plan_summaries};
use storage::tier::manifest::{Change, Key, Query, QueueSet, ReplaceRefused, Root, RunEntry};
use storage::tier::proof::Digest;
use storage::tier::retention::{Keeps, TopicRules};

/// Merges of one turn; then it is the next placement group's.
const MERGES_MAX: usize = 4;
/// The least bytes and messages that end a run: what a merge may need an id for.
const RUN_BYTES: u64 = 8 << 20;
const RUN_MESSAGES: u64 = 64 << 10;

/// A placement group, and what its turn works with.
pub(super) struct Turn<'a> {
    pub(super) parts: &'a Parts,
    pub(super) compactor: &'a Compactor,
    pub(super) lane: &'a Lane,
}

impl Turn<'_> {
    /// Does what is due. Boxed, so that the compiler sees once that it may go from thread to thread.
    pub(super) fn take<'a>(&'a self, turns: &'a mut Turns) -> BoxFuture<'a, Result<(), Failed>> {
        Box::pin(self.take_all(turns))
    }

    async fn take_all(&self, turns: &mut Turns) -> Result<(), Failed> {
        let now = self.parts.env.monotonic();
        if turns.look_over_at <= now {
            self.look_over(turns, now).await?;
            turns.look_over_at = now + self.parts.settings.look_over_every;
        }
        for _ in 0..MERGES_MAX {
            if !self.merge_next(turns).await? {
                break;
            }
        }
        Ok(())
    }

    fn pg(&self) -> PgId {
        self.lane.pg()
    }

    /// To be asked for after the entries that they are for (INV-UPKEEP-1).
    fn rules(&self) -> Rules {
        let Parts { catalog, env, .. } = self.parts;
        Rules::new(self.pg(), catalog, self.lane.history().clone(), env.now())
    }

    async fn entries(&self, view: &View, query: &Query) -> Result<Vec<RunEntry>, CompactError> {
        let (root, overlay) = (Root::clone(view.root()), view.overlay().clone());
        let manifest = Manifest { root, overlay };
        entries_of(&self.parts.bucket, &manifest, query, Purpose::Compaction).await
    }

    /// The end of the manifest: everything from the first entry on that has something of `since` or later, or was
    /// committed behind `seen`, however old it was by then; whole pages of it.
    async fn recent(
        &self,
        view: &View,
        since: Timestamp,
        seen: Lsn,
    ) -> Result<Vec<RunEntry>, CompactError> {
        let pages = view.root().pages.iter();
        let pages = pages.filter(|page| since <= page.max_time || seen <= page.last.from);
        let added = view.overlay().added.values();
        let added = added.filter(|entry| since <= entry.max_time || seen <= entry.from);
        let from = pages.map(|page| page.first.from).chain(added.map(|entry| entry.from)).min();
        let Some(from) = from else { return Ok(Vec::new()) };
        let mut entries = self.entries(view, &Query::lsns(from, Lsn(u64::MAX))).await?;
        entries.retain(|entry| from <= entry.from);
        Ok(entries)
    }

    /// Commits, and tells the placement group's history where its queues begin now.
    async fn commit(&self, changes: Vec<Change>) -> Result<(), Failed> {
        self.commit_made(changes, HashMap::new()).await
    }

    /// The same with the digests of the objects that were made.
    async fn commit_made(
        &self,
        changes: Vec<Change>,
        digests: HashMap<ObjectId, Digest>,
    ) -> Result<(), Failed> {
        let (pg, changed) = (self.pg(), changes.clone());
        let proposal = Proposal { pg, to: None, changes: changed, snapshot: None, digests };
        self.parts.handle.propose(proposal).await?;
        let history = self.lane.history();
        for change in changes {
            match change {
                Change::Start { queue, offset } => history.keep_from(queue, offset),
                Change::Forget(queue) => history.forget(queue),
                Change::Add(_)
                | Change::Remove(_)
                | Change::Lost { .. }
                | Change::Summary(_)
                | Change::NoSummary(_) => {}
            }
        }
        Ok(())
    }

    /// What asks for all of the manifest, and so comes seldom.
    async fn look_over(&self, turns: &mut Turns, now: Duration) -> Result<(), Failed> {
        self.lane.retain(|queue| !self.parts.catalog.is_gone(queue));
        let all = self.let_go(turns).await?;
        self.limit(turns, &all).await?;
        self.summarise(turns, &all).await?;
        if turns.survey_at <= now {
            self.reclaim(turns, all).await?;
            turns.survey_at = now + self.parts.settings.survey_every;
        }
        Ok(())
    }

    /// Lets go of objects in which everything is past; what is left.
    async fn let_go(&self, turns: &Turns) -> Result<Vec<RunEntry>, Failed> {
        let all = self.entries(&self.lane.view(), &Query::default()).await?;
        let (mut all, rules) = (turns.sound(all), self.rules());
        let forgotten = self.lane.history().starts().into_iter().map(|(queue, _)| queue);
        let forgotten = forgotten.filter(|queue| rules.keeps(*queue) == Keeps::Nothing);
        let mut changes: Vec<Change> = forgotten.map(Change::Forget).collect();
        loop {
            let replay_from = self.lane.applied();
            // Bundles without messages are left to a merge, which takes neighbours: they would tear them apart.
            let with_messages = |entry: &&RunEntry| entry.level() > 0 || entry.messages > 0;
            let asked: Vec<RunEntry> = all.iter().filter(with_messages).copied().collect();
            let gone = let_go(&self.parts.bucket, self.pg(), &asked, &rules, replay_from).await?;
            changes.extend(gone.changes);
            changes.extend(passed(&all, &rules, replay_from).map(Change::Remove));
            let removed = removed(&mut changes);
            if changes.is_empty() {
                return Ok(all);
            }
            self.commit(std::mem::take(&mut changes)).await?;
            all.retain(|entry| !removed.contains(&entry.key()));
            if !gone.is_cut {
                return Ok(all);
            }
        }
    }

    /// Moves the beginnings of queues on that keep so many bytes, or so much time and share their objects.
    async fn limit(&self, turns: &mut Turns, all: &[RunEntry]) -> Result<(), Failed> {
        let (rules, bucket) = (self.rules(), &self.parts.bucket);
        let ages = rules.ages();
        let aged = ages.iter().map(|(queue, since)| Aged {
            queue: *queue,
            since: *since,
            seen: turns.aged.get(queue).copied().unwrap_or_default(),
        });
        let aged: Vec<Aged> = aged.collect();
        let mut starts = starts_by_time(bucket, self.pg(), all, aged, &rules).await?;
        starts.extend(starts_by_size(bucket, self.pg(), all, rules.sizes(), &rules).await?);
        if !starts.is_empty() {
            self.commit(starts).await?;
        }
        turns.aged = ages.into_iter().collect();
        Ok(())
    }

    /// Makes the next key summary, if enough runs are in none.
    async fn summarise(&self, turns: &mut Turns, all: &[RunEntry]) -> Result<(), Failed> {
        let settings = &self.parts.settings;
        let horizon = settings.compaction.horizon(self.parts.env.now());
        let is_final = |run: &&RunEntry| run.level() > 0 && run.max_time < horizon;
        let finals: Vec<RunEntry> = all.iter().filter(is_final).copied().collect();
        let more = settings.summary_runs.div_ceil(4);
        if turns.finals.is_some_and(|before| before.abs_diff(finals.len()) < more) {
            return Ok(());
        }
        let present = self.summaries().await?;
        let plan = plan_summaries(&finals, &present, settings.summary_runs);
        let mut changes: Vec<Change> = plan.replaced.into_iter().map(Change::NoSummary).collect();
        // Out until it is known what became of it.
        let mut ids = self.parts.ids.take(1).await?;
        if !plan.runs.is_empty() {
            let (epoch, id) = (self.lane.log.epoch(), ids.next_id());
            let made = self.compactor.summarise(self.pg(), epoch, id, &plan.runs).await?;
            changes.push(Change::Summary(made));
        }
        if !changes.is_empty() {
            self.commit(changes).await?;
        }
        turns.finals = Some(finals.len());
        Ok(())
    }

    async fn summaries(&self) -> Result<Vec<Summarised>, Failed> {
        let view = self.lane.view();
        let mut present = Vec::new();
        for summary in view.overlay().all_summaries(view.root()) {
            let runs = match runs_in(&self.parts.bucket, self.pg(), &summary).await {
                Ok(runs) => runs,
                Err(CompactError::Damaged { object, source }) => {
                    tracing::error!(%object, %source, "a key summary is damaged and is made again");
                    Vec::new()
                }
                Err(error) => return Err(error.into()),
            };
            let object = |(_, id, nonce)| ObjectId { id, nonce };
            let runs = runs.into_iter().map(object).collect();
            present.push(Summarised { object: summary.object, runs });
        }
        Ok(present)
    }

    /// Writes runs again of which half is kept for nobody.
    async fn reclaim(&self, turns: &mut Turns, mut all: Vec<RunEntry>) -> Result<(), Failed> {
        let settings = &self.parts.settings.compaction;
        let rules = self.rules();
        let dead = self.compactor.survey(self.pg(), &all, &rules).await?;
        let known = |entry: &RunEntry| dead.get(&entry.object).copied();
        while let Some(planned) = plan_reclaim(&all, self.parts.env.now(), settings, &known) {
            let made = self.merge(turns, &planned, &all, true, &rules).await?;
            all.retain(|entry| !planned.inputs.contains(entry));
            all.extend(made);
            all.sort_unstable_by_key(RunEntry::key);
            turns.finals = None;
        }
        Ok(())
    }

    /// Does the next merge that is due, if there is one.
    async fn merge_next(&self, turns: &mut Turns) -> Result<bool, Failed> {
        let (view, now) = (self.lane.view(), self.parts.env.now());
        if !turns.are_merges_due(now, view.entries()) {
            return Ok(false);
        }
        let settings = &self.parts.settings.compaction;
        let entries = match turns.planned() {
            // A clock that jumped, or a machine that slept, left something behind the horizon of now.
            Some((planned, seen)) => {
                self.recent(&view, settings.horizon(planned.min(now)), seen).await?
            }
            None => self.entries(&view, &Query::default()).await?,
        };
        let knows_all = turns.planned().is_none();
        let rules = self.rules();
        match turns.plan(&entries, now, settings, &rules) {
            Plan::Wait(at) => {
                // The last one is looked at again with what comes after it.
                let seen = entries.last().map_or(view.tiered(), |entry| entry.from);
                turns.wait((now, seen), at, view.entries());
                Ok(false)
            }
            Plan::Merge(planned) => {
                self.merge(turns, &planned, &entries, knows_all, &rules).await?;
                turns.merged();
                Ok(true)
            }
        }
    }

    /// Merges, and commits what came of it: the new entries. `entries`: of the manifest, to its end; all of them where
    /// `knows_all`.
    async fn merge(
        &self,
        turns: &mut Turns,
        planned: &PlannedMerge,
        entries: &[RunEntry],
        knows_all: bool,
        rules: &Rules,
    ) -> Result<Vec<RunEntry>, Failed> {
        let (Some(first), Some(last)) = (planned.inputs.first(), planned.inputs.last()) else {
            return Ok(Vec::new());
        };
        let begin = entries.partition_point(|entry| entry.key() < first.key());
        let end = entries.partition_point(|entry| entry.key() <= last.key());
        let newer = turns.sound(entries.get(end..).unwrap_or_default().to_vec());
        let ids_max = outputs_max(&planned.inputs, planned.level.window);
        // Out until it is known what became of them.
        let mut ids = self.parts.ids.take(ids_max).await?;
        let epoch = self.lane.log.epoch();
        let request = MergeRequest {
            settings: planned.level.merge(self.pg(), epoch, self.lane.applied()),
            inputs: &planned.inputs,
            older: knows_all.then(|| entries.get(..begin).unwrap_or_default()),
            newer: &newer,
            topics: rules,
            next_id: &mut || ids.next_id(),
        };
        let merged = match self.compactor.merge(request).await {
            Err(CompactError::Merge(refused)) => {
                self.set_aside(turns, planned);
                return Err(CompactError::Merge(refused).into());
            }
            merged => merged?,
        };
        let view = self.lane.view();
        let query = Query::lsns(first.from, Lsn(last.from.0.saturating_add(1)));
        let mut present = self.entries(&view, &query).await?;
        present.retain(|entry| first.key() <= entry.key() && entry.key() <= last.key());
        let lost = [view.root().lost.as_slice(), view.overlay().lost.as_slice()].concat();
        let changes = match merged.changes(&present, &lost) {
            // Something else was faster: plan again.
            Err(refused @ ReplaceRefused::NotThere(_)) => return Err(refused.into()),
            Err(refused) => {
                self.set_aside(turns, planned);
                return Err(refused.into());
            }
            Ok(changes) => changes,
        };
        let mut digests = HashMap::new();
        for written in &merged.runs {
            let name = Name::parse(&written.object.to_string()).expect("our names are names");
            let locked = self.parts.locker.lock(&name, &written.run.finished.tail).await;
            locked.map_err(Failed::Lock)?;
            digests.insert(written.run.entry.object, Digest(written.sha256));
        }
        self.commit_made(changes, digests).await?;
        self.parts.counts.merged(merged.runs.len(), &merged.totals);
        Ok(merged.runs.iter().map(|written| written.run.entry).collect())
    }

    /// The merge would come to the same the next time.
    fn set_aside(&self, turns: &mut Turns, planned: &PlannedMerge) {
        turns.set_aside(planned.inputs.iter().map(|entry| entry.object));
        self.parts.counts.set_aside(planned.inputs.len());
    }
}

/// Runs of one queue that lie before its beginning, and that no replay needs.
fn passed<'a>(
    entries: &'a [RunEntry],
    rules: &'a Rules,
    replay_from: Lsn,
) -> impl Iterator<Item = Key> + 'a {
    let is_passed = move |entry: &&RunEntry| match entry.queues {
        QueueSet::One { queue, last, .. } => {
            last < rules.start_of(queue) && entry.to <= replay_from
        }
        QueueSet::None | QueueSet::Several { .. } => false,
    };
    entries.iter().filter(is_passed).map(RunEntry::key)
}

/// The objects that these changes remove. Each is removed once.
fn removed(changes: &mut Vec<Change>) -> HashSet<Key> {
    let mut removed = HashSet::new();
    changes.retain(|change| match change {
        Change::Remove(key) => removed.insert(*key),
        Change::Add(_)
        | Change::Start { .. }
        | Change::Forget(_)
        | Change::Lost { .. }
        | Change::Summary(_)
        | Change::NoSummary(_) => true,
    });
    removed
}

/// Ids that a merge may need: it cuts by windows, and by size; and it may be made a second time, in one window.
fn outputs_max(inputs: &[RunEntry], window: Duration) -> u64 {
    let sum = |each: fn(&RunEntry) -> u64| inputs.iter().map(each).sum::<u64>();
    let (bytes, messages) = (sum(|entry| entry.bytes), sum(|entry| entry.messages));
    let timed = || inputs.iter().filter(|entry| entry.max_time > Timestamp(0));
    let first = timed().map(|entry| entry.min_time).min().unwrap_or_default();
    let last = timed().map(|entry| entry.max_time).max().unwrap_or_default();
    let window = window.as_millis().max(1);
    let windows = u64::try_from(last.since(first).as_millis() / window).unwrap_or(u64::MAX);
    let windows = windows.saturating_add(2).min(messages + 2);
    2 * (windows + bytes / RUN_BYTES + messages / RUN_MESSAGES + 8)
}
