//! Answers to origins: the versions that they were told for their dispatches.
//!
//! An origin knows a dispatch by the version it was ordered as, and nothing else of the protocol
//! is needed: no version may be claimed twice, and every claim on the final lineage has to be in
//! the history, as the very action that was dispatched.

use std::collections::BTreeMap;

use samestate_proto::{Epoch, Version};
use serde::{Deserialize, Serialize};

use super::ledger::fingerprint;
use super::runs::Runs;
use super::sample::Sample;
use super::violation::{Invariant, Violations};

/// The outcomes of the dispatches that one node made into one store, or a part of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginLog {
    name: String,
    ok: Vec<(Epoch, Runs)>,
    prints: Sample<(Epoch, u64), u64>,
    unknown: u64,
    /// Dispatches that were answered `Ok`, without a version, and never applied here.
    vanished: u64,
    /// Actions that were applied here although the state had them before.
    twice: u64,
    outstanding: u64,
    violations: Violations,
}

impl OriginLog {
    /// The log of node `name`, as the scenario names it.
    pub fn of(name: impl Into<String>) -> Self {
        OriginLog { name: name.into(), ..OriginLog::default() }
    }

    /// A dispatch resolved `Ok` as `version`, when the node's own replica was at `local` (I6).
    ///
    /// With the payload as it was encoded, it can be told whether the history has this very
    /// action at that version.
    pub fn ok(&mut self, version: Version, local: Version, payload: Option<&[u8]>) {
        if local.seq < version.seq {
            let detail = format!("Ok as {version} while this replica was at {local}");
            self.violations.add(Invariant::I6, &self.name, detail);
        }
        if claimed(&mut self.ok, version.epoch).insert(version.seq, version.seq) > 0 {
            let detail = format!("two dispatches were answered Ok as {version}");
            self.violations.add(Invariant::I3, &self.name, detail);
        }
        if let Some(payload) = payload {
            self.prints.insert((version.epoch, version.seq), || fingerprint(payload));
        }
    }

    /// A dispatch resolved `OutcomeUnknown`: it may be in the history, once.
    ///
    /// One that was refused (`NotConnected`, `Busy`) or rejected may not (I4), and needs no record.
    pub fn unknown(&mut self) {
        self.unknown += 1;
    }

    /// So many dispatches were answered `Ok`, and never came into the state here, although all has
    /// settled.
    pub fn vanished(&mut self, count: u64) {
        self.vanished += count;
        let detail = format!(
            "{count} dispatches were accepted, and are not in its state after all has settled"
        );
        self.violations.add(Invariant::I3, &self.name, detail);
    }

    /// So many actions were applied at this node, and at no other, although its state had them
    /// before; `first` names one.
    pub fn twice(&mut self, count: u64, first: &str) {
        self.twice += count;
        let detail =
            format!("{count} actions were applied here a second time, the first of them {first}");
        self.violations.add(Invariant::I3, &self.name, detail);
    }

    /// So many dispatches are still without an answer; each may be in the history, once.
    pub fn outstanding(&mut self, dispatches: u64) {
        self.outstanding = dispatches;
    }

    /// Takes out what was recorded since the last call, to be handed to [`Claims::absorb`].
    pub fn take(&mut self) -> OriginLog {
        let prints = self.prints.take();
        let rest = OriginLog {
            name: self.name.clone(),
            prints: std::mem::replace(&mut self.prints, prints),
            outstanding: self.outstanding,
            ..OriginLog::default()
        };
        std::mem::replace(self, rest)
    }

    /// Continues this log by a part of the same node's.
    pub fn absorb(&mut self, part: OriginLog) {
        self.violations.merge(part.violations);
        for (epoch, seqs) in &part.ok {
            let twice = claimed(&mut self.ok, *epoch).insert_all(seqs);
            if twice > 0 {
                let detail =
                    format!("{twice} dispatches were answered Ok as versions that others have");
                self.violations.add(Invariant::I3, &part.name, detail);
            }
        }
        self.prints.absorb(part.prints);
        self.unknown += part.unknown;
        self.vanished += part.vanished;
        self.twice += part.twice;
        self.outstanding = part.outstanding;
    }
}

/// The claims of all origins of one store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    ok: Vec<(Epoch, Runs)>,
    prints: Sample<(Epoch, u64), u64>,
    unknown: u64,
    vanished: u64,
    twice: u64,
    outstanding: BTreeMap<String, u64>,
    /// Some origin was killed before it told all its outcomes.
    incomplete: bool,
    violations: Violations,
}

