//! Why a topic is not cloned.

use crate::consume::ResetRefused;
use crate::history::LoadFailed;
use metadata::CatalogError;
use protocol::names::TopicName;
use std::time::Duration;
use storage::format::PgId;

/// Why a topic is not cloned. But for [`CloneRefused::Offsets`] nothing was made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CloneRefused {
    /// There is no such source.
    #[error("topic {0} does not exist")]
    NoSource(TopicName),
    /// Another gateway owns a placement group of the source.
    #[error("placement group {0} is not served here")]
    NotServedHere(PgId),
    /// The object store does not say what was there at the time.
    #[error(transparent)]
    NotLoaded(#[from] LoadFailed),
    /// What is to be shown did not reach the object store.
    #[error(
        "placement group {pg} has messages that are not in the object store after {} s", waited.as_secs()
    )]
    NotTiered {
        /// One of those that are late.
        pg: PgId,
        /// How long they were waited for.
        waited: Duration,
    },
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The clone is made; groups are not all where they are in the source.
    #[error("the clone is made, but not every group is where it is in the source: {0}")]
    Offsets(#[source] ResetRefused),
}
