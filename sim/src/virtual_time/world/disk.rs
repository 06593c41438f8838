//! The disk of a durable sequencer: its records are written one block after another, each takes a
//! while, and what is not written when the process is killed is lost.
//!
//! The records are those that ship, and so is what replays them; files and their format are not
//! here (the library's own tests cut those at every byte).

use samestate::replication::{Image, ReplayFault, Replica};

use super::seat::Seat;
use super::{Event, World};
use crate::virtual_time::subject::{Mishap, Still, Subject};
use crate::virtual_time::trace::{Moment, What};

/// After so many blocks the next whole backup takes their place.
const BLOCKS_MAX: usize = 16;

/// How long a write and its sync take, in microseconds: a fast disk, and one that is busy.
const WRITE_US: (u64, u64) = (50, 8_000);

/// What is on disk, and what is on its way there.
#[derive(Debug)]
pub(super) struct Disk {
    whole: (Image, Still),
    blocks: Vec<Block>,
    writing: Option<Block>,
}

/// Records that are written together.
#[derive(Debug)]
struct Block {
    before: u64,
    last: u64,
    records: Vec<u8>,
}

impl Disk {
    fn begun(replica: &Replica<Subject>) -> Self {
        let whole = (replica.image(), replica.machine().still());
        Disk { whole, blocks: Vec::new(), writing: None }
    }

    /// All actions up to here are on it.
    pub(super) fn last(&self) -> u64 {
        self.blocks.last().map_or(self.whole.0.version.seq, |block| block.last)
    }

    /// What a life begins with that goes on from here.
    pub(super) fn restored(&self, mishap: &Mishap) -> Result<(Image, Still), ReplayFault> {
        let (mut image, state) = self.whole.clone();
        let mut subject = Subject::from_still(&state, mishap.clone());
        for block in &self.blocks {
            image.replay(&mut subject, block.before, &block.records)?;
        }
        Ok((image, subject.still()))
    }
}

impl Seat {
    /// Whether a durable sequencer has ordered what is not on its disk.
    pub(super) fn is_writing(&self) -> bool {
        let records = self.running.as_ref().is_some_and(|running| running.replica.has_records());
        self.disk.as_ref().is_some_and(|disk| disk.writing.is_some() || records)
    }
}

impl World {
    /// A durable sequencer's life begins with a whole backup.
    pub(super) fn begin_disk(&mut self, seat: usize, replica: &mut Replica<Subject>) {
        replica.keep(true);
        self.seats[seat].disk = Some(Disk::begun(replica));
    }

    /// Begins to write what a sequencer left, unless its disk is busy.
    pub(super) fn write_if_due(&mut self, seat: usize) {
        let life = self.hosts[self.seats[seat].spec.host].life;
        let place = &mut self.seats[seat];
        let (Some(disk), Some(running)) = (&mut place.disk, &mut place.running) else { return };
        if disk.writing.is_some() {
            return;
        }
        let mut records = Vec::new();
        let Some(span) = running.replica.take_records(&mut records) else { return };
        disk.writing = Some(Block { before: span.before, last: span.last, records });
        let takes = self.dice.micros(WRITE_US.0, WRITE_US.1);
        self.heap.push(self.now + takes, Event::Written { seat, life });
    }

    /// What was on its way to the disk is there.
    pub(super) fn written(&mut self, seat: usize) {
        let place = &mut self.seats[seat];
        let Some(disk) = &mut place.disk else { return };
        let Some(block) = disk.writing.take() else { return };
        let (last, bytes) = (block.last, block.records.len());
        disk.blocks.push(block);
        if let Some(running) = &place.running
            && disk.blocks.len() >= BLOCKS_MAX
            && running.replica.version().seq == last
            && !running.replica.has_records()
        {
            *disk = Disk::begun(&running.replica);
        }
        self.say(seat, || Moment::new(What::Applied, format!("{bytes} bytes are on disk")));
        self.step(seat, |replica, now| replica.committed(last, bytes, now));
        if !self.seats[seat].spec.slow_subscriber {
            self.tell(seat);
        }
    }

    /// The last block that was written is not there after all. Whether there was one.
    pub(super) fn forget(&mut self, seat: usize) -> bool {
        let disk = self.seats[seat].disk.as_mut();
        disk.and_then(|disk| disk.blocks.pop()).is_some()
    }

    /// The process at a seat was killed. What it was writing may have come to the disk, though it
    /// never heard of that, or may not.
    pub(super) fn lose_writes(&mut self, seat: usize) {
        let Some(block) = self.seats[seat].disk.as_mut().and_then(|disk| disk.writing.take())
        else {
            return;
        };
        if self.dice.percent(50)
            && let Some(disk) = &mut self.seats[seat].disk
        {
            disk.blocks.push(block);
        } else {
            self.moments.writes_lost += 1;
        }
    }
}
