//! Making a bundle of what logs have committed. Reads the journal, sorts and compresses: not for a runtime's thread.

use super::keys::keys_of;
use bytes::Bytes;
use metadata::Catalog;
use std::collections::HashMap;
use storage::format::object::{KeyHash, Properties, Record};
use storage::format::{Epoch, Lsn, PgId, QueueOffset, QueueUid};
use storage::tier::proof::{Digest, Digester};
use storage::tier::{Bundle, BundleBuilder, BundleRefused, Knowledge, ObjectId};
use storage::{Log, Piece, ReadError};

/// What a bundle may take of one placement group.
pub(super) struct Share {
    pub(super) log: Log,
    /// Of the record that the bundle is to be committed to.
    pub(super) epoch: Epoch,
    pub(super) from: Lsn,
    pub(super) to: Lsn,
    /// Chain at `from`.
    pub(super) chain: u32,
    /// Where queues' offsets go on after a gap, as of `from`.
    pub(super) opened: HashMap<QueueUid, QueueOffset>,
}

/// Why there is no bundle: nothing was uploaded, and nothing may be trimmed.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotBuilt {
    /// The journal does not show what it was given.
    #[error("placement group {pg}: the journal cannot be read")]
    Read {
        /// Whose log.
        pg: PgId,
        /// Why.
        source: ReadError,
    },
    /// What it shows is not a log.
    #[error("the bundle is refused")]
    Refused(#[from] BundleRefused),
}

/// A bundle, and how far it goes.
pub(super) struct Built {
    pub(super) bundle: Bundle,
    /// Ends and chains there, of the placement groups that are in it.
    pub(super) ends: Vec<(PgId, Lsn, u32)>,
    /// SHA-256 of all its bytes.
    pub(super) digest: Digest,
}

/// Makes a bundle of at most `bytes_max` of the shares, in their order; `None` where they are empty.
pub(super) fn build(
    shares: &[Share],
    bytes_max: u64,
    id: ObjectId,
    properties: &Properties,
    catalog: &Catalog,
) -> Result<Option<Built>, NotBuilt> {
    let mut builder = BundleBuilder::new(bytes_max);
    let mut ends = Vec::new();
    for share in shares {
        let left = bytes_max.saturating_sub(builder.bytes());
        if left == 0 {
            break;
        }
        if let Some((end, chain)) = add(&mut builder, share, left)? {
            ends.push((share.log.pg(), end, chain));
        }
    }
    if ends.is_empty() {
        return Ok(None);
    }
    let opened = shares.iter().map(|share| (share.log.pg(), &share.opened)).collect();
    // The catalog is asked after the logs: a queue with records that it does not name was deleted.
    let bundle = builder.finish(id, properties, &Known { catalog, opened })?;
    let mut digester = Digester::default();
    bundle.parts.iter().for_each(|part| digester.update(part));
    Ok(Some(Built { bundle, ends, digest: digester.finish() }))
}

/// How far the share was taken, and the chain there; `None` where nothing was.
fn add(
    builder: &mut BundleBuilder,
    share: &Share,
    bytes_max: u64,
) -> Result<Option<(Lsn, u32)>, NotBuilt> {
    let pg = share.log.pg();
    let pieces = share.log.committed(share.from, share.to, bytes_max);
    let pieces = pieces.map_err(|source| NotBuilt::Read { pg, source })?;
    // The first frame is taken by an empty bundle only, where it is larger than what is left.
    let is_too_large =
        |piece: &Piece| piece.end().since(share.from) > bytes_max && builder.bytes() > 0;
    if pieces.first().is_none_or(is_too_large) {
        return Ok(None);
    }
    builder.begin(pg, share.epoch, share.from, share.chain)?;
    let mut reached = None;
    for piece in &pieces {
        let taken = match piece {
            Piece::Frame(frame) => builder.frame(pg, frame),
            Piece::Hole { to, chain } => builder.hole(pg, *to, *chain),
        };
        match taken {
            Ok(()) => reached = Some((piece.end(), piece.chain())),
            Err(BundleRefused::Full) if reached.is_some() => break,
            Err(refused) => return Err(refused.into()),
        }
    }
    Ok(reached)
}

/// What the bundle asks about records.
struct Known<'a> {
    catalog: &'a Catalog,
    opened: HashMap<PgId, &'a HashMap<QueueUid, QueueOffset>>,
}

impl Knowledge for Known<'_> {
    fn keys(&self, message: &Record, into: &mut Vec<KeyHash>) {
        let body: Bytes = message.body();
        keys_of(body, into);
    }

    fn is_gone(&self, _: PgId, queue: QueueUid) -> bool {
        self.catalog.is_gone(queue)
    }

    fn opened_at(&self, pg: PgId, queue: QueueUid) -> Option<QueueOffset> {
        self.opened.get(&pg)?.get(&queue).copied()
    }
}
