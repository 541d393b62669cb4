//! Opening the next epoch of each placement group: does what `metadata::placement` decides.

use metadata::model::{Member, Owner, PgRecord};
use metadata::placement::{Event, Step, Stuck, Takeover, Taker, Unsealed};
use metadata::{Catalog, Revision, WriteOutcome};
use storage::format::{Epoch, Lsn, PgId};
use storage::{JoinedBy, Log, Sealed, Store, StoreId, StoreRefused};

/// Why a placement group could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The procedure cannot go on.
    #[error("placement group {pg} cannot be opened")]
    Stuck {
        /// Which one.
        pg: PgId,
        /// Why.
        source: Box<Stuck>,
    },
    /// The metadata store.
    #[error("placement group {pg}: metadata")]
    Metadata {
        /// Which one.
        pg: PgId,
        /// Its words.
        source: metadata::Error,
    },
    /// The journal did not take up the epoch that was opened.
    #[error("placement group {pg}: journal")]
    Store {
        /// Which one.
        pg: PgId,
        /// Its words.
        source: StoreRefused,
    },
    /// The journal has a copy of what the metadata has never heard of.
    #[error(
        "placement group {pg}: the journal has records of it, metadata.redb knows nothing of it; metadata.redb and \
         journal/ belong together: bring back the one that was replaced, or start with an empty data folder"
    )]
    NoRecord {
        /// Which one.
        pg: PgId,
    },
    /// The metadata know an epoch that this journal joined, and the journal has no copy of it.
    #[error(
        "placement group {pg}: metadata.redb is at epoch {epoch}, the journal has no records of it: segments were \
         taken away; bring back a copy of the whole data folder, or start with an empty one"
    )]
    NoCopy {
        /// Which one.
        pg: PgId,
        /// What the metadata say.
        epoch: Epoch,
    },
    /// The metadata were rebuilt from the bucket, and the journal is of before.
    #[error(
        "placement group {pg}: metadata.redb was rebuilt from the bucket, and the journal is of before: what only \
         it has would be dropped; move journal/ away, and start with none"
    )]
    OlderJournal {
        /// Which one.
        pg: PgId,
    },
    /// The epoch that should end is in another journal.
    #[error(
        "placement group {pg}: metadata.redb names another journal than this one; metadata.redb and journal/ belong \
         together: bring back the one that was replaced, or start with an empty data folder"
    )]
    OtherStore {
        /// Which one.
        pg: PgId,
        /// Why.
        source: Box<Stuck>,
    },
    /// The journal holds less than was synced.
    #[error(
        "placement group {pg}: the journal has lost records that were synced; bring back a copy of the whole data \
         folder, or start with an empty one"
    )]
    Damaged {
        /// Which one.
        pg: PgId,
        /// How it shows.
        source: Box<Stuck>,
    },
    /// The journal's copy is of a later epoch than the metadata has: one of the two is from another time.
    #[error(
        "placement group {pg}: the journal is of epoch {label}, the metadata only of epoch {epoch}; metadata.redb and \
         journal/ belong together: bring back the one that was replaced, or start with an empty data folder"
    )]
    OtherEpoch {
        /// Which one.
        pg: PgId,
        /// What the metadata says.
        epoch: Epoch,
        /// What the journal says.
        label: Epoch,
    },
    /// The journal's copy does not end where the metadata says that the epoch begins: the same fault.
    #[error(
        "placement group {pg}: the journal ends at {end}, the metadata says {base}; metadata.redb and journal/ belong \
         together: bring back the one that was replaced, or start with an empty data folder"
    )]
    OtherEnd {
        /// Which one.
        pg: PgId,
        /// Where the record says that the epoch begins.
        base: Lsn,
        /// Where the journal's copy ends.
        end: Lsn,
    },
}

/// A placement group that this process has opened, before anything of it is served.
pub struct Opened {
    /// The owner's log.
    pub log: Log,
    /// The record, in which this process is the owner.
    pub record: PgRecord,
    /// The record's revision, which the next COMMIT compares.
    pub revision: Revision,
}

/// Opens every placement group of the cluster: in the embedded default one gateway owns them all.
///
/// # Errors
/// [`OpenError`], of the first placement group that cannot be opened.
pub async fn open_all(
    catalog: &Catalog,
    store: &Store,
    me: &Owner,
) -> Result<Vec<Opened>, OpenError> {
    let own = Member { store: store.id(), gateway: me.gateway.clone(), zone: String::new() };
    let taker = Taker { owner: me.clone(), store: own, quorum: 1 };
    let mut groups = Vec::new();
    refuse_orphans(catalog, store).await?;
    for pg in (0..catalog.cluster().pgs).filter_map(PgId::new) {
        let (record, revision) = take_over(catalog, store, pg, taker.clone()).await?;
        let log = serve(store, pg, &record).await?;
        let PgRecord { epoch, base, tiered, .. } = &record;
        tracing::info!(%pg, %epoch, %base, %tiered, "placement group opened");
        groups.push(Opened { log, record, revision });
    }
    Ok(groups)
}

