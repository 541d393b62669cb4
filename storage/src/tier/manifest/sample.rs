//! A placement group whose log is tiered, compacted and let go, for tests: the manifest beside a
//! plain list of what it must say.

use super::*;
use crate::env::Timestamp;
use crate::format::{Epoch, Lsn, PgId, QueueOffset, QueueUid};
use crate::tier::{ObjectId, ObjectName};
use bytes::Bytes;
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

pub(super) const WINDOW: Duration = Duration::from_secs(3600);

/// A message: queue, offset, position, time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    pub(super) queue: QueueUid,
    pub(super) offset: QueueOffset,
    pub(super) lsn: Lsn,
    pub(super) time: Timestamp,
}

pub(super) struct Group {
    pub(super) pg: PgId,
    pub(super) root: Root,
    pub(super) sizes: PageSizes,
    pub(super) deltas: Vec<Bytes>,
    pub(super) store: HashMap<ObjectName, Vec<u8>>,
    pub(super) page_reads: Cell<u32>,
    /// What the manifest must say.
    pub(super) model: Vec<RunEntry>,
    pub(super) starts: BTreeMap<QueueUid, QueueOffset>,
    /// What the objects have.
    pub(super) contents: HashMap<ObjectId, Vec<Message>>,
    pub(super) tiered: Lsn,
    pub(super) time: u64,
    next: HashMap<QueueUid, u64>,
    next_id: u64,
}

impl Group {
    pub(super) fn new() -> Group {
        let pg = PgId::new(3).unwrap();
        Group {
            pg,
            root: Root::empty(pg),
            sizes: PageSizes::default(),
            deltas: Vec::new(),
            store: HashMap::new(),
            page_reads: Cell::new(0),
            model: Vec::new(),
            starts: BTreeMap::new(),
            contents: HashMap::new(),
            tiered: pg.first_lsn(),
            time: 1_700_000_000_000,
            next: HashMap::new(),
            next_id: 0,
        }
    }

    fn id(&mut self) -> ObjectId {
        self.next_id += 1;
        ObjectId { id: self.next_id, nonce: (self.next_id as u32).wrapping_mul(0x9e37_79b9) }
    }

    pub(super) fn overlay(&self) -> Overlay {
        let deltas: Vec<Delta> =
            self.deltas.iter().map(|bytes| Delta::decode(bytes).unwrap()).collect();
        Overlay::of(&self.root, &deltas).unwrap()
    }

    /// COMMIT, after a fold if there must be one.
    pub(super) fn commit(&mut self, to: Lsn, changes: Vec<Change>) {
        let bytes = Bytes::from(Delta { from: self.tiered, to, changes }.encode());
        if must_fold(&self.deltas, bytes.len()) {
            self.fold();
        }
        self.deltas.push(bytes);
        self.tiered = to;
    }

    pub(super) fn fold(&mut self) -> (usize, usize) {
        let overlay = self.overlay();
        let touched = touched(&self.root, &overlay, self.sizes);
        let brought = Brought {
            pages: touched.pages.iter().map(|at| (*at, self.page(*at))).collect(),
            starts: touched.starts.iter().map(|at| (*at, self.start_page(*at))).collect(),
        };
        let mut next_id = self.next_id;
        let root = &self.root;
        let folded = fold(root, &overlay, self.sizes, &brought, Epoch(2), &mut || {
            next_id += 1;
            ObjectId { id: next_id, nonce: 5 }
        })
        .unwrap();
        self.next_id = next_id;
        for name in &folded.dropped {
            assert!(self.store.remove(name).is_some(), "{name} was there");
        }
        let written = folded.objects.len();
        for (name, bytes) in folded.objects {
            assert!(self.store.insert(name, bytes).is_none(), "{name} is new");
        }
        let root = self.store.remove(&folded.root_name).unwrap();
        self.root = Root::decode(&root).unwrap();
        assert_eq!(self.root, folded.root);
        assert_eq!(self.store.len(), self.root.pages.len() + self.root.starts.len());
        self.deltas.clear();
        (touched.pages.len(), written)
    }

