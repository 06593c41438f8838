//! Injects faults and reverts them.

use std::collections::BTreeSet;
use std::time::Duration;

use samestate_proto::replication::StateView as _;

use super::disk::DiskTrouble;
use super::links::{CLIENT, SERVER};
use super::{Event, Notice, World};
use crate::faults::{KillMoment, Shape, Ways};
use crate::invariants::{Invariant, Violation};
use crate::virtual_time::check::Tally;
use crate::virtual_time::machine::Mishap;
use crate::virtual_time::network::{Connection, EndId, Shaped};
use crate::virtual_time::trace::{Moment, What};

/// One thing that goes wrong. The connection of a slot is the one to its upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InjectedFault {
    /// The connection of a slot ends; what is on its way may be lost, or arrive still.
    Cut {
        /// The slot below it.
        slot: usize,
        /// True if messages on their way up are lost.
        loses_up: bool,
        /// True if messages on their way down are lost.
        loses_down: bool,
        /// The time for which it cannot be made again.
        lasts: Duration,
    },
    /// Nothing arrives over the connection of a slot for a while, and all of it later.
    Blackhole {
        /// The slot below it.
        slot: usize,
        /// Up.
        up: bool,
        /// Down.
        down: bool,
        /// The duration.
        lasts: Duration,
    },
    /// A slot cannot connect for a while; its connection stays.
    Refuse {
        /// The slot below it.
        slot: usize,
        /// The duration.
        lasts: Duration,
    },
    /// The connections of a slot have another property for a while.
    Shape {
        /// The slot below it.
        slot: usize,
        /// The directions.
        ways: Ways,
        /// The property.
        shape: Shape,
        /// The duration.
        lasts: Duration,
    },
    /// Nothing arrives over the connection of a slot any more, and neither end is told.
    HalfOpen {
        /// The slot below it.
        slot: usize,
    },
    /// A bit of what arrives next over the connection of a slot is flipped.
    Corrupt {
        /// The slot below it.
        slot: usize,
        /// On its way up, or down.
        up: bool,
    },
    /// A process is killed, and started again after a while.
    Kill {
        /// The host.
        host: usize,
        /// Its peers are not told.
        silent: bool,
        /// The time for which it is gone; for good, without it.
        lasts: Option<Duration>,
    },
    /// A process stands still for a while.
    Pause {
        /// The host.
        host: usize,
        /// The duration.
        lasts: Duration,
    },
    /// A sequencer keeps what it has now as its backup.
    Backup {
        /// The slot.
        slot: usize,
    },
    /// The disk of a host fails for a while: of each durable sequencer there.
    Disk {
        /// The host.
        host: usize,
        /// The duration.
        lasts: Duration,
        /// Its calls do not return meanwhile; otherwise they fail.
        hangs: bool,
    },
    /// The disk of a durable sequencer forgets the last block that it said it had: no disk may do
    /// that, and the checker has to see it.
    Forget {
        /// The slot.
        slot: usize,
    },
    /// A replica that is no sequencer applies the next action twice, unnoticed.
    Slip {
        /// The slot.
        slot: usize,
    },
    /// The next action fails at a replica that is no sequencer.
    Fail {
        /// The slot.
        slot: usize,
    },
}

impl World {
    /// Waits for a moment at a host, and gives notice of it, once; or for none any more.
    pub fn aim(&mut self, host: usize, moment: Option<KillMoment>) {
        self.hosts[host].aimed = moment;
    }

    /// A moment has come at a slot.
    pub(super) fn comes(&mut self, slot: usize, moment: KillMoment) {
        let host = self.slots[slot].spec.host;
        if self.hosts[host].aimed == Some(moment) {
            self.hosts[host].aimed = None;
            self.moments.aimed_kills += 1;
            self.notice(|| Notice::Moment { host });
        }
    }

