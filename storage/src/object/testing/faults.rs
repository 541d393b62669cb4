//! A store that fails as it is told, by a seed.
use crate::env::Env;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result,
};
use parking_lot::Mutex;
use std::fmt;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

/// How a store fails. Shares are of a thousand requests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plan {
    /// Nobody answers.
    pub down: bool,
    /// Refused with 503 before anything is done.
    pub refused: u32,
    /// Done, and the answer is lost.
    pub lost: u32,
    /// Of reads: the body ends early, without a word.
    pub cut: u32,
    /// Of reads: one bit of the body is another.
    pub flipped: u32,
    /// Each request takes this long.
    pub slow: Duration,
    /// A deleted object stays to be read and listed for so many further requests.
    pub delete_lag: u32,
    /// A PUT that may only make replaces what is there.
    pub ignores_create: bool,
}

/// What a plan did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Happened {
    /// Requests that came.
    pub requests: u64,
    /// Those refused, also for being down.
    pub refused: u64,
    /// Answers lost.
    pub lost: u64,
    /// Bodies cut.
    pub cut: u64,
    /// Bodies with a bit flipped.
    pub flipped: u64,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// An object, or a part of one, is stored.
    Put,
    /// One is read, or asked for.
    Get,
    /// Some are deleted.
    Delete,
    /// Names are listed.
    List,
}

/// One request of many, by what it does: the step at which a caller dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it does.
    pub verb: Verb,
    /// A part of the object's name, or of one of them.
    pub of: &'static str,
    /// The caller dies when it is carried out, before it knows; else before it is.
    pub is_done: bool,
}

/// The switchboard of a store that fails. One seed gives one sequence of chances.
pub struct Faults {
    env: Env,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    chance: u64,
    plan: Plan,
    happened: Happened,
    /// Deleted, and after how many requests really.
    lagging: Vec<(Path, u32)>,
    locked: Option<Path>,
    dies_after: Option<u64>,
    dies_at: Option<Step>,
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").finish_non_exhaustive()
    }
}

impl Faults {
    /// A store that does not fail yet.
    pub fn seeded(seed: u64, env: Env) -> Arc<Faults> {
        let state = State { chance: seed, ..State::default() };
        Arc::new(Faults { env, state: Mutex::new(state) })
    }

    /// From now on.
    pub fn set(&self, plan: Plan) {
        self.state.lock().plan = plan;
    }

    /// What it did.
    pub fn happened(&self) -> Happened {
        self.state.lock().happened
    }

    /// Objects below this folder refuse to be deleted, until `None` is said.
    pub fn lock(&self, folder: Option<&str>) {
        self.state.lock().locked = folder.map(Path::from);
    }

    /// After so many further requests the caller is dead: no request of its arrives any more, until
    /// [`Faults::revive`]. The last one may have been carried out.
    pub fn die_after(&self, requests: u64) {
        self.state.lock().dies_after = Some(requests);
    }

    /// The caller is dead at the next request of this kind, as by [`Faults::die_after`].
    pub fn die_at(&self, step: Step) {
        self.state.lock().dies_at = Some(step);
    }

    /// The caller lives again, as another process. Says how many requests it had left.
    pub fn revive(&self) -> Option<u64> {
        let mut state = self.state.lock();
        state.dies_at = None;
        state.dies_after.take()
    }

    /// Whether the caller's last request has been made.
    pub fn is_dead(&self) -> bool {
        self.state.lock().dies_after == Some(0)
    }

    pub(super) fn over<T>(self: &Arc<Faults>, store: T) -> Faulty<T> {
        Faulty { store: Arc::new(store), faults: Arc::clone(self) }
    }

    fn plan(&self) -> Plan {
        self.state.lock().plan
    }

