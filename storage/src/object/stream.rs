//! Storing a large object whose bytes are not all there yet: memory holds one part.
//!
//! INV-CREATE-1 holds as in [`super::create`], but for what "exactly these bytes" is told by: after a
//! lost answer the stored object is read back and its length and SHA-256 are compared, since the
//! bytes themselves are gone.
use super::bucket::{Ask, Bucket};
use super::content::Content;
use super::create::{COMPARED_BYTES, Created, PART_BYTES};
use super::error::{Error, Fault};
use super::patience::Budget;
use super::{Kind, Name, Purpose};
use bytes::Bytes;
use object_store::multipart::{MultipartStore, PartId};
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// What an [`Upload`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// How.
    pub created: Created,
    /// Bytes of the object.
    pub bytes: u64,
    /// SHA-256 of them.
    pub sha256: [u8; 32],
}

/// An object that is being stored front to back. The name carries a nonce and was never used: an
/// upload is one writer's one try. What a dropped upload leaves, the bucket's rule for aborted
/// uploads clears away; [`Upload::abort`] does so at once.
pub struct Upload {
    bucket: Bucket,
    name: Name,
    purpose: Purpose,
    /// Not sent yet; less than a part between calls.
    pending: Vec<Bytes>,
    pending_bytes: u64,
    bytes: u64,
    hash: Sha256,
    to: Destination,
}

enum Destination {
    /// Nothing was sent.
    Unopened,
    /// Parts of a service.
    Parts { store: Arc<dyn MultipartStore>, id: String, sent: Vec<PartId> },
    /// A file that has its name when it is whole.
    Staged(Box<dyn MultipartUpload>),
}

impl Bucket {
    /// Begins to store an object. Nothing is asked of the store before a part is full.
    pub fn upload(&self, name: Name, purpose: Purpose) -> Upload {
        Upload {
            bucket: self.clone(),
            name,
            purpose,
            pending: Vec::new(),
            pending_bytes: 0,
            bytes: 0,
            hash: Sha256::new(),
            to: Destination::Unopened,
        }
    }
}

impl Upload {
    /// Appends bytes, and waits while a part is sent.
    ///
    /// # Errors
    /// [`Error::Foreign`] when something has the name already; else when the store does not take a
    /// part. The upload is of no use then.
    pub async fn push(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.hash.update(&bytes);
        self.bytes += bytes.len() as u64;
        self.pending_bytes += bytes.len() as u64;
        self.pending.push(bytes);
        while self.pending_bytes > PART_BYTES {
            self.send(PART_BYTES).await?;
        }
        Ok(())
    }

    /// The object is whole: stores it.
    ///
    /// # Errors
    /// As [`Bucket::create`].
    pub async fn finish(mut self) -> Result<Stored, Error> {
        let sha256: [u8; 32] = self.hash.clone().finalize().into();
        let bytes = self.bytes;
        if matches!(self.to, Destination::Unopened) {
            let content = Content::from(std::mem::take(&mut self.pending));
            let created = self.bucket.create(&self.name, content, self.purpose).await?;
            return Ok(Stored { created, bytes, sha256 });
        }
        self.send(self.pending_bytes).await?;
        let mut budget = self.bucket.budget();
        let outcome = match self.to {
            Destination::Parts { .. } => self.join(sha256, &mut budget).await,
            Destination::Staged(_) | Destination::Unopened => {
                self.publish(sha256, &mut budget).await
            }
        };
        let created = outcome.map_err(|fault| self.error(fault, &budget))?;
        Ok(Stored { created, bytes, sha256 })
    }

    /// Gives the upload up, and what was sent of it.
    pub async fn abort(mut self) {
        let ask = Ask::new(Kind::Put, self.purpose);
        let time_max = self.bucket.patience.attempt_time_max;
        let path = self.bucket.path(&self.name);
        // Whatever comes of it: the bucket's rule clears away the rest.
        match &mut self.to {
            Destination::Unopened => {}
            Destination::Parts { store, id, .. } => {
                let _ = self.bucket.attempt(ask, time_max, store.abort_multipart(&path, id)).await;
            }
            Destination::Staged(upload) => {
                let _ = self.bucket.attempt(ask, time_max, upload.abort()).await;
            }
        }
    }

    fn error(&self, fault: Fault, budget: &Budget) -> Error {
        self.bucket.error(fault, Kind::Put, &self.name, budget)
    }

    /// Sends the first `bytes` of what is pending.
    async fn send(&mut self, bytes: u64) -> Result<(), Error> {
        let mut budget = self.bucket.budget();
        let sent = async {
            self.open(&mut budget).await?;
            self.send_part(bytes, &mut budget).await
        };
        let outcome = sent.await;
        outcome.map_err(|fault| self.error(fault, &budget))
    }

