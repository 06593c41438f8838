//! One store's state into another, at each change; and two stores held together.

use std::time::Duration;

use super::{Act, Simulation};
use crate::load::{Samplings, same};
use crate::measure::Outcome;
use crate::record::Source;
use crate::scenario::Observation;

/// A mirror that is refused tries again after this long.
const AGAIN: Duration = Duration::from_millis(5);

/// A mirror of the plan.
#[derive(Debug)]
pub(super) struct Mirror {
    from: usize,
    to: usize,
    /// It will dispatch the newest state soon; since when there is something new.
    told: Option<Duration>,
}

/// Two stores of a node that are compared.
#[derive(Debug)]
pub(super) struct Comparison {
    /// The observation's position in the plan.
    index: usize,
    slots: [usize; 2],
    start: Duration,
    instants: Samplings,
}

impl Simulation<'_> {
    pub(super) fn begin_mirrors(&mut self) {
        for mirror in &self.plan.mirrors {
            let slots = (
                self.placement.slot(mirror.at, &mirror.from),
                self.placement.slot(mirror.at, &mirror.to),
            );
            if let (Some(from), Some(to)) = slots {
                self.mirrors.push(Mirror { from, to, told: None });
            }
        }
    }

    /// Mirrors the actions that are told at this slot.
    pub(super) fn mirror_from(&mut self, slot: usize) {
        for number in 0..self.mirrors.len() {
            if self.mirrors[number].from == slot {
                self.mirror_soon(number, Duration::ZERO);
            }
        }
    }

    fn mirror_soon(&mut self, number: usize, wait: Duration) {
        let now = self.world.now();
        let mirror = &mut self.mirrors[number];
        if mirror.told.is_none() {
            mirror.told = Some(now);
            self.agenda.push(now + wait, Act::Mirror { mirror: number });
        }
    }

    /// Dispatches the newest state of one store into another.
    pub(super) fn mirror(&mut self, number: usize) {
        let mirror = &mut self.mirrors[number];
        let (from, to, told) = (mirror.from, mirror.to, mirror.told.take());
        let (node, store) = self.placement.place(to);
        if let Some(until) = self.world.paused_until(node.index()) {
            self.mirrors[number].told = told;
            self.agenda.push(until, Act::Mirror { mirror: number });
            return;
        }
        let Some(kind) = self.placement.kind(store) else { return };
        let Some(replica) = self.world.replica(from) else { return };
        let serialised = replica.machine().still().held().serialised();
        // Validation refuses mirrors into stores that cannot be mirrored into.
        let Some(encoded) = serialised.ok().and_then(|bytes| kind.mirroring(bytes)) else { return };
        let intended = told.unwrap_or(self.world.now());
        self.dispatch(to, Source::Mirror, encoded, intended);
    }

    /// A mirror's dispatch has an outcome: one that may have come to nothing is made again.
    pub(super) fn mirror_resolved(&mut self, slot: usize, outcome: Outcome) {
        match outcome {
            Outcome::Ok(_) | Outcome::Rejected | Outcome::Invalid => {}
            Outcome::NotConnected | Outcome::Busy | Outcome::Unknown => {
                for number in 0..self.mirrors.len() {
                    if self.mirrors[number].to == slot {
                        self.mirror_soon(number, AGAIN);
                    }
                }
            }
        }
    }

    /// Mirrors the actions that happened before a process listened, too.
    pub(super) fn mirrors_live(&mut self, host: usize) {
        for number in 0..self.mirrors.len() {
            let (node, _) = self.placement.place(self.mirrors[number].from);
            if node.index() == host {
                self.mirror_soon(number, AGAIN);
            }
        }
    }

    pub(super) fn begin_comparisons(&mut self, start: Duration) {
        for (index, observation) in self.plan.observe.iter().enumerate() {
            let Observation::Pair { at, stores, every } = observation else { continue };
            let slots = stores.each_ref().map(|store| self.placement.slot(*at, store));
            if let [Some(one), Some(other)] = slots {
                let (length, seed) = (self.plan.duration(), self.plan.seed);
                let instants = Samplings::new(*every, length, seed, index as u64);
                let number = self.comparisons.len();
                let slots = [one, other];
                self.comparisons.push(Comparison { index, slots, start, instants });
                self.await_comparison(number);
            }
        }
    }

    fn await_comparison(&mut self, number: usize) {
        let comparison = &mut self.comparisons[number];
        if let Some(at) = comparison.instants.next() {
            self.agenda.push(comparison.start + at, Act::Compare { comparison: number });
        }
    }

    /// Holds two stores together.
    pub(super) fn compare(&mut self, number: usize) {
        let comparison = &self.comparisons[number];
        let states = comparison.slots.map(|slot| {
            let replica = self.world.replica(slot)?;
            Some(replica.machine().still().held())
        });
        if let [Some(one), Some(other)] = states {
            let index = comparison.index;
            self.samples.entry(index).or_default().record(same(&*one, &*other));
        }
        self.await_comparison(number);
    }
}
