//! Locked topics.

use super::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn locked(retention: &str) -> TopicSpec {
    let mut spec = spec("audit", 1);
    spec.attributes.insert("retention".into(), retention.into());
    spec
}

#[tokio::test]
async fn a_lock_is_made_longer_and_never_shorter() {
    let world = World::new().await;
    world.catalog.allow_locks();
    world.catalog.put_topic(locked("locked:30d")).await.unwrap();
    world.catalog.put_topic(locked("locked:60d")).await.unwrap();
    for weaker in ["locked:59d", "forever", "1d"] {
        let error = world.catalog.put_topic(locked(weaker)).await.unwrap_err();
        assert!(matches!(error, CatalogError::Locked { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn where_the_store_does_not_lock_no_topic_becomes_locked() {
    let world = World::new().await;
    let no_locks = |error: CatalogError| matches!(error, CatalogError::NoLocks(_));
    let refused = world.catalog.create_topic(locked("locked:30d")).await.unwrap_err();
    assert!(no_locks(refused));
    world.catalog.create_topic(locked("1d")).await.unwrap();
    let refused = world.catalog.put_topic(locked("locked:30d")).await.unwrap_err();
    assert!(no_locks(refused));
    world.catalog.allow_locks();
    world.catalog.put_topic(locked("locked:30d")).await.unwrap();
    // A gateway that comes with another store: what is locked can be changed but for its lock.
    let other = world.other_gateway().await;
    other.put_topic(TopicSpec { queues: 2, ..locked("locked:30d") }).await.unwrap();
    assert!(no_locks(
        other.put_topic(TopicSpec { queues: 2, ..locked("locked:60d") }).await.unwrap_err()
    ));
}

#[tokio::test]
async fn a_locked_topic_is_deleted_when_the_lock_of_its_newest_message_has_ended() {
    let world = World::new().await;
    world.catalog.allow_locks();
    let name = topic("audit");
    world.catalog.create_topic(locked("locked:30d")).await.unwrap();
    let newest = world.env.now();
    let refused = world.catalog.delete_topic(&name, Some(newest)).await.unwrap_err();
    let text =
        "topic audit is locked until 1970-01-31 00:00:01 UTC, when its newest message may go";
    assert_eq!(refused.to_string(), text);
    world.clock.advance(DAY * 30 - Duration::from_millis(1));
    assert!(world.catalog.delete_topic(&name, Some(newest)).await.is_err());
    world.clock.advance(Duration::from_millis(1));
    world.catalog.delete_topic(&name, Some(newest)).await.unwrap();
}

#[tokio::test]
async fn a_locked_topic_without_messages_is_deleted() {
    let world = World::new().await;
    world.catalog.allow_locks();
    world.catalog.create_topic(locked("locked:30d")).await.unwrap();
    world.catalog.delete_topic(&topic("audit"), None).await.unwrap();
}
