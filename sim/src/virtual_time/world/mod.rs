//! Replicas, connections between them, and the loop that lets things happen in their order.
//!
//! The replicas are those that ship, driven as their drivers drive them: bytes in, outputs carried
//! out, links filled while they are awake. Everything else is made here. A world knows nothing of
//! scenarios: its driver adds hosts and slots, dispatches, injects faults, and takes [`Notice`]s.
//!
//! - `slot`: hosts, where processes live, and slots, where they have replicas
//! - `incarnation`: processes start, die, pause, and choose their upstreams
//! - `links`: connections are made, carry bytes, and end
//! - `disk`: the records that a durable sequencer wrote, and those not written yet
//! - `checks`: the traffic of connections, shown to the checker
//! - `watch`: the step of a replica, and its requests
//! - `events`: the events of a world, in their order
//! - `observe`: the state of a world, as its driver sees it
//! - `inject`: faults are injected, and reverted
//! - `moments`: the moments of a simulation, counted

mod checks;
mod disk;
mod events;
mod incarnation;
mod inject;
mod links;
mod moments;
mod observe;
mod slot;
mod watch;

use std::collections::BTreeSet;
use std::time::Duration;

use events::{Done, Event};
use samestate_proto::replication::{Dispatched, Refused, Replica};
use slot::{Host, ReplicaSlot};

use super::check::{Checker, Told};
use super::heap::Heap;
use super::machine::Action;
use super::network::{Connections, NetworkModel};
use super::rng::SeededRng;
use super::trace::{Moment, Trace};
use crate::invariants::Violation;

pub use events::Notice;
pub use inject::InjectedFault;
pub use moments::Moments;
pub use slot::{HostSpec, SlotSpec, Upstream};

/// A simulation.
#[derive(Debug)]
pub struct World {
    now: Duration,
    heap: Heap<Event>,
    rng: SeededRng,
    model: NetworkModel,
    hosts: Vec<Host>,
    slots: Vec<ReplicaSlot>,
    connections: Connections,
    checker: Checker,
    /// Stores of which a copy went wrong unnoticed: states are judged at the end alone.
    slipped: BTreeSet<String>,
    /// Connections over which a bit was flipped.
    garbled: BTreeSet<u64>,
    /// Stores of which a replica went to another tree: what was accepted in the old one may be
    /// gone.
    moved: BTreeSet<String>,
    violation: Option<(Duration, Box<Violation>)>,
    moments: Moments,
    history: u64,
    trace: Option<Trace>,
    told: Told,
    notices: Option<Vec<Notice>>,
    clock: Option<WorldClock>,
}

/// Returns the time, for recorders.
#[derive(Clone)]
struct WorldClock(std::sync::Arc<std::sync::atomic::AtomicU64>);

impl std::fmt::Debug for WorldClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a clock")
    }
}

impl World {
    /// An empty world.
    pub fn new(seed: u64, model: NetworkModel) -> Self {
        World {
            now: Duration::ZERO,
            heap: Heap::default(),
            rng: SeededRng::new(seed, 1),
            model,
            hosts: Vec::new(),
            slots: Vec::new(),
            connections: Connections::default(),
            checker: Checker::default(),
            slipped: BTreeSet::new(),
            garbled: BTreeSet::new(),
            moved: BTreeSet::new(),
            violation: None,
            moments: Moments::default(),
            history: 0,
            trace: None,
            told: Told::default(),
            notices: None,
            clock: None,
        }
    }

    /// Keeps what happens, for people: the last `moments_max` of it.
    pub fn set_traced(&mut self, moments_max: usize) {
        self.trace = Some(Trace::new(moments_max));
    }

    /// Keeps notices from now on, until they are taken; while there are any, time stands still.
    pub fn set_noticed(&mut self) {
        self.notices = Some(Vec::new());
    }

    /// Records what each replica does from now on; to be said before slots are added.
    pub fn set_witnessed(&mut self) {
        self.clock = Some(WorldClock(std::sync::Arc::default()));
    }

    /// Adds a host, where nothing runs yet. Returns its number.
    pub fn add_host(&mut self, spec: HostSpec) -> usize {
        self.hosts.push(Host::new(spec));
        self.hosts.len() - 1
    }

