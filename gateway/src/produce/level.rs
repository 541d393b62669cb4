//! The level that a send waits for.

use metadata::model::Durability;
use storage::Level;

/// The level at which a send is acknowledged: the topic's, or the highest that a message asks for
/// where that is higher. `mirrored` is `local` in an epoch of one store (replication.md L5), which
/// is all that there is without a cluster.
///
/// # Errors
/// The durability that would be needed, where it needs an object store.
pub(super) fn level(
    topic: Durability,
    asked: impl Iterator<Item = Durability>,
) -> Result<Level, Durability> {
    match asked.fold(topic, Durability::max) {
        Durability::Async => Ok(Level::Async),
        Durability::Local | Durability::Mirrored => Ok(Level::Local),
        Durability::Object => Err(Durability::Object),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_raises_its_topics_level_and_never_lowers_it() {
        use Durability::{Async, Local, Mirrored, Object};
        for (topic, asked, expected) in [
            (Async, vec![], Ok(Level::Async)),
            (Async, vec![Async], Ok(Level::Async)),
            (Async, vec![Async, Local, Async], Ok(Level::Local)),
            (Local, vec![], Ok(Level::Local)),
            (Local, vec![Async], Ok(Level::Local)),
            (Async, vec![Mirrored], Ok(Level::Local)),
            (Mirrored, vec![Async], Ok(Level::Local)),
            (Local, vec![Object], Err(Object)),
            (Object, vec![Async], Err(Object)),
        ] {
            assert_eq!(level(topic, asked.iter().copied()), expected, "{topic:?} with {asked:?}");
        }
    }
}
