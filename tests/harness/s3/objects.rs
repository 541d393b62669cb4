//! Buckets and what is in them. Pure but for the bodies, which may lie in files.

use super::request::{List, Range};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// The least that S3 takes as a part that is not the last.
const PART_BYTES_MIN: u64 = 5 << 20;

/// An object's bytes.
#[derive(Clone, Debug)]
pub(super) enum Body {
    Memory(Bytes),
    File(Arc<FileBody>),
}

/// Bytes in a file of their own, which goes with them.
#[derive(Debug)]
pub(super) struct FileBody {
    pub(super) path: PathBuf,
    pub(super) len: u64,
}

impl Drop for FileBody {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Body {
    pub(super) fn len(&self) -> u64 {
        match self {
            Body::Memory(bytes) => bytes.len() as u64,
            Body::File(file) => file.len,
        }
    }

    /// Some of it; what is asked for is there.
    pub(super) fn read(&self, from: u64, len: u64) -> Bytes {
        let (at, count) = (usize::try_from(from).unwrap(), usize::try_from(len).unwrap());
        match self {
            Body::Memory(bytes) => bytes.slice(at..at + count),
            Body::File(file) => {
                let mut bytes = vec![0; count];
                let opened = std::fs::File::open(&file.path).unwrap();
                opened.read_exact_at(&mut bytes, from).unwrap();
                bytes.into()
            }
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) body: Body,
    pub(super) etag: String,
    pub(super) stored_at: SystemTime,
    /// Lists show it from here on.
    listed_from: Instant,
    deleted: Option<Deleted>,
}

/// How long an object that was deleted still seems to be there.
#[derive(Clone, Copy, Debug)]
struct Deleted {
    read_until: Instant,
    listed_until: Instant,
}

impl Object {
    fn is_there(&self, now: Instant) -> bool {
        self.deleted.is_none_or(|deleted| now < deleted.read_until)
    }

    fn is_listed(&self, now: Instant) -> bool {
        self.listed_from <= now && self.deleted.is_none_or(|deleted| now < deleted.listed_until)
    }

    fn is_over(&self, now: Instant) -> bool {
        !self.is_there(now) && self.deleted.is_none_or(|deleted| deleted.listed_until <= now)
    }
}

#[derive(Debug)]
struct Upload {
    key: String,
    parts: BTreeMap<usize, (String, Body)>,
}

/// Why a request is refused, as S3 calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    NoSuchBucket,
    NoSuchKey,
    NoSuchUpload,
    PreconditionFailed,
    InvalidRange,
    InvalidPart,
    EntityTooSmall,
    NotImplemented,
    SlowDown,
    InternalError,
}

/// A page of a list.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) objects: Vec<(String, Object)>,
    pub(super) folders: Vec<String>,
    /// Where the next page goes on.
    pub(super) next: Option<String>,
}

/// When a request is carried out, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) steady: Instant,
    pub(super) wall: SystemTime,
}

impl Now {
    #[expect(clippy::disallowed_methods, reason = "a server on a real socket has a real clock")]
    pub(super) fn look() -> Now {
        Now { steady: Instant::now(), wall: SystemTime::now() }
    }
}

#[derive(Debug)]
pub(super) struct Objects {
    pub(super) is_up: bool,
    buckets: BTreeSet<String>,
    objects: BTreeMap<(String, String), Object>,
    uploads: BTreeMap<String, Upload>,
    uploads_begun: u64,
    pub(super) list_lag: Duration,
    pub(super) delete_lag: Duration,
}

impl Objects {
    pub(super) fn new(bucket: &str) -> Objects {
        Objects {
            is_up: true,
            buckets: BTreeSet::from([bucket.to_owned()]),
            objects: BTreeMap::new(),
            uploads: BTreeMap::new(),
            uploads_begun: 0,
            list_lag: Duration::ZERO,
            delete_lag: Duration::ZERO,
        }
    }

    pub(super) fn create_bucket(&mut self, bucket: &str) {
        self.buckets.insert(bucket.to_owned());
    }

    pub(super) fn check_bucket(&self, bucket: &str) -> Result<(), Refused> {
        if self.buckets.contains(bucket) { Ok(()) } else { Err(Refused::NoSuchBucket) }
    }

    pub(super) fn get(&self, bucket: &str, key: &str, now: Now) -> Result<&Object, Refused> {
        self.check_bucket(bucket)?;
        let object = self.objects.get(&(bucket.to_owned(), key.to_owned()));
        object.filter(|object| object.is_there(now.steady)).ok_or(Refused::NoSuchKey)
    }

    /// Stores and returns the new tag.
    pub(super) fn put(
        &mut self,
        (bucket, key): (&str, &str),
        body: Body,
        etag: String,
        create_only: bool,
        now: Now,
    ) -> Result<String, Refused> {
        match self.get(bucket, key, now) {
            Ok(_) if create_only => return Err(Refused::PreconditionFailed),
            Ok(_) | Err(Refused::NoSuchKey) => {}
            Err(other) => return Err(other),
        }
        let object = Object {
            body,
            etag: etag.clone(),
            stored_at: now.wall,
            listed_from: now.steady + self.list_lag,
            deleted: None,
        };
        self.objects.insert((bucket.to_owned(), key.to_owned()), object);
        Ok(etag)
    }

