use super::tail::stored;
use super::*;
use crate::env::Env;
use crate::env::Timestamp;
use crate::format::object::{KeyHash, Properties, Record, Tail, sealed, unsealed};
use crate::format::{Epoch, Lsn, PgId, QueueOffset, QueueUid};
use crate::object::{Bucket, Purpose, Span as Asked};
use crate::tier::manifest::{
    Brought, Change, Delta, Origin, Overlay, PageSizes, Root, RunEntry, fold, touched,
};
use crate::tier::merge::{Merge, MergeRules, MergeSettings, MergeStep, Treatment};
use crate::tier::proof::{Committed, Digest, Digester, Mark, ProofWriter};
use crate::tier::sample::{BodyIsKey, SampleLog};
use crate::tier::{BundleBuilder, Knowledge, ObjectId, ObjectName};
use bytes::Bytes;
use parking_lot::Mutex;
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

const NOW: Timestamp = Timestamp(1_000);
const SESSION: u64 = 9;

/// A placement group, as its owner knows it.
struct Group {
    log: SampleLog,
    root: (Option<String>, Root),
    deltas: Vec<Delta>,
    tiered: Lsn,
    proof: ProofWriter,
    /// What the manifest must have.
    live: BTreeMap<ObjectId, RunEntry>,
}

impl Group {
    fn new(pg: u32) -> Group {
        let log = SampleLog::new(pg);
        let (pg, tiered) = (log.pg, log.pg.first_lsn());
        let proof = ProofWriter::resume(pg, log.epoch, None, (None, &[]), NOW).0;
        Group {
            log,
            root: (None, Root::empty(pg)),
            deltas: Vec::new(),
            tiered,
            proof,
            live: BTreeMap::new(),
        }
    }

    fn overlay(&self) -> Overlay {
        Overlay::of(&self.root.1, &self.deltas).unwrap()
    }

    fn commit(&mut self, delta: Delta, digests: &HashMap<ObjectId, Digest>) {
        let committed =
            Committed::of(self.log.pg, &delta, 0, |entry| digests.get(&entry.object).copied());
        self.proof.commit(committed, NOW);
        for change in &delta.changes {
            match change {
                Change::Add(entry) => drop(self.live.insert(entry.object, *entry)),
                Change::Remove(key) => drop(self.live.remove(&key.object)),
                Change::Start { .. }
                | Change::Forget(_)
                | Change::Lost { .. }
                | Change::Summary(_)
                | Change::NoSummary(_) => {}
            }
        }
        self.tiered = delta.to;
        self.deltas.push(delta);
    }

    fn subject(&self) -> Subject {
        let deltas = self.deltas.iter().map(|delta| Bytes::from(delta.encode())).collect();
        let (pg, epoch, tiered) = (self.log.pg, self.log.epoch, self.tiered);
        Subject { pg, epoch, tiered, root: self.root.0.clone(), deltas }
    }
}

/// A bucket, and who owns what is in it.
struct World {
    bucket: Bucket,
    groups: BTreeMap<PgId, Group>,
    ids: u64,
}

struct Rules(u64);

impl MergeRules for Rules {
    fn treatment(&self, _: QueueUid) -> Treatment {
        Treatment::Keep(QueueOffset(0))
    }

    fn keeps(&self, _: &Record) -> bool {
        true
    }

    fn keys(&self, message: &Record, into: &mut Vec<KeyHash>) {
        BodyIsKey.keys(message, into);
    }

    fn next_id(&mut self) -> ObjectId {
        self.0 += 1;
        ObjectId { id: self.0, nonce: 7 }
    }
}

fn digest_of(parts: &[Bytes]) -> Digest {
    let mut digester = Digester::default();
    parts.iter().for_each(|part| digester.update(part));
    digester.finish()
}

impl World {
    fn new(pgs: u32) -> World {
        let groups = (1..=pgs).map(Group::new).map(|group| (group.log.pg, group)).collect();
        World { bucket: Bucket::in_memory(Env::system()), groups, ids: 0 }
    }

    fn id(&mut self) -> ObjectId {
        self.ids += 1;
        ObjectId { id: self.ids, nonce: 7 }
    }

