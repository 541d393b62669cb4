//! Clones: made, and who holds what.

use super::*;
use crate::model::{HeldBy, Holder, ORIGIN_LAYERS_MAX, Retention, Span};
use storage::format::{QueueOffset, QueueUid};

fn span(from: u64, to: u64) -> Span {
    Span { from: QueueOffset(from), to: QueueOffset(to) }
}

impl World {
    async fn clone_of(&self, source: &Topic, name: &str, span: Span) -> Arc<Topic> {
        let at = self.env.now();
        self.catalog.clone_topic(source, &topic(name), at, |_| span).await.unwrap()
    }
}

fn first(topic: &Topic) -> QueueUid {
    QueueUid(topic.uid_base)
}

/// By whom, from where and to where.
fn told(holders: &[Holder]) -> Vec<(String, u64, Option<u64>)> {
    let by = |holder: &Holder| match &holder.by {
        HeldBy::Topic(topic) => topic.name.to_string(),
        HeldBy::Group(group) => group.name.to_string(),
        HeldBy::Clone { topic, queue } => format!("{} {}", topic.name, queue.0 - topic.uid_base),
    };
    let told = |holder: &Holder| (by(holder), holder.from.0, holder.to.map(|to| to.0));
    holders.iter().map(told).collect()
}

#[tokio::test]
async fn a_clone_has_the_settings_and_places_of_its_source_and_goes_on_behind_it() {
    let mut world = World::new().await;
    let mut wanted = spec("orders", 6);
    wanted.kind = TopicKind::Fifo;
    wanted.attributes.insert("retention".into(), "3d".into());
    let source = world.catalog.create_topic(wanted).await.unwrap();
    let clone = world.clone_of(&source, "copy", span(2, 9)).await;
    assert_eq!((clone.kind, clone.retention()), (source.kind, Retention::Age(3 * DAY)));
    assert_eq!(clone.spread, source.spread);
    for (own, of_source) in clone.queues().iter().zip(source.queues()) {
        assert_eq!((own.pg, own.id), (of_source.pg, of_source.id));
        assert_eq!(clone.queue_start(own.uid), QueueOffset(9));
        let [part] = clone.inherited(own.uid)[..] else { panic!("one part") };
        assert_eq!((part.queue, part.span), (of_source.uid, span(2, 9)));
    }
    world.reopen().await;
    assert_eq!(world.catalog.topic("copy"), Some(clone));
}

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test]
async fn asking_for_the_same_clone_again_gives_it_and_another_topic_stands_in_the_way() {
    let world = World::new().await;
    let source = world.catalog.create_topic(spec("orders", 2)).await.unwrap();
    let clone = world.clone_of(&source, "copy", span(0, 5)).await;
    assert_eq!(world.clone_of(&source, "copy", span(0, 7)).await, clone);
    let later = Timestamp(world.env.now().0 + 1);
    for (name, at) in [("copy", later), ("orders", world.env.now())] {
        let made = world.catalog.clone_topic(&source, &topic(name), at, |_| span(0, 5)).await;
        assert!(matches!(made, Err(CatalogError::TopicExists(_))), "{made:?}");
    }
}

#[tokio::test]
async fn a_topic_that_is_gone_or_made_anew_is_not_cloned() {
    let world = World::new().await;
    let source = world.catalog.create_topic(spec("orders", 2)).await.unwrap();
    world.catalog.delete_topic(&source.name, None).await.unwrap();
    for _ in 0..2 {
        let at = world.env.now();
        let made = world.catalog.clone_topic(&source, &topic("copy"), at, |_| span(0, 5)).await;
        assert!(matches!(made, Err(CatalogError::TopicNotFound(_))), "{made:?}");
        world.catalog.create_topic(spec("orders", 2)).await.unwrap();
        world.catalog.delete_topic(&source.name, None).await.unwrap();
    }
}

#[tokio::test]
async fn a_clone_is_never_made_of_a_topic_that_is_being_deleted() {
    for round in 0..20 {
        let world = World::new().await;
        let source = world.catalog.create_topic(spec("orders", 2)).await.unwrap();
        let (at, name) = (world.env.now(), topic("copy"));
        let other = world.other_gateway().await;
        let make = world.catalog.clone_topic(&source, &name, at, |_| span(0, 5));
        let (made, deleted) = if round % 2 == 0 {
            tokio::join!(make, other.delete_topic(&source.name, None))
        } else {
            let (deleted, made) = tokio::join!(other.delete_topic(&source.name, None), make);
            (made, deleted)
        };
        deleted.unwrap();
        let range = world.store.range(key::TOPICS).await.unwrap();
        assert_eq!(made.is_ok(), range.pairs.iter().any(|pair| pair.key.ends_with("copy")));
    }
}

