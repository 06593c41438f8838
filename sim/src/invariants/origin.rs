//! What one origin was answered.

use std::collections::BTreeMap;

use samestate::replication::{Epoch, Version};
use serde::{Deserialize, Serialize};

use super::pairs::Pairs;
use super::runs::Runs;
use super::violation::{Invariant, Violations};

/// The outcomes of the dispatches that one node made into one store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginLog {
    name: String,
    sessions: BTreeMap<u64, Answers>,
    pairs: Pairs,
    refused: u64,
    unknown: u64,
    outstanding: u64,
    died: bool,
    violations: Violations,
}

/// The outcomes of one session's dispatches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answers {
    /// The accepted ones, by the life of the sequencer that ordered them.
    pub(super) ok: Vec<(Epoch, Accepted)>,
    pub(super) rejected: Runs,
}

/// What one life of the sequencer accepted of one session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Accepted {
    pub(super) counters: Runs,
    pub(super) seq_max: u64,
}

impl OriginLog {
    /// The log of node `name`, as the scenario names it.
    pub fn of(name: impl Into<String>) -> Self {
        OriginLog { name: name.into(), ..OriginLog::default() }
    }

    /// A dispatch resolved `Ok` as `version`, when the node's own replica was at `local` (I6).
    pub fn ok(&mut self, session: u64, counter: u64, version: Version, local: Version) {
        if local.seq < version.seq {
            let detail = format!("Ok as {version} while this replica was at {local}");
            self.violations.add(Invariant::I6, &self.name, detail);
        }
        let accepted = self.sessions.entry(session).or_default().accepted(version.epoch);
        let twice = accepted.counters.insert(counter, counter) > 0;
        accepted.seq_max = accepted.seq_max.max(version.seq);
        if twice {
            let detail = format!("dispatch {counter} of session {session:x} answered Ok twice");
            self.violations.add(Invariant::I3, &self.name, detail);
        }
        self.pairs.insert(session, counter, version);
    }

    /// A dispatch was rejected by the reducer: it must not be in the history (I4).
    pub fn rejected(&mut self, session: u64, counter: u64) {
        self.sessions.entry(session).or_default().rejected.insert(counter, counter);
    }

    /// A dispatch was refused here, as `NotConnected` or `Busy`: it has no counter, and must not
    /// be in the history (I4).
    pub fn refused(&mut self) {
        self.refused += 1;
    }

    /// A dispatch resolved `OutcomeUnknown`: it may be in the history, once.
    pub fn unknown(&mut self) {
        self.unknown += 1;
    }

    /// So many dispatches are still without an answer; each may be in the history, once.
    pub fn outstanding(&mut self, dispatches: u64) {
        self.outstanding = dispatches;
    }

    /// The node was killed: what it was answered last is not in here.
    pub fn died(&mut self) {
        self.died = true;
    }

    /// Takes out what was recorded since the last call, to be handed to [`OriginLog::absorb`].
    pub fn take(&mut self) -> OriginLog {
        let rest = OriginLog { name: self.name.clone(), ..OriginLog::default() };
        std::mem::replace(self, rest)
    }

    /// Continues this log by a part.
    pub fn absorb(&mut self, part: OriginLog) {
        for (session, theirs) in part.sessions {
            let ours = self.sessions.entry(session).or_default();
            for (epoch, accepted) in theirs.ok {
                let known = ours.accepted(epoch);
                let twice = known.counters.insert_all(&accepted.counters);
                known.seq_max = known.seq_max.max(accepted.seq_max);
                if twice > 0 {
                    let detail = format!("{twice} dispatches of {session:x} answered Ok twice");
                    self.violations.add(Invariant::I3, &self.name, detail);
                }
            }
            ours.rejected.insert_all(&theirs.rejected);
        }
        self.pairs.absorb(part.pairs);
        self.refused += part.refused;
        self.unknown += part.unknown;
        self.outstanding = part.outstanding;
        self.died |= part.died;
        self.violations.merge(part.violations);
    }

    /// The node.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many dispatches were refused here.
    pub fn refused_total(&self) -> u64 {
        self.refused
    }

    /// What did not hold here.
    pub fn violations(&self) -> &Violations {
        &self.violations
    }

    pub(super) fn sessions(&self) -> &BTreeMap<u64, Answers> {
        &self.sessions
    }

    pub(super) fn pairs(&self) -> &Pairs {
        &self.pairs
    }

    /// How many dispatches that were not answered `Ok` may be in the history: `None` if that is
    /// not known.
    pub(super) fn open_outcomes(&self) -> Option<u64> {
        (!self.died).then_some(self.unknown + self.outstanding)
    }
}

impl Answers {
    fn accepted(&mut self, epoch: Epoch) -> &mut Accepted {
        let at = self.ok.iter().rposition(|known| known.0 == epoch).unwrap_or_else(|| {
            self.ok.push((epoch, Accepted::default()));
            self.ok.len() - 1
        });
        &mut self.ok[at].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::timeline::tests::v;

    #[test]
    fn an_ok_before_the_replica_has_it_is_found() {
        let mut origin = OriginLog::of("beta.master");
        origin.ok(1, 1, v(5), v(5));
        assert!(origin.violations().is_empty());
        origin.ok(1, 2, v(6), v(5));
        assert!(origin.violations().of(Invariant::I6));
    }

    #[test]
    fn an_ok_told_twice_is_found_across_parts_too() {
        let mut origin = OriginLog::of("beta.master");
        let mut total = OriginLog::of("beta.master");
        origin.ok(1, 1, v(5), v(5));
        total.absorb(origin.take());
        origin.ok(1, 1, v(5), v(5));
        total.absorb(origin.take());
        assert!(total.violations().of(Invariant::I3));
    }
}
