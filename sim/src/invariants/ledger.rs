//! The one canonical history of a store: what its sequencer ordered, over all of its epochs.
//!
//! Fed with the batches applied at the root. Sessions are kept as ranges of counters, so memory
//! follows the gaps, which are bounded too, and not the actions. An epoch that begins under the end
//! of the one before cuts the history there. Which counters of a range were cut is known exactly as
//! long as the sample of versions is complete; otherwise those between two sampled ones are
//! forgotten, and nothing is claimed of them.

use std::collections::BTreeMap;
use std::hash::Hasher;

use samestate_proto::{Epoch, Version};
use serde::{Deserialize, Serialize};

use super::runs::Runs;
use super::sample::Sample;
use super::violation::{Invariant, Violations};

/// The number of ranges of counters that are kept for each session. The oldest gaps between them,
/// which dispatches left that were rejected, are then forgotten: one that applies after all counts
/// as one that applied twice.
const RANGES_MAX: usize = 1 << 15;

/// The actions that a sequencer ordered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// The store, as violations name it.
    at: String,
    /// Each epoch, and the seq it began at. All of them: a lineage forgets its oldest.
    epochs: Vec<(Epoch, u64)>,
    last_seq: u64,
    sessions: BTreeMap<u64, Ordered>,
    /// Seqs that were ordered unseen: by a sequencer that died before it handed over its part.
    unseen: Runs,
    /// More may have been ordered past the end.
    tail_unseen: bool,
    /// The version of each dispatch.
    versions: Sample<(u64, u64), Version>,
    /// The hash of the action of each version.
    prints: Sample<(Epoch, u64), u64>,
    ordered: u64,
    cut: u64,
    duplicated: u64,
    violations: Violations,
}

/// The ordered actions of one session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Ordered {
    counters: Runs,
    last_seq: u64,
}

/// Entries of one session whose counters follow one another.
struct Streak {
    session: u64,
    first: u64,
    last: u64,
    last_seq: u64,
}

impl Ledger {
    /// A ledger that has seen nothing yet: of a store that is empty, or of a part to come.
    pub fn of(store: impl Into<String>) -> Self {
        Ledger { at: store.into(), ..Ledger::default() }
    }

    /// The root applied a batch: the entries from `first_seq` to `last`, as session, counter and
    /// payload.
    pub fn ordered<'a>(
        &mut self,
        first_seq: u64,
        last: Version,
        entries: impl IntoIterator<Item = (u64, u64, &'a [u8])>,
    ) {
        self.reach(first_seq, last.epoch);
        let mut streak: Option<Streak> = None;
        let mut seq = first_seq;
        for (session, counter, payload) in entries {
            let version = Version { epoch: last.epoch, seq };
            match &mut streak {
                Some(now) if now.session == session && now.last.checked_add(1) == Some(counter) => {
                    (now.last, now.last_seq) = (counter, seq);
                }
                _ => {
                    let next = Streak { session, first: counter, last: counter, last_seq: seq };
                    if let Some(done) = streak.replace(next) {
                        self.enter(&done);
                    }
                }
            }
            self.versions.insert((session, counter), || version);
            self.prints.insert((last.epoch, seq), || fingerprint(payload));
            seq += 1;
        }
        if let Some(done) = streak {
            self.enter(&done);
        }
        let entries = seq - first_seq;
        self.ordered += entries;
        if seq != last.seq + 1 {
            let detail = format!("a batch from {first_seq} to {last} had {entries} entries");
            self.violations.add(Invariant::I1, &self.at, detail);
        }
        self.last_seq = last.seq;
    }

    /// An epoch of the sequencer began after `seq`: founded, or restored from what was saved.
    pub fn begins(&mut self, epoch: Epoch, seq: u64) {
        self.reach(seq + 1, epoch);
    }

