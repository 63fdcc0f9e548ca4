//! [`MemoryFiles`]: a file layer in memory that can lose, tear and reorder what was not synced.
//!
//! Simulated: power loss at any call (each sector of an un-synced write keeps its old or gets its
//! new content, independently of all others; names go back to a prefix of the changes since the
//! last directory sync), any call failing, a write that fails half way, a sync that fails and
//! takes the data with it, a disk of limited size. Not simulated: a sector that is itself torn,
//! and content that rots; tests write that with [`MemoryFiles::replace`].
//! Everything follows from the seed and the order of calls.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{FileLayer, OpenFile, SECTOR_BYTES};

/// Files in memory. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles(Arc<Mutex<Disk>>);

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `EIO`: something broke.
    Broken,
    /// `ENOSPC`: there is no space.
    Full,
}

#[derive(Clone, Debug, Default)]
struct Disk {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Name changes since the last directory sync, in order.
    unsynced_names: Vec<NameChange>,
    /// Counts crashes: a handle from before one is dead.
    boots: u64,
    operations: u64,
    faults: BTreeMap<u64, Fault>,
    halted_from: Option<u64>,
    capacity_bytes: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    /// What programs read.
    cached: Vec<u8>,
    /// What a crash leaves for sure.
    durable: Vec<u8>,
    /// Changes since the last sync, in order.
    unsynced: Vec<Change>,
    /// How many bytes wait for a sync, and the most that ever did.
    unsynced_bytes: usize,
    most_unsynced: usize,
}

#[derive(Clone, Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Length(usize),
}

#[derive(Clone, Debug)]
enum NameChange {
    Set(String, usize),
    Removed(String),
}

struct Handle {
    disk: Arc<Mutex<Disk>>,
    inode: usize,
    boot: u64,
}

/// SplitMix64: small, seeded, good enough to choose what is lost.
struct Dice(u64);

// === impl MemoryFiles ===

impl MemoryFiles {
    /// An empty directory on a disk without end.
    pub fn new() -> Self {
        Self::default()
    }

    /// Limits the disk to `bytes` in all files together; `None` for no limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.disk().capacity_bytes = bytes;
    }

    /// How many calls were made so far.
    pub fn operations(&self) -> u64 {
        self.disk().operations
    }

    /// Makes the call that comes after `calls` more fail with `fault`, once.
    pub fn fail_after(&self, calls: u64, fault: Fault) {
        let mut disk = self.disk();
        let at = disk.operations + calls;
        disk.faults.insert(at, fault);
    }

    /// Makes every call fail that comes after `calls` more, until [`crash`](Self::crash).
    pub fn halt_after(&self, calls: u64) {
        let mut disk = self.disk();
        disk.halted_from = Some(disk.operations + calls);
    }

    /// Loses power and comes back: `seed` chooses what of the un-synced survives. All faults are
    /// over, all handles dead.
    pub fn crash(&self, seed: u64) {
        self.disk().crash(&mut Dice(seed));
    }

    /// A copy of everything, with its own future.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self(Arc::new(Mutex::new(self.disk().clone())))
    }

    /// What is in a file.
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        let disk = self.disk();
        disk.names.get(name).map(|inode| disk.inodes[*inode].cached.clone())
    }

    /// The most bytes of a file that ever waited for a sync: whoever syncs another file meanwhile waits for them.
    pub fn most_unsynced(&self, name: &str) -> Option<usize> {
        let disk = self.disk();
        disk.names.get(name).map(|inode| disk.inodes[*inode].most_unsynced)
    }

    /// Puts `bytes` into a file, durably and behind everybody's back.
    pub fn replace(&self, name: &str, bytes: Vec<u8>) {
        let mut disk = self.disk();
        let inode = disk.inode_named(name);
        disk.inodes[inode] = Inode { cached: bytes.clone(), durable: bytes, ..Inode::default() };
        disk.durable_names.insert(name.to_owned(), inode);
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, disk: &Disk, inode: usize) -> Arc<dyn OpenFile> {
        Arc::new(Handle { disk: Arc::clone(&self.0), inode, boot: disk.boots })
    }
}

