//! One request: understood, counted, befallen by faults, carried out, answered.

use super::answer::{self, Answer};
use super::body::Spoilt;
use super::counts::Counts;
use super::faults::{Fate, Fault, Faults};
use super::objects::{Body, FileBody, Now, Objects, Refused, span};
use super::request::{self, Asked, Operation, Range};
use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// What the connections share with the test.
pub(super) struct Shared {
    /// What the store's keys begin with, with its slash.
    pub(super) prefix: String,
    pub(super) objects: Mutex<Objects>,
    pub(super) faults: Mutex<Faults>,
    pub(super) counts: Mutex<Counts>,
    /// Told whenever a rule is lifted.
    pub(super) lifted: watch::Sender<()>,
    /// Where large bodies lie, and how large is large.
    pub(super) files: Option<Files>,
}

pub(super) struct Files {
    pub(super) folder: PathBuf,
    pub(super) bytes_min: usize,
    pub(super) named: AtomicU64,
}

/// The connection ends without an answer.
fn closed() -> io::Error {
    io::Error::other("closed, as the test wants it")
}

impl Shared {
    /// An error closes the connection.
    pub(super) async fn exchange(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> io::Result<Answer> {
        let mut asked = request::parse(&request, &self.prefix);
        let mut incoming = Some(request.into_body());
        let mut sent = Vec::new();
        if asked.operation == Operation::DeleteMany {
            // Only the body says which names it is about.
            sent = read(incoming.take(), None).await?;
            asked.about(request::elements(&sent, "Key"), &self.prefix);
        }
        self.counts.lock().unwrap().of(&asked).requests += 1;
        let fate = self.faults.lock().unwrap().fate(&asked, Now::look().steady);
        if fate.fails() {
            self.counts.lock().unwrap().of(&asked).failed += 1;
        }
        if incoming.is_some() {
            sent = read(incoming.take(), fate.bytes_per_second()).await?;
        }
        if matches!(asked.operation, Operation::Put { .. } | Operation::Part { .. }) {
            self.counts.lock().unwrap().of(&asked).received_bytes += sent.len() as u64;
        }
        wait(fate.delay()).await;
        self.call(&asked, false).await;
        if let Some(refused) = self.before(&fate).await? {
            return Ok(answer::refused(refused, asked.key()));
        }
        let outcome = self.carry_out(&asked, sent, spoilt(&fate))?;
        self.call(&asked, true).await;
        self.afterwards(&fate).await?;
        Ok(outcome.unwrap_or_else(|refused| answer::refused(refused, asked.key())))
    }

    async fn before(&self, fate: &Fate) -> io::Result<Option<Refused>> {
        if let Some(rule) = fate.rule(Fault::Hang) {
            self.hang(rule).await;
            return Err(closed());
        }
        if fate.has(Fault::Dropped) {
            return Err(closed());
        }
        if fate.has(Fault::SlowDown) {
            return Ok(Some(Refused::SlowDown));
        }
        Ok(fate.has(Fault::InternalError).then_some(Refused::InternalError))
    }

    async fn afterwards(&self, fate: &Fate) -> io::Result<()> {
        if let Some(rule) = fate.rule(Fault::HangAfter) {
            self.hang(rule).await;
            return Err(closed());
        }
        if fate.has(Fault::ReplyLost) { Err(closed()) } else { Ok(()) }
    }

    /// Until the rule is lifted or over.
    async fn hang(&self, rule: u64) {
        let mut lifted = self.lifted.subscribe();
        loop {
            let holds = self.faults.lock().unwrap().holds(rule, Now::look().steady);
            match holds {
                None => return,
                Some(None) => {
                    let _ = lifted.changed().await;
                }
                Some(Some(until)) => {
                    let _ = tokio::time::timeout_at(until.into(), lifted.changed()).await;
                }
            }
        }
    }

    /// What the test wants to be called now, on a thread that may wait.
    async fn call(&self, asked: &Asked, is_after: bool) {
        let calls = self.faults.lock().unwrap().calls(asked, is_after);
        for call in calls {
            let asked = asked.clone();
            // A panic of the test's own fails its request, and is printed.
            let _ = tokio::task::spawn_blocking(move || call(&asked)).await;
        }
    }

    fn carry_out(
        &self,
        asked: &Asked,
        sent: Vec<u8>,
        spoilt: Spoilt,
    ) -> io::Result<Result<Answer, Refused>> {
        let etag = format!("\"{:016x}\"", crc_fast::checksum(TAG, &sent));
        let body = if let Operation::Complete { upload, .. } = &asked.operation {
            match self.joined(asked, upload, &sent)? {
                Ok(body) => Some(body),
                Err(refused) => return Ok(Err(refused)),
            }
        } else if matches!(asked.operation, Operation::Put { .. } | Operation::Part { .. }) {
            Some(self.body(sent)?)
        } else {
            None
        };
        let mut objects = self.objects.lock().unwrap();
        if !objects.is_up {
            return Err(closed());
        }
        let outcome = apply(&mut objects, asked, body, etag, spoilt);
        drop(objects);
        if let (Ok(answer), Operation::Get(_)) = (&outcome, &asked.operation) {
            let len = hyper::body::Body::size_hint(answer.body()).exact().unwrap_or(0);
            self.counts.lock().unwrap().of(asked).sent_bytes += len;
        }
        Ok(outcome)
    }

    /// The parts of an upload as one body.
    fn joined(
        &self,
        asked: &Asked,
        upload: &str,
        sent: &[u8],
    ) -> io::Result<Result<Body, Refused>> {
        let numbers = request::elements(sent, "PartNumber").into_iter();
        let numbers = numbers.map(|number| number.parse().unwrap_or(0));
        let parts: Vec<(usize, String)> = numbers.zip(request::elements(sent, "ETag")).collect();
        let bodies = self.objects.lock().unwrap().parts(asked.key(), upload, &parts);
        match bodies {
            Ok(bodies) => {
                let pieces: Vec<_> = bodies.iter().map(|body| body.read(0, body.len())).collect();
                self.body(pieces.concat()).map(Ok)
            }
            Err(refused) => Ok(Err(refused)),
        }
    }

    fn body(&self, bytes: Vec<u8>) -> io::Result<Body> {
        match &self.files {
            Some(files) if bytes.len() >= files.bytes_min => {
                let number = files.named.fetch_add(1, Ordering::Relaxed);
                let path = files.folder.join(format!("{number:08}"));
                std::fs::write(&path, &bytes)?;
                Ok(Body::File(Arc::new(FileBody { path, len: bytes.len() as u64 })))
            }
            Some(_) | None => Ok(Body::Memory(bytes.into())),
        }
    }
}

/// What tags of objects are made of.
const TAG: crc_fast::CrcAlgorithm = crc_fast::CrcAlgorithm::Crc64Nvme;

fn apply(
    objects: &mut Objects,
    asked: &Asked,
    body: Option<Body>,
    etag: String,
    spoilt: Spoilt,
) -> Result<Answer, Refused> {
    let (bucket, key, now) = (asked.bucket.as_str(), asked.key(), Now::look());
    match (&asked.operation, body) {
        (Operation::Put { create_only }, Some(body)) => {
            let etag = objects.put((bucket, key), body, etag, *create_only, now)?;
            Ok(answer::stored(&etag))
        }
        (Operation::Part { upload, number }, Some(body)) => {
            objects.part(upload, *number, etag.clone(), body)?;
            Ok(answer::stored(&etag))
        }
        (Operation::Complete { upload, create_only }, Some(body)) => {
            let etag = objects.put((bucket, key), body, etag, *create_only, now)?;
            objects.end_upload(upload)?;
            Ok(answer::completed(bucket, key, &etag))
        }
        (Operation::Get(range), _) => {
            let object = objects.get(bucket, key, now)?;
            let (from, to) = span(*range, object.body.len())?;
            Ok(answer::got(object, (*range != Range::All).then_some((from, to)), spoilt))
        }
        (Operation::Head, _) => Ok(answer::head(objects.get(bucket, key, now)?)),
        (Operation::List(list), _) => {
            Ok(answer::listed(bucket, &list.prefix, &objects.list(bucket, list, now)?))
        }
        (Operation::Delete, _) => {
            objects.delete(bucket, key, now)?;
            Ok(answer::empty(StatusCode::NO_CONTENT))
        }
        (Operation::DeleteMany, _) => {
            for key in &asked.keys {
                objects.delete(bucket, key, now)?;
            }
            Ok(answer::deleted(&asked.keys))
        }
        (Operation::Begin, _) => Ok(answer::begun(bucket, key, &objects.begin(bucket, key)?)),
        (Operation::Abort { upload }, _) => {
            objects.end_upload(upload)?;
            Ok(answer::empty(StatusCode::NO_CONTENT))
        }
        (Operation::BucketHead, _) => {
            objects.check_bucket(bucket)?;
            Ok(answer::empty(StatusCode::OK))
        }
        (Operation::BucketCreate, _) => {
            objects.create_bucket(bucket);
            Ok(answer::empty(StatusCode::OK))
        }
        _ => Err(Refused::NotImplemented),
    }
}

async fn read(incoming: Option<Incoming>, rate: Option<u64>) -> io::Result<Vec<u8>> {
    match incoming {
        Some(incoming) => request::body(incoming, rate).await.map_err(io::Error::other),
        None => Ok(Vec::new()),
    }
}

fn spoilt(fate: &Fate) -> Spoilt {
    Spoilt {
        bytes_per_second: fate.bytes_per_second(),
        is_truncated: fate.has(Fault::Truncated),
        has_flipped_bit: fate.has(Fault::FlippedBit),
    }
}

#[expect(clippy::disallowed_methods, reason = "a late server is late by the real clock")]
async fn wait(time: std::time::Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}