    /// A request arrives, for objects whose names are `of`.
    async fn arrive(&self, verb: Verb, of: &[Path]) -> Result<()> {
        let slow = self.plan().slow;
        if slow > Duration::ZERO {
            self.env.sleep(slow).await;
        }
        let mut state = self.state.lock();
        state.happened.requests += 1;
        state.meet(verb, of);
        if state.is_dead() {
            return Err(dead());
        }
        let plan = state.plan;
        if plan.down || state.roll(plan.refused) {
            state.happened.refused += 1;
            return Err(failure("503 Service Unavailable: <Code>SlowDown</Code>"));
        }
        Ok(())
    }

    /// A request was carried out.
    fn leave<T>(&self, result: Result<T>) -> Result<T> {
        let mut state = self.state.lock();
        if state.dies_after == Some(0) {
            return Err(dead());
        }
        let plan = state.plan;
        if result.is_ok() && state.roll(plan.lost) {
            state.happened.lost += 1;
            return Err(failure("the connection closed before the answer"));
        }
        result
    }

    /// What becomes of a body on the way.
    fn mangle(&self, body: Bytes) -> Bytes {
        let mut state = self.state.lock();
        if body.is_empty() {
            return body;
        }
        let plan = state.plan;
        let at = usize::try_from(state.next()).unwrap_or(0) % body.len();
        if state.roll(plan.cut) {
            state.happened.cut += 1;
            return body.slice(..at);
        }
        if state.roll(plan.flipped) {
            state.happened.flipped += 1;
            let mut bytes = body.to_vec();
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << (state.next() % 8);
            }
            return bytes.into();
        }
        body
    }
}

impl State {
    /// The request may be the one at which the caller dies.
    fn meet(&mut self, verb: Verb, of: &[Path]) {
        let Some(step) = self.dies_at else { return };
        let is_named = |path: &Path| path.as_ref().contains(step.of);
        if self.dies_after.is_none() && step.verb == verb && of.iter().any(is_named) {
            self.dies_after = Some(u64::from(step.is_done));
        }
    }

    /// Whether the caller is dead, and one request less for one that will be.
    fn is_dead(&mut self) -> bool {
        match &mut self.dies_after {
            None => false,
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
        }
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.chance = self.chance.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.chance;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) & (u64::MAX >> 1)
    }

    fn roll(&mut self, per_mille: u32) -> bool {
        per_mille > 0 && self.next() % 1_000 < u64::from(per_mille)
    }
}

/// A refusal, so that nobody tries again on behalf of the dead.
fn dead() -> Error {
    failure("403: <Code>AccessDenied</Code><Message>the caller is dead</Message>")
}

fn failure(what: &'static str) -> Error {
    Error::Generic { store: "faulty", source: what.into() }
}

/// A store whose requests meet the faults.
pub(super) struct Faulty<T> {
    store: Arc<T>,
    faults: Arc<Faults>,
}

impl<T> Clone for Faulty<T> {
    fn clone(&self) -> Faulty<T> {
        Faulty { store: Arc::clone(&self.store), faults: Arc::clone(&self.faults) }
    }
}

impl<T> fmt::Debug for Faulty<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

impl<T> fmt::Display for Faulty<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a store that fails as told")
    }
}

impl<T: ObjectStore> Faulty<T> {
    /// A request arrives, and what lags moves on.
    async fn arrive(&self, verb: Verb, of: &[Path]) -> Result<()> {
        self.faults.arrive(verb, of).await?;
        let mut due = Vec::new();
        self.faults.state.lock().lagging.retain_mut(|(path, left)| {
            *left = left.saturating_sub(1);
            if *left == 0 {
                due.push(path.clone());
            }
            *left > 0
        });
        for path in due {
            self.store.delete(&path).await?;
        }
        Ok(())
    }