/// Refuses metadata and a journal of which one was taken away, before anything is changed.
///
/// A record is written before its epoch is joined, so a copy without a record is what is left beside metadata that were
/// taken away. To begin at epoch 1 all the same, try after try, would at last find the epochs in step, and the empty
/// catalog would have every queue forgotten. The other way round, a process that died between the record of epoch 1 and
/// its join leaves a record without a copy, of the last placement group that has a record; any other was joined.
async fn refuse_orphans(catalog: &Catalog, store: &Store) -> Result<(), OpenError> {
    let mut not_joined = None;
    for pg in (0..catalog.cluster().pgs).filter_map(PgId::new) {
        let read = catalog.read_pg(pg).await;
        let record = read.map_err(|source| OpenError::Metadata { pg, source })?;
        let Some((PgRecord { epoch, stores, .. }, _)) = record else {
            if store.knows(pg) {
                return Err(OpenError::NoRecord { pg });
            }
            continue;
        };
        if let Some((pg, epoch)) = not_joined {
            return Err(OpenError::NoCopy { pg, epoch });
        }
        // A rebuilt record names no store. A start that was cut off before the next epoch has joined the rebuilt one.
        if stores.is_empty() && store.knows(pg) && store.label(pg) != Some(epoch) {
            return Err(OpenError::OlderJournal { pg });
        }
        if stores.iter().any(|member| member.store == store.id()) && !store.knows(pg) {
            not_joined = Some((pg, epoch));
        }
    }
    // Only the first epoch is joined after its record; a later one is joined before (§6.3).
    let died_in_between = Epoch(1);
    match not_joined {
        Some((pg, epoch)) if epoch > died_in_between => Err(OpenError::NoCopy { pg, epoch }),
        Some(_) | None => Ok(()),
    }
}

/// Until a record names this process as the owner.
async fn take_over(
    catalog: &Catalog,
    store: &Store,
    pg: PgId,
    taker: Taker,
) -> Result<(PgRecord, Revision), OpenError> {
    let own = taker.store.store;
    // What the own store knows of a later epoch: while the record keeps showing an earlier one, they do not belong
    // together.
    let mut later = None;
    let (mut takeover, mut step) = Takeover::begin(pg, taker);
    loop {
        let event = match step {
            Step::Read => {
                let read = catalog.read_pg(pg).await;
                Event::Read(read.map_err(|source| OpenError::Metadata { pg, source })?)
            }
            Step::Seal { stores, epoch, base } => {
                let answers = seal(store, pg, own, &stores, (epoch, base)).await;
                step = Step::Wait;
                for (store, answer) in answers {
                    if let Err(Unsealed::Refused(StoreRefused::Newer(label))) = answer {
                        later = Some((epoch, label));
                    }
                    step = takeover.step(Event::Sealed { store, answer });
                    if step != Step::Wait {
                        break;
                    }
                }
                continue;
            }
            Step::Join { epoch, base, tiered } => {
                Event::Joined(store.join(pg, epoch, base, tiered, JoinedBy::Taker).await)
            }
            Step::Open { seen, record } => {
                let opened = catalog.open_epoch(pg, seen, &record).await;
                Event::Opened(opened.unwrap_or(WriteOutcome::Unknown))
            }
            Step::Serve { record, revision } => return Ok((record, revision)),
            // Every seal is answered before the next step is asked for, so nothing is left to wait for.
            Step::Wait => return Err(stuck(pg, own, Stuck::Contended)),
            Step::Stuck(reason) => {
                return Err(match (reason, later) {
                    (Stuck::Contended, Some((epoch, label))) => {
                        OpenError::OtherEpoch { pg, epoch, label }
                    }
                    (reason, _) => stuck(pg, own, reason),
                });
            }
        };
        step = takeover.step(event);
    }
}

/// What it means where one store is all there is.
fn stuck(pg: PgId, own: StoreId, reason: Stuck) -> OpenError {
    let is_own = |missing: &[(StoreId, Unsealed)]| missing.iter().any(|(store, _)| *store == own);
    match reason {
        Stuck::NoProof { ref missing, .. } if !is_own(missing) => {
            OpenError::OtherStore { pg, source: Box::new(reason) }
        }
        Stuck::NoProof { .. } | Stuck::BelowBase { .. } | Stuck::Behind { .. } => {
            OpenError::Damaged { pg, source: Box::new(reason) }
        }
        Stuck::Holders { .. } | Stuck::NotJoined(_) | Stuck::Contended => {
            OpenError::Stuck { pg, source: Box::new(reason) }
        }
    }
}

/// Seals what can be reached: in the embedded default, the own store.
async fn seal(
    store: &Store,
    pg: PgId,
    own: StoreId,
    stores: &[StoreId],
    (epoch, base): (Epoch, Lsn),
) -> Vec<(StoreId, Result<Sealed, Unsealed>)> {
    let mut answers = Vec::new();
    for member in stores {
        let answer = if *member == own {
            store.seal(pg, epoch, base).await.map_err(Unsealed::Refused)
        } else {
            Err(Unsealed::Unreachable)
        };
        answers.push((*member, answer));
    }
    answers
}

/// §6.6: joins the own store as the owner, and gets the log.
async fn serve(store: &Store, pg: PgId, record: &PgRecord) -> Result<Log, OpenError> {
    let refused = |source| OpenError::Store { pg, source };
    let PgRecord { epoch, base, tiered, .. } = *record;
    let copy = match store.join(pg, epoch, base, tiered, JoinedBy::Owner).await {
        Ok(copy) if copy.end == base => copy,
        Ok(copy) => return Err(OpenError::OtherEnd { pg, base, end: copy.end }),
        Err(StoreRefused::Newer(label)) => return Err(OpenError::OtherEpoch { pg, epoch, label }),
        Err(source) => return Err(refused(source)),
    };
    debug_assert_eq!(copy.label, epoch);
    store.log(pg, epoch).map_err(refused)
}
