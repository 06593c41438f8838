//! Replicas, connections between them, and the loop that lets things happen in their order.
//!
//! The replicas are those that ship, driven as their drivers drive them: bytes in, outputs carried
//! out, links filled while they are awake. Everything else is made here. A world knows nothing of
//! scenarios: whoever drives it adds hosts and seats, dispatches, injures, and takes [`Notice`]s.
//!
//! - `seat`: hosts, where processes live, and seats, where they have replicas
//! - `life`: processes start, die, pause, and choose whom they follow
//! - `links`: connections are made, carry bytes, and end
//! - `disk`: what a durable sequencer wrote, and what it had not written yet
//! - `checks`: what goes over the connections, shown to the checker
//! - `watch`: what a replica did at a step, and what it asks for
//! - `inject`: things go wrong, and are put right
//! - `moments`: what happened on the way, counted

mod checks;
mod disk;
mod inject;
mod life;
mod links;
mod moments;
mod seat;
mod watch;

use std::collections::BTreeSet;
use std::time::Duration;

use samestate_proto::Version;
use samestate_proto::replication::{Decode, Dispatched, JobDone, Refused, Replica, Resolution};
use seat::{Host, Seat};

use super::check::{Checker, Fate, Told};
use super::heap::Heap;
use super::machine::{Action, ErasedMachine};
use super::network::{Connections, EndId, NetworkModel};
use super::rng::SeededRng;
use super::trace::{Moment, Trace};
use crate::invariants::{Clock, Violation, Witness};

pub use inject::InjectedFault;
pub use moments::Moments;
pub use seat::{HostSpec, SeatSpec, Upstream};

/// Something that happens.
#[derive(Debug)]
enum Event {
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
struct Done {
    job: JobDone,
    cost: Duration,
    /// It was a digest.
    digest: bool,
    /// The number of times that the state had been replaced when it began.
    replaced: u64,
}

impl std::fmt::Debug for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a job of {:?}", self.cost)
    }
}

/// Something that whoever drives the world may want to act on.
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

/// The time, for those who record.
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

    /// Returns the fate of a dispatch.
    pub fn fate(&self, id: u64) -> Option<Fate> {
        self.checker.fate(id)
    }

    /// Returns the current time.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// The replica at a seat, if there is one.
    pub fn replica(&self, seat: usize) -> Option<&Replica<ErasedMachine>> {
        self.seats[seat].running.as_ref().map(|running| &running.replica)
    }

    /// The seats of a host.
    pub fn seats_of(&self, host: usize) -> &[usize] {
        &self.hosts[host].seats
    }

    /// Returns the time until which a host stands still, if it does.
    pub fn paused_until(&self, host: usize) -> Option<Duration> {
        self.hosts[host].paused_until
    }

    /// Returns whether a host has a process.
    pub fn is_alive(&self, host: usize) -> bool {
        self.hosts[host].alive
    }

    /// The bytes that the processes of a host sent and received.
    pub fn carried(&self, host: usize) -> (u64, u64) {
        (self.hosts[host].sent_bytes, self.hosts[host].received_bytes)
    }

    /// Returns the number of seats.
    pub fn len(&self) -> usize {
        self.seats.len()
    }

    /// Returns whether there is no seat.
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// Returns the time of the first violation.
    pub fn violated_at(&self) -> Option<Duration> {
        self.violation.as_ref().map(|found| found.0)
    }

    /// Something does not hold that whoever drives the world knows of.
    pub fn fails(&mut self, violation: Violation) {
        self.broken(Box::new(violation));
    }

    /// The first violation.
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref().map(|found| &*found.1)
    }

    /// Takes the notices since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        self.notices.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Returns whether there are notices.
    pub fn has_notices(&self) -> bool {
        self.notices.as_ref().is_some_and(|notices| !notices.is_empty())
    }

    /// Returns the witness of a seat's replica, if the world is witnessed.
    pub fn witness(&self, seat: usize) -> Option<&Witness> {
        self.seats[seat].witness.as_ref()
    }

    /// Returns the moments so far.
    pub fn moments(&self) -> Moments {
        let mut moments = self.moments;
        for running in self.seats.iter().filter_map(|seat| seat.running.as_ref()) {
            moments.replicas.add(&running.replica.counters());
        }
        moments
    }

    /// A hash over all that happened to states and dispatches, and when.
    pub fn history(&self) -> u64 {
        self.history
    }

    /// Takes out what happened last, if that is kept.
    pub fn take_trace(&mut self) -> Option<Trace> {
        self.trace.take()
    }

    /// Returns the last events, if a trace is kept.
    pub fn trace(&self) -> Option<&Trace> {
        self.trace.as_ref()
    }

    /// The time, for those who record.
    pub(super) fn clock(&self) -> Clock {
        let clock = self.clock.clone();
        std::sync::Arc::new(move || {
            clock.as_ref().map_or(0, |clock| clock.0.load(std::sync::atomic::Ordering::Relaxed))
        })
    }

    fn notice(&mut self, notice: impl FnOnce() -> Notice) {
        if let Some(notices) = &mut self.notices {
            notices.push(notice());
        }
    }

    fn happen(&mut self, event: Event) {
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
    fn deferred(&mut self, event: Event) -> Option<Event> {
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
