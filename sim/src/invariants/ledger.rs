//! The one canonical history of a store: what its sequencer ordered, over all of its lives.
//!
//! Fed with the batches applied at the root. Sessions are kept as ranges of counters, so memory
//! follows the gaps and not the actions. A life that begins under the end of the one before cuts
//! the history there. Which counters of a range were cut is known exactly as long as the sample
//! of versions is complete; otherwise those between two sampled ones are *uncertain*, and nothing
//! is claimed of them.

use std::collections::BTreeMap;

use samestate::replication::{Epoch, Version};
use serde::{Deserialize, Serialize};

use super::pairs::Pairs;
use super::runs::Runs;
use super::violation::{Invariant, Violations};

/// What a sequencer ordered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// The store, as violations name it.
    at: String,
    /// Each life, and the seq it began at. All of them: a lineage forgets its oldest.
    lives: Vec<(Epoch, u64)>,
    last_seq: u64,
    sessions: BTreeMap<u64, Ordered>,
    uncertain: BTreeMap<u64, Runs>,
    /// Seqs that were ordered unseen: by a sequencer that died before it handed over its part.
    unseen: Runs,
    pairs: Pairs,
    ordered: u64,
    cut: u64,
    duplicated: u64,
    violations: Violations,
}

/// What was ordered of one session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ordered {
    pub(super) counters: Runs,
    last_seq: u64,
}

impl Ledger {
    /// A ledger that has seen nothing yet: of a store that is empty, or of a part to come.
    pub fn of(store: impl Into<String>) -> Self {
        Ledger { at: store.into(), ..Ledger::default() }
    }

    /// The root applied a batch: the entries from `first_seq` to `last`, as `(session, counter)`.
    pub fn ordered(
        &mut self,
        first_seq: u64,
        last: Version,
        entries: impl IntoIterator<Item = (u64, u64)>,
    ) {
        self.reach(first_seq, last);
        let mut seq = first_seq;
        for (session, counter) in entries {
            self.enter(session, counter, Version { epoch: last.epoch, seq });
            seq += 1;
        }
        if seq != last.seq + 1 {
            let (at, entries) = (self.at.clone(), seq - first_seq);
            let detail = format!("a batch from {first_seq} to {last} had {entries} entries");
            self.violations.add(Invariant::I1, &at, detail);
        }
        self.last_seq = last.seq;
    }

    /// A life of the sequencer began at `version`: founded, or restored from what was saved.
    pub fn begins(&mut self, version: Version) {
        self.reach(version.seq + 1, version);
    }

    /// Takes out what was recorded since the last call, to be handed to [`Ledger::absorb`].
    ///
    /// A life that begins under the end of the one before is to be begun in a ledger that is
    /// whole: take the part out before.
    pub fn take(&mut self) -> Ledger {
        let rest = Ledger {
            at: self.at.clone(),
            lives: self.lives.last().copied().into_iter().collect(),
            last_seq: self.last_seq,
            ..Ledger::default()
        };
        std::mem::replace(self, rest)
    }

    /// Continues this ledger by a part.
    pub fn absorb(&mut self, part: Ledger) {
        for &(epoch, began) in &part.lives {
            if self.lives.last().is_none_or(|life| life.0 != epoch) {
                self.reach(began + 1, Version { epoch, seq: began });
            }
        }
        self.unseen.insert_all(&part.unseen);
        for (session, theirs) in part.sessions {
            let ours = self.sessions.entry(session).or_default();
            let before = ours.counters.last();
            let twice = ours.counters.insert_all(&theirs.counters);
            ours.last_seq = ours.last_seq.max(theirs.last_seq);
            let late = theirs.counters.first().filter(|first| before.is_some_and(|b| b > *first));
            if twice > 0 {
                self.duplicated += twice;
                let detail = format!("{twice} dispatches of session {session:x} applied twice");
                self.violations.add(Invariant::I3, &self.at, detail);
            } else if let Some(first) = late {
                let detail = format!("session {session:x}: counter {first} after {before:?}");
                self.violations.add(Invariant::I5, &self.at, detail);
            }
        }
        self.pairs.absorb(part.pairs);
        self.ordered += part.ordered;
        self.cut += part.cut;
        self.duplicated += part.duplicated;
        self.violations.merge(part.violations);
        self.last_seq = part.last_seq;
    }

    /// Makes sure that the next entry is `next_seq`, in the life of `version`.
    fn reach(&mut self, next_seq: u64, version: Version) {
        let began = next_seq.saturating_sub(1);
        // A ledger may begin anywhere: what came before it is none of its business.
        if began > self.last_seq && !self.lives.is_empty() {
            self.unseen.insert(self.last_seq + 1, began);
        }
        let same_life = self.lives.last().is_some_and(|life| life.0 == version.epoch);
        if !same_life {
            if began < self.last_seq {
                self.cut_after(began);
            }
            self.lives.retain(|life| life.1 <= began);
            self.lives.push((version.epoch, began));
        } else if began < self.last_seq {
            let detail = format!("seq {next_seq} was ordered twice in {:?}", version.epoch);
            self.violations.add(Invariant::I1, &self.at, detail);
        }
        self.last_seq = began;
    }

