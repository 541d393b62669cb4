//! Back-pressure: how many messages, and how many of their bytes, a consumer holds.

use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::Notify;

/// What a message is taken to weigh before the first one came.
const BYTES_GUESS: usize = 64 << 10;
/// How slowly the guess forgets a large message.
const FORGET: usize = 8;

/// The bounds, and what is held within them.
pub(super) struct Gate {
    messages_max: usize,
    bytes_max: usize,
    held: Mutex<Held>,
    freed: Notify,
}

/// Messages and bytes, promised ones included.
#[derive(Clone, Copy, Debug)]
struct Held {
    messages: usize,
    bytes: usize,
    promised: usize,
    promised_bytes: usize,
    /// What the next message will weigh, rather too much than too little.
    guess: usize,
}

impl Gate {
    /// Bounds of at least one message and one byte.
    pub(super) fn new(messages_max: usize, bytes_max: usize) -> Arc<Gate> {
        let guess = BYTES_GUESS;
        let held = Held { messages: 0, bytes: 0, promised: 0, promised_bytes: 0, guess };
        Arc::new(Gate {
            messages_max: messages_max.max(1),
            bytes_max: bytes_max.max(1),
            held: Mutex::new(held),
            freed: Notify::new(),
        })
    }

    /// Waits until there is room for a message, and promises room for up to `wanted` of them, no
    /// more than one of `sharers` should have.
    pub(super) async fn promise(self: &Arc<Self>, wanted: usize, sharers: usize) -> Promise {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // Whoever frees between the look and the wait is heard.
            freed.as_mut().enable();
            if let Some((messages, bytes)) = self.try_promise(wanted, sharers.max(1)) {
                return Promise { gate: Arc::clone(self), messages, bytes };
            }
            freed.await;
        }
    }

    fn try_promise(&self, wanted: usize, sharers: usize) -> Option<(usize, usize)> {
        let mut held = self.held.lock();
        let room = self.messages_max.checked_sub(held.messages + held.promised)?;
        let bytes_room = self.bytes_max.checked_sub(held.bytes + held.promised_bytes)?;
        if room == 0 || bytes_room == 0 {
            return None;
        }
        // A message heavier than the whole bound is let in alone.
        let fits = (bytes_room / held.guess).min(self.bytes_max / sharers / held.guess);
        let alone = held.messages + held.promised == 0;
        if fits == 0 && bytes_room < held.guess && !alone {
            return None;
        }
        let share = (self.messages_max / sharers).max(1);
        let messages = wanted.min(room).min(share).min(fits.max(1)).max(1);
        let bytes = messages * held.guess;
        held.promised += messages;
        held.promised_bytes += bytes;
        Some((messages, bytes))
    }

    /// Messages and bytes that are here.
    pub(super) fn held(&self) -> (usize, usize) {
        let held = self.held.lock();
        (held.messages, held.bytes)
    }
}

/// Room for messages that were asked for. What is not taken goes back when it is dropped.
pub(super) struct Promise {
    gate: Arc<Gate>,
    messages: usize,
    bytes: usize,
}

impl Promise {
    /// For how many messages.
    pub(super) fn messages(&self) -> usize {
        self.messages
    }

    /// Gives one message its place. A server that sends more than was asked for gets it too.
    pub(super) fn take(&mut self, bytes: usize) -> Slot {
        let mut held = self.gate.held.lock();
        let (promised, promised_bytes) = (self.messages.min(1), self.bytes.min(held.guess));
        self.messages -= promised;
        self.bytes -= promised_bytes;
        held.promised -= promised;
        held.promised_bytes -= promised_bytes;
        held.messages += 1;
        held.bytes += bytes;
        let forgotten = held.guess.saturating_sub(bytes).div_ceil(FORGET);
        held.guess = (held.guess - forgotten).max(bytes).max(1);
        Slot { gate: Arc::clone(&self.gate), bytes }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        let mut held = self.gate.held.lock();
        held.promised -= self.messages;
        held.promised_bytes -= self.bytes;
        drop(held);
        self.gate.freed.notify_waiters();
    }
}

/// The place of one message, free again when it is dropped.
pub(super) struct Slot {
    gate: Arc<Gate>,
    bytes: usize,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut held = self.gate.held.lock();
        held.messages -= 1;
        held.bytes -= self.bytes;
        drop(held);
        self.gate.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    async fn is_full(gate: &Arc<Gate>) -> bool {
        tokio::time::timeout(Duration::from_millis(10), gate.promise(1, 1)).await.is_err()
    }

    #[tokio::test]
    async fn promised_and_held_messages_stay_within_the_bound() {
        let gate = Gate::new(10, usize::MAX / 2);
        let mut first = gate.promise(32, 2).await;
        assert_eq!(first.messages(), 5, "half of it for each of two");
        let slots: Vec<Slot> = (0..3).map(|_| first.take(1)).collect();
        drop(first);
        let rest = gate.promise(32, 1).await;
        assert_eq!(rest.messages(), 7);
        assert!(is_full(&gate).await);
        drop(slots);
        assert_eq!(gate.held(), (0, 0));
        assert_eq!(gate.promise(32, 1).await.messages(), 3);
    }

    #[tokio::test]
    async fn bytes_are_bounded_by_what_messages_weighed() {
        let gate = Gate::new(1000, 1 << 20);
        let mut first = gate.promise(32, 1).await;
        assert_eq!(first.messages(), 16, "64 KiB each, until more is known");
        let slot = first.take(400 << 10);
        drop(first);
        let second = gate.promise(32, 1).await;
        assert_eq!(second.messages(), 1, "two of 400 KiB are all that fits");
        assert!(is_full(&gate).await);
        drop(second);
        drop(slot);
        assert_eq!(gate.held(), (0, 0));
    }

    #[tokio::test]
    async fn a_message_heavier_than_the_bound_comes_alone() {
        let gate = Gate::new(1000, 100);
        let mut first = gate.promise(32, 1).await;
        assert_eq!(first.messages(), 1);
        let slot = first.take(5_000);
        drop(first);
        assert!(is_full(&gate).await);
        drop(slot);
        assert_eq!(gate.promise(32, 4).await.messages(), 1);
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_when_a_slot_is_freed() {
        let gate = Gate::new(1, 1 << 20);
        let mut promise = gate.promise(1, 1).await;
        let slot = promise.take(10);
        drop(promise);
        let waiting = gate.promise(1, 1);
        tokio::pin!(waiting);
        assert!(tokio::time::timeout(Duration::from_millis(5), waiting.as_mut()).await.is_err());
        drop(slot);
        assert_eq!(waiting.await.messages(), 1);
    }
}
