//! Placement groups: who owns one, in which epoch, with which stores (design/replication.md §3).
//!
//! A record is written by three transitions only: CREATE (the key is absent), COMMIT (by the owner: `tiered` grows and
//! nothing else), OPEN (the next epoch). Each compares the record's revision, never a field.

use super::codec::{Record, RecordError, opened, sealed};
use super::{GatewayId, Incarnation};
use bytes::Bytes;
use storage::StoreId;
use storage::format::{Epoch, Lsn, PgId};

/// A process that owns a placement group in one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The gateway.
    pub gateway: GatewayId,
    /// The start of its process. A restarted gateway is another owner (rule O1).
    pub incarnation: Incarnation,
}

/// One store of an epoch's set C.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The store.
    pub store: StoreId,
    /// The gateway that had it when the epoch was opened.
    pub gateway: GatewayId,
    /// Its failure zone; empty where there are none.
    pub zone: String,
}

/// A placement group's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PgRecord {
    /// From 1.
    pub epoch: Epoch,
    /// The owner of the epoch.
    pub owner: Owner,
    /// C: fixed for the epoch's life.
    pub stores: Vec<Member>,
    /// Qw: stores of C that must hold a record for it to be `mirrored`; at least 1.
    pub quorum: u32,
    /// Where the epoch's own appends begin.
    pub base: Lsn,
    /// Everything below is in the bucket.
    pub tiered: Lsn,
    /// The name of the manifest's root object; none before the first.
    pub manifest_root: Option<String>,
    /// Changes of the manifest that are not yet folded into its root, oldest first, in the bytes of `storage::format`.
    pub deltas: Vec<Bytes>,
    /// Where a replay of its state begins; from the beginning of the log where there is none.
    pub snapshot: Option<SnapshotRef>,
}

/// The newest snapshot of a placement group's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotRef {
    /// The name of its object.
    pub object: String,
    /// What the records below did is in it.
    pub applied: Lsn,
}

impl PgRecord {
    /// CREATE: the record of a placement group that nobody has owned yet.
    pub fn create(pg: PgId, owner: Owner, stores: Vec<Member>, quorum: u32) -> PgRecord {
        PgRecord {
            epoch: Epoch(1),
            owner,
            stores,
            quorum,
            base: pg.first_lsn(),
            tiered: pg.first_lsn(),
            manifest_root: None,
            deltas: Vec::new(),
            snapshot: None,
        }
    }

    /// OPEN: the record of the next epoch, whose appends begin at `base`.
    #[must_use]
    pub fn open(&self, owner: Owner, stores: Vec<Member>, quorum: u32, base: Lsn) -> PgRecord {
        PgRecord { epoch: self.epoch.next(), owner, stores, quorum, base, ..self.clone() }
    }

    /// Qr: how many of C must be sealed before it is shown that nobody acknowledges in the epoch any more.
    pub fn seal_quorum(&self) -> usize {
        let quorum = usize::try_from(self.quorum).unwrap_or(usize::MAX);
        (self.stores.len() + 1).saturating_sub(quorum)
    }
}

/// The name under which clients know a placement group, for ever: `strata-NNNN`.
pub fn broker_name(pg: PgId) -> String {
    format!("strata-{pg}")
}

/// The placement group that a client names; `None` when it is no name of ours.
pub fn parse_broker_name(name: &str) -> Option<PgId> {
    let pg = PgId::new(name.strip_prefix("strata-")?.parse().ok()?)?;
    (broker_name(pg) == name).then_some(pg)
}

const SCHEMA: u8 = 1;

#[derive(Clone, PartialEq, prost::Message)]
struct PgV1 {
    #[prost(uint32, tag = "1")]
    epoch: u32,
    #[prost(string, tag = "2")]
    gateway: String,
    #[prost(fixed64, tag = "3")]
    incarnation: u64,
    #[prost(message, repeated, tag = "4")]
    stores: Vec<MemberV1>,
    #[prost(uint32, tag = "5")]
    quorum: u32,
    #[prost(uint64, tag = "6")]
    base: u64,
    #[prost(uint64, tag = "7")]
    tiered: u64,
    #[prost(string, optional, tag = "8")]
    manifest_root: Option<String>,
    #[prost(bytes = "bytes", repeated, tag = "9")]
    deltas: Vec<Bytes>,
    #[prost(string, optional, tag = "10")]
    snapshot: Option<String>,
    #[prost(uint64, tag = "11")]
    snapshot_applied: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct MemberV1 {
    #[prost(fixed64, tag = "1")]
    store_high: u64,
    #[prost(fixed64, tag = "2")]
    store_low: u64,
    #[prost(string, tag = "3")]
    gateway: String,
    #[prost(string, tag = "4")]
    zone: String,
}

impl From<&Member> for MemberV1 {
    fn from(member: &Member) -> MemberV1 {
        let [high, low] = halves(member.store.0);
        MemberV1 {
            store_high: high,
            store_low: low,
            gateway: member.gateway.as_str().to_owned(),
            zone: member.zone.clone(),
        }
    }
}

impl TryFrom<MemberV1> for Member {
    type Error = RecordError;

