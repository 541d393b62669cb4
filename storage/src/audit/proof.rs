//! The proof of one placement group: reading the chain, and holding the manifest against it.

use super::finding::{Fault, Finding};
use super::manifest::{Manifest, whole};
use super::run::Subject;
use super::tail::{Damage, Part, stored};
use crate::format::PgId;
use crate::format::object::Span;
use crate::object::{Bucket, Error, Purpose};
use crate::tier::manifest::{Change, RunEntry};
use crate::tier::proof::{Branch, Checkpoint, Live, ProofFault, ProofName, Summary};
use futures_util::{StreamExt, stream};
use std::collections::BTreeMap;

/// Checkpoints that are read at once.
const CHECKPOINTS: usize = 8;

/// What the chain covers, and what is wrong with it.
#[derive(Debug, Default)]
pub(super) struct Proof {
    pub(super) live: Live,
    pub(super) findings: Vec<Finding>,
}

/// Reads the chain of a placement group: every checkpoint once to find the chain, and those of the
/// chain once more, so that memory holds one at a time.
///
/// # Errors
/// What the store says, when nothing can be concluded.
pub(super) async fn read(bucket: &Bucket, pg: PgId) -> Result<Proof, Error> {
    let mut proof = Proof::default();
    let names = names(bucket, pg).await?;
    let mut summaries = Vec::new();
    let mut read = stream::iter(names).map(|name| checkpoint(bucket, name)).buffered(CHECKPOINTS);
    while let Some(answer) = read.next().await {
        let (name, checkpoint) = answer?;
        let summary =
            checkpoint.and_then(|checkpoint| Summary::of(name, &checkpoint).map_err(Fault::Proof));
        match summary {
            Ok(summary) => summaries.push(summary),
            Err(fault) => proof.findings.push(Finding::of_object(pg, name, fault)),
        }
    }
    let branch = Branch::of(&summaries);
    if branch.checkpoints.is_empty() {
        proof.findings.push(Finding::of_pg(pg, Fault::NoProof));
        return Ok(proof);
    }
    if let Some(fault @ (ProofFault::Broken(name) | ProofFault::Forged(name))) = branch.fault {
        proof.findings.push(Finding::of_object(pg, name, Fault::Proof(fault)));
    }
    // Where the chain is broken, what came before its gap is no branch of anybody's.
    let beside = branch.beside.len() as u64;
    if beside > 0 && branch.fault.is_none() {
        proof.findings.push(Finding::of_pg(pg, Fault::Beside(beside)));
    }
    for summary in &branch.checkpoints {
        if let (_, Ok(checkpoint)) = checkpoint(bucket, summary.name).await? {
            proof.live.feed(checkpoint);
        }
    }
    Ok(proof)
}

async fn names(bucket: &Bucket, pg: PgId) -> Result<Vec<ProofName>, Error> {
    let folder = stored(ProofName::folder(pg));
    let mut listing = bucket.list(Some(&folder), None, Purpose::Check);
    let mut names = Vec::new();
    while let Some(entry) = listing.next().await? {
        names.extend(entry.name.as_str().parse::<ProofName>());
    }
    Ok(names)
}

async fn checkpoint(
    bucket: &Bucket,
    name: ProofName,
) -> Result<(ProofName, Result<Checkpoint, Fault>), Error> {
    let read = whole(bucket, &name.to_string()).await?.and_then(|bytes| {
        Checkpoint::decode(&bytes).map_err(|source| {
            let at = Span { at: 0, len: bytes.len() as u64 };
            Fault::Damaged(Damage { part: Part::Checkpoint, at, source })
        })
    });
    Ok((name, read))
}

impl Proof {
    /// Holds the manifest's entries against the chain.
    ///
    /// Where the record has the root and the deltas that the newest checkpoint was written with,
    /// and perhaps more deltas, both must name the same objects. Where a fold came between, an
    /// object may be named by the manifest alone: it was committed since, and is not covered.
    pub(super) fn compare(&mut self, subject: &Subject, manifest: &Manifest) {
        let Live { mark, seq, tiered, .. } = &self.live;
        let beyond = mark.beyond(*tiered, subject.root.as_deref(), &manifest.deltas);
        let beyond = beyond.filter(|_| *seq > 0);
        let mut entries: BTreeMap<_, &RunEntry> =
            manifest.entries.iter().map(|entry| (entry.object, entry)).collect();
        let uncovered = entries
            .keys()
            .filter(|id| self.live.objects.get(id).is_none_or(|proven| proven.digest.is_none()));
        let uncovered = uncovered.count() as u64;
        if uncovered > 0 && *seq > 0 {
            self.findings.push(Finding::of_pg(subject.pg, Fault::Uncovered(uncovered)));
        }
        let Some(beyond) = beyond.filter(|_| !manifest.is_partial) else { return };
        let mut proven = self.live.objects.clone();
        for change in beyond.iter().flat_map(|delta| &delta.changes) {
            match change {
                // What was committed after the checkpoint is not asked of it.
                Change::Add(entry) => drop(entries.remove(&entry.object)),
                Change::Remove(key) => drop(proven.remove(&key.object)),
                Change::Start { .. }
                | Change::Forget(_)
                | Change::Lost { .. }
                | Change::Summary(_)
                | Change::NoSummary(_) => {}
            }
        }
        let pg = subject.pg;
        for (id, entry) in &entries {
            let same = proven.get(id).is_some_and(|proven| {
                proven.name == entry.name(pg) && proven.len == entry.object_len
            });
            if !same {
                let fault = Fault::Unproven("manifest");
                self.findings.push(Finding::of_object(pg, entry.name(pg), fault));
            }
        }
        for (_, lost) in proven.iter().filter(|(id, _)| !entries.contains_key(id)) {
            self.findings.push(Finding::of_object(pg, lost.name, Fault::Unproven("proof")));
        }
    }
}
