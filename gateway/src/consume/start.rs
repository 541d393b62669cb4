//! Consumption put together with its neighbours.

use super::ops::OpMalformed;
use super::replay::Replay;
use super::service::{Consume, Neighbours};
use super::state::CursorId;
use crate::group::Clients;
use crate::observe::Stats;
use crate::ownership::Owned;
use metadata::Catalog;
use std::collections::{BTreeMap, HashSet};
use storage::env::Env;
use storage::format::PgId;

impl Consume {
    /// Takes over the owned placement groups: goes on with their replays, if they have begun, with
    /// what their logs say of groups and topics that still exist.
    ///
    /// # Errors
    /// [`OpMalformed`]: a newer version wrote a log; it must not be served.
    pub fn start(
        env: Env,
        catalog: &Catalog,
        owned: &Owned,
        clients: Clients,
        stats: Stats,
        mut replays: BTreeMap<PgId, Replay>,
    ) -> Result<Consume, OpMalformed> {
        let exists = existing(catalog);
        let secret = catalog.cluster().secret;
        let consume = Consume::new(env, &secret, neighbours(catalog.clone(), clients, stats));
        for pg in owned.all() {
            let replay = replays.remove(&pg.id).unwrap_or_default();
            consume.adopt(pg.history.clone(), replay, &exists)?;
        }
        Ok(consume)
    }

    /// Lets go of everything about groups and topics that were deleted.
    pub fn forget_deleted(&self, catalog: &Catalog) {
        // A place comes to be after the catalog shows its group and topic; so what was there before
        // the catalog is read, and is not in it, was deleted.
        let places = self.places();
        let exists = existing(catalog);
        self.forget(|id| places.contains(&id) && !exists(id));
    }
}

fn neighbours(catalog: Catalog, clients: Clients, stats: Stats) -> Neighbours {
    Neighbours {
        is_alive: Box::new(move |client| clients.is_alive(client)),
        group: Box::new(move |uid| catalog.groups().into_iter().find(|group| group.uid == uid.0)),
        count_delivered: Box::new(move |pg, topic, group, what| {
            stats.count_delivered(pg, topic, group, what);
        }),
    }
}

/// Whether group and queue exist by now.
fn existing(catalog: &Catalog) -> impl Fn(CursorId) -> bool + use<> {
    let all = catalog.groups();
    let groups: HashSet<u64> = all.iter().map(|group| group.uid).collect();
    let topics = catalog.topics();
    let queues = topics.iter().flat_map(|topic| topic.queues()).map(|queue| queue.uid.0);
    // A group's uid is also that of its dead-letter queue.
    let queues = queues.chain(groups.iter().copied());
    let replayed = all.iter().flat_map(|group| &group.replayed).flat_map(|on| &on.queues);
    let queues: HashSet<u64> = queues.chain(replayed.map(|queue| queue.uid.0)).collect();
    move |id| groups.contains(&id.group.0) && queues.contains(&id.queue.0)
}
