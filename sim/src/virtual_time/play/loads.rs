//! Dispatches of loads, at their times.

use std::iter::{Enumerate, Peekable};
use std::time::Duration;

use rand_pcg::Pcg64;

use super::{Act, Simulation};
use crate::load::{Arrivals, Params, random};
use crate::measure::Outcome;
use crate::record::Source;
use crate::scenario::Arrival;
use crate::virtual_time::machine::Kind;

/// A closed loop hands over at most one dispatch in so long: no process is infinitely fast.
const CLOSED_EVERY: Duration = Duration::from_micros(1);

/// A closed loop that is refused tries again after this long.
const REFUSED_WAIT: Duration = Duration::from_millis(1);

/// A load of the plan, while it is played.
#[derive(Debug)]
pub(super) struct Load {
    slot: usize,
    host: usize,
    kind: Kind,
    params: Params,
    stream: u64,
    random: Pcg64,
    /// The time at which its phase begins, and the time at which it ends.
    begins: Duration,
    ends: Duration,
    arrivals: Peekable<Enumerate<Arrivals>>,
    /// The number of dispatches that it has made; of a closed loop alone.
    made: u64,
    in_flight: u64,
    /// A closed loop hands over its next dispatch no sooner.
    free_at: Duration,
}

impl Simulation<'_> {
    /// Readies all loads, from `start` on.
    pub(super) fn begin_loads(&mut self, start: Duration) {
        for phase in &self.plan.phases {
            for load in &phase.load {
                let store = &self.plan.stores[&load.store];
                let (Some(slot), Some(kind)) =
                    (self.placement.slot(load.at, &load.store), self.placement.kind(&load.store))
                else {
                    continue;
                };
                let in_flight = match load.arrival {
                    Arrival::Closed(closed) => u64::from(closed.in_flight.get()),
                    _ => 0,
                };
                let length = phase.duration;
                let arrivals = Arrivals::new(&load.arrival, length, self.plan.seed, load.stream);
                let begins = start + phase.start;
                let load = Load {
                    slot,
                    host: load.at.index(),
                    kind,
                    params: Params::of(store, load),
                    stream: load.stream,
                    random: random(self.plan.seed, load.stream),
                    begins,
                    ends: begins + phase.duration,
                    arrivals: arrivals.enumerate().peekable(),
                    made: 0,
                    in_flight,
                    free_at: begins,
                };
                let number = self.loads.len();
                self.streams.insert(load.stream, number);
                self.loads.push(load);
                if in_flight > 0 {
                    self.agenda.push(begins, Act::Begin { load: number });
                } else {
                    self.await_arrival(number);
                }
            }
        }
    }

    fn await_arrival(&mut self, number: usize) {
        let load = &mut self.loads[number];
        if let Some((_, at)) = load.arrivals.peek() {
            self.agenda.push(load.begins + *at, Act::Issue { load: number });
        }
    }

    /// It is time for the next dispatch of an open loop.
    pub(super) fn issue(&mut self, number: usize) {
        let load = &mut self.loads[number];
        if let Some(until) = self.world.paused_until(load.host) {
            // It stands still with its process, and is late.
            self.agenda.push(until, Act::Issue { load: number });
            return;
        }
        let Some((n, at)) = load.arrivals.next() else { return };
        let intended = load.begins + at;
        // Drawn in any case, so that the actions after it are what they would have been.
        let encoded = load.kind.action(&mut load.random, n as u64, &load.params);
        let (slot, source) = (load.slot, Source::Load(load.stream));
        self.dispatch(slot, source, encoded, intended);
        self.await_arrival(number);
    }

    /// A closed loop begins.
    pub(super) fn begin_closed(&mut self, number: usize) {
        for _ in 0..self.loads[number].in_flight {
            self.await_turn(number, Duration::ZERO);
        }
    }

    fn await_turn(&mut self, number: usize, wait: Duration) {
        let now = self.world.now();
        let load = &mut self.loads[number];
        load.free_at = load.free_at.max(now + wait) + CLOSED_EVERY;
        if load.free_at < load.ends {
            self.agenda.push(load.free_at, Act::Turn { load: number });
        }
    }

    /// One of a closed loop's dispatches may be made.
    pub(super) fn take_turn(&mut self, number: usize) {
        let now = self.world.now();
        let load = &mut self.loads[number];
        if let Some(until) = self.world.paused_until(load.host) {
            self.agenda.push(until, Act::Turn { load: number });
            return;
        }
        if !self.world.is_alive(load.host) {
            self.agenda.push(now + REFUSED_WAIT, Act::Turn { load: number });
            return;
        }
        let encoded = load.kind.action(&mut load.random, load.made, &load.params);
        load.made += 1;
        let (slot, source) = (load.slot, Source::Load(load.stream));
        self.dispatch(slot, source, encoded, now);
    }

    /// A dispatch of a load has an outcome: a closed loop makes the next.
    pub(super) fn load_resolved(&mut self, stream: u64, outcome: Outcome) {
        let Some(&number) = self.streams.get(&stream) else { return };
        if self.loads[number].in_flight > 0 {
            let wait = match outcome {
                Outcome::Ok(_) | Outcome::Rejected => Duration::ZERO,
                Outcome::NotConnected | Outcome::Busy | Outcome::Invalid | Outcome::Unknown => {
                    REFUSED_WAIT
                }
            };
            self.await_turn(number, wait);
        }
    }

    /// The process of a host was killed, and what its closed loops had under way is over.
    pub(super) fn loads_died(&mut self, host: usize, streams: Vec<u64>) {
        for stream in streams {
            let Some(&number) = self.streams.get(&stream) else { continue };
            if self.loads[number].host == host && self.loads[number].in_flight > 0 {
                self.await_turn(number, REFUSED_WAIT);
            }
        }
    }
}
