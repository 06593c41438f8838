//! Replicas, connections between them, and the loop that lets things happen in their order.
//!
//! The replicas are those that ship, driven as their drivers drive them: bytes in, outputs carried
//! out, links filled while they are awake. Everything else is made here. A world knows nothing of
//! scenarios: its driver adds hosts and seats, dispatches, injects faults, and takes [`Notice`]s.
//!
//! - `seat`: hosts, where processes live, and seats, where they have replicas
//! - `life`: processes start, die, pause, and choose their upstreams
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
mod inject;
mod life;
mod links;
mod moments;
mod observe;
mod seat;
mod watch;

use std::collections::BTreeSet;
use std::time::Duration;

use events::{Done, Event};
use samestate_proto::replication::{Dispatched, Refused, Replica};
use seat::{Host, Seat};

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
pub use seat::{HostSpec, SeatSpec, Upstream};

/// A simulation.
#[derive(Debug)]
pub struct World {
    now: Duration,
    heap: Heap<Event>,
    rng: SeededRng,
    model: NetworkModel,
    hosts: Vec<Host>,
    seats: Vec<Seat>,
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
            seats: Vec::new(),
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

    /// Records what each replica does from now on; to be said before seats are added.
    pub fn set_witnessed(&mut self) {
        self.clock = Some(WorldClock(std::sync::Arc::default()));
    }

    /// Adds a host, where nothing runs yet. Returns its number.
    pub fn add_host(&mut self, spec: HostSpec) -> usize {
        self.hosts.push(Host::new(spec));
        self.hosts.len() - 1
    }

    /// Adds a seat at a host, where nothing runs yet. Returns its number.
    pub fn add_seat(&mut self, spec: SeatSpec) -> usize {
        let seat = self.seats.len();
        self.hosts[spec.host].seats.push(seat);
        self.seats.push(Seat::new(spec));
        seat
    }

    /// Adds a host with one seat, and starts a process there. Returns the seat's number, which is
    /// the host's too where every seat was added so.
    pub fn add(&mut self, spec: SeatSpec) -> usize {
        let host = self.add_host(HostSpec { name: spec.name.clone(), drift_ppm: 0 });
        let seat = self.add_seat(SeatSpec { host, ..spec });
        self.start(host);
        seat
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

    /// Hands an encoded action over at a seat, and says which id it got. `Err(None)`: there is no
    /// process that could take it.
    pub fn dispatch(&mut self, seat: usize, encoded: Vec<u8>) -> Result<u64, Option<Refused>> {
        let host = &self.hosts[self.seats[seat].spec.host];
        if host.paused_until.is_some() {
            return Err(None);
        }
        let origin = seat::origin(seat, host.life);
        let id = self.seats[seat].next_id(origin).ok_or(None)?;
        let action = Action::new(id, encoded);
        let clock = self.hosts[self.seats[seat].spec.host].clock(self.now);
        self.checker.dispatched(id, action.len(), self.now, clock);
        let connected = self.replica(seat).is_some_and(Replica::is_connected);
        let taken = self.step(seat, |replica, now| replica.dispatch(id, &action, now));
        let taken = taken.ok_or(None)?;
        let refused = taken.as_ref().err();
        self.check(seat, |checker, view, _| checker.answered(view, connected, refused));
        match taken {
            Ok(Dispatched::Later) => {
                self.say(seat, || Moment::dispatch(format!("dispatches {id:x}")))
            }
            Ok(Dispatched::Now(resolution)) => {
                self.say(seat, || Moment::dispatch(format!("orders {id:x}: {resolution:?}")));
                self.resolved(seat, id, resolution);
            }
            Err(refused) => {
                self.say(seat, || Moment::dispatch(format!("refuses {id:x}: {refused}")));
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

    fn say(&mut self, seat: usize, moment: impl FnOnce() -> Moment) {
        if let Some(trace) = &mut self.trace {
            trace.moment(self.now, Some(seat), moment());
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