    fn enter(&mut self, session: u64, counter: u64, version: Version) {
        let ordered = self.sessions.entry(session).or_default();
        let before = ordered.counters.last();
        let twice = ordered.counters.insert(counter, counter) > 0;
        ordered.last_seq = version.seq;
        self.ordered += 1;
        if twice {
            self.duplicated += 1;
            let first = self.pairs.get(session, counter).map(|first| format!(", first as {first}"));
            let detail = format!(
                "dispatch {counter} of session {session:x} applied twice: as {version}{}",
                first.unwrap_or_default()
            );
            self.violations.add(Invariant::I3, &self.at, detail);
            return;
        }
        self.pairs.insert(session, counter, version);
        if let Some(before) = before.filter(|before| *before > counter) {
            let detail =
                format!("session {session:x}: {counter} was ordered after {before}, as {version}");
            self.violations.add(Invariant::I5, &self.at, detail);
        }
    }

    /// The history goes on from `seq`: what came after it was lost with its sequencer.
    fn cut_after(&mut self, seq: u64) {
        self.cut += self.last_seq - seq;
        self.unseen.truncate(seq);
        let exact = self.pairs.complete();
        for (session, ordered) in &mut self.sessions {
            if ordered.last_seq <= seq {
                continue;
            }
            let all = self.pairs.within(*session, 0, u64::MAX);
            let (mut stays, mut goes) = (None, None);
            for (counter, version) in all {
                if version.seq <= seq {
                    stays = stays.max(Some(counter));
                } else if goes.is_none() {
                    goes = Some(counter);
                }
            }
            let mut maybe = ordered.counters.clone();
            match stays {
                Some(last) => ordered.counters.truncate(last),
                None => ordered.counters = Runs::default(),
            }
            if !exact {
                match goes.map(|goes| goes.checked_sub(1)) {
                    Some(Some(last)) => maybe.truncate(last),
                    Some(None) => maybe = Runs::default(),
                    None => {}
                }
                let maybe = maybe.without(&ordered.counters);
                self.uncertain.entry(*session).or_default().insert_all(&maybe);
            }
            ordered.last_seq = seq;
        }
        self.pairs.retain(|_, version| version.seq <= seq);
    }

    /// How many actions were ordered, those that were lost with a sequencer included.
    pub fn ordered_total(&self) -> u64 {
        self.ordered
    }

    /// How many actions were lost with a sequencer.
    pub fn cut_total(&self) -> u64 {
        self.cut
    }

    /// The end of the history.
    pub fn last(&self) -> Version {
        let epoch = self.lives.last().map_or(Epoch::default(), |life| life.0);
        Version { epoch, seq: self.last_seq }
    }

    /// How many dispatches applied more than once.
    pub fn duplicated(&self) -> u64 {
        self.duplicated
    }

    /// What did not hold in the history itself.
    pub fn violations(&self) -> &Violations {
        &self.violations
    }

    /// The seq at which the life of `epoch` ended, `u64::MAX` for the one that goes on; `None`
    /// if it is not on the final lineage.
    pub(super) fn life_ended(&self, epoch: Epoch) -> Option<u64> {
        let at = self.lives.iter().position(|life| life.0 == epoch)?;
        Some(self.lives.get(at + 1).map_or(u64::MAX, |next| next.1))
    }

    /// Whether the history is one life without a loss, so that nothing can have been rolled back.
    pub(super) fn unbroken(&self) -> bool {
        self.lives.len() <= 1 && self.cut == 0
    }

    pub(super) fn sessions(&self) -> &BTreeMap<u64, Ordered> {
        &self.sessions
    }

    pub(super) fn uncertain(&self, session: u64) -> Option<&Runs> {
        self.uncertain.get(&session)
    }

    pub(super) fn unseen(&self) -> &Runs {
        &self.unseen
    }

