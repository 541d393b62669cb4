//! What a message in the bucket is found by: its topic's name with each of its keys, and with its id.

use bytes::Bytes;
use protocol::stored::{self, property};
use storage::format::object::KeyHash;
use storage::tier::retention::Keyed;

/// The hash under which a topic's message with this key, or this id, is indexed.
pub fn key_hash(topic: &str, key: &str) -> KeyHash {
    KeyHash::of_key(topic.as_bytes(), key.as_bytes())
}

/// The hashes of a stored message. One that cannot be read has none, and is found by its place alone.
pub(super) fn keys_of(stored: Bytes, into: &mut Vec<KeyHash>) {
    let Ok(message) = stored::decode(stored) else { return };
    let properties = &message.properties;
    let keys = properties.get(property::KEYS).unwrap_or_default();
    let keys = keys.split(property::KEY_SEPARATOR).filter(|key| !key.is_empty());
    into.extend(
        keys.chain(properties.get(property::UNIQ_KEY)).map(|key| key_hash(&message.topic, key)),
    );
}

/// What earlier messages a stored one replaces in a topic that is compacted by key: those with its first key. One with
/// an empty body says that there is nothing of the key any more.
pub(super) fn replaced_key(stored: Bytes) -> Option<Keyed> {
    let message = stored::decode(stored).ok()?;
    let keys = message.properties.get(property::KEYS).unwrap_or_default();
    let key = keys.split(property::KEY_SEPARATOR).find(|key| !key.is_empty())?;
    Some(Keyed::of(key.as_bytes(), message.body.is_empty()))
}