impl FileLayer for MemoryFiles {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut disk = self.disk();
        disk.step()?;
        Ok(disk.names.keys().cloned().collect())
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<Arc<dyn OpenFile>> {
        let mut disk = self.disk();
        disk.step()?;
        if disk.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = disk.inode_named(name);
        let made =
            disk.grow(inode, index(bytes)).and_then(|()| disk.sync(inode)).and_then(|()| disk.sync_names());
        if let Err(failed) = made {
            disk.unname(name);
            return Err(failed);
        }
        Ok(self.handle(&disk, inode))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn OpenFile>> {
        let mut disk = self.disk();
        disk.step()?;
        let inode = *disk.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.handle(&disk, inode))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.disk();
        disk.step()?;
        let inode = *disk.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        disk.unname(from);
        disk.names.insert(to.to_owned(), inode);
        disk.unsynced_names.push(NameChange::Set(to.to_owned(), inode));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut disk = self.disk();
        disk.step()?;
        if !disk.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        disk.unname(name);
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.disk().sync_names()
    }

    fn available_bytes(&self) -> io::Result<u64> {
        let mut disk = self.disk();
        disk.step()?;
        Ok(disk.capacity_bytes.map_or(u64::MAX, |all| all.saturating_sub(disk.used_bytes())))
    }
}

// === impl Handle ===

impl Handle {
    fn disk(&self) -> io::Result<MutexGuard<'_, Disk>> {
        let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        if disk.boots != self.boot {
            return Err(broken());
        }
        disk.step()?;
        Ok(disk)
    }
}

impl OpenFile for Handle {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk()?.inodes[self.inode].cached.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let disk = self.disk()?;
        let rest = disk.inodes[self.inode].cached.get(index(at)..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let at = index(at);
        match self.disk() {
            Ok(mut disk) => {
                disk.room_for(self.inode, at + bytes.len())?;
                disk.inodes[self.inode].write(at, bytes.to_vec());
                Ok(())
            }
            Err(failed) => {
                // A write that fails has happened in part.
                let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
                if disk.boots == self.boot {
                    disk.inodes[self.inode].write(at, bytes[..bytes.len() / 2].to_vec());
                }
                Err(failed)
            }
        }
    }

    fn grow(&self, len: u64) -> io::Result<()> {
        let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        if disk.boots != self.boot {
            return Err(broken());
        }
        disk.grow(self.inode, index(len))
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut disk = self.disk()?;
        let inode = &mut disk.inodes[self.inode];
        inode.cached.resize(index(len), 0);
        inode.unsynced.push(Change::Length(index(len)));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        if disk.boots != self.boot {
            return Err(broken());
        }
        disk.sync(self.inode)?;
        if disk.names.values().any(|inode| *inode == self.inode) {
            Ok(())
        } else {
            Err(io::Error::new(io::ErrorKind::NotFound, "the file was removed while in use"))
        }
    }
}

// === impl Disk ===

