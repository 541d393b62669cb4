//! A placement group's manifest, all of it.

use super::finding::{Affected, Fault, Finding};
use super::run::Subject;
use super::tail::{Damage, Part};
use crate::format::object::Span;
use crate::format::{FormatError, Lsn, PgId, QueueOffset, QueueUid};
use crate::object::{Bucket, Error, Purpose, Span as Asked};
use crate::tier::manifest::{Delta, Overlay, PageRef, Query, Root, RunEntry, select_in};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use std::collections::{BTreeMap, BTreeSet};

/// Pages that are read at once.
const PAGES: usize = 8;

/// The manifest, as far as it could be read.
#[derive(Debug, Default)]
pub(super) struct Manifest {
    /// In order of the log.
    pub(super) entries: Vec<RunEntry>,
    pub(super) starts: BTreeMap<QueueUid, QueueOffset>,
    pub(super) lost: Vec<(Lsn, Lsn)>,
    pub(super) deltas: Vec<Delta>,
    pub(super) findings: Vec<Finding>,
    /// Something was not there: the record may be old.
    pub(super) is_missing: bool,
    /// Entries may be missing here, because a page could not be read.
    pub(super) is_partial: bool,
}

/// Reads a manifest.
///
/// # Errors
/// What the store says, when nothing can be concluded.
pub(super) async fn read(bucket: &Bucket, subject: &Subject) -> Result<Manifest, Error> {
    let mut manifest = Manifest::default();
    let pg = subject.pg;
    for bytes in &subject.deltas {
        match Delta::decode(bytes) {
            Ok(delta) => manifest.deltas.push(delta),
            Err(source) => {
                manifest.refuse(pg, format!("a delta cannot be read: {source}"));
                return Ok(manifest);
            }
        }
    }
    let Some(root) = manifest.root(bucket, subject).await? else { return Ok(manifest) };
    let overlay = match Overlay::of(&root, &manifest.deltas) {
        Ok(overlay) if overlay.tiered == subject.tiered => overlay,
        Ok(overlay) => {
            let (is, said) = (overlay.tiered, subject.tiered);
            manifest.refuse(pg, format!("the manifest ends at {is}, the record says {said}"));
            overlay
        }
        Err(refused) => {
            manifest.refuse(pg, refused.to_string());
            return Ok(manifest);
        }
    };
    manifest.lost.clone_from(&root.lost);
    manifest.lost.extend(&overlay.lost);
    manifest.pages(bucket, pg, &root, &overlay).await?;
    manifest.start_pages(bucket, pg, &root).await?;
    for (queue, start) in &overlay.starts {
        match start {
            Some(start) => {
                let known = manifest.starts.entry(*queue).or_default();
                *known = (*start).max(*known);
            }
            None => drop(manifest.starts.remove(queue)),
        }
    }
    Ok(manifest)
}

impl Manifest {
    fn refuse(&mut self, pg: PgId, why: String) {
        self.is_partial = true;
        self.findings.push(Finding::of_pg(pg, Fault::Record(why)));
    }

    /// A part of the manifest that could not be read.
    fn lacks(&mut self, pg: PgId, name: &str, fault: Fault, affects: Option<Affected>) {
        self.is_partial = true;
        self.is_missing |= fault == Fault::Missing;
        self.findings.push(Finding::of_object(pg, name, fault).affecting(affects));
    }

    async fn root(&mut self, bucket: &Bucket, subject: &Subject) -> Result<Option<Root>, Error> {
        let pg = subject.pg;
        let Some(name) = &subject.root else { return Ok(Some(Root::empty(pg))) };
        let all = Affected::All { pg, from: pg.first_lsn(), to: subject.tiered };
        let bytes = match whole(bucket, name).await? {
            Ok(bytes) => bytes,
            Err(fault) => {
                self.lacks(pg, name, fault, Some(all));
                return Ok(None);
            }
        };
        let root = Root::decode(&bytes).and_then(|root| {
            if root.pg == pg { Ok(root) } else { Err(FormatError::Contradiction) }
        });
        match root {
            Ok(root) => Ok(Some(root)),
            Err(source) => {
                let fault = damaged(Part::Root, &bytes, source);
                self.lacks(pg, name, fault, Some(all));
                Ok(None)
            }
        }
    }

    async fn pages(
        &mut self,
        bucket: &Bucket,
        pg: PgId,
        root: &Root,
        overlay: &Overlay,
    ) -> Result<(), Error> {
        let read = |page: &PageRef| {
            let page = *page;
            async move {
                let name = page.page.name(pg).to_string();
                let bytes = whole(bucket, &name).await;
                (page, name, bytes)
            }
        };
        let mut pages = stream::iter(&root.pages).map(read).buffered(PAGES);
        let mut removed: BTreeSet<_> = overlay.removed.clone();
        while let Some((page, name, bytes)) = pages.next().await {
            let affected = Affected::All { pg, from: page.first.from, to: page.end };
            let opened = bytes?.and_then(|bytes| {
                page.open(&bytes).map_err(|source| damaged(Part::Page, &bytes, source))
            });
            match opened {
                Ok(page) => {
                    for entry in &page.0 {
                        removed.remove(&entry.key());
                    }
                    self.entries.extend(select_in(&Query::default(), &page, overlay));
                }
                Err(fault) => self.lacks(pg, &name, fault, Some(affected)),
            }
        }
        if let Some(key) = removed.first().filter(|_| !self.is_partial) {
            let why = format!("object {} is removed, and was not there", key.object);
            self.findings.push(Finding::of_pg(pg, Fault::Record(why)));
        }
        self.entries.extend(overlay.added.values());
        self.entries.sort_unstable_by_key(RunEntry::key);
        if let Some(twice) = self.entries.windows(2).find(|pair| pair[0].key() == pair[1].key()) {
            let why = format!("object {} is referenced twice", twice[0].object);
            self.findings.push(Finding::of_pg(pg, Fault::Record(why)));
        }
        Ok(())
    }

    async fn start_pages(&mut self, bucket: &Bucket, pg: PgId, root: &Root) -> Result<(), Error> {
        for start in &root.starts {
            let name = start.page.name(pg).to_string();
            let opened = whole(bucket, &name).await?.and_then(|bytes| {
                start.open(&bytes).map_err(|source| damaged(Part::Page, &bytes, source))
            });
            match opened {
                Ok(page) => self.starts.extend(page.0),
                Err(fault) => self.lacks(pg, &name, fault, None),
            }
        }
        Ok(())
    }
}

fn damaged(part: Part, bytes: &Bytes, source: FormatError) -> Fault {
    Fault::Damaged(Damage { part, at: Span { at: 0, len: bytes.len() as u64 }, source })
}

/// A small object, or what is wrong with it.
pub(super) async fn whole(bucket: &Bucket, name: &str) -> Result<Result<Bytes, Fault>, Error> {
    let Ok(name) = crate::object::Name::parse(name) else {
        return Ok(Err(Fault::Record(format!("{name:?} is no name of an object"))));
    };
    match bucket.get(&name, Asked::All, Purpose::Check).await {
        Ok(fetched) => Ok(Ok(fetched.bytes)),
        Err(Error::NotFound { .. }) => Ok(Err(Fault::Missing)),
        Err(Error::OutOfRange { .. } | Error::TooMuch { .. }) => {
            Ok(Err(damaged(Part::Whole, &Bytes::new(), FormatError::Length)))
        }
        Err(error) => Err(error),
    }
}