impl Claims {
    /// Adds what an origin was answered, or a part of it.
    pub fn absorb(&mut self, part: OriginLog) {
        self.violations.merge(part.violations);
        for (epoch, seqs) in &part.ok {
            let twice = claimed(&mut self.ok, *epoch).insert_all(seqs);
            if twice > 0 {
                let detail = format!(
                    "{twice} of its dispatches were answered Ok as versions of {epoch:?} that \
                     others have"
                );
                self.violations.add(Invariant::I3, &part.name, detail);
            }
        }
        self.prints.absorb(part.prints);
        self.unknown += part.unknown;
        self.vanished += part.vanished;
        self.twice += part.twice;
        self.outstanding.insert(part.name, part.outstanding);
    }

    /// An origin was killed: what it was answered last is not known.
    pub fn died(&mut self) {
        self.incomplete = true;
    }

    /// Returns the number of dispatches that were answered `Ok`.
    pub fn ok_total(&self) -> u64 {
        self.ok.iter().map(|(_, seqs)| seqs.count()).sum()
    }

    /// Returns the number of dispatches that were not answered `Ok` and may be in the history:
    /// `None` if it is unknown.
    pub(super) fn open_outcomes(&self) -> Option<u64> {
        (!self.incomplete).then(|| self.unknown + self.outstanding.values().sum::<u64>())
    }

    /// Returns the number of dispatches that were answered `Ok` and never applied where they were
    /// made.
    pub(super) fn vanished(&self) -> u64 {
        self.vanished
    }

    /// Returns the number of actions that single nodes applied a second time.
    pub(super) fn twice(&self) -> u64 {
        self.twice
    }

    pub(super) fn ok(&self) -> &[(Epoch, Runs)] {
        &self.ok
    }

    pub(super) fn prints(&self) -> impl Iterator<Item = (Version, u64)> + '_ {
        let prints = self.prints.iter();
        prints.map(|(&(epoch, seq), print)| (Version { epoch, seq }, *print))
    }

    /// Returns the violations in the answers to the origins.
    pub fn violations(&self) -> &Violations {
        &self.violations
    }
}

/// Returns the claims of an epoch.
fn claimed(claims: &mut Vec<(Epoch, Runs)>, epoch: Epoch) -> &mut Runs {
    let at = claims.iter().rposition(|known| known.0 == epoch).unwrap_or_else(|| {
        claims.push((epoch, Runs::default()));
        claims.len() - 1
    });
    &mut claims[at].1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::timeline::tests::v;

    #[test]
    fn an_ok_before_the_replica_has_it_is_found() {
        let mut origin = OriginLog::of("beta.master");
        origin.ok(v(5), v(5), None);
        assert!(origin.violations.is_empty());
        origin.ok(v(6), v(5), None);
        assert!(origin.violations.of(Invariant::I6));
    }

    #[test]
    fn a_log_put_together_from_its_parts_says_what_the_parts_say() {
        let mut origin = OriginLog::of("alpha.master");
        let mut whole = OriginLog::of("alpha.master");
        let mut apart = Claims::default();
        for seqs in [1..4, 4..9, 9..10] {
            seqs.for_each(|seq| origin.ok(v(seq), v(seq), Some(b"payload")));
            origin.unknown();
            origin.outstanding(2);
            let part = origin.take();
            apart.absorb(part.clone());
            whole.absorb(part);
        }
        let mut together = Claims::default();
        together.absorb(whole.clone());
        assert_eq!(together, apart);
        origin.ok(v(3), v(9), None);
        whole.absorb(origin.take());
        assert!(whole.violations.of(Invariant::I3), "answered as a version of an earlier part");
    }

    #[test]
    fn one_version_for_two_dispatches_is_found_at_one_origin_and_between_two() {
        let mut origin = OriginLog::of("alpha.master");
        origin.ok(v(5), v(5), None);
        let mut claims = Claims::default();
        let part = serde_json::to_string(&origin.take()).expect("plain data");
        claims.absorb(serde_json::from_str(&part).expect("as it was written"));
        let mut other = OriginLog::of("beta.master");
        other.ok(v(6), v(6), None);
        claims.absorb(other.take());
        assert!(claims.violations.is_empty());
        other.ok(v(5), v(6), None);
        claims.absorb(other.take());
        assert_eq!(claims.violations.total(), 1);
        origin.ok(v(7), v(7), None);
        origin.ok(v(7), v(7), None);
        claims.absorb(origin.take());
        assert_eq!((claims.violations.total(), claims.ok_total()), (2, 3));
    }
}
