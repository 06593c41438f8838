//! Outcomes of a store's dispatches, until the next delta takes them.

use std::collections::BTreeMap;
use std::ops::Range;

use parking_lot::Mutex;
use samestate::DispatchError;
use samestate_proto::Version;
use samestate_proto::replication::Change;

use super::delta::{LoadDelta, StoreDelta};
use crate::invariants::{Continuity, OriginLog, Testimony};
use crate::measure::{Dispatched, Outcome};

/// The source of a dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A load of the plan, by its stream.
    Load(u64),
    /// A mirror.
    Mirror,
    /// The sequencer, to bring the store into its first state.
    Opening,
}

/// Records the dispatches of one store at this node.
#[derive(Debug)]
pub(crate) struct Recorder {
    recorded: Mutex<Recorded>,
}

/// The records since the last take.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) loads: BTreeMap<u64, LoadDelta>,
    pub(crate) mirrors: LoadDelta,
    pub(crate) opening: LoadDelta,
    pub(crate) origin: OriginLog,
    pub(crate) subscriber: Option<Continuity>,
    pub(crate) digests: Vec<(Version, u64)>,
    /// The times at which the process was to be down or to stand still: in order, and apart from
    /// each other.
    standstills: Vec<Range<u64>>,
}

impl Recorded {
    /// Returns the records as the delta of a store, whose roles and counters are not known here.
    pub(crate) fn into_delta(
        self,
        version: Version,
        connected: bool,
        seen: Testimony,
    ) -> StoreDelta {
        StoreDelta {
            version,
            connected,
            roles: Vec::new(),
            seen,
            subscriber: self.subscriber,
            digests: self.digests,
            loads: self.loads,
            mirrors: self.mirrors,
            opening: self.opening,
            origin: self.origin,
            counters: None,
            state: None,
        }
    }

    /// Returns whether what was intended at that instant could not be made in time, as planned.
    fn excuses(&self, intended_ns: u64) -> bool {
        let after = self.standstills.partition_point(|span| span.start <= intended_ns);
        after > 0 && self.standstills[after - 1].contains(&intended_ns)
    }

    fn of(&mut self, source: Source) -> &mut LoadDelta {
        match source {
            Source::Load(stream) => self.loads.entry(stream).or_default(),
            Source::Mirror => &mut self.mirrors,
            Source::Opening => &mut self.opening,
        }
    }
}

impl Recorder {
    /// Nothing recorded yet at node `name`.
    pub(crate) fn new(name: &str) -> Self {
        let recorded = Recorded {
            loads: BTreeMap::new(),
            mirrors: LoadDelta::default(),
            opening: LoadDelta::default(),
            origin: OriginLog::of(name),
            subscriber: None,
            digests: Vec::new(),
            standstills: Vec::new(),
        };
        Recorder { recorded: Mutex::new(recorded) }
    }

    /// The plan has the process down or standing still at these instants, in order and apart from
    /// each other: how late loads are then is none of their own doing, and is left out.
    pub(crate) fn stands_still(&self, spans: Vec<Range<u64>>) {
        self.recorded.lock().standstills = spans;
    }

    /// So many dispatches are made; each of them resolves later.
    pub(crate) fn issued(&self, source: Source, count: u64) {
        let mut recorded = self.recorded.lock();
        let load = recorded.of(source);
        load.issued += count;
        load.due += count;
        load.outstanding += count;
    }

    /// Dispatches should have been made at these instants, and were not before the load ended.
    pub(crate) fn missed(&self, source: Source, intended_ns: impl Iterator<Item = u64>) {
        let mut recorded = self.recorded.lock();
        for intended_ns in intended_ns {
            let excused = recorded.excuses(intended_ns);
            let load = recorded.of(source);
            load.due += u64::from(!excused);
            load.log.missed(intended_ns);
        }
    }

    /// A dispatch resolved, when this node's replica was at `local`. `payload` is the action as
    /// it was encoded, where it is known.
    pub(crate) fn resolved(
        &self,
        source: Source,
        dispatched: Dispatched,
        local: Version,
        payload: Option<&[u8]>,
    ) {
        self.recorded.lock().resolve(source, dispatched, local, payload);
    }

