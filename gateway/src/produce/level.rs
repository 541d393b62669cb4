//! The level that a send waits for.

use crate::ownership;
use metadata::model::Durability;
use storage::Level;

/// The level at which a send is acknowledged: the topic's, or the highest that a message asks for
/// where that is higher.
pub(super) fn level(topic: Durability, asked: impl Iterator<Item = Durability>) -> Level {
    ownership::level(asked.fold(topic, Durability::max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_raises_its_topics_level_and_never_lowers_it() {
        use Durability::{Async, Local, Mirrored, Object};
        for (topic, asked, expected) in [
            (Async, vec![], Level::Async),
            (Async, vec![Async], Level::Async),
            (Async, vec![Async, Local, Async], Level::Local),
            (Local, vec![], Level::Local),
            (Local, vec![Async], Level::Local),
            (Async, vec![Mirrored], Level::Local),
            (Mirrored, vec![Async], Level::Local),
            (Local, vec![Object], Level::Object),
            (Object, vec![Async], Level::Object),
        ] {
            assert_eq!(level(topic, asked.iter().copied()), expected, "{topic:?} with {asked:?}");
        }
    }
}
