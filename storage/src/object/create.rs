//! Storing an object, once.
//!
//! An object is made, never replaced. A store's "it exists" and its silence are both ambiguous: the
//! first may be the echo of an attempt of our own whose answer was lost, or of two requests that
//! met; the second may hide a success. So what is there is read back and compared, byte for byte,
//! before anything is concluded. That needs nothing of the store but reading, and no mark in the
//! object.
//!
//! INV-CREATE-1: `Ok` means that the object with exactly these bytes is stored.
//! INV-CREATE-2: an object of other bytes is never replaced where the store can be told to make
//! only; elsewhere, and for large ones, whose parts no store joins under that condition as this
//! client asks for it, the nonce in the name keeps writers apart, and a look comes first.
use super::bucket::{Ask, Bucket};
use super::content::Content;
use super::error::{Error, Fault};
use super::patience::Budget;
use super::{Kind, Name, Purpose};
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::multipart::{MultipartStore, PartId};
use object_store::{ObjectStore, ObjectStoreExt, PutMode};
use std::sync::Arc;

/// Objects from this length on are stored in parts where the store has parts, in bytes.
pub const LARGE_BYTES: u64 = 8 << 20;
/// Length of a part, in bytes; the last one is shorter. 10,000 of them, S3's limit, are 78 GiB.
pub(super) const PART_BYTES: u64 = 8 << 20;
/// Parts of one object that are under way together: 32 MiB, which the caller holds already.
const PARTS_IN_FLIGHT: usize = 4;
/// Bytes that are read back at a time.
pub(super) const COMPARED_BYTES: u64 = 4 << 20;

/// How an object came to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// By this call.
    Now,
    /// It was there already with the same bytes: by an attempt whose answer was lost.
    Before,
}

impl Bucket {
    /// Stores an object. The name carries a nonce of its writer ([`Name::with_nonce`]) and is used
    /// for the same bytes only; then repeating the call is safe, also by a process that does not
    /// know whether it stored it before.
    ///
    /// # Errors
    /// [`Error::Foreign`] when something else has the name. [`Error::Unavailable`] says by
    /// [`Error::applied`] whether the object may be there nevertheless.
    pub async fn create(
        &self,
        name: &Name,
        content: impl Into<Content>,
        purpose: Purpose,
    ) -> Result<Created, Error> {
        let content = content.into();
        let new = New { name, content: &content, purpose };
        let mut budget = self.budget();
        let outcome = match &self.shared.parts {
            Some(parts) if content.len() >= LARGE_BYTES => {
                self.create_in_parts(new, parts, &mut budget).await
            }
            Some(_) | None => self.create_whole(new, &mut budget).await,
        };
        outcome.map_err(|fault| self.error(fault, Kind::Put, name, &budget))
    }

    async fn create_whole(&self, new: New<'_>, budget: &mut Budget) -> Result<Created, Fault> {
        let path = self.path(new.name);
        let mode = if self.creates_only() { PutMode::Create } else { PutMode::Overwrite };
        if mode == PutMode::Overwrite && self.is_stored(new, budget).await? {
            return Ok(Created::Before);
        }
        let ask = new.ask(new.content.len());
        loop {
            self.admitted(budget).await?;
            let time_max = budget.attempt();
            let payload = new.content.payload();
            let put = self.shared.store.put_opts(&path, payload, mode.clone().into());
            let failure = match self.attempt(ask, time_max, put).await {
                Ok(_) => return Ok(Created::Now),
                Err(Fault::Exists) if self.is_stored(new, budget).await? => {
                    return Ok(Created::Before);
                }
                // Nothing is there: two requests met, and neither was carried out.
                Err(Fault::Exists) => Fault::unknown("a conflict, and nothing is there"),
                Err(failure @ Fault::Unavailable { .. }) => failure,
                Err(refused) => return Err(refused),
            };
            if !self.pause(budget).await {
                return self.last_look(new, budget, failure).await;
            }
        }
    }

