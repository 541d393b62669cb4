//! How a topic's queues lie over placement groups (DESIGN §2).
//!
//! A topic of n queues uses p = min(n, placement groups, [`TOPIC_PGS_MAX`]) of them, chosen once, at creation: p in a
//! row, from a place that the name's hash gives, so that topics lie evenly. Queue i goes to the i mod p-th, with ids
//! from 0 inside each. Growing appends and never moves: p stays.

use super::Cluster;
use storage::format::PgId;

/// The most placement groups that one topic is spread over.
pub const TOPIC_PGS_MAX: u32 = 8;

/// A topic's queues in one placement group: ids `0..queues`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The placement group.
    pub pg: PgId,
    /// How many of the topic's queues it has.
    pub queues: u32,
}

/// The shares of a new topic, in the order in which queues are dealt to them.
pub(crate) fn spread(cluster: &Cluster, name: &str, queues: u32) -> Vec<Share> {
    let p = queues.min(cluster.pgs).min(TOPIC_PGS_MAX);
    let start = u32::try_from(fnv1a(name) % u64::from(cluster.pgs)).expect("less than a u32");
    let mut shares: Vec<Share> = cluster
        .pgs()
        .cycle()
        .skip(start as usize)
        .take(p as usize)
        .map(|pg| Share { pg, queues: 0 })
        .collect();
    grow(&mut shares, queues);
    shares
}

/// Deals queues to `shares` until there are `queues` in all. Those that are there stay.
pub(crate) fn grow(shares: &mut [Share], queues: u32) {
    let p = u32::try_from(shares.len()).unwrap_or(u32::MAX);
    for (slot, share) in (0..p).zip(shares) {
        share.queues = share.queues.max(queues.saturating_sub(slot).div_ceil(p));
    }
}

/// Whether `shares` are what dealing `queues` gives. Anything else would give two queues one uid.
pub(crate) fn is_dealt(shares: &[Share], queues: u32) -> bool {
    let empty = |share: &Share| Share { pg: share.pg, queues: 0 };
    let mut dealt: Vec<Share> = shares.iter().map(empty).collect();
    grow(&mut dealt, queues);
    dealt == shares && shares.len() <= TOPIC_PGS_MAX as usize
}

/// FNV-1a, 64 bits: nobody gains by colliding here.
fn fnv1a(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::env::Timestamp;

    fn cluster(pgs: u32) -> Cluster {
        Cluster { name: "C".into(), pgs, secret: [0; 32], created: Timestamp(0) }
    }

    fn counts(shares: &[Share]) -> Vec<u32> {
        shares.iter().map(|share| share.queues).collect()
    }

    #[test]
    fn queues_are_dealt_to_as_many_pgs_as_there_are_queues_pgs_or_eight() {
        for (pgs, queues, want) in [
            (4, 1, vec![1]),
            (4, 3, vec![1, 1, 1]),
            (4, 8, vec![2, 2, 2, 2]),
            (4, 10, vec![3, 3, 2, 2]),
            (64, 8, vec![1; 8]),
            (64, 17, vec![3, 2, 2, 2, 2, 2, 2, 2]),
            (1, 5, vec![5]),
        ] {
            assert_eq!(counts(&spread(&cluster(pgs), "T", queues)), want, "{pgs} pgs, {queues}");
        }
    }

    #[test]
    fn growing_appends_and_never_moves() {
        for before in 1..20 {
            let mut grown = spread(&cluster(4), "T", before);
            let old = grown.clone();
            for after in before..40 {
                grow(&mut grown, after);
                assert_eq!(counts(&grown).iter().sum::<u32>(), after);
                assert!(
                    grown
                        .iter()
                        .zip(&old)
                        .all(|(new, old)| new.pg == old.pg && new.queues >= old.queues)
                );
            }
        }
    }

    #[test]
    fn no_pg_has_two_shares_of_a_topic() {
        for n in 0..100 {
            let mut pgs: Vec<PgId> =
                spread(&cluster(9), &format!("topic-{n}"), 30).iter().map(|s| s.pg).collect();
            pgs.sort();
            pgs.dedup();
            assert_eq!(pgs.len(), 8);
        }
    }

    #[test]
    fn topics_lie_evenly() {
        let mut load = [0_u32; 4];
        for n in 0..4000 {
            for share in spread(&cluster(4), &format!("orders-{n}"), 1) {
                load[share.pg.get() as usize] += share.queues;
            }
        }
        assert!(load.iter().all(|&queues| (800..1200).contains(&queues)), "{load:?}");
    }
}
