//! The disk of a durable sequencer: its records are written one block after another, each takes a
//! while, and what is not written when the process is killed is lost.
//!
//! A disk may fail for a while, or hang. It is unknown whether a write that failed is on disk. So
//! nothing is appended any more, and the sequencer stalls until a whole backup can be made, as the
//! writer of the library does.
//!
//! The records are those that ship, and so is what replays them; files and their format are not
//! here (the library's own tests cut those at every byte).

use std::collections::BTreeSet;
use std::time::Duration;

use samestate_proto::replication::{Image, ReplayFault, Replica};

use super::slot::ReplicaSlot;
use super::{Event, World};
use crate::faults::KillMoment;
use crate::invariants::{Invariant, Violation};
use crate::virtual_time::machine::{ErasedMachine, Mishap, Still};
use crate::virtual_time::trace::{Moment, What};

/// After so many blocks the next whole backup takes their place.
const BLOCKS_MAX: usize = 16;

/// The time that a write and its sync take, in microseconds: on a fast disk, and on a busy one.
const WRITE_US: (u64, u64) = (50, 8_000);

/// The time until a disk that failed is tried again, in microseconds.
const RETRY_US: (u64, u64) = (2_000, 50_000);

/// The time that a slow write takes, in microseconds, and the percentage of slow writes.
const SLOW_WRITE_US: (u64, u64) = (8_000, 300_000);
const SLOW_PERCENT: u64 = 3;

/// The records on disk, and those on their way there.
#[derive(Debug)]
pub(super) struct Disk {
    whole: (Image, Still),
    blocks: Vec<Block>,
    writing: Option<Block>,
    /// The block of which it is not known whether it is there, since its write failed.
    failed: Option<Block>,
    /// Sessions whose records its sequencer has not handed over yet.
    issued: Vec<u64>,
    /// Sessions whose records are on it.
    kept: BTreeSet<u64>,
}

/// The times until which calls to a disk fail, or do not return.
#[derive(Debug, Default)]
pub(super) struct DiskTrouble {
    fails_until: Duration,
    hangs_until: Duration,
}

/// Records that are written together.
#[derive(Debug)]
struct Block {
    before: u64,
    last: u64,
    records: Vec<u8>,
    sessions: Vec<u64>,
}

impl Disk {
    fn begun(replica: &Replica<ErasedMachine>) -> Self {
        let whole = (replica.image(), replica.machine().still());
        Disk {
            whole,
            blocks: Vec::new(),
            writing: None,
            failed: None,
            issued: Vec::new(),
            kept: BTreeSet::new(),
        }
    }

    /// All actions up to here are on it.
    pub(super) fn last(&self) -> u64 {
        self.blocks.last().map_or(self.whole.0.version.seq, |block| block.last)
    }

    fn take(&mut self, block: Block) {
        self.kept.extend(&block.sessions);
        self.blocks.push(block);
    }

    /// Returns the image and the state with which the next incarnation begins.
    pub(super) fn restored(&self, mishap: &Mishap) -> Result<(Image, Still), ReplayFault> {
        let (mut image, state) = self.whole.clone();
        let mut subject = ErasedMachine::from_still(&state, mishap.clone());
        for block in &self.blocks {
            image.replay(&mut subject, block.before, &block.records)?;
        }
        Ok((image, subject.still()))
    }
}

impl DiskTrouble {
    fn until(&self) -> Duration {
        self.fails_until.max(self.hangs_until)
    }
}

impl ReplicaSlot {
    /// Returns whether a durable sequencer has ordered actions that are not on its disk.
    pub(super) fn is_writing(&self) -> bool {
        let records = self.running.as_ref().is_some_and(|running| running.replica.has_records());
        let writes = |disk: &Disk| disk.writing.is_some() || disk.failed.is_some() || records;
        self.disk.as_ref().is_some_and(writes)
    }
}

impl World {
    /// A durable sequencer's incarnation begins with a whole backup.
    pub(super) fn begin_disk(&mut self, slot: usize, replica: &mut Replica<ErasedMachine>) {
        replica.keep(true);
        let before = self.slots[slot].disk.take();
        let kept = before.map(|disk| disk.kept).unwrap_or_default();
        self.slots[slot].disk = Some(Disk { kept, ..Disk::begun(replica) });
    }