    /// Adds a slot at a host, where nothing runs yet. Returns its number.
    pub fn add_slot(&mut self, spec: SlotSpec) -> usize {
        let slot = self.slots.len();
        self.hosts[spec.host].slots.push(slot);
        self.slots.push(ReplicaSlot::new(spec));
        slot
    }

    /// Adds a host with one slot, and starts a process there. Returns the slot's number, which is
    /// the host's too where every slot was added so.
    pub fn add(&mut self, spec: SlotSpec) -> usize {
        let host = self.add_host(HostSpec { name: spec.name.clone(), drift_ppm: 0 });
        let slot = self.add_slot(SlotSpec { host, ..spec });
        self.start(host);
        slot
    }

    /// Lets everything happen up to `until`. Stops at a violation, and at a notice.
    pub fn run_until(&mut self, until: Duration) {
        while self.violation.is_none() && !self.has_notices() {
            let Some(at) = self.heap.next_at().filter(|at| *at <= until) else {
                self.set_now(self.now.max(until));
                return;
            };
            let Some((_, event)) = self.heap.pop() else { return };
            self.set_now(at);
            self.moments.events += 1;
            self.happen(event);
        }
    }

    fn set_now(&mut self, now: Duration) {
        self.now = now;
        if let Some(clock) = &self.clock {
            clock.0.store(now.as_nanos() as u64, std::sync::atomic::Ordering::Relaxed);
        }
    }

    /// Lets `time` pass.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// Lets time pass while `going`, `most` at the longest. Whether it came to that.
    pub fn run_while(&mut self, most: Duration, mut going: impl FnMut(&World) -> bool) -> bool {
        let end = self.now + most;
        while going(self) {
            if self.now >= end || self.violation.is_some() {
                return false;
            }
            self.run_for(Duration::from_millis(1));
        }
        true
    }

    /// Hands an encoded action over at a slot, and says which id it got. `Err(None)`: there is no
    /// process that could take it.
    pub fn dispatch(&mut self, slot: usize, encoded: Vec<u8>) -> Result<u64, Option<Refused>> {
        let host = &self.hosts[self.slots[slot].spec.host];
        if host.paused_until.is_some() {
            return Err(None);
        }
        let origin = slot::origin(slot, host.incarnation);
        let id = self.slots[slot].next_id(origin).ok_or(None)?;
        let action = Action::new(id, encoded);
        let clock = self.hosts[self.slots[slot].spec.host].clock(self.now);
        self.checker.dispatched(id, action.len(), self.now, clock);
        let connected = self.replica(slot).is_some_and(Replica::is_connected);
        let taken = self.step(slot, |replica, now| replica.dispatch(id, &action, now));
        let taken = taken.ok_or(None)?;
        let refused = taken.as_ref().err();
        self.check(slot, |checker, view, _| checker.answered(view, connected, refused));
        match taken {
            Ok(Dispatched::Later) => {
                self.say(slot, || Moment::dispatch(format!("dispatches {id:x}")))
            }
            Ok(Dispatched::Now(resolution)) => {
                self.say(slot, || Moment::dispatch(format!("orders {id:x}: {resolution:?}")));
                self.resolved(slot, id, resolution);
            }
            Err(refused) => {
                self.say(slot, || Moment::dispatch(format!("refuses {id:x}: {refused}")));
                self.checker.refused(id);
                return Err(Some(refused));
            }
        }
        Ok(id)
    }

    fn notice(&mut self, notice: impl FnOnce() -> Notice) {
        if let Some(notices) = &mut self.notices {
            notices.push(notice());
        }
    }

    fn say(&mut self, slot: usize, moment: impl FnOnce() -> Moment) {
        if let Some(trace) = &mut self.trace {
            trace.moment(self.now, Some(slot), moment());
        }
    }

    fn say_all(&mut self, moment: impl FnOnce() -> Moment) {
        if let Some(trace) = &mut self.trace {
            trace.moment(self.now, None, moment());
        }
    }

    fn broken(&mut self, violation: Box<Violation>) {
        self.say_all(|| Moment::violation(violation.to_string()));
        let now = self.now;
        self.violation.get_or_insert((now, violation));
    }

    fn mix(&mut self, word: u64) {
        let hash = (self.history.rotate_left(29) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.history = hash;
    }
}
