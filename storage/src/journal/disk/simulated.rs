//! A disk in memory that records what is done to it, and can crash at any point of that record.
//!
//! A crash of the process keeps everything that was written. A crash of the host keeps what was
//! synced, and of the rest what it likes: of each 4 KiB block that was written since its file's
//! last sync, each 512-byte sector is as it was at the sync or after any of the writes since; of
//! the names that were changed since the last sync, the first few.

use super::{Disk, JournalFile, SyncFile};
use crate::format::{BLOCK_BYTES, crc32c};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Weak};

const SECTOR: usize = 512;
const BLOCK: usize = BLOCK_BYTES as usize;

/// Numbers for choices in tests; the seed tells them all.
#[derive(Clone, Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit.max(1)
    }
}

/// What was done to the disk.
#[derive(Clone, Debug)]
enum Op {
    Create { file: usize, name: String },
    Write { file: usize, at: usize, bytes: Vec<u8> },
    Sync { file: usize },
    Rename { from: String, to: String },
    Remove { name: String },
    SyncNames,
    Replace { name: String, bytes: Vec<u8> },
}

/// What goes, and what a crash may leave of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// The process dies; the page cache stays.
    Process,
    /// The host loses power.
    Host,
}

#[derive(Clone, Default)]
struct Contents {
    names: BTreeMap<String, usize>,
    small: BTreeMap<String, Vec<u8>>,
    files: Vec<Vec<u8>>,
}

#[derive(Default)]
struct World {
    /// As a reader sees it.
    now: Contents,
    /// As it was when this disk was made.
    base: Contents,
    trace: Vec<Op>,
    boot: u64,
    /// How many more files fit.
    room: Option<usize>,
    syncs_fail: bool,
    writes_fail: bool,
    syncs: u64,
}

/// See the module. Clones are the same disk.
#[derive(Clone, Default)]
pub(crate) struct SimulatedDisk {
    world: Arc<Mutex<World>>,
}

impl SimulatedDisk {
    /// How much was done so far: a point to crash at.
    pub(crate) fn done(&self) -> usize {
        self.world.lock().trace.len()
    }

    /// How many times a file was synced.
    pub(crate) fn syncs(&self) -> u64 {
        self.world.lock().syncs
    }

    /// Names of segments, in order.
    pub(crate) fn segment_names(&self) -> Vec<String> {
        let world = self.world.lock();
        world.now.names.keys().filter(|name| name.ends_with(".seg")).cloned().collect()
    }

    /// How many times a segment was given up, to be recycled.
    pub(crate) fn given_up(&self) -> usize {
        let is_given_up =
            |op: &&Op| matches!(op, Op::Rename { from, .. } if from.ends_with(".seg"));
        self.world.lock().trace.iter().filter(is_given_up).count()
    }

    /// From now on `room` more files can be made; `None`: as many as one likes.
    pub(crate) fn set_room(&self, room: Option<usize>) {
        self.world.lock().room = room;
    }

    /// From now on syncs fail.
    pub(crate) fn break_syncs(&self) {
        self.world.lock().syncs_fail = true;
    }

    /// From now on what is written does not arrive.
    pub(crate) fn break_writes(&self) {
        self.world.lock().writes_fail = true;
    }

    /// Flips a bit of a file where it lies.
    pub(crate) fn flip(&self, name: &str, at: usize, bit: u8) {
        let mut world = self.world.lock();
        let file = world.now.names[name];
        world.now.files[file][at] ^= 1 << bit;
    }

    /// Bytes of a file, as a reader sees them.
    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        let world = self.world.lock();
        world.now.files[world.now.names[name]].clone()
    }

    /// The disk as it is found after a crash when `done` things had been done.
    pub(crate) fn crashed(&self, done: usize, crash: Crash, dice: &mut Dice) -> SimulatedDisk {
        let world = self.world.lock();
        let mut after = Survivor::new(&world.base);
        for op in &world.trace[..done] {
            after.apply(op);
        }
        let contents = match crash {
            Crash::Process => after.cached,
            Crash::Host => after.survive(dice),
        };
        let boot = world.boot + u64::from(crash == Crash::Host);
        let world = World { now: contents.clone(), base: contents, boot, ..World::default() };
        SimulatedDisk { world: Arc::new(Mutex::new(world)) }
    }
}

