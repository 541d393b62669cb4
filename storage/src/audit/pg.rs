//! One placement group: its manifest, every object that it refers to, and how they go on.

use super::contents::Want;
use super::continuity::{LogCheck, QueueCheck};
use super::finding::{Affected, Finding};
use super::manifest;
use super::object::{self, Seen, Task};
use super::proof::{self, Proof};
use super::run::{Audit, Records, Subject};
use crate::object::Error;
use crate::tier::manifest::RunEntry;
use futures_util::{StreamExt, stream};

/// What came of one placement group.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) findings: Vec<Finding>,
    /// Something was not there: the record may be old.
    pub(super) is_missing: bool,
}

impl Audit<'_> {
    /// Checks a placement group as one record shows it.
    pub(super) async fn pg(
        &mut self,
        subject: &Subject,
        records: &dyn Records,
    ) -> Result<Outcome, Error> {
        let manifest = manifest::read(self.bucket, subject).await?;
        let mut outcome = Outcome { findings: Vec::new(), is_missing: manifest.is_missing };
        let mut chain = self.proof(subject, &manifest).await?;
        outcome.findings.append(&mut chain.findings);
        let mut log = LogCheck::new(subject.pg, &manifest.lost);
        let mut queues = QueueCheck::new(subject.pg, &manifest.starts);
        if manifest.is_partial {
            queues.unreadable();
        }
        let tasks: Vec<Task> =
            manifest.entries.iter().map(|entry| self.task(subject, entry, &chain)).collect();
        let bucket = self.bucket;
        let checks = stream::iter(tasks).map(|task| object::check(bucket, task));
        let mut checks = checks.buffered(self.settings.reads());
        while let Some(seen) = checks.next().await {
            let mut seen = seen?;
            outcome.is_missing |= seen.is_missing;
            log.entry(&seen.task.entry, seen.tail.as_ref());
            match &seen.tail {
                Some(tail) => queues.entry(&seen.task.entry, tail, &|queue| records.is_gone(queue)),
                None => queues.unreadable(),
            }
            let name = seen.task.entry.name(subject.pg);
            for (fault, affects) in std::mem::take(&mut seen.faults) {
                let finding = Finding::of_object(subject.pg, name, fault);
                outcome.findings.push(finding.affecting(affects));
            }
            let contents = seen.contents.iter_mut();
            for (fault, affects) in contents.flat_map(|read| std::mem::take(&mut read.faults)) {
                // Bytes do not change, and are read once, whoever asked first.
                let pg = affects.iter().find_map(Affected::pg).unwrap_or(subject.pg);
                self.report.push(Finding::of_object(pg, name, fault).affecting(affects));
            }
            self.note(&seen);
        }
        if !manifest.is_partial {
            log.end(subject.tiered);
        }
        outcome.findings.splice(0..0, manifest.findings);
        outcome.findings.append(&mut log.findings);
        outcome.findings.append(&mut queues.findings);
        Ok(outcome)
    }

    async fn proof(
        &mut self,
        subject: &Subject,
        manifest: &manifest::Manifest,
    ) -> Result<Proof, Error> {
        if !self.settings.proof {
            return Ok(Proof::default());
        }
        let mut chain = proof::read(self.bucket, subject.pg).await?;
        chain.compare(subject, manifest);
        if chain.live.seq > 0 {
            let head = (subject.pg, chain.live.seq, chain.live.head);
            self.report.heads.retain(|(pg, ..)| *pg != subject.pg);
            self.report.heads.push(head);
        }
        Ok(chain)
    }

    fn task(&self, subject: &Subject, entry: &RunEntry, chain: &Proof) -> Task {
        let proven = chain.live.objects.get(&entry.object).and_then(|proven| proven.digest);
        let before = self.checked.get(&entry.object);
        let digest = before.copied().flatten();
        let is_needed = !self.settings.quick || proven.is_some();
        let is_known = before.is_some() && (proven.is_none() || digest.is_some());
        // A bundle is asked for its digest by each of its placement groups; it is read once.
        let want = Want { digest: self.settings.proof, every_key: self.settings.deep };
        Task {
            pg: subject.pg,
            entry: *entry,
            epoch: subject.epoch,
            contents: (is_needed && !is_known).then_some(want),
            proven,
            digest,
        }
    }

    fn note(&mut self, seen: &Seen) {
        let totals = &mut self.report.totals;
        let id = seen.task.entry.object;
        if let Some(contents) = &seen.contents {
            totals.messages += contents.messages;
            totals.operations += contents.operations;
            totals.bytes += seen.task.entry.object_len;
            self.checked.insert(id, contents.digest);
        }
        if self.objects.insert(id) {
            totals.objects += 1;
        }
        let compared = seen.contents.as_ref().is_some_and(|contents| contents.digest.is_some());
        if seen.task.proven.is_some() && (compared || seen.task.digest.is_some()) {
            totals.proven += 1;
        }
        (self.on_progress)(super::Progress {
            pgs: totals.pgs,
            pgs_in_all: self.pgs_in_all,
            objects: totals.objects,
            bytes: totals.bytes,
        });
    }
}
