//! The task that carries committed ranges of the logs into the bucket.
//!
//! ```text
//!   logs ──► build (a thread) ──► upload (tasks, side by side) ──► commit, in order ──► view, level `object`, trim
//! ```
//!
//! INV-TIER-1: bundles are committed in the order in which they were built, so `tiered` has no hole.
//! INV-TIER-2: the journal lets go only of what lies below a `tiered` that was committed (rules O5, S6).
//! INV-TIER-3: what fails is tried again; nothing is given up while the placement group is owned. Until then the
//! journal holds it, and when it is full it refuses.

use super::build::{Built, NotBuilt, Share, build};
use super::handle::{Ask, Inbox};
use super::ids::ObjectIds;
use super::lane::Lanes;
use super::ledger::{Ledger, LedgerRefused, Ledgered, Proposal};
use super::lock::Locker;
use super::plan::{Pace, Plan};
use super::witness::{Note, Notes};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use metadata::Catalog;
use std::time::Duration;
use storage::env::{Crew, Env};
use storage::format::object::Properties;
use storage::format::{Lsn, PgId};
use storage::object::{Bucket, Name, Purpose};
use storage::tier::manifest::{Change, Origin, RunEntry};
use storage::tier::{ObjectId, ObjectName};
use storage::{Level, Store};
use tokio::task::JoinHandle;

/// How often the logs are looked at while nothing happens.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// And while something waits for its bundle.
const LOOK_OFTEN: Duration = Duration::from_millis(100);
/// After this an upload that the store refused, or a commit that failed, is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// The part of the journal in use from which on bundles are made faster (design/storage.md §2a).
const PRESSED_PERCENT: u64 = 50;
/// And from which on nothing stays in it that is in the bucket.
const FULL_PERCENT: u64 = 75;

/// What the task works with.
pub(super) struct Parts {
    pub(super) env: Env,
    pub(super) catalog: Catalog,
    pub(super) store: Store,
    pub(super) bucket: Bucket,
    pub(super) ids: ObjectIds,
    pub(super) ledger: Ledger,
    pub(super) lanes: Lanes,
    pub(super) notes: Notes,
    pub(super) locker: Locker,
    /// This process: the folder of its bundles.
    pub(super) session: u64,
    pub(super) pace: Pace,
    pub(super) keep_bytes: u64,
    pub(super) properties: Properties,
    /// A thread of low priority, for bundles that nothing presses for.
    pub(super) builder: Crew,
}

/// A bundle that is in the bucket.
struct Uploaded {
    name: ObjectName,
    built: Built,
}

pub(super) struct Service {
    parts: Parts,
    plan: Plan,
    inbox: Inbox,
    building: Option<JoinHandle<Result<Option<Built>, NotBuilt>>>,
    uploads: FuturesOrdered<JoinHandle<Uploaded>>,
    /// Nothing is begun before, after something failed.
    resting_until: Duration,
}

impl Service {
    pub(super) fn new(parts: Parts, inbox: Inbox) -> Service {
        let mut plan = Plan::new(parts.pace);
        for lane in parts.lanes.all() {
            plan.add(lane.pg(), lane.tiered());
        }
        let (uploads, resting_until) = (FuturesOrdered::new(), Duration::ZERO);
        Service { parts, plan, inbox, building: None, uploads, resting_until }
    }

    /// Until it is dropped. A bundle that is under way then is an object that nothing refers to.
    pub(super) async fn run(mut self) {
        let hurried = self.parts.lanes.clone();
        loop {
            let next_look = self.look().await;
            tokio::select! {
                // Cancel safe: a handle, a stream and a queue keep what they have.
                built = finished(&mut self.building) => {
                    self.building = None;
                    self.built(built);
                }
                Some(uploaded) = self.uploads.next(), if !self.uploads.is_empty() => {
                    match uploaded {
                        Ok(uploaded) => self.commit(uploaded).await,
                        // Only a panic, which the log has.
                        Err(_) => self.plan.ended(),
                    }
                }
                Some(ask) = self.inbox.next() => self.answer(ask).await,
                () = hurried.hurried() => {}
                () = self.parts.env.sleep(next_look) => {}
            }
        }
    }

