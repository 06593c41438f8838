//! Records what happens at one replica, as the library's [`Observer`].
//!
//! It is called under the replica's lock, and so does little: a point on the timeline, a check of
//! continuity, and at the root alone the ledger and the history. The clock is passed in; it has
//! to be one that all processes share.

use std::sync::Arc;

use parking_lot::Mutex;
use samestate_proto::replication::Observer;
use samestate_proto::wire::Entries;
use samestate_proto::{Epoch, Version};
use serde::{Deserialize, Serialize};

use super::continuity::Continuity;
use super::history::History;
use super::ledger::Ledger;
use crate::measure::Timeline;

/// Tells the time in nanoseconds, on a clock that all processes of a run share.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The observations of one replica, or a part of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Testimony {
    /// The versions of the replica over time.
    pub timeline: Timeline,
    /// The gaps between its versions (I1).
    pub continuity: Continuity,
    /// At the root: what was ordered.
    pub ledger: Option<Ledger>,
    /// At the root, where payloads are to be kept: the payloads.
    pub history: Option<History>,
}

impl Testimony {
    /// Nothing seen yet, of a replica at node `name`.
    pub fn of(name: impl Into<String>) -> Self {
        Testimony {
            timeline: Timeline::default(),
            continuity: Continuity::of_replica(name),
            ledger: None,
            history: None,
        }
    }

    /// Takes out what was recorded since the last call, to be handed to [`Testimony::absorb`].
    pub fn take(&mut self) -> Testimony {
        Testimony {
            timeline: self.timeline.take(),
            continuity: self.continuity.take(),
            ledger: self.ledger.as_mut().map(Ledger::take),
            history: self.history.as_mut().map(History::take),
        }
    }

    /// Continues this testimony by a part of the same incarnation.
    ///
    /// Ledger and history belong to the store: where the root may be restarted, take them out of
    /// the parts of all of its incarnations and absorb them into one of each.
    pub fn absorb(&mut self, part: Testimony) {
        self.timeline.absorb(part.timeline);
        self.continuity.absorb(part.continuity);
        match (&mut self.ledger, part.ledger) {
            (Some(ledger), Some(part)) => ledger.absorb(part),
            (ledger, part) => *ledger = ledger.take().or(part),
        }
        match (&mut self.history, part.history) {
            (Some(history), Some(part)) => history.absorb(part),
            (history, part) => *history = history.take().or(part),
        }
    }
}

/// Records what happens at one replica. Clones record into, and take from, the same testimony.
#[derive(Clone)]
pub struct Witness {
    seen: Arc<Mutex<Testimony>>,
    clock: Clock,
}

impl std::fmt::Debug for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a witness")
    }
}

impl Witness {
    /// At a replica of node `name`, which is at `version` now, with this rolling hash.
    pub fn of_replica(
        name: impl Into<String>,
        clock: Clock,
        version: Version,
        history: u64,
    ) -> Self {
        let mut testimony = Testimony::of(name);
        testimony.timeline.applied(clock(), version, history);
        Witness { seen: Arc::new(Mutex::new(testimony)), clock }
    }

    /// At the root of `store`, node `name`, which orders in `epoch` from `version` on. Payloads up
    /// to `kept_bytes_max` bytes are kept; none for 0.
    pub fn of_root(
        store: &str,
        name: impl Into<String>,
        clock: Clock,
        (version, history): (Version, u64),
        epoch: Epoch,
        kept_bytes_max: usize,
    ) -> Self {
        let witness = Witness::of_replica(name, clock, version, history);
        let mut ledger = Ledger::of(store);
        ledger.begins(epoch, version.seq);
        let mut payloads = History::bounded(kept_bytes_max);
        payloads.begins(epoch, version.seq);
        {
            let mut seen = witness.seen.lock();
            seen.ledger = Some(ledger);
            seen.history = (kept_bytes_max > 0).then_some(payloads);
        }
        witness
    }

    /// Returns the observer for the replica.
    pub fn observer(&self) -> Box<dyn Observer> {
        Box::new(self.clone())
    }

    /// Takes out what was recorded since the last call.
    pub fn take(&self) -> Testimony {
        self.seen.lock().take()
    }
}

impl Observer for Witness {
    fn applied(&mut self, first: u64, last: Version, history: u64, entries: Entries<'_>) {
        let t_ns = (self.clock)();
        let mut seen = self.seen.lock();
        seen.timeline.applied(t_ns, last, history);
        seen.continuity.applied(first, last);
        // Broken entries end the batch early, and the ledger then says that some are missing.
        let intact = entries.map_while(Result::ok);
        if let Some(payloads) = &mut seen.history {
            payloads.ordered(first, last, intact.clone().map(|entry| entry.payload));
        }
        if let Some(ledger) = &mut seen.ledger {
            let ordered = intact.map(|entry| (entry.session, entry.counter, entry.payload));
            ledger.ordered(first, last, ordered);
        }
    }