    async fn create_in_parts(
        &self,
        new: New<'_>,
        parts: &Arc<dyn MultipartStore>,
        budget: &mut Budget,
    ) -> Result<Created, Fault> {
        if self.is_stored(new, budget).await? {
            return Ok(Created::Before);
        }
        let path = self.path(new.name);
        let begin = || parts.create_multipart(&path);
        let upload = self.persist(new.ask(0), new.name, budget, begin).await?;
        let outcome = match self.send_parts(new, parts, &upload).await {
            Ok(sent) => self.join_parts(new, parts, &upload, sent, budget).await,
            Err(failure) => Err(failure),
        };
        if outcome.is_err() {
            // What this leaves, the bucket's rule for aborted uploads clears away.
            let abort = parts.abort_multipart(&path, &upload);
            let _ = self.attempt(new.ask(0), self.patience.attempt_time_max, abort).await;
        }
        outcome
    }

    /// Sends the parts, a few at a time; each has the patience of an operation of its own.
    async fn send_parts(
        &self,
        new: New<'_>,
        parts: &Arc<dyn MultipartStore>,
        upload: &String,
    ) -> Result<Vec<PartId>, Fault> {
        let path = &self.path(new.name);
        let end = new.content.len();
        let send = |number: u64| async move {
            let from = number * PART_BYTES;
            let range = from..end.min(from + PART_BYTES);
            let ask = new.ask(range.end - range.start);
            let index = usize::try_from(number).unwrap_or(usize::MAX);
            let put = || parts.put_part(path, upload, index, new.content.part(range.clone()));
            self.persist(ask, new.name, &mut self.budget(), put).await
        };
        let numbers = 0..end.div_ceil(PART_BYTES);
        stream::iter(numbers.map(send)).buffered(PARTS_IN_FLIGHT).try_collect().await
    }

    async fn join_parts(
        &self,
        new: New<'_>,
        parts: &Arc<dyn MultipartStore>,
        upload: &String,
        sent: Vec<PartId>,
        budget: &mut Budget,
    ) -> Result<Created, Fault> {
        let path = self.path(new.name);
        loop {
            self.admitted(budget).await?;
            let time_max = budget.attempt();
            let join = parts.complete_multipart(&path, upload, sent.clone());
            let failure = match self.attempt(new.ask(0), time_max, join).await {
                Ok(_) => return Ok(Created::Now),
                Err(failure @ Fault::Unavailable { .. }) => failure,
                // An upload that is not there any more was joined by the attempt before.
                Err(Fault::NotFound | Fault::Exists) => Fault::unknown("the upload is gone"),
                Err(refused) => return Err(refused),
            };
            if let Ok(true) = self.is_stored(new, budget).await {
                return Ok(Created::Before);
            }
            if !self.pause(budget).await {
                return self.last_look(new, budget, failure).await;
            }
        }
    }

    /// Patience has ended after an attempt whose outcome is not known: one look, so that a caller
    /// hears of a success if the store lets itself be asked.
    async fn last_look(
        &self,
        new: New<'_>,
        budget: &mut Budget,
        failure: Fault,
    ) -> Result<Created, Fault> {
        match self.is_stored(new, budget).await {
            Ok(true) => Ok(Created::Before),
            Err(foreign @ Fault::Foreign(_)) => Err(foreign),
            Ok(false) | Err(_) => Err(failure),
        }
    }

    /// Whether exactly this object is stored; [`Fault::Foreign`] when another has the name.
    async fn is_stored(&self, new: New<'_>, budget: &mut Budget) -> Result<bool, Fault> {
        let path = self.path(new.name);
        let ask = Ask::new(Kind::Head, new.purpose);
        let head = || self.shared.store.head(&path);
        let found = match self.persist(ask, new.name, budget, head).await {
            Ok(meta) => meta.size,
            Err(Fault::NotFound) => return Ok(false),
            Err(fault) => return Err(fault),
        };
        if found != new.content.len() {
            return Err(Fault::Foreign(found));
        }
        let mut from = 0;
        while from < found {
            let to = found.min(from + COMPARED_BYTES);
            let stored = self.fetch(new.name, (from..to).into(), new.purpose, budget).await?;
            if !new.content.is_at(from, &stored.bytes) {
                return Err(Fault::Foreign(found));
            }
            from = to;
        }
        Ok(true)
    }
}

/// What is to be stored.
#[derive(Clone, Copy)]
struct New<'a> {
    name: &'a Name,
    content: &'a Content,
    purpose: Purpose,
}

impl New<'_> {
    fn ask(&self, sent_bytes: u64) -> Ask {
        Ask { sent_bytes, ..Ask::new(Kind::Put, self.purpose) }
    }
}