    /// Sees how far the logs are, and begins a bundle if one is due. When to look again.
    async fn look(&mut self) -> Duration {
        let now = self.parts.env.monotonic();
        for lane in self.parts.lanes.all() {
            self.plan.see(now, lane.pg(), lane.log.watermark(Level::Local));
            self.plan.hurry(now, lane.pg(), lane.awaited());
        }
        let pace = self.plan.pace(self.used_percent() > PRESSED_PERCENT);
        if self.building.is_some() {
            return LOOK_EVERY;
        }
        if now < self.resting_until {
            return self.resting_until - now;
        }
        match self.plan.due(now, pace) {
            Some(due) if due <= now => {
                self.begin(pace).await;
                LOOK_OFTEN
            }
            Some(due) => (due - now).min(LOOK_OFTEN),
            // What is awaited may not be ready yet.
            None if self.plan.is_awaited() => LOOK_OFTEN,
            None => LOOK_EVERY,
        }
    }

    /// Begins to build a bundle.
    async fn begin(&mut self, pace: Pace) {
        let id = match self.parts.ids.one().await {
            Ok(id) => id,
            Err(error) => {
                tracing::warn!(%error, "no id for a bundle");
                self.resting_until = self.parts.env.monotonic() + AGAIN_AFTER;
                return;
            }
        };
        let share = |(pg, from, to): (PgId, Lsn, Lsn)| {
            self.parts.lanes.get(pg).map(|lane| lane.share(from, to))
        };
        let shares: Vec<Share> = self.plan.begin().into_iter().filter_map(share).collect();
        let (catalog, properties) = (self.parts.catalog.clone(), self.parts.properties.clone());
        let making = move || build(&shares, pace.bytes, id, &properties, &catalog);
        // Compressing takes a core for a while, which the tail is to have while nothing presses.
        let handle = self.parts.builder.handle();
        self.building = Some(if pace == self.parts.pace {
            handle.spawn(async move { making() })
        } else {
            tokio::task::spawn_blocking(making)
        });
    }

    /// Takes note of how far the bundle goes, and begins to upload it.
    fn built(&mut self, built: Result<Option<Built>, NotBuilt>) {
        let now = self.parts.env.monotonic();
        let built = match built {
            Ok(Some(built)) => built,
            Ok(None) => return self.plan.ended(),
            Err(error) => {
                // The journal keeps everything; whoever looks after it must look.
                tracing::error!(error = %Causes(&error), "no bundle of the journal can be made");
                self.resting_until = now + AGAIN_AFTER;
                return self.plan.ended();
            }
        };
        for (pg, end, chain) in &built.ends {
            self.plan.took(now, *pg, *end);
            if let Some(lane) = self.parts.lanes.get(*pg) {
                lane.took(*chain, &built.bundle);
            }
        }
        let uploader = Uploader {
            env: self.parts.env.clone(),
            bucket: self.parts.bucket.clone(),
            locker: self.parts.locker.clone(),
            session: self.parts.session,
        };
        self.uploads.push_back(self.parts.env.spawn("upload", uploader.upload(built)));
    }

    /// Commits what an uploaded bundle has of each placement group, however long it takes.
    async fn commit(&mut self, uploaded: Uploaded) {
        let pgs = uploaded.built.ends.iter().map(|(pg, ..)| *pg);
        let mut left: Vec<Proposal> = pgs.filter_map(|pg| uploaded.proposal(pg)).collect();
        while !left.is_empty() {
            let answers = self.parts.ledger.commit(left.clone()).await;
            let mut again = Vec::new();
            for (proposal, answer) in left.into_iter().zip(answers) {
                let pg = proposal.pg;
                match answer {
                    Ok(ledgered) => self.bundled(pg, ledgered, &uploaded.built),
                    Err(LedgerRefused::NotOwner(pg)) => self.lose(pg),
                    Err(refused) => {
                        let (bundle, error) = (&uploaded.name, Causes(&refused));
                        tracing::warn!(%pg, %bundle, %error, "a commit is tried again");
                        again.push(proposal);
                    }
                }
            }
            left = again;
            if !left.is_empty() {
                self.parts.env.sleep(AGAIN_AFTER).await;
            }
        }
        self.plan.ended();
        self.trim();
    }

    /// A bundle's part of a placement group is committed.
    fn bundled(&self, pg: PgId, ledgered: Ledgered, built: &Built) {
        let ends = built.ends.iter().find(|(of, ..)| *of == pg);
        let (Some(lane), Some((.., chain))) = (self.parts.lanes.get(pg), ends) else { return };
        lane.committed(ledgered.view.clone(), *chain, &built.bundle);
        self.note(pg, ledgered, *chain);
    }

