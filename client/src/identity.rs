//! Names that a client gives: its own, and those of its messages.

use crate::door;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// `host@pid@index@random`, as the official clients name themselves: unique for each producer and consumer.
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

/// A message id of the 5.x form (spec C.5): 34 upper-case hex digits, `01`, six bytes that stand for the machine, the
/// low two of the process id, seconds since 2021-01-01T00:00Z, a sequence number.
///
/// The machine's bytes are random, once per process, with the bit set that no real network card has: a process that
/// comes back under the same id within one second still cannot repeat a name.
pub(crate) fn message_id() -> String {
    /// 2021-01-01T00:00Z.
    const EPOCH_SECONDS: u64 = 1_609_459_200;
    static MACHINE: LazyLock<u64> =
        LazyLock::new(|| (door::random_u64() | 0x0100_0000_0000) & 0xFFFF_FFFF_FFFF);
    static SEQUENCE: AtomicU32 = AtomicU32::new(0);
    let seconds = door::unix_seconds().saturating_sub(EPOCH_SECONDS) & 0xFFFF_FFFF;
    let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed);
    let pid = std::process::id() & 0xFFFF;
    format!("01{:012X}{pid:04X}{seconds:08X}{sequence:08X}", *MACHINE)
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
            assert_eq!(id.len(), 34);
            assert!(id.starts_with("01"));
            assert!(id.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b)));
        }
    }

    #[test]
    fn client_ids_differ_within_a_process() {
        assert_ne!(client_id(), client_id());
    }
}
