//! A bucket that takes what a log committed the way a bundle does, and remembers from when on it
//! had it.
use super::rig::{PG, Rig};
use crate::format::{Kind, Lsn, QueueOffset, QueueOpenRecord, QueueUid, RecordKind};
use crate::journal::Level;
use crate::journal::records;
use crate::log::{Log, Piece, QueueEnd};
use crate::tier::BundleBuilder;
use std::collections::BTreeMap;

/// A record in the bucket.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) lsn: Lsn,
    pub(super) kind: RecordKind,
    pub(super) queue: QueueUid,
    pub(super) offset: QueueOffset,
    pub(super) body: Vec<u8>,
}

/// One committed range.
#[derive(Clone)]
struct Upload {
    /// What had been done to the disk by then.
    at: usize,
    to: Lsn,
    chain: u32,
    records: Vec<Stored>,
}

/// See the module.
#[derive(Clone, Default)]
pub(super) struct Bucket(Vec<Upload>);

impl Bucket {
    /// Below here it had everything when `done` things had been done to the disk.
    pub(super) fn tiered(&self, done: usize) -> Lsn {
        let had = self.0.iter().rfind(|upload| upload.at <= done);
        had.map_or(PG.first_lsn(), |upload| upload.to)
    }

    /// Uploads what follows, and tells the log. What the log gives must fit as a bundle asks.
    pub(super) fn upload(&mut self, rig: &mut Rig, log: &Log, bytes_max: u64) {
        let (from, chain) = match self.0.last() {
            Some(last) => (last.to, last.chain),
            None => (PG.first_lsn(), 0),
        };
        if let Some(known) = log.chain_at(from) {
            assert_eq!(known, chain, "the chain at {from}");
        }
        let pieces = log.committed(from, Lsn(u64::MAX), bytes_max).unwrap();
        let mut builder = BundleBuilder::new(u64::MAX);
        builder.begin(PG, log.epoch(), from, chain).unwrap();
        let mut upload = Upload { at: rig.disk.done(), to: from, chain, records: Vec::new() };
        for piece in &pieces {
            match piece {
                Piece::Frame(frame) => {
                    builder.frame(PG, frame).unwrap();
                    upload.chain = frame.chain;
                    upload.records.extend(stored(frame.lsn, &frame.payload));
                }
                Piece::Hole { to, chain } => {
                    builder.hole(PG, *to, *chain).unwrap();
                    upload.chain = *chain;
                }
            }
            upload.to = piece.end();
        }
        let (limit, local) = (upload.to, log.watermark(Level::Local));
        assert!(limit <= local);
        if bytes_max == u64::MAX && local == log.end() {
            assert_eq!(limit, local, "all that is committed can be uploaded");
        }
        log.set_tiered(limit);
        assert_eq!(log.watermark(Level::Object), limit);
        rig.tiered = limit;
        self.0.push(upload);
    }

    /// Everything that it had.
    pub(super) fn records(&self, done: usize) -> impl Iterator<Item = &Stored> {
        let had = self.0.iter().take_while(move |upload| upload.at <= done);
        had.flat_map(|upload| &upload.records)
    }

    /// Where queues go on as it knows.
    pub(super) fn ends(&self, done: usize) -> Vec<QueueEnd> {
        let mut ends: BTreeMap<QueueUid, QueueEnd> = BTreeMap::new();
        for record in self.records(done) {
            let queue = record.queue;
            let end = QueueEnd { queue, next: QueueOffset(0), opened: None };
            let end = ends.entry(queue).or_insert(end);
            if record.kind == RecordKind::Message {
                end.next = record.offset.plus(1);
            } else if record.kind == RecordKind::QueueOpen {
                end.opened = Some(QueueOpenRecord::decode(&record.body).unwrap());
            }
        }
        ends.into_values().collect()
    }

    /// What it has when the next life begins.
    pub(super) fn survived(&self, done: usize) -> Bucket {
        let mut next = self.clone();
        next.0.retain(|upload| upload.at <= done);
        next.0.iter_mut().for_each(|upload| upload.at = 0);
        next
    }
}

fn stored(lsn: Lsn, payload: &[u8]) -> impl Iterator<Item = Stored> + '_ {
    records(payload).map(move |(at, envelope)| {
        let Kind::Record(kind) = envelope.kind else { panic!("the store's own record") };
        let (from, to) = (at + envelope.head_len(), at + envelope.record_len());
        Stored {
            lsn: lsn.plus(at.into()),
            kind,
            queue: envelope.queue,
            offset: envelope.offset,
            body: payload[from as usize..to as usize].to_vec(),
        }
    })
}
