//! The bytes that all cursors of a process may have under way.
//!
//! A share is held from before a request is made until what it brought is given out. So a cursor
//! whose reader takes a rest holds what others wait for: after a while, if somebody waits, what it
//! has read ahead is dropped.

use super::fair::{Fair, FairKey, Ticket};
use crate::env::Env;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::oneshot;

/// After so long a cursor that is not asked gives way, if somebody waits.
pub(super) const REST_MAX: Duration = Duration::from_secs(5);
/// How often who waits looks for cursors at rest.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A cursor that holds shares.
pub(super) trait Holder: Send + Sync {
    /// Drops what was read ahead, if nobody asked since `since`.
    fn give_way(&self, since: Duration);
}

struct State {
    fair: Fair,
    waiting: HashMap<Ticket, oneshot::Sender<()>>,
    holders: Vec<Weak<dyn Holder>>,
    most: u64,
}

/// All shares.
pub(super) struct Shares {
    env: Env,
    state: Mutex<State>,
}

/// One share: asked for, then granted, and given back when it is dropped.
pub(super) struct Share {
    shares: Arc<Shares>,
    ticket: Ticket,
    granted: Option<oneshot::Receiver<()>>,
}

impl Shares {
    pub(super) fn new(bytes: u64, env: Env) -> Arc<Shares> {
        let fair = Fair::new(bytes);
        let state = State { fair, waiting: HashMap::new(), holders: Vec::new(), most: 0 };
        Arc::new(Shares { env, state: Mutex::new(state) })
    }

    /// Names a cursor, to be asked to give way.
    pub(super) fn hold(&self, holder: Weak<dyn Holder>) {
        let mut state = self.state.lock();
        state.holders.retain(|holder| holder.strong_count() > 0);
        state.holders.push(holder);
    }

    /// Asks for a share; the order of asking is that of granting, for one key.
    pub(super) fn ask(self: &Arc<Shares>, key: FairKey, bytes: u64) -> Share {
        let (grant, granted) = oneshot::channel();
        let mut state = self.state.lock();
        let ticket = state.fair.ask(key, bytes);
        state.waiting.insert(ticket, grant);
        state.grant();
        Share { shares: Arc::clone(self), ticket, granted: Some(granted) }
    }

    /// Bytes under way now, and the most that ever were.
    pub(super) fn under_way(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.fair.granted(), state.most)
    }

    fn make_way(&self) {
        let state = self.state.lock();
        let holders: Vec<_> = state.holders.iter().filter_map(Weak::upgrade).collect();
        // What is dropped gives back its share, and so locks this.
        drop(state);
        let since = self.env.monotonic().saturating_sub(REST_MAX);
        holders.iter().for_each(|holder| holder.give_way(since));
    }
}

impl State {
    fn grant(&mut self) {
        for ticket in self.fair.grant() {
            if let Some(grant) = self.waiting.remove(&ticket) {
                // Whoever is gone gives it back when the share is dropped.
                let _ = grant.send(());
            }
        }
        self.most = self.most.max(self.fair.granted());
    }
}

impl Share {
    /// Waits until it is granted. Cancel safe.
    pub(super) async fn granted(&mut self) {
        let Some(granted) = &mut self.granted else { return };
        if granted.try_recv().is_ok() {
            self.granted = None;
            return;
        }
        loop {
            self.shares.make_way();
            tokio::select! {
                _ = &mut *granted => break,
                () = self.shares.env.sleep(LOOK_AGAIN) => {}
            }
        }
        self.granted = None;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut state = self.shares.state.lock();
        state.waiting.remove(&self.ticket);
        state.fair.give_back(self.ticket);
        state.grant();
    }
}