    /// Takes out what was recorded since the last call, to be handed to [`Ledger::absorb`].
    ///
    /// An epoch that begins under the end of the one before is to be begun in a ledger that is
    /// whole: take the part out before.
    pub fn take(&mut self) -> Ledger {
        let rest = Ledger {
            at: self.at.clone(),
            epochs: self.epochs.last().copied().into_iter().collect(),
            last_seq: self.last_seq,
            ..Ledger::default()
        };
        let (versions, prints) = (self.versions.take(), self.prints.take());
        let rest = Ledger {
            versions: std::mem::replace(&mut self.versions, versions),
            prints: std::mem::replace(&mut self.prints, prints),
            ..rest
        };
        std::mem::replace(self, rest)
    }

    /// Continues this ledger by a part.
    pub fn absorb(&mut self, part: Ledger) {
        for &(epoch, began) in &part.epochs {
            if self.epochs.last().is_none_or(|begun| begun.0 != epoch) {
                self.reach(began + 1, epoch);
            }
        }
        self.unseen.insert_all(&part.unseen);
        self.tail_unseen |= part.tail_unseen;
        for (session, theirs) in part.sessions {
            for &(first, last) in theirs.counters.ranges() {
                self.enter(&Streak { session, first, last, last_seq: theirs.last_seq });
            }
        }
        self.versions.absorb(part.versions);
        self.prints.absorb(part.prints);
        self.ordered += part.ordered;
        self.cut += part.cut;
        self.duplicated += part.duplicated;
        self.violations.merge(part.violations);
        self.last_seq = part.last_seq;
    }

    /// The sequencer was killed: what it ordered last was not handed over. Until its next epoch
    /// begins, nothing is claimed of what lies past the end of this ledger.
    pub fn died(&mut self) {
        self.tail_unseen = true;
    }

    /// Makes sure that the next entry is `next_seq`, in `epoch`.
    fn reach(&mut self, next_seq: u64, epoch: Epoch) {
        let began = next_seq.saturating_sub(1);
        // A ledger may begin anywhere: what came before it is none of its business.
        if began > self.last_seq && !self.epochs.is_empty() {
            self.unseen.insert(self.last_seq + 1, began);
        }
        let same_epoch = self.epochs.last().is_some_and(|begun| begun.0 == epoch);
        if !same_epoch {
            if began < self.last_seq {
                self.cut_after(began);
            }
            self.epochs.retain(|begun| begun.1 <= began);
            self.epochs.push((epoch, began));
            self.tail_unseen = false;
        } else if began < self.last_seq {
            let detail = format!("seq {next_seq} was ordered twice in {epoch:?}");
            self.violations.add(Invariant::I1, &self.at, detail);
        }
        self.last_seq = began;
    }

    fn enter(&mut self, streak: &Streak) {
        let Streak { session, first, last, last_seq } = *streak;
        let ordered = self.sessions.entry(session).or_default();
        let before = ordered.counters.last().filter(|before| *before > first);
        let twice = ordered.counters.insert(first, last);
        if ordered.counters.ranges().len() > RANGES_MAX {
            ordered.counters.close_gaps(RANGES_MAX / 2);
        }
        ordered.last_seq = ordered.last_seq.max(last_seq);
        if twice > 0 {
            self.duplicated += twice;
            let detail = format!(
                "{twice} of the dispatches {first} to {last} of session {session:x} applied \
                 twice, by seq {last_seq} at the latest"
            );
            self.violations.add(Invariant::I3, &self.at, detail);
        } else if let Some(before) = before {
            let detail = format!("session {session:x}: {first} was ordered after {before}");
            self.violations.add(Invariant::I5, &self.at, detail);
        }
    }

    /// Continues the history from `seq`: the actions after it were lost with its sequencer.
    fn cut_after(&mut self, seq: u64) {
        self.cut += self.last_seq - seq;
        self.unseen.truncate(seq);
        for (session, ordered) in &mut self.sessions {
            if ordered.last_seq <= seq {
                continue;
            }
            // Counters rise with seqs. Between the last one known to stay and the first known to
            // go, an incomplete sample cannot tell: those are forgotten too.
            let all = self.versions.within((*session, 0), (*session, u64::MAX));
            let stays = all.filter(|(_, version)| version.seq <= seq).map(|(key, _)| key.1).max();
            match stays {
                Some(last) => ordered.counters.truncate(last),
                None => ordered.counters = Runs::default(),
            }
            ordered.last_seq = seq;
        }
        self.versions.retain(|version| version.seq <= seq);
    }

