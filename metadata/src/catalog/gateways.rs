//! Registering a gateway: a record bound to a lease, kept alive by a task.
//!
//! Nothing that concerns safety hangs on it (replication.md §1.6): the record says where a gateway is, and its
//! disappearance suggests a takeover.

use super::Catalog;
use crate::model::{GatewayRecord, Record, key};
use crate::store::{Advice, Change, Error, LeaseId, MetadataStore, Txn};
use std::sync::Arc;
use std::time::Duration;
use storage::env::Env;
use tokio::task::JoinHandle;

/// Beats in the time that a lease lives (DESIGN §11).
const BEATS: u32 = 4;

/// A gateway's place in the registry. Dropping it stops the beats, and the record goes with its lease.
pub struct Registration {
    store: Arc<dyn MetadataStore>,
    lease: tokio::sync::watch::Receiver<LeaseId>,
    beats: JoinHandle<()>,
}

impl Catalog {
    /// Registers a gateway until the registration is dropped or withdrawn. If the lease ends all the same, because the
    /// process stood still or the store was away, the gateway is registered again.
    ///
    /// # Errors
    /// What the store says to the first registration.
    pub async fn register(
        &self,
        record: GatewayRecord,
        ttl: Duration,
    ) -> Result<Registration, Error> {
        let (store, env) = (self.inner.store.clone(), self.inner.env.clone());
        let first = enter(&*store, &record, ttl).await?;
        let (told, lease) = tokio::sync::watch::channel(first);
        let beats = beat(store.clone(), env.clone(), told, (record, ttl));
        let beats = env.spawn("gateway lease", beats);
        Ok(Registration { store, lease, beats })
    }
}

impl Registration {
    /// A graceful stop: the record goes at once.
    ///
    /// # Errors
    /// What the store says; the record then goes with its lease.
    pub async fn withdraw(self) -> Result<(), Error> {
        self.beats.abort();
        let lease = *self.lease.borrow();
        self.store.revoke(lease).await
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.beats.abort();
    }
}

async fn enter(
    store: &dyn MetadataStore,
    record: &GatewayRecord,
    ttl: Duration,
) -> Result<LeaseId, Error> {
    let lease = store.grant(ttl).await?;
    let key = key::gateway(&record.id);
    let put = Change::Put { key, value: record.encode(), lease: Some(lease) };
    store.txn(Txn { then: vec![put], ..Txn::default() }).await?;
    Ok(lease)
}

async fn beat(
    store: Arc<dyn MetadataStore>,
    env: Env,
    lease: tokio::sync::watch::Sender<LeaseId>,
    (record, ttl): (GatewayRecord, Duration),
) {
    loop {
        env.sleep(ttl / BEATS).await;
        let current = *lease.borrow();
        let Err(mut error) = store.keepalive(current).await else { continue };
        if matches!(error, Error::LeaseGone(_)) {
            tracing::warn!(gateway = %record.id, "lease had ended, registering again");
            match enter(&*store, &record, ttl).await {
                Ok(new) => {
                    lease.send_replace(new);
                    continue;
                }
                Err(refused) => error = refused,
            }
        }
        match error.advice() {
            Advice::Retry { .. } | Advice::Refresh => {
                tracing::warn!(%error, gateway = %record.id, "lease not kept alive");
            }
            Advice::Fix | Advice::Stop => return tracing::debug!(%error, "beats end"),
        }
    }
}
