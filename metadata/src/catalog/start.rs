//! Making or checking the cluster record, and the first listing.

use super::Catalog;
use super::follow::Follower;
use super::snapshot::Snapshot;
use super::uids::Uids;
use crate::model::{Cluster, PGS_MAX, Record, key};
use crate::store::{Advice, Change, Compare, Error, Expect, MetadataStore, Txn};
use std::sync::Arc;
use storage::env::Env;

/// Attempts to make the cluster record; each fails only if the store does not answer.
const ATTEMPTS_MAX: u32 = 20;

/// What a cluster is, to whoever starts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterSpec {
    /// The name that `mqadmin -c` takes.
    pub name: String,
    /// Placement groups, 1 to [`PGS_MAX`]. Fixed when the store is first used.
    pub pgs: u32,
}

impl Catalog {
    /// Makes the cluster record if there is none, reads everything, and follows it from there.
    ///
    /// # Errors
    /// [`Error::OtherCluster`] when the store was made for another name or number of placement groups;
    /// [`Error::Record`] when something in it cannot be read; what the store says.
    pub async fn start(
        store: Arc<dyn MetadataStore>,
        env: Env,
        spec: ClusterSpec,
    ) -> Result<Catalog, Error> {
        if !(1..=PGS_MAX).contains(&spec.pgs) {
            return Err(Error::PlacementGroups(spec.pgs));
        }
        let cluster = cluster(&*store, &env, &spec).await?;
        if (&cluster.name, cluster.pgs) != (&spec.name, spec.pgs) {
            let shape = |name: &str, pgs: u32| format!("{name} of {pgs} placement groups");
            return Err(Error::OtherCluster {
                found: shape(&cluster.name, cluster.pgs),
                asked: shape(&spec.name, spec.pgs),
            });
        }
        let snapshot = Snapshot::of(store.range("").await?)?;
        let follower = Follower::start(store.clone(), env.clone(), snapshot);
        Ok(Catalog::new(store, env, Arc::new(cluster), follower, Uids::default()))
    }
}

/// The record in the store, made from `spec` if there is none. Who loses the race takes the winner's.
async fn cluster(
    store: &dyn MetadataStore,
    env: &Env,
    spec: &ClusterSpec,
) -> Result<Cluster, Error> {
    let mut attempts = 0;
    loop {
        if let Some(pair) = store.get(key::CLUSTER).await? {
            return Cluster::decode(&pair.value)
                .map_err(|source| Error::Record { key: key::CLUSTER.into(), source });
        }
        let made = Cluster {
            name: spec.name.clone(),
            pgs: spec.pgs,
            secret: secret(env),
            created: env.now(),
        };
        let put = Change::Put { key: key::CLUSTER.into(), value: made.encode(), lease: None };
        let txn = Txn {
            compare: vec![Compare { key: key::CLUSTER.into(), expect: Expect::Absent }],
            then: vec![put],
            otherwise: Vec::new(),
        };
        attempts += 1;
        // Whatever came of it, the next read shows a record: ours or another's.
        if let Err(error) = store.txn(txn).await {
            match error.advice() {
                Advice::Retry { after } if attempts < ATTEMPTS_MAX => env.sleep(after).await,
                Advice::Retry { .. } | Advice::Refresh | Advice::Fix | Advice::Stop => {
                    return Err(error);
                }
            }
        }
    }
}

fn secret(env: &Env) -> [u8; 32] {
    let mut secret = [0; 32];
    for part in secret.chunks_exact_mut(8) {
        part.copy_from_slice(&env.random_u64().to_be_bytes());
    }
    secret
}
