//! The events of a world, and what each of them makes happen.

use std::time::Duration;

use samestate_proto::Version;
use samestate_proto::replication::{Decode, JobDone, Resolution};

use super::World;
use crate::virtual_time::network::EndId;

/// Something that happens.
#[derive(Debug)]
pub(super) enum Event {
    Tick {
        host: usize,
        incarnation: u32,
    },
    Connect {
        slot: usize,
        incarnation: u32,
    },
    Up(EndId),
    Pump(EndId),
    Arrive(EndId),
    Read(EndId),
    Closed(EndId),
    Finish {
        slot: usize,
        incarnation: u32,
        done: Box<Done>,
    },
    Install {
        end: EndId,
        decode: Box<Decode>,
    },
    Resume {
        host: usize,
        incarnation: u32,
    },
    Restart {
        host: usize,
        incarnation: u32,
    },
    Written {
        slot: usize,
        incarnation: u32,
    },
    /// A durable sequencer whose disk failed tries to make a whole backup.
    Rewrite {
        slot: usize,
        incarnation: u32,
    },
}

/// A job that has been done, and what it cost.
pub(super) struct Done {
    pub(super) job: JobDone,
    pub(super) cost: Duration,
    /// It was a digest.
    pub(super) digest: bool,
    /// The number of times that the state had been replaced when it began.
    pub(super) replaced: u64,
}

impl std::fmt::Debug for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a job of {:?}", self.cost)
    }
}

/// An event that the driver of the world may want to act on.
#[derive(Clone, Debug)]
pub enum Notice {
    /// A dispatch resolved, when its replica was at this version.
    Resolved {
        /// The slot.
        slot: usize,
        /// The id of the dispatch.
        id: u64,
        /// The result of the dispatch.
        resolution: Resolution,
        /// The version of the replica.
        local: Version,
    },
    /// The subscriber of a slot was told something.
    Told {
        /// The slot.
        slot: usize,
    },
    /// A moment has come that was waited for at a host.
    Moment {
        /// The host.
        host: usize,
    },
    /// A host has a process again.
    Lives {
        /// The host.
        host: usize,
    },
}

impl World {
    pub(super) fn happen(&mut self, event: Event) {
        let Some(event) = self.deferred(event) else { return };
        match event {
            Event::Tick { host, .. } => self.tick(host),
            Event::Connect { slot, .. } => self.connect(slot),
            Event::Up(end) => self.up(end),
            Event::Pump(end) => self.pump(end),
            Event::Arrive(end) => self.arrive(end),
            Event::Read(end) => self.read(end),
            Event::Closed(end) => self.close(end, None),
            Event::Finish { slot, done, .. } => {
                self.check(slot, |checker, view, _| {
                    checker.done(view, done.digest, done.cost, done.replaced);
                    Ok(())
                });
                self.step(slot, |replica, now| replica.finish(done.job, done.cost, now));
            }
            Event::Install { end, decode } => self.install(end, *decode),
            Event::Resume { host, .. } => self.resume(host),
            Event::Restart { host, incarnation } => match self.disk_works_at(host) {
                // An incarnation begins with a whole backup; without one it ends at once.
                Some(then) => self.heap.push(then, Event::Restart { host, incarnation }),
                None => self.start(host),
            },
            Event::Written { slot, .. } => self.written(slot),
            Event::Rewrite { slot, .. } => self.rewrite(slot),
        }
    }

    /// The event, unless it concerns a process that is gone, or one that stands still.
    pub(super) fn deferred(&mut self, event: Event) -> Option<Event> {
        let (host, incarnation) = match &event {
            Event::Resume { host, incarnation } | Event::Restart { host, incarnation } => {
                return (self.hosts[*host].incarnation == *incarnation).then_some(event);
            }
            Event::Tick { host, incarnation } => (*host, *incarnation),
            Event::Connect { slot, incarnation }
            | Event::Finish { slot, incarnation, .. }
            | Event::Written { slot, incarnation }
            | Event::Rewrite { slot, incarnation } => (self.slots[*slot].spec.host, *incarnation),
            Event::Arrive(_) => return Some(event),
            Event::Up(end) | Event::Pump(end) | Event::Read(end) | Event::Closed(end) => {
                let found = self.connections.get(end.connection)?.end(end.side);
                (self.slots[found.slot].spec.host, found.incarnation)
            }
            Event::Install { end, .. } => {
                let found = self.connections.get(end.connection)?.end(end.side);
                (self.slots[found.slot].spec.host, found.incarnation)
            }
        };
        let place = &mut self.hosts[host];
        if place.incarnation != incarnation || !place.alive {
            return None;
        }
        if place.paused_until.is_some() {
            place.backlog.push(event);
            return None;
        }
        Some(event)
    }
}
