//! What a receipt handle is worth: acknowledge, change of visible time, giving up, taking back.

use super::cursor::{Cursor, InFlight};
use super::{CursorId, State};
use crate::consume::GroupUid;
use crate::consume::handle::Claim;
use crate::consume::ops::{Change, ChangeMode, Op, Spans, Step};
use std::collections::BTreeMap;
use storage::env::Timestamp;
use storage::format::{Lsn, QueueOffset};

/// Why a delivery that a handle names can no longer be decided. A front answers each as
/// INVALID_RECEIPT_HANDLE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimRefused {
    /// The message may be, or is about to be, delivered again.
    #[error("receipt handle is expired")]
    Expired,
    /// The message was delivered again since.
    #[error("receipt handle is of an earlier delivery")]
    Earlier,
    /// Nothing like it was delivered, as far as the log tells.
    #[error("receipt handle is of a delivery that is not known")]
    Unknown,
    /// The message is acknowledged already.
    #[error("receipt handle is of a message that is acknowledged")]
    Acknowledged,
    /// The group's progress was reset since.
    #[error("receipt handle is of a delivery before the group was reset")]
    Reset,
}

/// What an acknowledgement comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckDecision {
    /// To be written.
    Ack,
    /// Nothing to do: the message is done with.
    Already,
}

impl State {
    /// Whether a claim acknowledges its message. A handle that a change of visible time replaced is
    /// as good as its successor: whichever of the two times is later counts.
    ///
    /// # Errors
    /// [`ClaimRefused`]; never `Acknowledged`.
    pub fn ack(
        &self,
        now: Timestamp,
        group: GroupUid,
        claim: &Claim,
    ) -> Result<AckDecision, ClaimRefused> {
        match self.held(now, group, claim) {
            Ok(_) => Ok(AckDecision::Ack),
            Err(ClaimRefused::Acknowledged) => Ok(AckDecision::Already),
            Err(refused) => Err(refused),
        }
    }

    /// Moves the visible time of a delivery.
    ///
    /// # Errors
    /// [`ClaimRefused`].
    pub fn change(
        &self,
        now: Timestamp,
        group: GroupUid,
        claim: &Claim,
        visible_at: Timestamp,
        mode: ChangeMode,
    ) -> Result<Op, ClaimRefused> {
        self.held(now, group, claim)?;
        let change = Change { visible_at, mode, spans: Spans::one(claim.offset) };
        Ok(Op { group, queue: claim.queue, step: Step::Change(change) })
    }

    /// Gives a delivery up, and says which attempt it was. The caller writes the message's copy
    /// behind the operation, in the same frame.
    ///
    /// # Errors
    /// [`ClaimRefused`].
    pub fn dead_letter(
        &self,
        now: Timestamp,
        group: GroupUid,
        claim: &Claim,
    ) -> Result<(Op, u32), ClaimRefused> {
        let attempt = self.held(now, group, claim)?.attempt;
        let step = Step::DeadLetter { offset: claim.offset, attempt };
        Ok((Op { group, queue: claim.queue, step }, attempt))
    }

    /// Takes back deliveries that never reached their consumer: visible at that time, and not
    /// counted as attempts. What is no longer held by that delivery is left alone.
    pub fn nack(
        &self,
        visible_at: Timestamp,
        deliveries: &[(CursorId, QueueOffset, Lsn)],
    ) -> Vec<Op> {
        let mut taken: BTreeMap<CursorId, Vec<QueueOffset>> = BTreeMap::new();
        for (id, offset, pop) in deliveries {
            let entry = self.cursors.get(id).and_then(|cursor| cursor.in_flight.get(offset));
            if entry.is_some_and(|entry| entry.pop == *pop) {
                taken.entry(*id).or_default().push(*offset);
            }
        }
        let op = |(CursorId { group, queue }, mut offsets): (CursorId, Vec<QueueOffset>)| {
            offsets.sort();
            offsets.dedup();
            let spans = Spans::from_iter(offsets);
            let change = Change { visible_at, mode: ChangeMode::Suspends, spans };
            Op { group, queue, step: Step::Change(change) }
        };
        taken.into_iter().map(op).collect()
    }

    /// Whether the group holds so much of the queue in flight that new messages wait.
    pub fn is_full(&self, id: CursorId) -> bool {
        let held = self.cursors.get(&id).map_or(0, |cursor| cursor.in_flight.len());
        held >= super::IN_FLIGHT_MAX
    }

    /// The delivery that a claim names, if it can still be decided.
    fn held(
        &self,
        now: Timestamp,
        group: GroupUid,
        claim: &Claim,
    ) -> Result<&InFlight, ClaimRefused> {
        let cursor = self.cursors.get(&CursorId { group, queue: claim.queue });
        if cursor.is_some_and(|cursor| claim.pop < cursor.reset_at) {
            return Err(ClaimRefused::Reset);
        }
        let Some(cursor) = cursor.filter(|cursor| claim.offset < cursor.next) else {
            return Err(ClaimRefused::Unknown);
        };
        held_by(cursor, now, claim)
    }
}

fn held_by<'a>(
    cursor: &'a Cursor,
    now: Timestamp,
    claim: &Claim,
) -> Result<&'a InFlight, ClaimRefused> {
    let entry = cursor.in_flight.get(&claim.offset).ok_or(ClaimRefused::Acknowledged)?;
    if entry.pop != claim.pop {
        return Err(ClaimRefused::Earlier);
    }
    if entry.visible_at.max(claim.visible_at) <= now {
        return Err(ClaimRefused::Expired);
    }
    Ok(entry)
}
