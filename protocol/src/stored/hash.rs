//! Hashes that clients and servers compute alike.

use std::num::NonZeroUsize;

use siphasher::sip::SipHasher24;

/// Java's `String.hashCode`: over UTF-16 units, wrapping.
pub fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()))
}

/// What a broker's queue index keeps of a tag (`tagsCode`): its Java hash as the bits of an `i64`;
/// 0 without a tag.
pub fn tag_hash(tag: &str) -> u64 {
    i64::from(java_hash(tag)).cast_unsigned()
}

/// The queue of an ordered message among `queues` writable queues in route order: SipHash-2-4 of the
/// message group (or lite topic) under the key 00, 01, … 0f, taken as a signed number, modulo without a
/// sign. Official gRPC producers choose the same one (Guava's `sipHash24` and `LongMath.mod`).
pub fn ordered_queue(key: &str, queues: NonZeroUsize) -> usize {
    const KEY: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    let hash = SipHasher24::new_with_key(&KEY).hash(key.as_bytes()).cast_signed();
    let queues = i64::try_from(queues.get()).unwrap_or(i64::MAX);
    usize::try_from(hash.rem_euclid(queues)).expect("a remainder below a usize fits one")
}