    async fn put(&self, name: impl std::fmt::Display, parts: Vec<Bytes>) {
        self.bucket.create(&stored(name), parts, Purpose::Upload).await.unwrap();
    }

    async fn get(&self, name: &str) -> Bytes {
        self.bucket.get(&stored(name), Asked::All, Purpose::Check).await.unwrap().bytes
    }

    /// Other bytes under the same name: what no client of ours does.
    async fn replace(&self, name: &str, bytes: impl Into<Bytes>) {
        self.remove(name).await;
        self.put(name, vec![bytes.into()]).await;
    }

    async fn remove(&self, name: &str) {
        self.bucket.delete(&[stored(name)], Purpose::Collection).await.unwrap();
    }

    async fn names(&self) -> Vec<String> {
        let (mut listing, mut names) = (self.bucket.list(None, None, Purpose::Check), Vec::new());
        while let Some(entry) = listing.next().await.unwrap() {
            names.push(entry.name.to_string());
        }
        names
    }

    /// Writes into every log, uploads one bundle of all, and commits it.
    async fn bundle(&mut self, write: impl Fn(&mut SampleLog)) -> ObjectName {
        let object = self.id();
        let mut builder = BundleBuilder::new(64 << 20);
        for group in self.groups.values_mut() {
            group.log.go_on();
            write(&mut group.log);
            group.log.put_into(&mut builder);
        }
        let bundle = builder.finish(object, &Properties::default(), &BodyIsKey).unwrap();
        let name = ObjectName::Bundle { session: SESSION, id: object };
        let digests = HashMap::from([(object, digest_of(&bundle.parts))]);
        self.put(name, bundle.parts).await;
        for (pg, group) in &mut self.groups {
            let origin = Origin::Bundle { session: SESSION };
            let Some(entry) = RunEntry::of(&bundle.finished.tail, *pg, origin) else { continue };
            let (from, to) = (entry.from, entry.to);
            group.commit(Delta { from, to, changes: vec![Change::Add(entry)] }, &digests);
        }
        name
    }

    async fn tail(&self, name: &ObjectName) -> Tail {
        match tail_of(&self.bucket, name).await {
            Ok(tail) => tail,
            Err(unreadable) => panic!("{unreadable:?}"),
        }
    }

    /// Makes runs of all bundles that deltas added to a placement group.
    async fn compact(&mut self, pg: PgId) {
        let added = self.groups[&pg].overlay().added.into_values();
        let entries: Vec<RunEntry> = added.filter(|entry| entry.level() == 0).collect();
        if entries.is_empty() {
            return;
        }
        let mut tails = Vec::new();
        for entry in &entries {
            tails.push(self.tail(&entry.name(pg)).await);
        }
        let settings = MergeSettings {
            window: Duration::from_secs(3600),
            ..MergeSettings::new(pg, Epoch(3), 1)
        };
        let mut rules = Rules(self.ids);
        let mut merge = Merge::new(settings, tails, &rules).unwrap();
        let (mut parts, mut digests) = (BTreeMap::<usize, Vec<Bytes>>::new(), HashMap::new());
        let tiered = self.groups[&pg].tiered;
        let removed = entries.iter().map(|entry| Change::Remove(entry.key()));
        let mut changes: Vec<Change> = removed.collect();
        loop {
            match merge.step(&mut rules).unwrap() {
                MergeStep::Read { input, span } => {
                    let bytes = self.get(&entries[input].name(pg).to_string()).await;
                    let (from, to) = (span.at as usize, span.end() as usize);
                    merge.feed(&bytes.slice(from..to.min(bytes.len()))).unwrap();
                }
                MergeStep::Write { output, bytes } => parts.entry(output).or_default().push(bytes),
                MergeStep::Finished { output, run } => {
                    let parts = parts.remove(&output).unwrap();
                    digests.insert(run.entry.object, digest_of(&parts));
                    self.put(run.entry.name(pg), parts).await;
                    changes.push(Change::Add(run.entry));
                }
                MergeStep::Done(_) => break,
            }
        }
        self.ids = rules.0;
        let delta = Delta { from: tiered, to: tiered, changes };
        self.groups.get_mut(&pg).unwrap().commit(delta, &digests);
    }