    /// Begins to write what a sequencer left, unless its disk is busy.
    pub(super) fn write_if_due(&mut self, slot: usize) {
        let incarnation = self.hosts[self.slots[slot].spec.host].incarnation;
        let place = &mut self.slots[slot];
        let (Some(disk), Some(running)) = (&mut place.disk, &mut place.running) else { return };
        if disk.writing.is_some() {
            return;
        }
        let mut records = Vec::new();
        let Some(span) = running.replica.take_records(&mut records) else { return };
        if disk.failed.is_some() {
            // They are in the state, and so in the whole backup that comes next.
            self.step(slot, |replica, now| replica.committed(0, records.len(), now));
            return;
        }
        let sessions = std::mem::take(&mut disk.issued);
        disk.writing = Some(Block { before: span.before, last: span.last, records, sessions });
        let (least, most) = if self.rng.percent(SLOW_PERCENT) { SLOW_WRITE_US } else { WRITE_US };
        let takes = self.rng.micros(least, most);
        self.heap.push(self.now + takes, Event::Written { slot, incarnation });
    }

    /// Records that the write on its way is on disk.
    pub(super) fn written(&mut self, slot: usize) {
        let incarnation = self.hosts[self.slots[slot].spec.host].incarnation;
        let place = &mut self.slots[slot];
        let Some(disk) = &mut place.disk else { return };
        if place.disk_trouble.hangs_until > self.now {
            self.heap.push(place.disk_trouble.hangs_until, Event::Written { slot, incarnation });
            return;
        }
        let Some(block) = disk.writing.take() else { return };
        if place.disk_trouble.fails_until > self.now {
            return self.write_failed(slot, block);
        }
        let (last, bytes) = (block.last, block.records.len());
        disk.take(block);
        if let Some(running) = &place.running
            && disk.blocks.len() >= BLOCKS_MAX
            && running.replica.version().seq == last
            && !running.replica.has_records()
        {
            let kept = std::mem::take(&mut disk.kept);
            *disk = Disk { kept, ..Disk::begun(&running.replica) };
        }
        self.say(slot, || Moment::new(What::Applied, format!("{bytes} bytes are on disk")));
        self.step(slot, |replica, now| replica.committed(last, bytes, now));
        if !self.slots[slot].spec.slow_subscriber {
            self.tell(slot);
        }
        self.comes(slot, KillMoment::Written);
    }

    /// A write failed: the sequencer stalls.
    fn write_failed(&mut self, slot: usize, block: Block) {
        let incarnation = self.hosts[self.slots[slot].spec.host].incarnation;
        let bytes = block.records.len();
        if let Some(disk) = &mut self.slots[slot].disk {
            disk.failed = Some(block);
        }
        self.say(slot, || Moment::new(What::Fault, format!("{bytes} bytes cannot be written")));
        let wait = self.rng.micros(RETRY_US.0, RETRY_US.1);
        self.heap.push(self.now + wait, Event::Rewrite { slot, incarnation });
        let store = self.slots[slot].spec.config.store.clone();
        self.checker.stalls(slot, &store, Some(self.now));
        self.step(slot, |replica, now| replica.set_stalled(true, now));
        self.step(slot, |replica, now| replica.committed(0, bytes, now));
    }