    fn try_from(message: MemberV1) -> Result<Member, RecordError> {
        let MemberV1 { store_high, store_low, gateway, zone } = message;
        Ok(Member {
            store: StoreId(u128::from(store_high) << 64 | u128::from(store_low)),
            gateway: GatewayId::parse(&gateway).ok_or(RecordError::Field("stores.gateway"))?,
            zone,
        })
    }
}

fn halves(id: u128) -> [u64; 2] {
    let bytes = id.to_be_bytes();
    let (high, low) = bytes.split_at(8);
    [high, low].map(|half| u64::from_be_bytes(half.try_into().expect("8 of 16 bytes")))
}

impl Record for PgRecord {
    fn encode(&self) -> Bytes {
        let message = PgV1 {
            epoch: self.epoch.0,
            gateway: self.owner.gateway.as_str().to_owned(),
            incarnation: self.owner.incarnation.0,
            stores: self.stores.iter().map(MemberV1::from).collect(),
            quorum: self.quorum,
            base: self.base.0,
            tiered: self.tiered.0,
            manifest_root: self.manifest_root.clone(),
            deltas: self.deltas.clone(),
            snapshot: self.snapshot.as_ref().map(|snapshot| snapshot.object.clone()),
            snapshot_applied: self.snapshot.as_ref().map_or(0, |snapshot| snapshot.applied.0),
        };
        sealed(SCHEMA, &message)
    }

    fn decode(value: &[u8]) -> Result<PgRecord, RecordError> {
        let message: PgV1 = opened(SCHEMA, value)?;
        if message.epoch == 0 {
            return Err(RecordError::Field("epoch"));
        }
        if message.quorum == 0 {
            return Err(RecordError::Field("quorum"));
        }
        let applied = Lsn(message.snapshot_applied);
        Ok(PgRecord {
            epoch: Epoch(message.epoch),
            owner: Owner {
                gateway: GatewayId::parse(&message.gateway).ok_or(RecordError::Field("gateway"))?,
                incarnation: Incarnation(message.incarnation),
            },
            stores: message.stores.into_iter().map(Member::try_from).collect::<Result<_, _>>()?,
            quorum: message.quorum,
            base: Lsn(message.base),
            tiered: Lsn(message.tiered),
            manifest_root: message.manifest_root,
            deltas: message.deltas,
            snapshot: message.snapshot.map(|object| SnapshotRef { object, applied }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_name_is_read_back_and_no_other_spelling_is() {
        let pg = PgId::new(7).unwrap();
        assert_eq!(broker_name(pg), "strata-0007");
        assert_eq!(parse_broker_name("strata-0007"), Some(pg));
        for other in ["strata-7", "strata-+007", "broker-a", "strata-99999", "strata-"] {
            assert_eq!(parse_broker_name(other), None, "{other}");
        }
    }

    #[test]
    fn a_snapshot_is_read_back() {
        let owner = Owner { gateway: GatewayId::parse("a").unwrap(), incarnation: Incarnation(1) };
        let mut record = PgRecord::create(PgId::new(0).unwrap(), owner, Vec::new(), 1);
        record.snapshot = Some(SnapshotRef { object: "snapshot/0".into(), applied: Lsn(77) });
        assert_eq!(PgRecord::decode(&record.encode()), Ok(record));
    }

    #[test]
    fn seals_and_holders_overlap() {
        let gateway = GatewayId::parse("a").unwrap();
        let owner = Owner { gateway: gateway.clone(), incarnation: Incarnation(1) };
        let member =
            |n| Member { store: StoreId(n), gateway: gateway.clone(), zone: String::new() };
        for (stores, quorum, seals) in [(1, 1, 1), (1, 2, 0), (2, 2, 1), (3, 2, 2), (4, 2, 3)] {
            let members = (0..stores).map(member).collect();
            let pg = PgId::new(0).unwrap();
            let record = PgRecord::create(pg, owner.clone(), members, quorum);
            assert_eq!(record.seal_quorum(), seals, "{stores} stores, quorum {quorum}");
        }
    }
}