    async fn open(&mut self, budget: &mut Budget) -> Result<(), Fault> {
        if !matches!(self.to, Destination::Unopened) {
            return Ok(());
        }
        if let Some(found) = self.found(budget).await? {
            return Err(Fault::Foreign(found));
        }
        let ask = Ask::new(Kind::Put, self.purpose);
        let path = self.bucket.path(&self.name);
        let shared = &self.bucket.shared;
        self.to = match &shared.parts {
            Some(parts) => {
                let begin = || parts.create_multipart(&path);
                let id = self.bucket.persist(ask, &self.name, budget, begin).await?;
                Destination::Parts { store: Arc::clone(parts), id, sent: Vec::new() }
            }
            None => {
                let begin = || shared.store.put_multipart(&path);
                let upload = self.bucket.persist(ask, &self.name, budget, begin).await?;
                Destination::Staged(upload)
            }
        };
        Ok(())
    }

    async fn send_part(&mut self, bytes: u64, budget: &mut Budget) -> Result<(), Fault> {
        let content = Content::from(std::mem::take(&mut self.pending));
        let (part, rest) = (content.part(0..bytes), content.part(bytes..content.len()));
        self.pending = rest.into_iter().collect();
        self.pending_bytes = content.len() - bytes;
        let ask = Ask { sent_bytes: bytes, ..Ask::new(Kind::Put, self.purpose) };
        let path = self.bucket.path(&self.name);
        match &mut self.to {
            Destination::Unopened => Ok(()),
            Destination::Parts { store, id, sent } => {
                let index = sent.len();
                let put = || store.put_part(&path, id, index, part.clone());
                let part = self.bucket.persist(ask, &self.name, budget, put).await?;
                sent.push(part);
                Ok(())
            }
            // Once: where a file ended after a failure is not known.
            Destination::Staged(upload) => {
                let time_max = budget.attempt();
                let put = upload.put_part(PutPayload::clone(&part));
                self.bucket.attempt(ask, time_max, put).await
            }
        }
    }

    // Nothing is borrowed shared while it waits: an upload may go on in another thread, and is no
    // thing that two look at.
    async fn join(&mut self, sha256: [u8; 32], budget: &mut Budget) -> Result<Created, Fault> {
        let Destination::Parts { store, id, sent } = &self.to else {
            return Err(Fault::unknown("nothing was sent"));
        };
        let (store, id, sent) = (Arc::clone(store), id.clone(), sent.clone());
        let path = self.bucket.path(&self.name);
        loop {
            self.bucket.admitted(budget).await?;
            let time_max = budget.attempt();
            let ask = Ask::new(Kind::Put, self.purpose);
            let join = store.complete_multipart(&path, &id, sent.clone());
            let failure = match self.bucket.attempt(ask, time_max, join).await {
                Ok(_) => return Ok(Created::Now),
                Err(failure @ Fault::Unavailable { .. }) => failure,
                // An upload that is not there any more was joined by the attempt before.
                Err(Fault::NotFound | Fault::Exists) => Fault::unknown("the upload is gone"),
                Err(refused) => return Err(refused),
            };
            match self.is_stored(sha256, budget).await {
                Ok(true) => return Ok(Created::Before),
                Err(foreign @ Fault::Foreign(_)) => return Err(foreign),
                Ok(false) | Err(_) => {}
            }
            if !self.bucket.pause(budget).await {
                return Err(failure);
            }
        }
    }

    async fn publish(&mut self, sha256: [u8; 32], budget: &mut Budget) -> Result<Created, Fault> {
        let Destination::Staged(upload) = &mut self.to else {
            return Err(Fault::unknown("nothing was sent"));
        };
        let time_max = budget.attempt();
        let ask = Ask::new(Kind::Put, self.purpose);
        match self.bucket.attempt(ask, time_max, upload.complete()).await {
            Ok(_) => Ok(Created::Now),
            Err(failure @ Fault::Unavailable { .. }) => {
                let is_stored = self.is_stored(sha256, budget).await?;
                if is_stored { Ok(Created::Before) } else { Err(failure) }
            }
            Err(refused) => Err(refused),
        }
    }

    /// The length of what has the name.
    async fn found(&mut self, budget: &mut Budget) -> Result<Option<u64>, Fault> {
        let path = self.bucket.path(&self.name);
        let head = || self.bucket.shared.store.head(&path);
        let ask = Ask::new(Kind::Head, self.purpose);
        match self.bucket.persist(ask, &self.name, budget, head).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(Fault::NotFound) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Whether exactly this object is stored; [`Fault::Foreign`] when another has the name.
    async fn is_stored(&mut self, sha256: [u8; 32], budget: &mut Budget) -> Result<bool, Fault> {
        let Some(found) = self.found(budget).await? else { return Ok(false) };
        if found != self.bytes {
            return Err(Fault::Foreign(found));
        }
        let (mut from, mut hash) = (0, Sha256::new());
        while from < found {
            let to = found.min(from + COMPARED_BYTES);
            let range = (from..to).into();
            let stored = self.bucket.fetch(&self.name, range, self.purpose, budget).await?;
            hash.update(&stored.bytes);
            from = to;
        }
        let same = <[u8; 32]>::from(hash.finalize()) == sha256;
        if same { Ok(true) } else { Err(Fault::Foreign(found)) }
    }
}