    pub(super) fn pairs(&self) -> &Pairs {
        &self.pairs
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::measure::timeline::tests::v;

    fn second(seq: u64) -> Version {
        Version { epoch: Epoch { number: 2, id: 8 }, seq }
    }

    #[test]
    fn a_good_history_has_no_violation() {
        let mut ledger = Ledger::of("tasks");
        ledger.ordered(1, v(3), [(1, 1), (2, 1), (1, 2)]);
        ledger.ordered(4, v(4), [(2, 5)]);
        assert!(ledger.violations().is_empty(), "counters may skip: {:?}", ledger.violations());
        assert_eq!(ledger.last(), v(4));
    }

    #[test]
    fn a_planted_duplicate_is_found() {
        let mut ledger = Ledger::of("tasks");
        ledger.ordered(1, v(2), [(1, 1), (1, 2)]);
        ledger.ordered(3, v(3), [(1, 1)]);
        assert_eq!(ledger.duplicated(), 1);
        assert!(ledger.violations().of(Invariant::I3));
        assert!(!ledger.violations().of(Invariant::I5));
    }

    #[test]
    fn planted_disorder_is_found() {
        let mut ledger = Ledger::of("tasks");
        ledger.ordered(1, v(2), [(1, 1), (1, 3)]);
        ledger.ordered(3, v(3), [(1, 2)]);
        assert!(ledger.violations().of(Invariant::I5));
        assert_eq!(ledger.duplicated(), 0);
    }

    #[test]
    fn a_batch_that_does_not_add_up_is_found() {
        let mut ledger = Ledger::of("tasks");
        ledger.ordered(1, v(3), [(1, 1), (1, 2)]);
        assert!(ledger.violations().of(Invariant::I1));
        let mut ledger = Ledger::of("tasks");
        ledger.ordered(1, v(1), [(1, 1)]);
        ledger.ordered(1, v(1), [(1, 2)]);
        assert!(ledger.violations().of(Invariant::I1));
    }

    #[test]
    fn a_dispatch_that_was_lost_with_its_sequencer_may_apply_again() {
        let mut ledger = Ledger::of("tasks");
        ledger.ordered(1, v(3), [(1, 1), (1, 2), (1, 3)]);
        ledger.begins(second(2));
        ledger.ordered(3, second(3), [(1, 3)]);
        assert_eq!((ledger.duplicated(), ledger.cut_total()), (0, 1));
        ledger.ordered(4, second(4), [(1, 2)]);
        assert_eq!(ledger.duplicated(), 1, "that one was not lost");
        assert_eq!(ledger.life_ended(v(1).epoch), Some(2));
    }

    #[test]
    fn what_a_dead_sequencer_did_not_hand_over_is_unseen() {
        let mut ledger = Ledger::of("tasks");
        ledger.ordered(1, v(2), [(1, 1), (1, 2)]);
        ledger.begins(second(5));
        assert_eq!(ledger.unseen().ranges(), [(3, 5)]);
    }

    #[test]
    fn the_ledger_of_a_restarted_sequencer_continues_the_one_before() {
        let (mut first, mut restarted) = (Ledger::of("tasks"), Ledger::of("tasks"));
        let mut runner = Ledger::of("tasks");
        first.ordered(1, v(3), [(1, 1), (1, 2), (1, 3)]);
        runner.absorb(first.take());
        restarted.begins(second(2));
        restarted.ordered(3, second(3), [(1, 3)]);
        runner.absorb(restarted.take());
        restarted.ordered(4, second(4), [(1, 4)]);
        runner.absorb(restarted.take());
        assert!(runner.violations().is_empty(), "{:?}", runner.violations());
        assert_eq!((runner.cut_total(), runner.last()), (1, second(4)));
        assert!(runner.unseen().is_empty());
        assert_eq!(runner.sessions()[&1].counters.ranges(), [(1, 4)]);
    }

    proptest! {
        #[test]
        fn parts_add_up_to_the_whole(
            dispatches in prop::collection::vec((0u64..3, 1u64..12), 1..60),
            every in 1usize..9,
        ) {
            let (mut whole, mut node) = (Ledger::of("tasks"), Ledger::of("tasks"));
            let mut runner = Ledger::of("tasks");
            let mut seen = std::collections::BTreeSet::new();
            let mut twice = 0;
            for (at, dispatch) in dispatches.iter().enumerate() {
                let seq = at as u64 + 1;
                whole.ordered(seq, v(seq), [*dispatch]);
                node.ordered(seq, v(seq), [*dispatch]);
                twice += u64::from(!seen.insert(*dispatch));
                if at % every == 0 {
                    let part = serde_json::to_string(&node.take()).expect("plain data");
                    runner.absorb(serde_json::from_str(&part).expect("as it was written"));
                }
            }
            runner.absorb(node.take());
            prop_assert_eq!(whole.duplicated(), twice);
            prop_assert_eq!(runner.sessions().keys().collect::<Vec<_>>(),
                whole.sessions().keys().collect::<Vec<_>>());
            for (session, ordered) in whole.sessions() {
                prop_assert_eq!(&runner.sessions()[session].counters, &ordered.counters);
            }
            prop_assert_eq!(runner.duplicated(), twice);
            prop_assert_eq!(runner.last(), whole.last());
            prop_assert_eq!(runner.unseen(), whole.unseen());
        }
    }
}