#[tokio::test]
async fn what_a_clone_shows_outlives_its_source_and_goes_with_the_last_who_shows_it() {
    let world = World::new().await;
    let source = world.catalog.create_topic(spec("orders", 1)).await.unwrap();
    let queue = first(&source);
    let holders = || told(&world.catalog.holders(queue));
    let copy = world.clone_of(&source, "copy", span(2, 9)).await;
    let second = world.clone_of(&copy, "second", span(4, 12)).await;
    let (own, by_copy) = (("orders".into(), 0, None), ("copy 0".into(), 2, Some(9)));
    let by_second = ("second 0".to_owned(), 4, Some(9));
    assert_eq!(holders(), [own, by_copy, by_second.clone()]);
    let of_copy = [("copy".into(), 9, None), ("second 0".into(), 9, Some(12))];
    assert_eq!(told(&world.catalog.holders(first(&copy))), of_copy);

    world.catalog.delete_topic(&source.name, None).await.unwrap();
    world.catalog.delete_topic(&copy.name, None).await.unwrap();
    assert_eq!(holders(), [by_second]);
    assert!(!world.catalog.is_gone(queue) && !world.catalog.is_gone(first(&copy)));
    world.catalog.delete_topic(&second.name, None).await.unwrap();
    for topic in [&source, &copy, &second] {
        assert!(world.catalog.is_gone(first(topic)), "{}", topic.name);
    }
}

#[tokio::test]
async fn dead_letters_are_held_by_their_group_and_never_locked() {
    let world = World::new().await;
    let made = world.catalog.put_group(GroupSpec::new(group("readers"))).await.unwrap();
    let holders = world.catalog.holders(made.dead_letter_queue());
    assert_eq!(told(&holders), [("readers".into(), 0, None)]);
    assert_eq!(holders[0].retention(), Retention::Forever);
    world.catalog.delete_group(&made.name).await.unwrap();
    assert!(world.catalog.is_gone(made.dead_letter_queue()));
    assert!(!world.catalog.is_gone(QueueUid(7)), "no topic's and no group's");
}

#[tokio::test]
async fn a_clone_takes_over_the_lock_from_the_time_it_was_cloned_at() {
    let world = World::new().await;
    world.catalog.allow_locks();
    let mut locked = spec("audit", 1);
    locked.attributes.insert("retention".into(), "locked:30d".into());
    let source = world.catalog.create_topic(locked).await.unwrap();
    let full = world.clone_of(&source, "full", span(0, 1)).await;
    let empty = world.clone_of(&source, "empty", span(0, 0)).await;
    let refused = world.catalog.delete_topic(&full.name, None).await;
    assert!(matches!(refused, Err(CatalogError::LockedUntil { .. })), "{refused:?}");
    world.catalog.delete_topic(&empty.name, None).await.unwrap();
    world.clock.advance(DAY * 30);
    world.catalog.delete_topic(&full.name, None).await.unwrap();
}

#[tokio::test]
async fn a_clone_that_would_not_fit_is_refused() {
    let world = World::new().await;
    let wide = world.catalog.create_topic(spec("wide", QUEUES_MAX)).await.unwrap();
    let at = world.env.now();
    let far = |_| span(u64::MAX >> 2, u64::MAX >> 1);
    let made = world.catalog.clone_topic(&wide, &topic("copy"), at, far).await;
    assert!(matches!(made, Err(CatalogError::OriginTooLarge { .. })), "{made:?}");

    let mut source = world.catalog.create_topic(spec("deep", 1)).await.unwrap();
    for depth in 1..=ORIGIN_LAYERS_MAX as u64 {
        source = world.clone_of(&source, &format!("deep-{depth}"), span(0, depth)).await;
    }
    let more = |_| span(0, u64::MAX >> 1);
    let made = world.catalog.clone_topic(&source, &topic("copy"), at, more).await;
    assert!(matches!(made, Err(CatalogError::OriginTooDeep(_))), "{made:?}");
}

#[tokio::test]
async fn a_clone_of_unknown_outcome_is_settled_by_a_read() {
    let world = World::new().await;
    let flaky = Arc::new(Flaky { inner: world.store.clone(), asked: AtomicU32::new(0) });
    let catalog = Catalog::start(flaky, world.env.clone(), cluster()).await.unwrap();
    let source = catalog.create_topic(spec("orders", 2)).await.unwrap();
    for round in 0..6 {
        let name = topic(&format!("copy-{round}"));
        let at = world.env.now();
        let made = catalog.clone_topic(&source, &name, at, |_| span(0, 5)).await.unwrap();
        assert_eq!(catalog.topic(name.as_str()), Some(made));
    }
}