    pub(super) fn page(&self, at: usize) -> RunPage {
        self.page_reads.set(self.page_reads.get() + 1);
        let page = &self.root.pages[at];
        page.open(&self.store[&page.page.name(self.pg)]).unwrap()
    }

    fn start_page(&self, at: usize) -> StartPage {
        let page = &self.root.starts[at];
        page.open(&self.store[&page.page.name(self.pg)]).unwrap()
    }

    pub(super) fn start_of(&self, queue: QueueUid) -> Option<QueueOffset> {
        let paged = self.root.start_page(queue).map(|at| self.start_page(at));
        let paged = paged.and_then(|page| page.start_of(queue));
        self.overlay()
            .starts
            .get(&queue)
            .map_or(paged, |start| start.map(|s| s.max(paged.unwrap_or_default())))
    }

    pub(super) fn select(&self, query: &Query) -> Vec<RunEntry> {
        let pages: Vec<RunPage> = self.root.pages(query).map(|at| self.page(at)).collect();
        select(query, &pages, &self.overlay())
    }

    fn entry(&self, object: ObjectId, origin: Origin, messages: &[Message]) -> RunEntry {
        let mut queues: Vec<QueueUid> = messages.iter().map(|message| message.queue).collect();
        queues.sort_unstable();
        queues.dedup();
        let offsets = || messages.iter().map(|message| message.offset);
        let set = match queues.as_slice() {
            [] => QueueSet::None,
            [queue] => QueueSet::One {
                queue: *queue,
                first: offsets().min().unwrap(),
                last: offsets().max().unwrap(),
            },
            [first, .., last] => QueueSet::Several {
                first: *first,
                last: *last,
                bloom: QueueBloom::of(queues.iter().copied()),
            },
        };
        let lsns = || messages.iter().map(|message| message.lsn);
        let times = || messages.iter().map(|message| message.time);
        RunEntry {
            object,
            origin,
            from: lsns().min().unwrap_or(self.tiered),
            to: lsns().max().unwrap_or(self.tiered).plus(10),
            object_len: 70_000_000,
            bytes: 1000 * messages.len() as u64,
            messages: messages.len() as u64,
            min_time: times().min().unwrap_or(Timestamp(self.time)),
            max_time: times().max().unwrap_or(Timestamp(self.time)),
            queues: set,
        }
    }

    /// A bundle with a message for each of these queues.
    pub(super) fn bundle(&mut self, queues: &[u64], seconds: u64) {
        let mut messages = Vec::new();
        let mut lsn = self.tiered;
        for queue in queues {
            let next = self.next.entry(QueueUid(*queue)).or_default();
            let (queue, offset, time) =
                (QueueUid(*queue), QueueOffset(*next), Timestamp(self.time));
            messages.push(Message { queue, offset, lsn, time });
            *next += 1;
            lsn = lsn.plus(10);
            self.time += seconds * 1000 / queues.len() as u64;
        }
        let object = self.id();
        let mut entry = self.entry(object, Origin::Bundle { session: 0xfeed }, &messages);
        (entry.from, entry.to) = (self.tiered, lsn.max(self.tiered.plus(10)));
        self.contents.insert(object, messages);
        self.model.push(entry);
        self.commit(entry.to, vec![Change::Add(entry)]);
    }