    /// What is not there counts as deleted.
    pub(super) fn delete(&mut self, bucket: &str, key: &str, now: Now) -> Result<(), Refused> {
        self.check_bucket(bucket)?;
        let place = (bucket.to_owned(), key.to_owned());
        let Some(object) = self.objects.get_mut(&place) else { return Ok(()) };
        if object.deleted.is_none() {
            let read_until = now.steady + self.delete_lag;
            let listed_until = read_until.max(now.steady + self.list_lag);
            object.deleted = Some(Deleted { read_until, listed_until });
        }
        if object.is_over(now.steady) {
            self.objects.remove(&place);
        }
        Ok(())
    }

    /// Changes one bit for good.
    pub(super) fn damage(&mut self, bucket: &str, key: &str, bit: u64) {
        let object = self.objects.get_mut(&(bucket.to_owned(), key.to_owned())).unwrap();
        let mut bytes = object.body.read(0, object.body.len()).to_vec();
        bytes[usize::try_from(bit / 8).unwrap()] ^= 1 << (bit % 8);
        object.body = Body::Memory(bytes.into());
    }

    pub(super) fn list(&self, bucket: &str, list: &List, now: Now) -> Result<Page, Refused> {
        self.check_bucket(bucket)?;
        let mut page = Page::default();
        let after = list.after.clone().unwrap_or_default();
        let begin = (bucket.to_owned(), after.clone().max(list.prefix.clone()));
        let mut last = String::new();
        for ((of, key), object) in self.objects.range(begin..) {
            if of != bucket || !key.starts_with(&list.prefix) {
                break;
            }
            let folder = folder(key, list);
            let is_passed = *key <= after
                || folder.as_ref().is_some_and(|folder| *folder <= after || page.has(folder));
            if is_passed || !object.is_listed(now.steady) {
                continue;
            }
            if page.objects.len() + page.folders.len() >= list.keys_max {
                page.next = Some(last);
                break;
            }
            match folder {
                Some(folder) => {
                    // Nothing in the folder comes after this.
                    last = format!("{folder}{}", char::MAX);
                    page.folders.push(folder);
                }
                None => {
                    last.clone_from(key);
                    page.objects.push((key.clone(), object.clone()));
                }
            }
        }
        Ok(page)
    }

    pub(super) fn begin(&mut self, bucket: &str, key: &str) -> Result<String, Refused> {
        self.check_bucket(bucket)?;
        self.uploads_begun += 1;
        let id = format!("upload-{}", self.uploads_begun);
        self.uploads.insert(id.clone(), Upload { key: key.to_owned(), parts: BTreeMap::new() });
        Ok(id)
    }

    pub(super) fn part(
        &mut self,
        upload: &str,
        number: usize,
        etag: String,
        body: Body,
    ) -> Result<(), Refused> {
        let upload = self.uploads.get_mut(upload).ok_or(Refused::NoSuchUpload)?;
        upload.parts.insert(number, (etag, body));
        Ok(())
    }

    /// The bodies of an upload's parts. `parts`: their numbers and tags, as the client has them.
    pub(super) fn parts(
        &self,
        key: &str,
        upload: &str,
        parts: &[(usize, String)],
    ) -> Result<Vec<Body>, Refused> {
        let upload = self.uploads.get(upload).filter(|upload| upload.key == key);
        let upload = upload.ok_or(Refused::NoSuchUpload)?;
        let ascends = parts.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let mut bodies = Vec::new();
        for (number, etag) in parts {
            match upload.parts.get(number) {
                Some((known, body)) if known == etag && ascends => bodies.push(body.clone()),
                Some(_) | None => return Err(Refused::InvalidPart),
            }
        }
        let all_but_last = bodies.split_last().map_or(&[][..], |(_, before)| before);
        if all_but_last.iter().any(|body| body.len() < PART_BYTES_MIN) {
            return Err(Refused::EntityTooSmall);
        }
        Ok(bodies)
    }

    pub(super) fn end_upload(&mut self, upload: &str) -> Result<(), Refused> {
        self.uploads.remove(upload).map(|_| ()).ok_or(Refused::NoSuchUpload)
    }

    /// Uploads that were neither completed nor aborted.
    pub(super) fn uploads(&self) -> usize {
        self.uploads.len()
    }
}

impl Page {
    fn has(&self, folder: &str) -> bool {
        self.folders.last().is_some_and(|last| last == folder)
    }
}

/// What a key counts as where lists stop at a delimiter.
fn folder(key: &str, list: &List) -> Option<String> {
    let delimiter = list.delimiter.as_deref().filter(|text| !text.is_empty())?;
    let at = key[list.prefix.len()..].find(delimiter)?;
    Some(key[..list.prefix.len() + at + delimiter.len()].to_owned())
}

/// First and last byte of a range of an object, if it has any of it.
pub(super) fn span(range: Range, len: u64) -> Result<(u64, u64), Refused> {
    match range {
        Range::All => Ok((0, len)),
        Range::Of(from, to) if from < len && from <= to => {
            Ok((from, len.min(to.saturating_add(1))))
        }
        Range::Last(count) if count > 0 && len > 0 => Ok((len - len.min(count), len)),
        Range::Of(..) | Range::Last(_) => Err(Refused::InvalidRange),
    }
}