    fn note(&self, pg: PgId, ledgered: Ledgered, chain: u32) {
        let Ledgered { record, revision, view, delta, digests } = ledgered;
        self.parts.notes.tell(Note { pg, record, revision, view, delta, chain, digests });
    }

    /// Another gateway has the placement group.
    fn lose(&mut self, pg: PgId) {
        tracing::warn!(%pg, "another gateway has taken the placement group over");
        self.plan.remove(pg);
        self.parts.lanes.remove(pg);
    }

    /// Lets the journal go of what is in the bucket, but for the newest bytes.
    fn trim(&self) {
        let is_full = self.used_percent() > FULL_PERCENT;
        let points = self.parts.store.trim_points(if is_full { 0 } else { self.parts.keep_bytes });
        for lane in self.parts.lanes.all() {
            if let Some(point) = points.get(&lane.pg()) {
                lane.log.trim((*point).min(lane.tiered()));
            }
        }
    }

    fn used_percent(&self) -> u64 {
        let fill = self.parts.store.fill();
        (fill.used * 100).checked_div(fill.capacity).unwrap_or(0)
    }

    async fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Commit { proposal, reply } => {
                let pg = proposal.pg;
                let mut answers = self.parts.ledger.commit(vec![proposal]).await;
                let Some(answer) = answers.pop() else { return };
                let answer = match answer {
                    Ok(ledgered) => {
                        let view = ledgered.view.clone();
                        if let Some(lane) = self.parts.lanes.get(pg) {
                            lane.publish(view.clone());
                            self.note(pg, ledgered, lane.committed_chain());
                        }
                        Ok(view)
                    }
                    Err(LedgerRefused::NotOwner(_)) => {
                        self.lose(pg);
                        Err(LedgerRefused::NotOwner(pg))
                    }
                    Err(refused) => Err(refused),
                };
                // Nobody minds if the one who asked has gone.
                let _ = reply.send(answer);
            }
        }
    }
}

/// The bundle that is being built, once it is; pending for ever while none is.
async fn finished(
    building: &mut Option<JoinHandle<Result<Option<Built>, NotBuilt>>>,
) -> Result<Option<Built>, NotBuilt> {
    match building {
        // A panic in the thread is the log's; then there is no bundle.
        Some(handle) => handle.await.unwrap_or(Ok(None)),
        None => std::future::pending().await,
    }
}

/// What an upload needs.
struct Uploader {
    env: Env,
    bucket: Bucket,
    locker: Locker,
    session: u64,
}

impl Uploader {
    /// Uploads until the store has it, and has it locked where it must: what is built is not built again.
    async fn upload(self, built: Built) -> Uploaded {
        let id: ObjectId = built.bundle.finished.id;
        let name = ObjectName::Bundle { session: self.session, id };
        let key = Name::parse(&name.to_string()).expect("our names are names");
        loop {
            let error = match self.store(&key, &built).await {
                Ok(()) => return Uploaded { name, built },
                Err(error) => error,
            };
            tracing::warn!(bundle = %name, error, "an upload is tried again");
            self.env.sleep(AGAIN_AFTER).await;
        }
    }

    async fn store(&self, key: &Name, built: &Built) -> Result<(), String> {
        let parts = built.bundle.parts.clone();
        let created = self.bucket.create(key, parts, Purpose::Upload).await;
        created.map_err(|error| error.to_string())?;
        self.locker.lock(key, &built.bundle.finished.tail).await
    }
}

impl Uploaded {
    /// What of it is to be committed to one placement group's record.
    fn proposal(&self, pg: PgId) -> Option<Proposal> {
        let ObjectName::Bundle { session, .. } = self.name else { return None };
        let tail = &self.built.bundle.finished.tail;
        let entry = RunEntry::of(tail, pg, Origin::Bundle { session })?;
        Some(Proposal {
            pg,
            to: Some(entry.to),
            changes: vec![Change::Add(entry)],
            snapshot: None,
            digests: [(entry.object, self.built.digest)].into(),
        })
    }
}

/// An error with its causes, in a line.
pub(super) struct Causes<'a>(pub(super) &'a dyn std::error::Error);

impl std::fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}
