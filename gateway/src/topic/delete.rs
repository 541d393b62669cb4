//! Deleting a topic, unless it is locked.

use super::newest::newest;
use crate::broker::Broker;
use metadata::CatalogError;
use metadata::model::Retention;
use protocol::names::TopicName;

/// Deletes a topic with its messages; clones of it keep theirs.
///
/// # Errors
/// What [`metadata::Catalog::delete_topic`] refuses.
pub(crate) async fn delete_topic(broker: &Broker, name: &TopicName) -> Result<(), CatalogError> {
    let topic = broker.catalog.topic(name.as_str());
    let newest = match topic {
        Some(topic) if matches!(topic.retention(), Retention::Locked(_)) => {
            newest(&broker.owned, &topic).await
        }
        Some(_) | None => None,
    };
    broker.catalog.delete_topic(name, newest).await
}