impl Disk {
    /// Counts a call, and fails it when it was chosen to.
    fn step(&mut self) -> io::Result<()> {
        let number = self.operations;
        self.operations += 1;
        if self.halted_from.is_some_and(|from| number >= from) {
            return Err(broken());
        }
        match self.faults.remove(&number) {
            None => Ok(()),
            Some(Fault::Broken) => Err(broken()),
            Some(Fault::Full) => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    fn used_bytes(&self) -> u64 {
        self.names.values().map(|inode| self.inodes[*inode].cached.len() as u64).sum()
    }

    fn room_for(&self, inode: usize, len: usize) -> io::Result<()> {
        let more = len.saturating_sub(self.inodes[inode].cached.len()) as u64;
        match self.capacity_bytes {
            Some(all) if more > 0 && self.used_bytes() + more > all => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }

    fn inode_named(&mut self, name: &str) -> usize {
        if let Some(inode) = self.names.get(name) {
            return *inode;
        }
        let inode = self.inodes.len();
        self.inodes.push(Inode::default());
        self.names.insert(name.to_owned(), inode);
        self.unsynced_names.push(NameChange::Set(name.to_owned(), inode));
        inode
    }

    fn unname(&mut self, name: &str) {
        self.names.remove(name);
        self.unsynced_names.push(NameChange::Removed(name.to_owned()));
    }

    fn grow(&mut self, inode: usize, len: usize) -> io::Result<()> {
        self.step()?;
        self.room_for(inode, len)?;
        let inode = &mut self.inodes[inode];
        let before = inode.cached.len();
        if len > before {
            inode.write(before, vec![0; len - before]);
        }
        Ok(())
    }

    fn sync(&mut self, inode: usize) -> io::Result<()> {
        let outcome = self.step();
        let seed = self.operations;
        let inode = &mut self.inodes[inode];
        match outcome {
            Ok(()) => inode.settle(),
            // The pages are clean now, the data may be anywhere: readers still see them, no later
            // sync writes them.
            Err(_) => inode.lose(&mut Dice(seed)),
        }
        outcome
    }

    fn sync_names(&mut self) -> io::Result<()> {
        self.step()?;
        self.durable_names = self.names.clone();
        self.unsynced_names.clear();
        Ok(())
    }

    fn crash(&mut self, dice: &mut Dice) {
        for inode in &mut self.inodes {
            inode.lose(dice);
            inode.cached = inode.durable.clone();
        }
        let kept = dice.below(self.unsynced_names.len() as u64 + 1);
        for change in self.unsynced_names.drain(..).take(index(kept)) {
            match change {
                NameChange::Set(name, inode) => _ = self.durable_names.insert(name, inode),
                NameChange::Removed(name) => _ = self.durable_names.remove(&name),
            }
        }
        self.names = self.durable_names.clone();
        self.faults.clear();
        self.halted_from = None;
        self.boots += 1;
    }
}

// === impl Inode ===

impl Inode {
    fn write(&mut self, at: usize, bytes: Vec<u8>) {
        put(&mut self.cached, at, &bytes);
        self.unsynced_bytes += bytes.len();
        self.most_unsynced = self.most_unsynced.max(self.unsynced_bytes);
        self.unsynced.push(Change::Write { at, bytes });
    }

    /// Everything un-synced becomes durable.
    fn settle(&mut self) {
        self.unsynced_bytes = 0;
        for change in self.unsynced.drain(..) {
            match change {
                Change::Write { at, bytes } => put(&mut self.durable, at, &bytes),
                Change::Length(len) => self.durable.resize(len, 0),
            }
        }
    }

    /// What is un-synced becomes durable sector by sector, or is lost. Within one sector, what
    /// came later is not kept without what came before.
    fn lose(&mut self, dice: &mut Dice) {
        self.unsynced_bytes = 0;
        let mut lost_sectors = std::collections::BTreeSet::new();
        for change in self.unsynced.drain(..) {
            match change {
                Change::Length(len) if dice.below(2) == 0 => self.durable.resize(len, 0),
                Change::Length(_) => {}
                Change::Write { at, bytes } => {
                    for (at, piece) in sectors(at, &bytes) {
                        let sector = at / index(SECTOR_BYTES);
                        if lost_sectors.contains(&sector) || dice.below(2) == 0 {
                            lost_sectors.insert(sector);
                        } else {
                            put(&mut self.durable, at, piece);
                        }
                    }
                }
            }
        }
    }
}

/// The pieces of a write that fall into one sector each.
fn sectors(mut at: usize, mut bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    std::iter::from_fn(move || {
        let room = index(SECTOR_BYTES) - at % index(SECTOR_BYTES);
        let (piece, rest) = bytes.split_at(room.min(bytes.len()));
        let found = (!piece.is_empty()).then_some((at, piece));
        at += piece.len();
        bytes = rest;
        found
    })
}

fn put(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[at..end].copy_from_slice(bytes);
}

fn index(bytes: u64) -> usize {
    usize::try_from(bytes).expect("a file in memory fits into memory")
}

fn broken() -> io::Error {
    io::Error::other("input/output error (injected)")
}

// === impl Dice ===

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