    async fn fold(&mut self, pg: PgId) {
        let sizes = PageSizes { runs: 2, starts: 2 };
        let group = &self.groups[&pg];
        let (root, overlay) = (group.root.1.clone(), group.overlay());
        let needed = touched(&root, &overlay, sizes);
        let mut brought = Brought::default();
        for at in needed.pages {
            let bytes = self.get(&root.pages[at].page.name(pg).to_string()).await;
            brought.pages.insert(at, root.pages[at].open(&bytes).unwrap());
        }
        for at in needed.starts {
            let bytes = self.get(&root.starts[at].page.name(pg).to_string()).await;
            brought.starts.insert(at, root.starts[at].open(&bytes).unwrap());
        }
        let epoch = group.log.epoch;
        let mut next = || self.id();
        let folded = fold(&root, &overlay, sizes, &brought, epoch, &mut next).unwrap();
        for (name, bytes) in &folded.objects {
            self.put(name, vec![bytes.clone().into()]).await;
        }
        let group = self.groups.get_mut(&pg).unwrap();
        group.root = (Some(folded.root_name.to_string()), folded.root);
        group.deltas.clear();
    }

    async fn checkpoint(&mut self, pg: PgId) {
        let group = self.groups.get_mut(&pg).unwrap();
        let mark = Mark { root: group.root.0.clone(), deltas: group.deltas.len() as u32 };
        let Some((name, bytes)) = group.proof.checkpoint(mark, 1) else { return };
        group.proof.stored(name.seq, NOW);
        self.put(name, vec![bytes.into()]).await;
    }

    fn records(&self) -> Known {
        let subjects = self.groups.iter().map(|(pg, group)| (*pg, vec![group.subject()]));
        Known(Mutex::new(subjects.collect()))
    }

    async fn audit(&self, settings: AuditSettings) -> Report {
        audit(&self.bucket, &self.records(), settings, &mut |_| ()).await.unwrap()
    }
}

/// Of each placement group the records that are read one after the other; the last one stays.
struct Known(Mutex<BTreeMap<PgId, Vec<Subject>>>);

impl Records for Known {
    fn pgs(&self) -> Vec<PgId> {
        self.0.lock().keys().copied().collect()
    }

    fn read(&self, pg: PgId) -> Read<'_> {
        let mut all = self.0.lock();
        let views = all.get_mut(&pg).unwrap();
        let read = if views.len() > 1 { views.remove(0) } else { views[0].clone() };
        Box::pin(async { Some(read) })
    }

    fn is_gone(&self, _: QueueUid) -> bool {
        false
    }
}

const PLAIN: AuditSettings = AuditSettings { quick: false, deep: false, proof: false };
const ALL: AuditSettings = AuditSettings { quick: false, deep: true, proof: true };
const QUICK: AuditSettings = AuditSettings { quick: true, deep: false, proof: false };

fn pg(number: u32) -> PgId {
    PgId::new(number).unwrap()
}

/// Some of everything: bundles of two placement groups, runs, pages, starts, deltas, checkpoints.
async fn world() -> World {
    let mut world = World::new(2);
    for round in 0..6u8 {
        let bundle = world
            .bundle(|log| {
                log.time += 60_000;
                for queue in 1..4 {
                    log.message(queue, queue, format!("{queue} of round {round}").as_bytes());
                    log.message(queue, 0, &[round; 300]);
                }
                log.operation(1, b"ack");
                log.cut();
                if round == 2 {
                    log.open(2, 5);
                }
                log.message(2, 0, b"after");
            })
            .await;
        assert!(bundle.id().id > 0);
        if round == 1 {
            world.compact(pg(1)).await;
        }
        if round % 2 == 1 {
            for at in [pg(1), pg(2)] {
                world.fold(at).await;
                world.checkpoint(at).await;
            }
        }
        if round == 4 {
            // An age has let go of what the start names no more.
            let group = world.groups.get_mut(&pg(1)).unwrap();
            let (from, to) = (group.tiered, group.tiered);
            let start = Change::Start { queue: QueueUid(1), offset: QueueOffset(1) };
            group.commit(Delta { from, to, changes: vec![start] }, &HashMap::new());
        }
    }
    world.bundle(|log| log.message(1, 0, b"last")).await;
    world.checkpoint(pg(1)).await;
    world.checkpoint(pg(2)).await;
    world
}