/// Replays a record, remembering what is not durable.
struct Survivor {
    cached: Contents,
    durable: Contents,
    /// File and block → its versions since the last sync.
    versions: BTreeMap<(usize, usize), Vec<Vec<u8>>>,
    names: Vec<Op>,
}

impl Survivor {
    fn new(base: &Contents) -> Survivor {
        Survivor {
            cached: base.clone(),
            durable: base.clone(),
            versions: BTreeMap::new(),
            names: Vec::new(),
        }
    }

    fn apply(&mut self, op: &Op) {
        apply(&mut self.cached, op);
        match op {
            Op::Write { file, at, bytes } => {
                for block in at / BLOCK..=(at + bytes.len() - 1) / BLOCK {
                    let content = block_of(&self.cached.files[*file], block).to_vec();
                    self.versions.entry((*file, block)).or_default().push(content);
                }
            }
            Op::Sync { file } => {
                self.durable.files[*file] = self.cached.files[*file].clone();
                self.versions.retain(|(other, _), _| other != file);
            }
            Op::Create { file, .. } => {
                while self.durable.files.len() <= *file {
                    self.durable.files.push(Vec::new());
                }
                self.durable.files[*file] = self.cached.files[*file].clone();
                self.names.push(op.clone());
            }
            Op::Rename { .. } | Op::Remove { .. } => self.names.push(op.clone()),
            Op::SyncNames => self.make_names_durable(self.names.len()),
            Op::Replace { .. } => {
                apply(&mut self.durable, op);
                self.make_names_durable(self.names.len());
            }
        }
    }

    fn make_names_durable(&mut self, count: usize) {
        for op in self.names.drain(..).take(count) {
            if let Op::Create { file, name } = op {
                self.durable.names.insert(name, file);
            } else {
                apply(&mut self.durable, &op);
            }
        }
    }

    fn survive(mut self, dice: &mut Dice) -> Contents {
        let kept = dice.below(self.names.len() as u64 + 1) as usize;
        self.make_names_durable(kept);
        for ((file, block), versions) in &self.versions {
            let content = &mut self.durable.files[*file];
            // Half of the time a block is whole or untouched, as most are; else each sector is on
            // its own.
            let whole = dice.below(2) == 0;
            let mut choice = dice.below(versions.len() as u64 + 1) as usize;
            for sector in 0..BLOCK / SECTOR {
                if !whole {
                    choice = dice.below(versions.len() as u64 + 1) as usize;
                }
                if let Some(version) = choice.checked_sub(1).map(|index| &versions[index]) {
                    let from = sector * SECTOR;
                    let at = block * BLOCK + from;
                    content[at..at + SECTOR].copy_from_slice(&version[from..from + SECTOR]);
                }
            }
        }
        self.durable
    }
}

fn block_of(file: &[u8], block: usize) -> &[u8] {
    &file[block * BLOCK..(block + 1) * BLOCK]
}

fn apply(contents: &mut Contents, op: &Op) {
    match op {
        Op::Create { file, name } => {
            while contents.files.len() <= *file {
                contents.files.push(Vec::new());
            }
            contents.names.insert(name.clone(), *file);
        }
        Op::Write { file, at, bytes } => {
            contents.files[*file][*at..at + bytes.len()].copy_from_slice(bytes);
        }
        Op::Rename { from, to } => {
            if let Some(file) = contents.names.remove(from) {
                contents.names.insert(to.clone(), file);
            }
        }
        Op::Remove { name } => {
            contents.names.remove(name);
        }
        Op::Replace { name, bytes } => {
            contents.small.insert(name.clone(), bytes.clone());
        }
        Op::Sync { .. } | Op::SyncNames => {}
    }
}

