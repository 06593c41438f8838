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
        life: u32,
    },
    Connect {
        seat: usize,
        life: u32,
    },
    Up(EndId),
    Pump(EndId),
    Arrive(EndId),
    Read(EndId),
    Closed(EndId),
    Finish {
        seat: usize,
        life: u32,
        done: Box<Done>,
    },
    Install {
        end: EndId,
        decode: Box<Decode>,
    },
    Resume {
        host: usize,
        life: u32,
    },
    Restart {
        host: usize,
        life: u32,
    },
    Written {
        seat: usize,
        life: u32,
    },
    /// A durable sequencer whose disk failed tries to make a whole backup.
    Rewrite {
        seat: usize,
        life: u32,
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
        /// The seat.
        seat: usize,
        /// The id of the dispatch.
        id: u64,
        /// The result of the dispatch.
        resolution: Resolution,
        /// The version of the replica.
        local: Version,
    },
    /// The subscriber of a seat was told something.
    Told {
        /// The seat.
        seat: usize,
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
            Event::Connect { seat, .. } => self.connect(seat),
            Event::Up(end) => self.up(end),
            Event::Pump(end) => self.pump(end),
            Event::Arrive(end) => self.arrive(end),
            Event::Read(end) => self.read(end),
            Event::Closed(end) => self.close(end, None),
            Event::Finish { seat, done, .. } => {
                self.check(seat, |checker, view, _| {
                    checker.done(view, done.digest, done.cost, done.replaced);
                    Ok(())
                });
                self.step(seat, |replica, now| replica.finish(done.job, done.cost, now));
            }
            Event::Install { end, decode } => self.install(end, *decode),
            Event::Resume { host, .. } => self.resume(host),
            Event::Restart { host, life } => match self.disk_works_at(host) {
                // A life begins with a whole backup: where none can be made, it ends at once.
                Some(then) => self.heap.push(then, Event::Restart { host, life }),
                None => self.start(host),
            },
            Event::Written { seat, .. } => self.written(seat),
            Event::Rewrite { seat, .. } => self.rewrite(seat),
        }
    }

    /// The event, unless it concerns a process that is gone, or one that stands still.
    pub(super) fn deferred(&mut self, event: Event) -> Option<Event> {
        let (host, life) = match &event {
            Event::Resume { host, life } | Event::Restart { host, life } => {
                return (self.hosts[*host].life == *life).then_some(event);
            }
            Event::Tick { host, life } => (*host, *life),
            Event::Connect { seat, life }
            | Event::Finish { seat, life, .. }
            | Event::Written { seat, life }
            | Event::Rewrite { seat, life } => (self.seats[*seat].spec.host, *life),
            Event::Arrive(_) => return Some(event),
            Event::Up(end) | Event::Pump(end) | Event::Read(end) | Event::Closed(end) => {
                let found = self.connections.get(end.connection)?.end(end.side);
                (self.seats[found.seat].spec.host, found.life)
            }
            Event::Install { end, .. } => {
                let found = self.connections.get(end.connection)?.end(end.side);
                (self.seats[found.seat].spec.host, found.life)
            }
        };
        let place = &mut self.hosts[host];
        if place.life != life || !place.alive {
            return None;
        }
        if place.paused_until.is_some() {
            place.backlog.push(event);
            return None;
        }
        Some(event)
    }
}
