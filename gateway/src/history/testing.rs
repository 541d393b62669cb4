//! Histories to test with: a bucket in memory, and a log of which the older part is cut off.

use super::load::{LoadFailed, Loaded, Loader};
use super::local::Local;
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use storage::env::Timestamp;
use storage::format::object::Record;
use storage::format::{Lsn, QueueOffset, QueueUid};
use storage::{Bounds, Entry, Log, ReadError, RecordKind, RecordView};
use tokio::sync::Semaphore;

/// A record as it lies in an object.
pub(crate) fn record(of: &RecordView) -> Record {
    let ext: u16 = if of.kind == RecordKind::Message { 16 } else { 8 };
    let len = 24 + usize::from(ext) + of.body.len();
    let mut out = Vec::with_capacity(len);
    out.extend(u32::try_from(len).unwrap().to_le_bytes());
    out.extend([of.kind as u8, 0]);
    out.extend(ext.to_le_bytes());
    out.extend(of.queue.0.to_le_bytes());
    out.extend(of.offset.0.to_le_bytes());
    out.extend(of.time.0.to_le_bytes());
    if of.kind == RecordKind::Message {
        out.extend(of.filter.to_le_bytes());
    }
    out.extend_from_slice(&of.body);
    Record::first_of(of.lsn, &Bytes::from(out)).unwrap()
}

/// A message that says nothing but where it is.
pub(crate) fn message(queue: QueueUid, offset: u64, body: usize) -> Record {
    record(&RecordView {
        kind: RecordKind::Message,
        queue,
        offset: QueueOffset(offset),
        lsn: Lsn(1000 * offset),
        time: Timestamp(offset),
        filter: offset % 3,
        body: Bytes::from(vec![b'm'; body]),
    })
}

/// A bucket in memory.
pub(crate) struct Bucket {
    queues: Mutex<BTreeMap<QueueUid, BTreeMap<QueueOffset, Record>>>,
    /// Messages that one load brings.
    stretch: usize,
    pub(crate) loads: AtomicUsize,
    pub(crate) is_down: AtomicBool,
    /// Loads wait for one of these each.
    pub(crate) gate: Semaphore,
}

impl Bucket {
    pub(crate) fn new(stretch: usize) -> Arc<Bucket> {
        Arc::new(Bucket {
            queues: Mutex::default(),
            stretch,
            loads: AtomicUsize::new(0),
            is_down: AtomicBool::new(false),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        })
    }

    pub(crate) fn put(&self, record: Record) {
        let mut queues = self.queues.lock();
        queues.entry(record.queue).or_default().insert(record.offset, record);
    }

    /// Takes in a queue's messages as a log has them.
    pub(crate) fn tier(&self, log: &Log, queue: QueueUid) {
        log.scan(queue, QueueOffset(0), &mut |entry| {
            self.put(record(&log.read(entry.lsn).unwrap()));
            ControlFlow::Continue(())
        });
    }

    pub(crate) fn loaded(&self) -> usize {
        self.loads.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Loader for Bucket {
    async fn load(&self, queue: QueueUid, from: QueueOffset) -> Result<Loaded, LoadFailed> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        if self.is_down.load(Ordering::SeqCst) {
            return Err(LoadFailed::Store(Arc::from("it is down")));
        }
        let queues = self.queues.lock();
        let all = queues.get(&queue).into_iter().flatten().map(|(_, record)| record);
        let mut records: Vec<Record> =
            all.filter(|one| one.offset >= from).take(self.stretch + 1).cloned().collect();
        let next = if records.len() > self.stretch {
            records.pop().unwrap().offset
        } else {
            QueueOffset(u64::MAX)
        };
        Ok(Loaded { records, next })
    }

    async fn offset_at_time(
        &self,
        queue: QueueUid,
        at: Timestamp,
    ) -> Result<Option<QueueOffset>, LoadFailed> {
        if self.is_down.load(Ordering::SeqCst) {
            return Err(LoadFailed::Store(Arc::from("it is down")));
        }
        let queues = self.queues.lock();
        let mut all = queues.get(&queue).into_iter().flatten().map(|(_, record)| record);
        Ok(all.find(|one| one.time >= at).map(|one| one.offset))
    }
}

/// A log of whose queues everything below an offset is not to be seen, as if it had been trimmed.
#[derive(Clone)]
pub(crate) struct Cut {
    log: Log,
    below: Arc<Mutex<BTreeMap<QueueUid, QueueOffset>>>,
    /// The frames are gone, and the index does not know yet.
    pub(crate) is_unreadable: Arc<AtomicBool>,
}

impl Cut {
    pub(crate) fn of(log: Log) -> Cut {
        Cut { log, below: Arc::default(), is_unreadable: Arc::default() }
    }

    pub(crate) fn cut(&self, queue: QueueUid, below: QueueOffset) {
        self.below.lock().insert(queue, below);
    }

    fn first(&self, queue: QueueUid) -> QueueOffset {
        self.below.lock().get(&queue).copied().unwrap_or_default()
    }
}

impl Local for Cut {
    fn bounds(&self, queue: QueueUid) -> Bounds {
        let bounds = self.log.bounds(queue);
        Bounds { first: bounds.first.max(self.first(queue)).min(bounds.next), ..bounds }
    }

    fn scan(
        &self,
        queue: QueueUid,
        from: QueueOffset,
        each: &mut dyn FnMut(Entry) -> ControlFlow<()>,
    ) {
        self.log.scan(queue, from.max(self.first(queue)), each);
    }

    fn offset_at_time(&self, queue: QueueUid, at: Timestamp) -> QueueOffset {
        self.log.offset_at_time(queue, at).max(self.bounds(queue).first)
    }

    fn read(&self, lsn: Lsn) -> Result<RecordView, ReadError> {
        let record = self.log.read(lsn)?;
        let is_cut = record.offset < self.first(record.queue);
        let is_cut = is_cut || self.is_unreadable.load(Ordering::SeqCst);
        if is_cut && record.kind == RecordKind::Message {
            return Err(ReadError::Gone(lsn));
        }
        Ok(record)
    }
}
