//! The schedule of a run: acts at instants.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::scenario::{NodeId, Plan};

/// Something to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// A phase begins: its position in [`Plan::phases`].
    Phase(usize),
    /// A fault is injected: its position in [`Plan::faults`].
    Fault(usize),
    /// An event happens: its position in [`Plan::events`].
    Event(usize),
    /// A node is started again after a fault.
    Restart {
        /// The node.
        node: NodeId,
        /// The fault.
        fault: usize,
    },
    /// Lets a process continue that a fault stopped.
    Resume {
        /// The fault.
        fault: usize,
    },
    /// A slow process stands still once more, or is slow no longer.
    Pulse {
        /// The fault.
        fault: usize,
    },
}

/// The acts that are still to be done. Instants count from the run's start.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// The acts, by instant and then in the order in which they were added.
    acts: BTreeMap<(Duration, usize), Act>,
    added: usize,
}

impl Schedule {
    /// All that a plan says.
    pub(crate) fn new(plan: &Plan) -> Self {
        let mut schedule = Self { acts: BTreeMap::new(), added: 0 };
        for (index, phase) in plan.phases.iter().enumerate() {
            schedule.add(phase.start, Act::Phase(index));
        }
        for (index, event) in plan.events.iter().enumerate() {
            schedule.add(event.at, Act::Event(index));
        }
        for (index, fault) in plan.faults.iter().enumerate() {
            schedule.add(fault.at, Act::Fault(index));
        }
        schedule
    }

    /// Has one more thing done.
    pub(crate) fn add(&mut self, at: Duration, act: Act) {
        self.acts.insert((at, self.added), act);
        self.added += 1;
    }

    /// The load is over: only what puts right what was broken is still done.
    pub(crate) fn end(&mut self) {
        self.acts.retain(|_, act| {
            matches!(act, Act::Restart { .. } | Act::Resume { .. } | Act::Pulse { .. })
        });
    }

    /// Takes out the next thing that is to be done by `now`.
    pub(crate) fn due(&mut self, now: Duration) -> Option<Act> {
        let first = self.acts.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// Returns the instant of the next act.
    pub(crate) fn next_at(&self) -> Option<Duration> {
        self.acts.keys().next().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_done_in_the_order_of_their_instants_and_none_too_early() {
        let ms = Duration::from_millis;
        let mut schedule = Schedule { acts: BTreeMap::new(), added: 0 };
        schedule.add(ms(20), Act::Fault(1));
        schedule.add(ms(10), Act::Fault(0));
        schedule.add(ms(20), Act::Event(0));
        assert_eq!(schedule.due(ms(9)), None);
        assert_eq!(schedule.next_at(), Some(ms(10)));
        assert_eq!(schedule.due(ms(20)), Some(Act::Fault(0)));
        assert_eq!(schedule.due(ms(20)), Some(Act::Fault(1)));
        assert_eq!(schedule.due(ms(20)), Some(Act::Event(0)));
        assert_eq!(schedule.due(ms(20)), None);
    }
}