    /// Many dispatches resolved, that were made at one instant and answered at one.
    pub(crate) fn resolved_all<'a>(
        &self,
        source: Source,
        made: (u64, u64),
        local: Version,
        results: impl Iterator<Item = (&'a Result<Version, DispatchError>, Option<&'a [u8]>)>,
    ) {
        let (issued_ns, answered_ns) = made;
        let mut recorded = self.recorded.lock();
        for (result, payload) in results {
            let outcome = Outcome::from(result);
            let dispatched = Dispatched { intended_ns: issued_ns, issued_ns, answered_ns, outcome };
            recorded.resolve(source, dispatched, local, payload);
        }
    }

    /// A digest of the state at a version.
    pub(crate) fn digest(&self, version: Version, digest: u64) {
        self.recorded.lock().digests.push((version, digest));
    }

    /// So many dispatches were answered `Ok`, and never came into the state here.
    pub(crate) fn vanished(&self, count: u64) {
        self.recorded.lock().origin.vanished(count);
    }

    /// So many actions were applied here although the state had them before; `first` names one.
    pub(crate) fn twice(&self, count: u64, first: &str) {
        self.recorded.lock().origin.twice(count, first);
    }

    /// From now on a subscriber listens at node `name`.
    pub(crate) fn listens(&self, name: &str) {
        self.recorded.lock().subscriber = Some(Continuity::of_subscriber(name));
    }

    /// The subscriber was told a change.
    pub(crate) fn told<A>(&self, change: &Change<A>) {
        let mut recorded = self.recorded.lock();
        let Some(subscriber) = &mut recorded.subscriber else { return };
        match change {
            Change::Applied { version, .. } => subscriber.applied(version.seq, *version),
            Change::Jumped { from, to, .. } => subscriber.jumped(*from, *to),
        }
    }

    /// Takes out what was recorded since the last call. What is counted since the process began,
    /// or is so now, stays.
    pub(crate) fn take(&self) -> Recorded {
        let mut recorded = self.recorded.lock();
        let outstanding = recorded.loads.values().chain([&recorded.mirrors, &recorded.opening]);
        let outstanding = outstanding.map(|load| load.outstanding).sum();
        recorded.origin.outstanding(outstanding);
        let loads = recorded.loads.iter_mut();
        Recorded {
            loads: loads.map(|(stream, load)| (*stream, take(load))).collect(),
            mirrors: take(&mut recorded.mirrors),
            opening: take(&mut recorded.opening),
            origin: recorded.origin.take(),
            subscriber: recorded.subscriber.as_mut().map(Continuity::take),
            digests: std::mem::take(&mut recorded.digests),
            standstills: Vec::new(),
        }
    }
}

impl Recorded {
    fn resolve(
        &mut self,
        source: Source,
        dispatched: Dispatched,
        local: Version,
        payload: Option<&[u8]>,
    ) {
        let excused = self.excuses(dispatched.intended_ns);
        let load = self.of(source);
        load.outstanding = load.outstanding.saturating_sub(1);
        if excused {
            load.log.record_excused(dispatched);
        } else {
            load.log.record(dispatched);
        }
        match dispatched.outcome {
            Outcome::Ok(version) => self.origin.ok(version, local, payload),
            Outcome::Unknown => self.origin.unknown(),
            Outcome::NotConnected | Outcome::Busy | Outcome::Invalid | Outcome::Rejected => {}
        }
    }
}

fn take(load: &mut LoadDelta) -> LoadDelta {
    LoadDelta {
        log: load.log.take(),
        outstanding: load.outstanding,
        due: load.due,
        issued: load.issued,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dispatched(outcome: Outcome) -> Dispatched {
        Dispatched { intended_ns: 1, issued_ns: 2, answered_ns: 3, outcome }
    }

    #[test]
    fn a_dispatch_without_an_outcome_stays_outstanding_over_deltas() {
        let recorder = Recorder::new("alpha.master");
        let at = Version { seq: 1, ..Version::default() };
        recorder.issued(Source::Load(7), 2);
        recorder.resolved(Source::Load(7), dispatched(Outcome::Ok(at)), at, None);
        let first = recorder.take();
        assert_eq!((first.loads[&7].issued, first.loads[&7].outstanding), (2, 1));
        assert_eq!(first.loads[&7].log.counts().ok, 1);
        let second = recorder.take();
        assert_eq!((second.loads[&7].issued, second.loads[&7].outstanding), (2, 1));
        assert_eq!(second.loads[&7].log.counts().intended, 0);
        recorder.resolved(Source::Load(7), dispatched(Outcome::Unknown), at, None);
        let third = recorder.take();
        assert_eq!(third.loads[&7].outstanding, 0);
        assert_eq!(third.loads[&7].log.counts().unknown, 1);
    }

    #[test]
    fn what_should_have_been_made_is_due_though_it_was_not() {
        let recorder = Recorder::new("alpha.master");
        recorder.issued(Source::Load(7), 1);
        recorder.missed(Source::Load(7), [10, 20, 30].into_iter());
        let taken = recorder.take();
        assert_eq!((taken.loads[&7].due, taken.loads[&7].issued), (4, 1));
    }

    #[test]
    fn lateness_while_the_process_was_to_stand_still_is_left_out() {
        let recorder = Recorder::new("alpha.master");
        recorder.stands_still(vec![100..200, 300..400]);
        let late = |intended_ns: u64| {
            let at = Version::default();
            let (issued_ns, answered_ns) = (intended_ns + 50, intended_ns + 60);
            let outcome = Outcome::Ok(at);
            let dispatched = Dispatched { intended_ns, issued_ns, answered_ns, outcome };
            recorder.resolved(Source::Load(7), dispatched, at, None);
        };
        [99, 100, 199, 200, 299, 350, 400].into_iter().for_each(late);
        recorder.missed(Source::Load(7), [150, 250, 399, 500].into_iter());
        let taken = recorder.take();
        let load = &taken.loads[&7];
        assert_eq!(load.log.lag().len(), 4, "99, 200, 299 and 400");
        assert_eq!((load.log.local().len(), load.log.counts().ok), (7, 7), "all else counts");
        assert_eq!(load.due, 2, "250 and 500");
    }
}