    async fn delete_all(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> Result<Vec<Result<Path>>> {
        let paths: Vec<Path> = paths.try_collect().await?;
        self.arrive(Verb::Delete, &paths).await?;
        let lag = self.faults.plan().delete_lag;
        let mut done = Vec::new();
        let locked = self.faults.state.lock().locked.clone();
        for path in paths {
            if locked.as_ref().is_some_and(|folder| path.prefix_matches(folder)) {
                let said = "403: <Code>AccessDenied</Code><Message>it is locked</Message>";
                done.push(Err(failure(said)));
            } else if lag > 0 {
                self.faults.state.lock().lagging.push((path.clone(), lag));
                done.push(Ok(path));
            } else {
                self.store.delete(&path).await?;
                done.push(Ok(path));
            }
        }
        self.faults.leave(Ok(done))
    }

    fn listed(
        &self,
        prefix: Option<&Path>,
        list: impl FnOnce(&T) -> BoxStream<'static, Result<ObjectMeta>> + Send + 'static,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let this = self.clone();
        let of = prefix.cloned().unwrap_or_default();
        let arrived = async move {
            this.arrive(Verb::List, &[of]).await?;
            Ok::<_, Error>(list(&this.store))
        };
        stream::once(arrived).try_flatten().boxed()
    }
}

#[async_trait]
impl<T: ObjectStore> ObjectStore for Faulty<T> {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        mut opts: PutOptions,
    ) -> Result<PutResult> {
        self.arrive(Verb::Put, slice::from_ref(location)).await?;
        if self.faults.plan().ignores_create {
            opts.mode = PutMode::Overwrite;
        }
        self.faults.leave(self.store.put_opts(location, payload, opts).await)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.arrive(Verb::Get, slice::from_ref(location)).await?;
        let head = options.head;
        let result = self.faults.leave(self.store.get_opts(location, options).await)?;
        if head {
            return Ok(result);
        }
        let GetResult { meta, range, attributes, extensions, .. } = &result;
        let (meta, range) = (meta.clone(), range.clone());
        let (attributes, extensions) = (attributes.clone(), extensions.clone());
        let body = self.faults.mangle(result.bytes().await?);
        let payload = GetResultPayload::Stream(stream::once(async { Ok(body) }).boxed());
        Ok(GetResult { payload, meta, range, attributes, extensions })
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        let deleted = async move { this.delete_all(locations).await.map(stream::iter) };
        stream::once(deleted).try_flatten().boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let prefix = prefix.cloned();
        self.listed(prefix.clone().as_ref(), move |store| store.list(prefix.as_ref()))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let (prefix, offset) = (prefix.cloned(), offset.clone());
        self.listed(prefix.clone().as_ref(), move |store| {
            store.list_with_offset(prefix.as_ref(), &offset)
        })
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.arrive(Verb::List, &prefix.cloned().map_or_else(Vec::new, |of| vec![of])).await?;
        self.faults.leave(self.store.list_with_delimiter(prefix).await)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.arrive(Verb::Put, slice::from_ref(to)).await?;
        self.faults.leave(self.store.copy_opts(from, to, options).await)
    }
}

#[async_trait]
impl<T: ObjectStore + MultipartStore> MultipartStore for Faulty<T> {
    async fn create_multipart(&self, path: &Path) -> Result<String> {
        self.arrive(Verb::Put, slice::from_ref(path)).await?;
        self.faults.leave(self.store.create_multipart(path).await)
    }

    async fn put_part(
        &self,
        path: &Path,
        id: &String,
        part_idx: usize,
        data: PutPayload,
    ) -> Result<PartId> {
        self.arrive(Verb::Put, slice::from_ref(path)).await?;
        self.faults.leave(self.store.put_part(path, id, part_idx, data).await)
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &String,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        self.arrive(Verb::Put, slice::from_ref(path)).await?;
        self.faults.leave(self.store.complete_multipart(path, id, parts).await)
    }

    async fn abort_multipart(&self, path: &Path, id: &String) -> Result<()> {
        self.arrive(Verb::Delete, slice::from_ref(path)).await?;
        self.faults.leave(self.store.abort_multipart(path, id).await)
    }
}