    fn jumped(&mut self, from: Version, to: Version, history: u64) {
        let t_ns = (self.clock)();
        let mut seen = self.seen.lock();
        seen.timeline.jumped(t_ns, from, to, history);
        seen.continuity.jumped(from, to);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use samestate::ReducerMachine;
    use samestate_proto::replication::{Config, Dispatched, Replica, Resolution, StateMachine};
    use samestate_proto::wire::{Codec, Entry};
    use samestate_proto::{NodeId, TOKEN_KEY_BYTES, TokenKey};

    use super::super::{Claims, OriginLog, Replay, judge};
    use super::*;
    use crate::load::Reducer;
    use crate::load::reducers::{Counter, CounterAction, CounterState};
    use crate::measure::timeline::tests::v;

    #[test]
    fn a_witness_at_the_root_sees_times_order_and_payloads() {
        let time = Arc::new(AtomicU64::new(5));
        let clock: Clock = Arc::new({
            let time = Arc::clone(&time);
            move || time.load(Ordering::Relaxed)
        });
        let start = (v(0), 0);
        let witness = Witness::of_root("tasks", "a", clock, start, v(0).epoch, 1_000);
        let mut observer = witness.observer();
        let mut bytes = Vec::new();
        Entry::write(&mut bytes, 7, 1, 0, b"one");
        Entry::write(&mut bytes, 7, 2, 0, b"two");
        time.store(9, Ordering::Relaxed);
        observer.applied(1, v(2), 77, Entries::new(&bytes));

        let mut total = Testimony::of("a");
        total.absorb(witness.take());
        bytes.clear();
        Entry::write(&mut bytes, 7, 2, 0, b"two");
        observer.applied(3, v(3), 78, Entries::new(&bytes));
        observer.jumped(v(3), v(9), 79);
        total.absorb(witness.take());

        let points: Vec<_> =
            total.timeline.points().iter().map(|point| (point.t_ns, point.version.seq)).collect();
        assert_eq!(points, [(5, 0), (9, 2), (9, 3), (9, 9)]);
        let (ledger, history) = (total.ledger.expect("a root"), total.history.expect("kept"));
        assert_eq!((ledger.ordered_total(), ledger.duplicated()), (3, 1));
        assert_eq!(history.len(), 3);
        assert!(total.continuity.violations().is_empty());
        assert_eq!(total.continuity.jumps_total(), 1);
    }

    type Tasks = Replica<ReducerMachine<CounterState, CounterAction>>;

    fn machine(value: i64) -> ReducerMachine<CounterState, CounterAction> {
        ReducerMachine::new(CounterState { value }, Counter::reduce, Codec::MessagePack)
    }

    /// Dispatches at the root, and tells the origin's log what came of it.
    fn dispatch(tasks: &mut Tasks, origin: &mut OriginLog, action: CounterAction) {
        let mut payload = Vec::new();
        tasks.machine().encode_action(&action, &mut payload).expect("it encodes");
        let taken = tasks.dispatch(0, &action, Duration::ZERO).expect("the root takes it");
        if let Dispatched::Now(Resolution::Ok(version)) = taken {
            origin.ok(version, tasks.version(), Some(&payload));
        }
    }

    #[test]
    fn a_root_that_is_restored_to_an_earlier_version_is_judged_by_what_it_lost() {
        let clock: Clock = Arc::new(|| 1);
        let config = || Config::new("tasks");
        let epoch = |number| Epoch { number, id: u64::from(number) };
        let key = TokenKey::new([1; TOKEN_KEY_BYTES]);
        let (mut total, mut ledger) = (Testimony::of("root"), Ledger::of("tasks"));
        let mut history = History::default();
        let mut origin = OriginLog::of("root");

        let mut tasks = Tasks::sequencer(
            config(),
            NodeId(1),
            machine(0),
            epoch(1),
            key.clone(),
            Duration::ZERO,
        );
        let start = (tasks.version(), tasks.history());
        let witness = Witness::of_root("tasks", "root", clock.clone(), start, epoch(1), 1 << 20);
        tasks.set_observer(witness.observer());
        dispatch(&mut tasks, &mut origin, CounterAction::Add(1));
        dispatch(&mut tasks, &mut origin, CounterAction::Reject);
        let image = tasks.image();
        dispatch(&mut tasks, &mut origin, CounterAction::Add(10));
        let mut part = witness.take();
        ledger.absorb(part.ledger.take().expect("of a root"));
        history.absorb(part.history.take().expect("of a root"));
        total.absorb(part);

        let mut tasks =
            Tasks::restored(config(), NodeId(2), machine(1), &image, epoch(2), key, Duration::ZERO);
        let start = (tasks.version(), tasks.history());
        let witness = Witness::of_root("tasks", "root", clock, start, epoch(2), 1 << 20);
        tasks.set_observer(witness.observer());
        dispatch(&mut tasks, &mut origin, CounterAction::Add(100));
        dispatch(&mut tasks, &mut origin, CounterAction::Add(1_000));
        let mut part = witness.take();
        ledger.absorb(part.ledger.take().expect("of a root"));
        history.absorb(part.history.take().expect("of a root"));

        let mut claims = Claims::default();
        claims.absorb(origin);
        let findings = judge("tasks", &ledger, &claims);
        assert!(findings.violations.is_empty(), "{:?}", findings.violations);
        assert_eq!((findings.lost, findings.rolled_back, findings.unclaimed), (0, 1, 0));
        let mut replay = Replay::<Counter>::new(Codec::MessagePack);
        replay.absorb(history);
        let replayed = replay.state().map(|(_, state)| state);
        assert_eq!(replayed.as_deref(), Ok(&CounterState { value: 1_101 }));
        assert_eq!(replayed.as_deref(), Ok(&*tasks.machine().state()));
    }
}