    /// Makes a whole backup after the disk failed, or tries again later.
    pub(super) fn rewrite(&mut self, slot: usize) {
        let incarnation = self.hosts[self.slots[slot].spec.host].incarnation;
        let place = &mut self.slots[slot];
        let (Some(disk), Some(running)) = (&mut place.disk, &mut place.running) else { return };
        if place.disk_trouble.until() > self.now {
            let wait = self.rng.micros(RETRY_US.0, RETRY_US.1);
            self.heap.push(self.now + wait, Event::Rewrite { slot, incarnation });
            return;
        }
        let mut records = Vec::new();
        running.replica.take_records(&mut records);
        let mut kept = std::mem::take(&mut disk.kept);
        kept.extend(std::mem::take(&mut disk.issued));
        kept.extend(disk.failed.take().into_iter().flat_map(|block| block.sessions));
        *disk = Disk { kept, ..Disk::begun(&running.replica) };
        let (seq, bytes) = (disk.last(), records.len());
        self.moments.disks_recovered += 1;
        self.say(slot, || Moment::new(What::Applied, "a whole backup is on disk"));
        self.step(slot, |replica, now| replica.committed(seq, bytes, now));
        let store = self.slots[slot].spec.config.store.clone();
        self.checker.stalls(slot, &store, None);
        self.step(slot, |replica, now| replica.set_stalled(false, now));
        if !self.slots[slot].spec.slow_subscriber {
            self.tell(slot);
        }
    }

    /// The disks of the durable sequencers at a host fail, or hang. Whether there was one.
    pub(super) fn break_disk(&mut self, host: usize, lasts: Duration, hangs: bool) -> bool {
        let until = self.now + lasts;
        let mut found = false;
        for slot in self.hosts[host].slots.clone() {
            let place = &mut self.slots[slot];
            let trouble = &mut place.disk_trouble;
            let ends = if hangs { &mut trouble.hangs_until } else { &mut trouble.fails_until };
            *ends = (*ends).max(until);
            found |= place.disk.is_some();
        }
        found
    }

    /// Returns the time at which a process can begin to live at a host again, if its disks fail
    /// now.
    pub(super) fn disk_works_at(&self, host: usize) -> Option<Duration> {
        let slots = self.hosts[host].slots.iter().map(|slot| &self.slots[*slot]);
        let troubles = slots.filter(|place| place.disk.is_some());
        let until = troubles.map(|place| place.disk_trouble.until()).max();
        until.filter(|until| *until > self.now)
    }

    /// The last block that was written is not there after all. Whether there was one.
    pub(super) fn forget(&mut self, slot: usize) -> bool {
        let disk = self.slots[slot].disk.as_mut();
        disk.and_then(|disk| disk.blocks.pop()).is_some()
    }

    /// The process at a slot was killed. What it was writing may have come to the disk, though it
    /// never heard of that, or may not.
    pub(super) fn lose_writes(&mut self, slot: usize) {
        let Some(disk) = &mut self.slots[slot].disk else { return };
        let mut lost = std::mem::take(&mut disk.issued);
        if let Some(block) = disk.writing.take().or_else(|| disk.failed.take()) {
            if self.rng.percent(50) {
                disk.take(block);
            } else {
                self.moments.writes_lost += 1;
                lost.extend(block.sessions);
            }
        }
        let facts = self.checker.facts(&self.slots[slot].spec.config.store);
        lost.into_iter().for_each(|session| facts.loses(session));
    }

    /// A durable sequencer says that it issued a session: its record is among those that were not
    /// handed over, in the block that is being written, or on disk.
    pub(super) fn issued(&mut self, slot: usize, session: u64) {
        let place = &mut self.slots[slot];
        let (Some(disk), Some(running)) = (&mut place.disk, &place.running) else { return };
        if running.replica.has_records() || disk.failed.is_some() {
            disk.issued.push(session);
        } else if let Some(block) = &mut disk.writing {
            block.sessions.push(session);
        } else {
            disk.kept.insert(session);
        }
    }

    /// Holds the sessions that an incarnation begins with against those that were on disk.
    pub(super) fn check_kept(&mut self, slot: usize, image: &Image) {
        let place = &self.slots[slot];
        let evicts = self.checker.facts(&place.spec.config.store).evicts();
        let Some(disk) = place.disk.as_ref().filter(|_| !evicts) else { return };
        let gone = disk.kept.iter().find(|session| image.sessions.row(**session).is_empty());
        if let Some(session) = gone {
            let detail =
                format!("session {session:x} was on disk, and its next incarnation lacks it");
            let (invariant, at) = (Invariant::I3, place.spec.name.clone());
            self.fails(Violation { invariant, at, detail });
        }
    }
}