    /// Returns the number of ordered actions, those that were lost with a sequencer included.
    pub fn ordered_total(&self) -> u64 {
        self.ordered
    }

    /// Returns the number of actions that were lost with a sequencer.
    pub fn cut_total(&self) -> u64 {
        self.cut
    }

    /// The seq at which the history ends.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// Returns the number of dispatches that were applied more than once.
    pub fn duplicated(&self) -> u64 {
        self.duplicated
    }

    /// Returns the violations in the history itself.
    pub fn violations(&self) -> &Violations {
        &self.violations
    }

    /// The seqs that the sequencer ordered in `epoch` on the final lineage, as far as is known:
    /// `None` if it is not on it.
    pub(super) fn seqs_of(&self, epoch: Epoch) -> Option<Runs> {
        let at = self.epochs.iter().position(|begun| begun.0 == epoch)?;
        let ended = self.epochs.get(at + 1).map_or(self.last_seq, |next| next.1);
        let mut seqs = Runs::default();
        seqs.insert(self.epochs[at].1 + 1, ended);
        Some(seqs)
    }

    /// Returns whether the history continues in `epoch`.
    pub(super) fn goes_on_in(&self, epoch: Epoch) -> bool {
        self.epochs.last().is_some_and(|begun| begun.0 == epoch)
    }

    /// All seqs on the final lineage, from the first that this ledger knows of.
    pub(super) fn seqs(&self) -> Runs {
        let mut seqs = Runs::default();
        if let Some(first) = self.epochs.first() {
            seqs.insert(first.1 + 1, self.last_seq);
        }
        seqs
    }

    /// Returns whether the history is one epoch without a loss, so that nothing can have been
    /// rolled back.
    pub(super) fn unbroken(&self) -> bool {
        self.epochs.len() <= 1 && self.cut == 0 && !self.tail_unseen
    }

    /// Seqs that were ordered unseen.
    pub(super) fn unseen(&self) -> &Runs {
        &self.unseen
    }

    /// Returns whether more may have been ordered past the end.
    pub(super) fn tail_unseen(&self) -> bool {
        self.tail_unseen
    }

    /// The fingerprint of what was ordered as `version`, if that is in the sample.
    pub(super) fn print(&self, version: Version) -> Option<u64> {
        self.prints.get((version.epoch, version.seq)).copied()
    }
}