fn faults(report: &Report) -> Vec<&Finding> {
    report.findings.iter().filter(|finding| finding.severity() > Severity::Note).collect()
}

/// Names that the records lead to: what else lies there is nobody's any more.
fn is_referenced(world: &World, name: &str) -> bool {
    let roots = world.groups.values().filter_map(|group| group.root.0.clone());
    let pages = world.groups.iter().flat_map(|(pg, group)| {
        let runs = group.root.1.pages.iter().map(|page| page.page.name(*pg));
        let starts = group.root.1.starts.iter().map(|page| page.page.name(*pg));
        runs.chain(starts).map(|name| name.to_string()).collect::<Vec<_>>()
    });
    let mut known = roots.chain(pages).chain(live_objects(world));
    name.starts_with("proof/") || known.any(|known| known == name)
}

fn live_objects(world: &World) -> Vec<String> {
    let live = world
        .groups
        .iter()
        .flat_map(|(pg, group)| group.live.values().map(|entry| entry.name(*pg).to_string()));
    live.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

#[tokio::test]
async fn a_sound_bucket_is_clean_and_wholly_read() {
    let world = world().await;
    let report = world.audit(ALL).await;
    assert_eq!(report.findings, [], "{:#?}", report.findings);
    assert!(report.is_clean());
    assert_eq!(report.totals.pgs, 2);
    assert_eq!(report.totals.objects, live_objects(&world).len() as u64);
    // Bundles are proven for each of their placement groups.
    assert!(report.totals.proven >= report.totals.objects);
    assert_eq!(report.heads.len(), 2);
    for settings in [PLAIN, QUICK] {
        assert_eq!(world.audit(settings).await.findings, []);
    }
    assert_eq!(world.audit(QUICK).await.totals.bytes, 0);
}

/// Flips one byte of one object, audits, and puts it right again: the findings.
async fn flipped(world: &World, name: &str, at: usize, by: u8, settings: AuditSettings) -> Report {
    let honest = world.get(name).await;
    let mut bytes = honest.to_vec();
    bytes[at] ^= by;
    world.replace(name, bytes).await;
    let report = world.audit(settings).await;
    world.replace(name, honest).await;
    report
}

#[tokio::test]
async fn any_changed_byte_of_any_object_is_named() {
    let world = world().await;
    let names = world.names().await;
    let mut kinds = std::collections::BTreeSet::new();
    for name in names.iter().filter(|name| is_referenced(&world, name)) {
        kinds.insert(name.split('/').next().unwrap().to_owned());
        let len = world.get(name).await.len();
        // Every part, and within it another byte for each object.
        let step = 1 + len / 61;
        for at in (0..len).step_by(step) {
            let report = flipped(&world, name, at, 1 << (at % 8), ALL).await;
            let named: Vec<_> = faults(&report)
                .into_iter()
                .filter(|finding| finding.object.as_deref() == Some(name))
                .collect();
            assert!(!named.is_empty(), "{name}, byte {at}: {:#?}", report.findings);
            let at = at as u64;
            let placed = named.iter().filter_map(|finding| finding.at());
            let covers = placed.clone().any(|span| span.at <= at && at < span.end());
            assert!(covers, "{name}, byte {at}: {named:#?}");
        }
    }
    let kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
    assert_eq!(kinds, ["l0", "l1", "manifest", "proof"]);
}

#[tokio::test]
async fn a_damaged_block_names_the_messages_that_are_lost() {
    let world = world().await;
    let name = live_objects(&world).remove(0);
    let parsed: ObjectName = name.parse().unwrap();
    let tail = world.tail(&parsed).await;
    let block = tail.queues.iter().next().unwrap();
    let report = flipped(&world, &name, block.span.at as usize + 100, 1, PLAIN).await;
    let [finding] = faults(&report)[..] else { panic!("{:#?}", report.findings) };
    assert_eq!(finding.at(), Some(block.span));
    assert_eq!(finding.severity(), Severity::Broken);
    let (first, last) = (block.first, block.last);
    let affected = Affected::Messages { pg: block.pg, queue: block.queue, first, last };
    assert_eq!(finding.affects, [affected]);
}

#[tokio::test]
async fn an_object_that_is_gone_is_missing() {
    let world = world().await;
    for name in world.names().await {
        if !is_referenced(&world, &name) || name.starts_with("proof/") {
            continue;
        }
        let honest = world.get(&name).await;
        world.remove(&name).await;
        let report = world.audit(PLAIN).await;
        let found = report.findings.iter().any(|finding| {
            finding.object.as_deref() == Some(&name) && finding.fault == Fault::Missing
        });
        assert!(found, "{name}: {:#?}", report.findings);
        world.put(&name, vec![honest]).await;
    }
    assert!(world.audit(PLAIN).await.is_clean());
}

#[tokio::test]
async fn objects_that_changed_places_are_found() {
    let world = world().await;
    let bundles: Vec<String> =
        live_objects(&world).into_iter().filter(|name| name.starts_with("l0")).collect();
    let (one, other) = (world.get(&bundles[0]).await, world.get(&bundles[1]).await);
    world.replace(&bundles[0], other).await;
    world.replace(&bundles[1], one).await;
    let report = world.audit(QUICK).await;
    for name in &bundles[..2] {
        assert!(faults(&report).iter().any(|finding| finding.object.as_ref() == Some(name)));
    }
}

#[tokio::test]
async fn a_truncated_object_is_found_wherever_it_was_cut() {
    let world = world().await;
    let name = live_objects(&world).pop().unwrap();
    let honest = world.get(&name).await;
    for len in (0..honest.len()).step_by(1 + honest.len() / 37) {
        world.replace(&name, honest.slice(..len)).await;
        let report = world.audit(QUICK).await;
        let named = |finding: &&&Finding| finding.object.as_ref() == Some(&name);
        assert!(faults(&report).iter().any(|finding| named(&finding)), "{len} bytes");
    }
}

/// Words of the properties changed, and every checksum made to fit.
fn forged(honest: &Bytes, tail: &Tail) -> Vec<u8> {
    let [.., properties] = tail.footer.parts();
    let mut bytes = honest.to_vec();
    let (from, to) = (properties.at as usize, properties.end() as usize);
    let mut words = unsealed(&bytes[from..to]).unwrap().to_vec();
    assert_eq!(words.pop(), Some(b'y'));
    words.push(b'n');
    bytes[from..to].copy_from_slice(&sealed(words));
    let mut footer = tail.footer;
    let at = footer.tail_at as usize;
    footer.tail_crc = crate::format::crc32c(&bytes[at..to]);
    bytes.truncate(to);
    bytes.extend_from_slice(&footer.encode());
    bytes
}

#[tokio::test]
async fn a_forged_object_is_found_by_the_proof_alone() {
    let mut world = World::new(1);
    let object = world.id();
    let mut builder = BundleBuilder::new(1 << 20);
    let group = world.groups.get_mut(&pg(1)).unwrap();
    group.log.message(1, 0, b"paid");
    group.log.put_into(&mut builder);
    let words = Properties(BTreeMap::from([("paid".to_owned(), "y".to_owned())]));
    let bundle = builder.finish(object, &words, &BodyIsKey).unwrap();
    let origin = Origin::Bundle { session: SESSION };
    let entry = RunEntry::of(&bundle.finished.tail, pg(1), origin).unwrap();
    let digests = HashMap::from([(object, digest_of(&bundle.parts))]);
    let changes = vec![Change::Add(entry)];
    group.commit(Delta { from: entry.from, to: entry.to, changes }, &digests);
    let name = entry.name(pg(1)).to_string();
    world.put(&name, bundle.parts).await;
    world.checkpoint(pg(1)).await;
    assert!(world.audit(ALL).await.is_clean());
    let bytes = forged(&world.get(&name).await, &bundle.finished.tail);
    world.replace(&name, bytes).await;
    assert!(world.audit(PLAIN).await.is_clean(), "checksums can be made to fit");
    let report = world.audit(ALL).await;
    let [finding] = faults(&report)[..] else { panic!("{:#?}", report.findings) };
    assert!(matches!(finding.fault, Fault::Changed { .. }));
    assert_eq!(finding.object.as_ref(), Some(&name));
    assert_eq!(finding.affects, [Affected::All { pg: pg(1), from: entry.from, to: entry.to }]);
}

/// A root with sound checksums that leaves an object out.
#[tokio::test]
async fn a_forged_manifest_is_found_by_the_proof() {
    let mut world = World::new(1);
    for _ in 0..3 {
        world.bundle(|log| log.message(1, 0, b"m")).await;
    }
    world.checkpoint(pg(1)).await;
    let group = world.groups.get_mut(&pg(1)).unwrap();
    let changes = group.deltas.remove(1).changes;
    let [Change::Add(hidden)] = changes[..] else { panic!() };
    let lost = Change::Lost { from: hidden.from, to: hidden.to };
    group.deltas.insert(1, Delta { from: hidden.from, to: hidden.to, changes: vec![lost] });
    let report = world.audit(ALL).await;
    let unproven = faults(&report).into_iter().find(|f| f.fault == Fault::Unproven("proof"));
    assert_eq!(unproven.unwrap().object, Some(hidden.name(pg(1)).to_string()));
}

#[tokio::test]
async fn a_hole_an_overlap_and_another_history_in_the_log_are_found() {
    let mut world = World::new(1);
    for _ in 0..4 {
        world.bundle(|log| log.message(1, 0, b"m")).await;
    }
    let honest = world.groups[&pg(1)].deltas.clone();
    let with = |changes: Vec<Change>, at: usize, world: &mut World| {
        let group = world.groups.get_mut(&pg(1)).unwrap();
        group.deltas.clone_from(&honest);
        group.deltas[at].changes = changes;
    };
    let kinds = |report: &Report| -> Vec<Fault> {
        report.findings.iter().map(|finding| finding.fault.clone()).collect()
    };
    let (from, to) = (honest[1].from, honest[1].to);
    with(vec![], 1, &mut world);
    let report = world.audit(PLAIN).await;
    let gap = Fault::Gap { queue: QueueUid(1), expected: QueueOffset(1), found: QueueOffset(2) };
    assert_eq!(kinds(&report), [Fault::Hole { from, to }, gap]);
    with(vec![Change::Lost { from, to }], 1, &mut world);
    assert!(kinds(&world.audit(PLAIN).await).contains(&Fault::Lost { from, to }));
    // The last range is not there: the record promises more than there is.
    let (from, to) = (honest[3].from, honest[3].to);
    with(vec![], 3, &mut world);
    assert_eq!(kinds(&world.audit(PLAIN).await), [Fault::Hole { from, to }]);
}

#[tokio::test]
async fn messages_that_are_missing_or_doubled_in_a_queue_are_found() {
    let mut world = World::new(1);
    world.bundle(|log| log.message(1, 0, b"m")).await;
    world
        .bundle(|log| {
            log.jump(1, 3);
            log.message(1, 0, b"m");
        })
        .await;
    let report = world.audit(PLAIN).await;
    let gap = Fault::Gap { queue: QueueUid(1), expected: QueueOffset(1), found: QueueOffset(4) };
    assert_eq!(report.findings.len(), 1);
    assert_eq!(report.findings[0].fault, gap);
    // A start says that they may be gone.
    let group = world.groups.get_mut(&pg(1)).unwrap();
    let (from, to) = (group.tiered, group.tiered);
    let start = Change::Start { queue: QueueUid(1), offset: QueueOffset(4) };
    group.commit(Delta { from, to, changes: vec![start] }, &HashMap::new());
    assert_eq!(world.audit(PLAIN).await.findings, []);
}

#[tokio::test]
async fn a_record_that_moved_on_meanwhile_is_read_again() {
    let mut world = World::new(1);
    for _ in 0..3 {
        world.bundle(|log| log.message(1, 0, b"m")).await;
    }
    let old = world.groups[&pg(1)].subject();
    let gone: Vec<String> = live_objects(&world);
    world.compact(pg(1)).await;
    for name in &gone {
        world.remove(name).await;
    }
    let records = world.records();
    records.0.lock().get_mut(&pg(1)).unwrap().insert(0, old.clone());
    let report = audit(&world.bucket, &records, ALL, &mut |_| ()).await.unwrap();
    assert!(report.is_clean(), "{:#?}", report.findings);
    // While the record stays as it was, they are missing.
    records.0.lock().insert(pg(1), vec![old]);
    let report = audit(&world.bucket, &records, PLAIN, &mut |_| ()).await.unwrap();
    assert_eq!(faults(&report).iter().filter(|f| f.fault == Fault::Missing).count(), 3);
}

#[tokio::test]
async fn a_missing_checkpoint_is_named() {
    let world = world().await;
    let proofs: Vec<String> =
        world.names().await.into_iter().filter(|name| name.starts_with("proof/0001")).collect();
    assert!(proofs.len() >= 3, "{proofs:?}");
    world.remove(&proofs[1]).await;
    let report = world.audit(ALL).await;
    let broken = faults(&report).into_iter().find(|f| matches!(f.fault, Fault::Proof(_)));
    assert_eq!(broken.unwrap().object.as_ref(), Some(&proofs[2]));
}

#[tokio::test]
async fn objects_that_nobody_hashed_are_called_uncovered_and_nothing_worse() {
    let mut world = World::new(1);
    world.bundle(|log| log.message(1, 0, b"m")).await;
    world.checkpoint(pg(1)).await;
    world.bundle(|log| log.message(1, 0, b"m")).await;
    let report = world.audit(ALL).await;
    assert_eq!(report.findings.len(), 1, "{:#?}", report.findings);
    assert_eq!(report.findings[0].fault, Fault::Uncovered(1));
    assert!(report.is_clean());
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_no_finding() {
    use crate::object::testing::{Faults, Plan, hasty};
    let env = Env::system();
    let faults = Faults::seeded(1, env.clone());
    let bucket = Bucket::faulty(&faults, env).with_patience(crate::object::Patience {
        attempts_max: 2,
        time_max: Duration::from_millis(20),
        ..hasty()
    });
    let mut world = World { bucket, ..World::new(1) };
    world.bundle(|log| log.message(1, 0, b"m")).await;
    faults.set(Plan { down: true, ..Plan::default() });
    let answer = audit(&world.bucket, &world.records(), PLAIN, &mut |_| ()).await;
    assert!(answer.is_err());
    faults.set(Plan { flipped: 1000, ..Plan::default() });
    let report = world.audit(PLAIN).await;
    assert!(!report.is_clean());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Random logs, cut, compacted and folded as it comes, are clean; one changed byte is named.
    #[test]
    fn whatever_was_written_by_the_rules_is_clean_and_no_byte_can_be_changed_unseen(
        steps in proptest::collection::vec((0..5u8, 1..6u64, 0..3u64), 1..12),
        object: prop::sample::Index, at: prop::sample::Index, by in 1..=255u8,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new(2);
            for (step, queue, jump) in steps {
                match step {
                    3 => world.compact(pg(1)).await,
                    4 => world.fold(pg(2)).await,
                    _ => {
                        world.bundle(|log| {
                            log.time += 500_000;
                            if jump > 0 {
                                log.open(queue, jump);
                            }
                            (0..queue).for_each(|at| log.message(1 + at, at, b"some body"));
                            log.message(queue, 0, b"a");
                        }).await;
                    }
                }
                world.checkpoint(pg(1)).await;
            }
            world.checkpoint(pg(2)).await;
            let report = world.audit(ALL).await;
            assert!(report.is_clean(), "{:#?}", report.findings);
            let live = live_objects(&world);
            if !live.is_empty() {
                let name = &live[object.index(live.len())];
                let len = world.get(name).await.len();
                let report = flipped(&world, name, at.index(len), by, ALL).await;
                let named = |finding: &&&Finding| finding.object.as_ref() == Some(name);
                assert!(faults(&report).iter().any(|finding| named(&finding)));
            }
        });
    }
}