impl World {
    fn run(&mut self, op: Op) {
        apply(&mut self.now, &op);
        self.trace.push(op);
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Disk for SimulatedDisk {
    fn boot(&self) -> u64 {
        self.world.lock().boot
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let world = self.world.lock();
        Ok(world.now.names.keys().chain(world.now.small.keys()).cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.world.lock().now.small.get(name).cloned())
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.world.lock().run(Op::Replace { name: name.to_owned(), bytes: bytes.to_vec() });
        Ok(())
    }

    fn create(&self, name: &str, size: u64) -> io::Result<Box<dyn JournalFile>> {
        let mut world = self.world.lock();
        if let Some(room) = &mut world.room {
            *room = room.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
        }
        let file = world.now.files.len();
        let zeros = vec![0; size as usize];
        // Zeros that were never there before survive a crash: whatever the file holds without a
        // header is ignored.
        world.now.files.push(zeros.clone());
        world.base.files.resize(file + 1, Vec::new());
        world.base.files[file] = zeros;
        world.run(Op::Create { file, name: name.to_owned() });
        drop(world);
        self.open(name, 0)
    }

    fn open(&self, name: &str, published: u64) -> io::Result<Box<dyn JournalFile>> {
        let world = self.world.lock();
        let file = *world.now.names.get(name).ok_or_else(not_found)?;
        let size = world.now.files[file].len() as u64;
        let token = Arc::new(());
        let (world, group) = (Arc::clone(&self.world), Vec::new());
        Ok(Box::new(SimulatedFile { world, file, size, published, group, token }))
    }

    fn settle(&self, name: &str) -> io::Result<()> {
        let mut world = self.world.lock();
        let file = *world.now.names.get(name).ok_or_else(not_found)?;
        world.run(Op::Sync { file });
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut world = self.world.lock();
        if !world.now.names.contains_key(from) {
            return Err(not_found());
        }
        world.run(Op::Rename { from: from.to_owned(), to: to.to_owned() });
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.world.lock().run(Op::Remove { name: name.to_owned() });
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        self.world.lock().run(Op::SyncNames);
        Ok(())
    }
}

struct SimulatedFile {
    world: Arc<Mutex<World>>,
    file: usize,
    size: u64,
    published: u64,
    /// As in a mapped file: what was taken and is not in the file.
    group: Vec<u8>,
    token: Arc<()>,
}

impl JournalFile for SimulatedFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn write_at(&mut self, at: u64, bytes: &[u8]) {
        assert!(self.published <= at && at + bytes.len() as u64 <= self.size, "INV-JOURNAL-1");
        let from = (at - self.published) as usize;
        let to = from + bytes.len();
        self.group.resize(self.group.len().max(to), 0);
        self.group[from..to].copy_from_slice(bytes);
    }

    fn checksum(&self, from: u64, to: u64) -> u32 {
        assert!(self.published <= from, "INV-JOURNAL-1");
        let inside = |at: u64| (at - self.published) as usize;
        crc32c(&self.group[inside(from)..inside(to)])
    }

    fn publish(&mut self, to: u64) -> io::Result<Bytes> {
        assert!(self.published <= to && to <= self.size, "INV-JOURNAL-1");
        let mut world = self.world.lock();
        if world.writes_fail {
            return Err(io::Error::other("broken"));
        }
        let mut bytes = std::mem::take(&mut self.group);
        if !bytes.is_empty() {
            bytes.resize((to - self.published) as usize, 0);
            world.run(Op::Write { file: self.file, at: self.published as usize, bytes });
        }
        self.published = to;
        let bytes = world.now.files[self.file][..to as usize].to_vec();
        Ok(Bytes::from_owner(View { bytes, _token: Arc::clone(&self.token) }))
    }

    fn syncer(&self) -> Arc<dyn SyncFile> {
        let token = Arc::downgrade(&self.token);
        Arc::new(SimulatedSync { world: Arc::clone(&self.world), file: self.file, token })
    }
}

struct View {
    bytes: Vec<u8>,
    _token: Arc<()>,
}

impl AsRef<[u8]> for View {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

struct SimulatedSync {
    world: Arc<Mutex<World>>,
    file: usize,
    token: Weak<()>,
}

impl SyncFile for SimulatedSync {
    fn sync(&self) -> io::Result<()> {
        let mut world = self.world.lock();
        if world.syncs_fail {
            return Err(io::Error::other("broken"));
        }
        world.syncs += 1;
        world.run(Op::Sync { file: self.file });
        Ok(())
    }

    fn is_held(&self) -> bool {
        self.token.strong_count() > 0
    }

    fn let_go(&self) {}
}