/// Tells payloads apart, among processes of one build.
pub(super) fn fingerprint(payload: &[u8]) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(payload);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::measure::timeline::tests::v;

    fn order(ledger: &mut Ledger, first_seq: u64, last: Version, entries: &[(u64, u64)]) {
        let entries = entries.iter().map(|entry| (entry.0, entry.1, &b"payload"[..]));
        ledger.ordered(first_seq, last, entries);
    }

    fn second(seq: u64) -> Version {
        Version { epoch: Epoch { number: 2, id: 8 }, seq }
    }

    #[test]
    fn a_good_history_has_no_violation() {
        let mut ledger = Ledger::of("tasks");
        order(&mut ledger, 1, v(3), &[(1, 1), (2, 1), (1, 2)]);
        order(&mut ledger, 4, v(4), &[(2, 5)]);
        assert!(ledger.violations().is_empty(), "counters may skip: {:?}", ledger.violations());
        assert_eq!(ledger.last_seq(), 4);
    }

    #[test]
    fn a_planted_duplicate_is_found() {
        let mut ledger = Ledger::of("tasks");
        order(&mut ledger, 1, v(2), &[(1, 1), (1, 2)]);
        order(&mut ledger, 3, v(3), &[(1, 1)]);
        assert_eq!(ledger.duplicated(), 1);
        assert!(ledger.violations().of(Invariant::I3));
        assert!(!ledger.violations().of(Invariant::I5));
    }

    #[test]
    fn planted_disorder_is_found() {
        let mut ledger = Ledger::of("tasks");
        order(&mut ledger, 1, v(2), &[(1, 1), (1, 3)]);
        order(&mut ledger, 3, v(3), &[(1, 2)]);
        assert!(ledger.violations().of(Invariant::I5));
        assert_eq!(ledger.duplicated(), 0);
    }

    #[test]
    fn a_batch_that_does_not_add_up_is_found() {
        let mut ledger = Ledger::of("tasks");
        order(&mut ledger, 1, v(3), &[(1, 1), (1, 2)]);
        assert!(ledger.violations().of(Invariant::I1));
        let mut ledger = Ledger::of("tasks");
        order(&mut ledger, 1, v(1), &[(1, 1)]);
        order(&mut ledger, 1, v(1), &[(1, 2)]);
        assert!(ledger.violations().of(Invariant::I1));
    }

    #[test]
    fn what_is_found_in_a_part_is_found_in_the_whole() {
        let (mut node, mut runner) = (Ledger::of("tasks"), Ledger::of("tasks"));
        order(&mut node, 1, v(2), &[(1, 3)]);
        order(&mut node, 3, v(3), &[(1, 1)]);
        runner.absorb(node.take());
        assert!(runner.violations().of(Invariant::I1) && runner.violations().of(Invariant::I5));
        assert_eq!(runner.violations().total(), 2);
    }

    #[test]
    fn a_dispatch_that_was_lost_with_its_sequencer_may_apply_again() {
        let mut ledger = Ledger::of("tasks");
        order(&mut ledger, 1, v(3), &[(1, 1), (1, 2), (1, 3)]);
        ledger.begins(second(0).epoch, 2);
        order(&mut ledger, 3, second(3), &[(1, 3)]);
        assert_eq!((ledger.duplicated(), ledger.cut_total()), (0, 1));
        order(&mut ledger, 4, second(4), &[(1, 2)]);
        assert_eq!(ledger.duplicated(), 1, "that one was not lost");
        assert_eq!(ledger.seqs_of(v(1).epoch).map(|seqs| seqs.last()), Some(Some(2)));
    }

    #[test]
    fn what_a_dead_sequencer_did_not_hand_over_is_unseen() {
        let mut ledger = Ledger::of("tasks");
        order(&mut ledger, 1, v(2), &[(1, 1), (1, 2)]);
        ledger.begins(second(0).epoch, 5);
        assert_eq!(ledger.unseen().ranges(), [(3, 5)]);
    }

    #[test]
    fn the_ledger_of_a_restarted_sequencer_continues_the_one_before() {
        let (mut first, mut restarted) = (Ledger::of("tasks"), Ledger::of("tasks"));
        let mut runner = Ledger::of("tasks");
        order(&mut first, 1, v(3), &[(1, 1), (1, 2), (1, 3)]);
        runner.absorb(first.take());
        restarted.begins(second(0).epoch, 2);
        order(&mut restarted, 3, second(3), &[(1, 3)]);
        runner.absorb(restarted.take());
        order(&mut restarted, 4, second(4), &[(1, 4)]);
        runner.absorb(restarted.take());
        assert!(runner.violations().is_empty(), "{:?}", runner.violations());
        assert_eq!((runner.cut_total(), runner.last_seq()), (1, 4));
        assert!(runner.unseen().is_empty());
        assert_eq!(runner.sessions[&1].counters.ranges(), [(1, 4)]);
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
                order(&mut whole, seq, v(seq), &[*dispatch]);
                order(&mut node, seq, v(seq), &[*dispatch]);
                twice += u64::from(!seen.insert(*dispatch));
                if at % every == 0 {
                    let part = serde_json::to_string(&node.take()).expect("plain data");
                    runner.absorb(serde_json::from_str(&part).expect("as it was written"));
                }
            }
            runner.absorb(node.take());
            prop_assert_eq!(whole.duplicated(), twice);
            for (session, ordered) in &whole.sessions {
                prop_assert_eq!(&runner.sessions[session], ordered);
            }
            prop_assert_eq!(runner.sessions.len(), whole.sessions.len());
            prop_assert_eq!(runner.duplicated(), twice);
            prop_assert_eq!(runner.last_seq(), whole.last_seq());
            prop_assert_eq!(runner.unseen(), whole.unseen());
        }
    }
}
