//! Names of what is stored, in order, a page at a time.
use super::bucket::{Ask, Bucket};
use super::error::{Error, Fault};
use super::patience::Budget;
use super::{Kind, Name, Purpose};
use crate::env::Timestamp;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use std::collections::VecDeque;

/// Names that are fetched together: S3's page.
const PAGE_NAMES: usize = 1_000;

/// An object that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: Name,
    /// Its length in bytes.
    pub bytes: u64,
    /// When it was stored, by the store's clock, in whole seconds on some.
    pub stored_at: Timestamp,
}

impl Entry {
    pub(super) fn new(name: Name, meta: &ObjectMeta) -> Entry {
        let stored_at = u64::try_from(meta.last_modified.timestamp_millis()).unwrap_or(0);
        Entry { name, bytes: meta.size, stored_at: Timestamp(stored_at) }
    }
}

impl Bucket {
    /// The objects below `folder`, or all, that come after the name `after`, in the order of their
    /// names. What is stored or deleted meanwhile may or may not be among them. What somebody else
    /// put there under a name that is no [`Name`] is not.
    pub fn list(&self, folder: Option<&Name>, after: Option<&Name>, purpose: Purpose) -> Listing {
        Listing {
            folder: self.folder(folder),
            after: after.map(|name| self.path(name)),
            about: folder.cloned(),
            bucket: self.clone(),
            purpose,
            pages: Pages::Unopened,
            ready: VecDeque::new(),
        }
    }
}

/// A list that is being read. Holds one page.
pub struct Listing {
    bucket: Bucket,
    purpose: Purpose,
    folder: Option<Path>,
    /// The last key that was seen: where to go on after a failure.
    after: Option<Path>,
    about: Option<Name>,
    pages: Pages,
    ready: VecDeque<ObjectMeta>,
}

/// Where the next page comes from.
enum Pages {
    /// Nobody was asked yet, or the last one failed.
    Unopened,
    /// A service, which sorts by itself.
    Stream(BoxStream<'static, object_store::Result<ObjectMeta>>),
    /// A folder, walked in the order of its names.
    Walk(Walk),
    /// There are no more.
    Ended,
}

impl Listing {
    /// The next object; `None` after the last one. Safe to drop: what was fetched stays.
    ///
    /// # Errors
    /// [`Error::Unavailable`] and [`Error::Refused`]; the next call goes on where this one stood.
    pub async fn next(&mut self) -> Result<Option<Entry>, Error> {
        loop {
            while let Some(meta) = self.ready.pop_front() {
                if let Some(name) = self.bucket.name(&meta.location) {
                    return Ok(Some(Entry::new(name, &meta)));
                }
            }
            if matches!(self.pages, Pages::Ended) {
                return Ok(None);
            }
            let mut budget = self.bucket.budget();
            if let Err(fault) = self.fill(&mut budget).await {
                let about = self.about.as_ref().map_or("the bucket", Name::as_str);
                return Err(self.bucket.error_about(fault, Kind::List, about, &budget));
            }
        }
    }

    async fn fill(&mut self, budget: &mut Budget) -> Result<(), Fault> {
        loop {
            self.bucket.admitted(budget).await?;
            let time_max = budget.attempt();
            self.open();
            let ask = Ask::new(Kind::List, self.purpose);
            let bucket = self.bucket.clone();
            let page = page(&mut self.pages, &mut self.ready, &*bucket.shared.store);
            let outcome = bucket.attempt(ask, time_max, page).await;
            if let Some(last) = self.ready.back() {
                self.after = Some(last.location.clone());
            }
            let failure = match outcome {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            self.pages = Pages::Unopened;
            if !self.ready.is_empty() {
                return Ok(());
            }
            if !matches!(failure, Fault::Unavailable { .. }) || !self.bucket.pause(budget).await {
                return Err(failure);
            }
        }
    }

    fn open(&mut self) {
        if !matches!(self.pages, Pages::Unopened) {
            return;
        }
        let shared = &self.bucket.shared;
        self.pages = match (shared.sorted, &self.after) {
            (true, Some(after)) => {
                Pages::Stream(shared.store.list_with_offset(self.folder.as_ref(), after))
            }
            (true, None) => Pages::Stream(shared.store.list(self.folder.as_ref())),
            (false, after) => Pages::Walk(Walk::new(self.folder.as_ref(), after.clone())),
        };
    }
}

/// Brings the next page into `ready`. What came before a failure stays there.
async fn page(
    pages: &mut Pages,
    ready: &mut VecDeque<ObjectMeta>,
    store: &dyn ObjectStore,
) -> object_store::Result<()> {
    let ended = match pages {
        Pages::Unopened | Pages::Ended => true,
        Pages::Stream(stream) => loop {
            match stream.next().await {
                Some(Ok(meta)) => ready.push_back(meta),
                Some(Err(error)) => return Err(error),
                None => break true,
            }
            if ready.len() >= PAGE_NAMES {
                break false;
            }
        },
        Pages::Walk(walk) => loop {
            match walk.next(store).await? {
                Some(meta) => ready.push_back(meta),
                None => break true,
            }
            if ready.len() >= PAGE_NAMES {
                break false;
            }
        },
    };
    if ended {
        *pages = Pages::Ended;
    }
    Ok(())
}

/// A walk through folders in the order of the whole names, which a folder does not keep by itself.
/// Holds the names of the folders on the way down.
struct Walk {
    after: Option<Path>,
    /// What is still to be looked at, the next one last.
    steps: Vec<Step>,
}

enum Step {
    Object(ObjectMeta),
    Folder(Option<Path>),
}

impl Step {
    /// What it is sorted by: a folder's objects have a slash after its name.
    fn key(&self) -> String {
        match self {
            Step::Object(meta) => meta.location.to_string(),
            Step::Folder(Some(path)) => format!("{path}/"),
            Step::Folder(None) => String::new(),
        }
    }

    /// Whether all of it comes before or at `after`.
    fn is_passed(&self, after: &str) -> bool {
        let key = self.key();
        match self {
            Step::Object(_) => key.as_str() <= after,
            Step::Folder(_) => key.as_str() <= after && !after.starts_with(&key),
        }
    }
}

impl Walk {
    fn new(folder: Option<&Path>, after: Option<Path>) -> Walk {
        Walk { after, steps: vec![Step::Folder(folder.cloned())] }
    }

    async fn next(&mut self, store: &dyn ObjectStore) -> object_store::Result<Option<ObjectMeta>> {
        while let Some(step) = self.steps.last() {
            let below = match step {
                Step::Object(_) => Vec::new(),
                Step::Folder(path) => self.below(path.as_ref(), store).await?,
            };
            // Only now, so that a failure repeats the step.
            match self.steps.pop() {
                Some(Step::Object(meta)) => return Ok(Some(meta)),
                Some(Step::Folder(_)) | None => self.steps.extend(below),
            }
        }
        Ok(None)
    }

    /// What is in a folder and not passed, the first one last.
    async fn below(
        &self,
        path: Option<&Path>,
        store: &dyn ObjectStore,
    ) -> object_store::Result<Vec<Step>> {
        let found = store.list_with_delimiter(path).await?;
        let folders = found.common_prefixes.into_iter().map(|path| Step::Folder(Some(path)));
        let mut steps: Vec<Step> =
            found.objects.into_iter().map(Step::Object).chain(folders).collect();
        if let Some(after) = &self.after {
            steps.retain(|step| !step.is_passed(after.as_ref()));
        }
        steps.sort_by_cached_key(|step| std::cmp::Reverse(step.key()));
        Ok(steps)
    }
}
