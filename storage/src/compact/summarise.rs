//! Makes a key summary of runs that are final, and says which runs one is about.

use super::error::CompactError;
use super::fetch::{name_of, span_of, tail_of_entry};
use super::merge::Compactor;
use crate::format::object::{SUMMARY_READ_BYTES, Span, SummaryKey, SummaryRead, SummaryTable};
use crate::format::{Epoch, FormatError, PgId};
use crate::object::{Bucket, Purpose, Upload};
use crate::tier::manifest::{RunEntry, SummaryRef};
use crate::tier::{ObjectId, ObjectName, Summary, SummaryRefused, SummaryStep};
use futures_util::{StreamExt, TryStreamExt, stream};

/// Tails that are asked for together.
const TOGETHER: usize = 8;

impl Compactor {
    /// Stores a summary of these runs, in order of their keys. `epoch` is that of the record that it is
    /// to be committed to, `object` was never given out before. Safe to drop; what is left then is
    /// referenced by nothing.
    ///
    /// # Errors
    /// When a run is damaged or missing, or the store does not answer: nothing came of it.
    pub async fn summarise(
        &self,
        pg: PgId,
        epoch: Epoch,
        object: ObjectId,
        runs: &[RunEntry],
    ) -> Result<SummaryRef, CompactError> {
        let purpose = Purpose::Compaction;
        let pages = |run: RunEntry| async move {
            // Of a tail only this is kept: there may be thousands.
            let tail = tail_of_entry(&self.bucket, pg, &run, purpose).await?;
            Ok::<_, CompactError>((run, tail.keys.all_pages()))
        };
        let inputs = stream::iter(runs.to_vec()).map(pages).buffered(TOGETHER);
        let inputs: Vec<(RunEntry, Span)> = inputs.try_collect().await?;
        let mut summary = Summary::new(pg, epoch, object, &inputs)?;
        let name = name_of(&ObjectName::Keys { pg, epoch, id: object })?;
        let mut upload = self.bucket.upload(name, purpose);
        match self.write(pg, runs, &mut summary, &mut upload).await {
            Ok(reference) => {
                upload.finish().await?;
                Ok(reference)
            }
            Err(error) => {
                upload.abort().await;
                Err(error)
            }
        }
    }

    async fn write(
        &self,
        pg: PgId,
        runs: &[RunEntry],
        summary: &mut Summary,
        upload: &mut Upload,
    ) -> Result<SummaryRef, CompactError> {
        loop {
            match summary.step() {
                SummaryStep::Read { input, span } => {
                    let run = runs.get(input).ok_or(SummaryRefused::NotAsked)?;
                    self.feed(run.name(pg), span, summary).await?;
                }
                SummaryStep::Write(bytes) => {
                    self.budget.take(bytes.len() as u64).await;
                    upload.push(bytes).await?;
                }
                SummaryStep::Done(reference) => return Ok(reference),
            }
            tokio::task::yield_now().await;
        }
    }

    /// Gives a summary what it asked for. Damage is looked at twice: it may have happened on the way.
    async fn feed(
        &self,
        object: ObjectName,
        span: Span,
        summary: &mut Summary,
    ) -> Result<(), CompactError> {
        let mut last = None;
        for _ in 0..2 {
            self.budget.take(span.len).await;
            let bytes = span_of(&self.bucket, &object, span, Purpose::Compaction).await?;
            match summary.feed(&bytes) {
                Ok(()) => return Ok(()),
                Err(SummaryRefused::Damaged { source, .. }) => last = Some(source),
                Err(refused) => return Err(refused.into()),
            }
        }
        let source = last.unwrap_or(FormatError::Contradiction);
        Err(CompactError::Damaged { object, source })
    }
}

/// The runs that a summary is about, in order of their keys; some may be gone by now.
///
/// # Errors
/// When the summary is damaged or missing, or the store does not answer.
pub async fn runs_in(
    bucket: &Bucket,
    pg: PgId,
    summary: &SummaryRef,
) -> Result<Vec<SummaryKey>, CompactError> {
    let object = summary.name(pg);
    let damaged = |source| CompactError::Damaged { object, source };
    let len = summary.len.min(SUMMARY_READ_BYTES);
    let mut span = Span { at: summary.len - len, len };
    let id = (summary.object.id, summary.object.nonce);
    // The first read has all of the table, or says how long it is.
    for _ in 0..2 {
        let bytes = span_of(bucket, &object, span, Purpose::Compaction).await?;
        match SummaryTable::read(&bytes, summary.len, id).map_err(damaged)? {
            SummaryRead::Whole(table) if table.pg == pg => return Ok(table.objects),
            SummaryRead::Whole(_) => break,
            SummaryRead::Longer(longer) => span = longer,
        }
    }
    Err(damaged(FormatError::Contradiction))
}
