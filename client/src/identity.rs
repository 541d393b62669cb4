//! Names that a client gives: its own, and those of its messages.

use crate::door;
use protocol::stored::GrpcId;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// `host@pid@index@random`, as the official clients name themselves: unique for each producer and
/// consumer.
pub(crate) fn client_id() -> String {
    static INDEX: AtomicU64 = AtomicU64::new(0);
    let index = INDEX.fetch_add(1, Ordering::Relaxed);
    format!("{}@{}@{index}@{:x}", hostname(), std::process::id(), door::random_u64())
}

/// The host's name; header values are ASCII, so anything else in it is left out.
pub(crate) fn hostname() -> &'static str {
    static NAME: LazyLock<String> = LazyLock::new(|| {
        let name = std::env::var("HOSTNAME")
            .or_else(|_| std::fs::read_to_string("/proc/sys/kernel/hostname"))
            .unwrap_or_default();
        let legal = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let name: String = name.chars().filter(legal).collect();
        if name.is_empty() { "localhost".to_owned() } else { name }
    });
    &NAME
}

/// A new message id of the 5.x form (spec C.5).
///
/// The bytes that stand for the machine are random, once per process, with the bit set that no real
/// network card has: a process that comes back under the same id within one second still cannot
/// repeat a name.
pub(crate) fn message_id() -> String {
    static MACHINE: LazyLock<[u8; 6]> = LazyLock::new(|| {
        let [_, _, first, rest @ ..] = door::random_u64().to_be_bytes();
        let [b, c, d, e, f] = rest;
        [first | 1, b, c, d, e, f]
    });
    static SEQUENCE: AtomicU32 = AtomicU32::new(0);
    let [_, _, process @ ..] = std::process::id().to_be_bytes();
    let seconds = door::unix_seconds().saturating_sub(GrpcId::EPOCH_SECONDS);
    GrpcId {
        mac: *MACHINE,
        process: u16::from_be_bytes(process),
        // Wraps in 2157, as everybody's will.
        seconds: u32::try_from(seconds & u64::from(u32::MAX)).unwrap_or_default(),
        sequence: SEQUENCE.fetch_add(1, Ordering::Relaxed),
    }
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn message_ids_have_the_5x_form_and_differ() {
        let ids: HashSet<String> = (0..1000).map(|_| message_id()).collect();
        assert_eq!(ids.len(), 1000);
        for id in ids {
            let process = GrpcId::parse(&id).map(|id| u32::from(id.process));
            assert_eq!(process, Some(std::process::id() & 0xFFFF), "{id}");
        }
    }

    #[test]
    fn client_ids_differ_within_a_process() {
        assert_ne!(client_id(), client_id());
    }
}