    /// Lets something go wrong. Whether there was anything that it could happen to.
    pub fn inject(&mut self, fault: InjectedFault) -> bool {
        self.say_all(|| Moment::new(What::Fault, format!("{fault:?}")));
        match fault {
            InjectedFault::Cut { slot, loses_up, loses_down, lasts } => {
                if lasts > Duration::ZERO {
                    let until = self.now + lasts;
                    let blocked = &mut self.slots[slot].blocked_until;
                    *blocked = (*blocked).max(until);
                }
                self.cut(slot, loses_up, loses_down)
            }
            InjectedFault::Blackhole { slot, up, down, lasts } => {
                self.blackhole(slot, up, down, lasts)
            }
            InjectedFault::Refuse { slot, lasts } => {
                let blocked = &mut self.slots[slot].blocked_until;
                *blocked = (*blocked).max(self.now + lasts);
                self.slots[slot].running.is_some()
            }
            InjectedFault::Shape { slot, ways, shape, lasts } => {
                self.shape(slot, ways, shape, lasts)
            }
            InjectedFault::HalfOpen { slot } => self.half_open(slot),
            InjectedFault::Corrupt { slot, up } => {
                let side = if up { CLIENT } else { SERVER };
                let Some((number, connection)) = self.connection_of(slot) else { return false };
                connection.trouble(side).corrupt = true;
                self.garbled.insert(number)
            }
            InjectedFault::Kill { host, silent, lasts } => {
                let there = self.hosts[host].alive;
                self.kill(host, silent);
                self.hosts[host].restarts = lasts.is_some();
                if let (Some(lasts), true) = (lasts, there) {
                    let incarnation = self.hosts[host].incarnation;
                    self.heap.push(self.now + lasts, Event::Restart { host, incarnation });
                }
                there
            }
            InjectedFault::Pause { host, lasts } => {
                let there = self.hosts[host].alive && self.hosts[host].paused_until.is_none();
                self.pause(host, lasts);
                there
            }
            InjectedFault::Backup { slot } => {
                self.back_up(slot);
                self.slots[slot].backup.is_some()
            }
            InjectedFault::Disk { host, lasts, hangs } => self.break_disk(host, lasts, hangs),
            InjectedFault::Forget { slot } => self.forget(slot),
            InjectedFault::Slip { slot } => self.mishap(slot, Mishap::SLIP),
            InjectedFault::Fail { slot } => self.mishap(slot, Mishap::FAIL),
        }
    }

    /// The next action, or every one, goes wrong at a replica that is no sequencer.
    pub fn mishap(&mut self, slot: usize, what: u8) -> bool {
        let Some(running) = &self.slots[slot].running else { return false };
        if running.replica.is_sequencer() {
            return false;
        }
        running.mishap.set(what);
        let facts = self.checker.facts(&self.slots[slot].spec.config.store);
        facts.mishap = true;
        facts.never_deterministic |= what == Mishap::ALWAYS_SLIP;
        if what != Mishap::FAIL {
            // A bad copy may spread to nodes that join below it before it is found.
            self.slipped.insert(self.slots[slot].spec.config.store.clone());
            for other in 0..self.slots.len() {
                if self.slots[other].spec.config.store == self.slots[slot].spec.config.store {
                    self.checker.excuse(other);
                }
            }
        }
        true
    }

    fn connection_of(&mut self, slot: usize) -> Option<(u64, &mut Connection)> {
        let connection = self.slots[slot].running.as_ref()?.upstream?;
        self.connections.get_mut(connection).map(|found| (connection, found))
    }

    fn cut(&mut self, slot: usize, loses_up: bool, loses_down: bool) -> bool {
        let Some((connection, found)) = self.connection_of(slot) else { return false };
        for (side, loses) in [(CLIENT, loses_up), (SERVER, loses_down)] {
            if loses {
                // What is sent until both ends have noticed is lost too: no stream has a hole.
                found.lose(side);
                found.trouble(side).swallowed = true;
            }
        }
        for side in [CLIENT, SERVER] {
            let wait = self.rng.micros(0, 3000);
            self.heap.push(self.now + wait, Event::Closed(EndId { connection, side }));
        }
        true
    }

    fn blackhole(&mut self, slot: usize, up: bool, down: bool, lasts: Duration) -> bool {
        let until = self.now + lasts;
        // A connection that is made meanwhile carries nothing either.
        self.slots[slot].shapes.push(Shaped { ways: Ways { up, down }, shape: Shape::Hold, until });
        let Some((_, found)) = self.connection_of(slot) else { return false };
        if up {
            found.trouble(CLIENT).stalled_until = until;
        }
        if down {
            found.trouble(SERVER).stalled_until = until;
        }
        true
    }

    fn shape(&mut self, slot: usize, ways: Ways, shape: Shape, lasts: Duration) -> bool {
        let until = self.now + lasts;
        let now = self.now;
        let shapes = &mut self.slots[slot].shapes;
        shapes.retain(|shaped| shaped.until > now);
        let shaped = Shaped { ways, shape, until };
        shapes.push(shaped);
        let Some((_, found)) = self.connection_of(slot) else { return false };
        found.shape(shaped);
        true
    }

    fn half_open(&mut self, slot: usize) -> bool {
        let wait = self.link_deadline(slot);
        let now = self.now;
        let Some((connection, found)) = self.connection_of(slot) else { return false };
        for side in [CLIENT, SERVER] {
            found.trouble(side).swallowed = true;
        }
        for side in [CLIENT, SERVER] {
            self.heap.push(now + wait, Event::Closed(EndId { connection, side }));
        }
        true
    }

    /// Puts right what is wrong: processes go on, connections carry bytes again.
    pub fn heal(&mut self) {
        self.say_all(|| Moment::new(What::Fault, "all is put right"));
        for connection in self.connections.iter_mut() {
            for side in [CLIENT, SERVER] {
                let trouble = connection.trouble(side);
                trouble.stalled_until = Duration::ZERO;
                trouble.corrupt = false;
            }
            connection.unshape();
        }
        for slot in &mut self.slots {
            slot.blocked_until = Duration::ZERO;
            slot.shapes.clear();
            slot.disk_trouble = DiskTrouble::default();
        }
        for host in 0..self.hosts.len() {
            self.resume(host);
            self.start(host);
        }
    }