    /// Compacts the oldest bundles into runs, `large` queues into runs of their own.
    pub(super) fn compact(&mut self, count: usize, large: u64) {
        let inputs: Vec<RunEntry> =
            self.model.iter().filter(|entry| entry.level() == 0).take(count).copied().collect();
        if inputs.is_empty() {
            return;
        }
        let mut parts: BTreeMap<(Window, Option<QueueUid>), Vec<Message>> = BTreeMap::new();
        for message in inputs.iter().flat_map(|entry| &self.contents[&entry.object]) {
            let own = (message.queue.0 < large).then_some(message.queue);
            let window = Window::of(message.time, WINDOW);
            parts.entry((window, own)).or_default().push(*message);
        }
        let mut outputs = Vec::new();
        for ((window, _), messages) in parts {
            let object = self.id();
            let origin = Origin::Run { level: 1, epoch: Epoch(2), window };
            outputs.push(self.entry(object, origin, &messages));
            self.contents.insert(object, messages);
        }
        outputs.sort_unstable_by_key(RunEntry::key);
        let (first, last) = (inputs[0].key(), inputs[inputs.len() - 1].key());
        let all = self.select(&Query::default());
        let present: Vec<RunEntry> =
            all.into_iter().filter(|entry| first <= entry.key() && entry.key() <= last).collect();
        let replaced = Replaced { inputs: &inputs, outputs: &outputs, dropped_messages: 0 };
        let changes = replace(replaced, &present, &[]).unwrap();
        self.model.retain(|entry| !inputs.contains(entry));
        self.model.extend(&outputs);
        self.model.sort_unstable_by_key(RunEntry::key);
        self.commit(self.tiered, changes);
    }

    /// Lets go of what is older than this.
    pub(super) fn expire(&mut self, before: Timestamp) {
        let gone = expired(&self.model, |_, _| Some(before), self.tiered);
        let mut changes: Vec<Change> =
            gone.iter().map(|entry| Change::Remove(entry.key())).collect();
        for message in gone.iter().flat_map(|entry| &self.contents[&entry.object]) {
            let start = self.starts.entry(message.queue).or_default();
            *start = message.offset.plus(1).max(*start);
            changes.push(Change::Start { queue: message.queue, offset: message.offset.plus(1) });
        }
        self.model.retain(|entry| !gone.contains(entry));
        self.commit(self.tiered, changes);
    }

    pub(super) fn forget(&mut self, queue: u64) {
        self.starts.remove(&QueueUid(queue));
        self.commit(self.tiered, vec![Change::Forget(QueueUid(queue))]);
    }

    /// The object with the message at or after an offset, and the objects asked for it.
    pub(super) fn find(&self, queue: QueueUid, wanted: QueueOffset) -> (Option<RunEntry>, usize) {
        let entries = self.select(&Query::queue(queue));
        let mut search = OffsetSearch::new(queue, wanted, entries);
        let probes = self.ask(&mut search);
        match search.step() {
            OffsetStep::Found(entry) => (Some(entry), probes),
            OffsetStep::Probe(_) | OffsetStep::Nothing => (None, probes),
        }
    }

    /// The same, reading as few pages as can be.
    pub(super) fn find_cold(
        &self,
        queue: QueueUid,
        wanted: QueueOffset,
    ) -> (Option<RunEntry>, usize) {
        let (overlay, query) = (self.overlay(), Query::queue(queue));
        let mut added = OffsetSearch::new(queue, wanted, select(&query, [], &overlay));
        let mut probes = self.ask(&mut added);
        let mut search = PageSearch::new(&self.root, &added);
        while let Some(at) = search.page() {
            let entries = select_in(&query, &self.page(at), &overlay);
            let mut in_page = OffsetSearch::in_page(queue, wanted, entries);
            probes += self.ask(&mut in_page);
            search.feed(&in_page);
        }
        (search.found(), probes)
    }

    /// Answers a search out of the objects; how many were asked.
    fn ask(&self, search: &mut OffsetSearch) -> usize {
        let mut probes = 0;
        while let OffsetStep::Probe(entry) = search.step() {
            probes += 1;
            let offsets = self.contents[&entry.object]
                .iter()
                .filter(|message| message.queue == search.queue())
                .map(|message| message.offset);
            search.feed(offsets.clone().min().zip(offsets.max()));
        }
        probes
    }
}