    /// Describes why the cluster has not settled; `None` if it has. Hosts that were killed for good
    /// are not waited for, nor are the nodes below them.
    pub fn unsettled(&self) -> Option<String> {
        for number in 0..self.slots.len() {
            if let Some(why) = self.slot_unsettled(number) {
                return Some(format!("{} {why}", self.slots[number].spec.name));
            }
        }
        self.checker.open().map(|id| format!("{id:x} has no answer"))
    }

    fn slot_unsettled(&self, slot: usize) -> Option<String> {
        let place = &self.slots[slot];
        let Some(running) = &place.running else {
            return self.will_restart(place.spec.host).then(|| "is gone".to_owned());
        };
        let root = self.root_of(slot)?;
        let replica = &running.replica;
        let version = root.replica.version();
        if !replica.is_connected() {
            Some("is not in sync".to_owned())
        } else if replica.version() != version {
            Some(format!("is at {:?}, and the sequencer at {version:?}", replica.version()))
        } else if place.is_writing() {
            Some("has not written all to its disk".to_owned())
        } else if replica.under_way() > 0 {
            Some("has dispatches under way".to_owned())
        } else {
            None
        }
    }

    /// Returns the number of bytes that go over each hop at most until all are the same: states and
    /// the logs behind them, twice, because a snapshot may be under way that falls off; and the
    /// dispatches, up and down.
    pub fn bytes_to_carry(&self) -> u64 {
        let running = self.slots.iter().filter_map(|place| place.running.as_ref());
        let bytes = running.map(|running| {
            let replica = &running.replica;
            let state = if replica.is_sequencer() {
                replica.machine().still().encode().map_or(0, |state| state.len())
            } else {
                0
            };
            let log = if replica.is_sequencer() { replica.gauges().log_bytes } else { 0 };
            2 * (state + log + replica.bytes_under_way()) as u64
        });
        bytes.sum()
    }

    fn will_restart(&self, host: usize) -> bool {
        let host = &self.hosts[host];
        host.restarts && !host.alive
    }

    /// Returns the replica that orders for a slot; `None` if one on the way to it is gone, or in a
    /// loop.
    fn root_of(&self, slot: usize) -> Option<&super::slot::Running> {
        let mut at = slot;
        for _ in 0..self.slots.len() {
            let place = &self.slots[at];
            let running = place.running.as_ref()?;
            match place.spec.upstream {
                Some(upstream) => at = upstream.slot,
                None => return Some(running),
            }
        }
        None
    }

    /// Lets all settle, within `most`, and holds the outcome against the history.
    pub fn settle(&mut self, most: Duration) -> Result<Tally, Box<Violation>> {
        let end = self.now + most;
        while self.unsettled().is_some() {
            if self.now >= end || self.violation.is_some() {
                break;
            }
            self.run_for(Duration::from_millis(1));
            self.take_notices();
        }
        self.settled(most)
    }

    /// Holds what all has become against the history.
    pub fn settled(&mut self, most: Duration) -> Result<Tally, Box<Violation>> {
        if let Some((_, violation)) = self.violation.clone() {
            return Err(violation);
        }
        if let Some(why) = self.unsettled() {
            let detail = format!("not after {most:?}: {why}");
            let violation = Violation { invariant: Invariant::I7, at: "the store".into(), detail };
            self.broken(Box::new(violation.clone()));
            return Err(Box::new(violation));
        }
        let found = self.judge();
        match &found {
            Ok(tally) => self.moments.dispatches = *tally,
            Err(violation) => self.broken(violation.clone()),
        }
        found
    }

    fn judge(&self) -> Result<Tally, Box<Violation>> {
        let mut versions = Vec::new();
        for (number, place) in self.slots.iter().enumerate() {
            let (Some(running), Some(root)) = (&place.running, self.root_of(number)) else {
                continue;
            };
            let version = root.replica.version();
            if place.spec.upstream.is_none() {
                versions.push(version);
            }
            let digest = running.replica.machine().still().digest_or_zero();
            self.checker.settled(version, [(number, digest)])?;
        }
        self.checker.tally(&versions, &self.promised())
    }

    /// The slots that were promised that nothing accepted is ever lost: of stores all of whose
    /// sequencers are durable, and there, and of which no replica went to another tree.
    fn promised(&self) -> BTreeSet<usize> {
        let keeps = |store: &str| {
            let of_it = self.slots.iter().filter(|place| place.spec.config.store == store);
            let mut roots = of_it.filter(|place| place.spec.upstream.is_none());
            roots.all(|root| root.spec.durable && root.running.is_some())
                && !self.moved.contains(store)
        };
        let all = self.slots.iter().enumerate();
        all.filter(|(_, place)| keeps(&place.spec.config.store)).map(|(slot, _)| slot).collect()
    }
}
