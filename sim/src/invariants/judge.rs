//! Origins held against the ledger: was everything accepted applied, and nothing else?
//!
//! An `Ok` on the final lineage has to be in the history, at its seq where that is known:
//! otherwise it is **lost**. An `Ok` that is not on the final lineage went with its sequencer:
//! **rolled back**. In the history of an origin's sessions there may be, besides what was answered
//! `Ok`, as many dispatches as have an outcome that is not known: more means that something that
//! was refused was applied, or something applied twice.

use serde::{Deserialize, Serialize};

use super::ledger::Ledger;
use super::origin::{Accepted, OriginLog};
use super::runs::Runs;
use super::violation::{Invariant, Violations};

/// What came of holding origins against the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// Accepted, on the lineage, and not in the history: always a bug.
    pub lost: u64,
    /// Applied more than once: always a bug.
    pub duplicated: u64,
    /// Accepted by a sequencer that took them with it when it died.
    pub rolled_back: u64,
    /// Accepted, and not known whether in the history: ordered by a sequencer that was killed
    /// before it handed over what it had seen.
    pub unjudged: u64,
    /// In the history, of sessions that no origin here claims.
    pub unclaimed: u64,
    /// What did not hold: in the history, at the origins, and between them.
    pub violations: Violations,
}

/// Holds `origins`, all that dispatched into a store, against its history.
pub fn judge(ledger: &Ledger, origins: &[OriginLog]) -> Findings {
    let mut findings = Findings {
        duplicated: ledger.duplicated(),
        violations: ledger.violations().clone(),
        ..Findings::default()
    };
    for origin in origins {
        findings.violations.merge(origin.violations().clone());
        findings.judge_accepted(ledger, origin);
        findings.judge_refused(ledger, origin);
        findings.judge_seqs(ledger, origin);
    }
    let claimed = |session| origins.iter().any(|origin| origin.sessions().contains_key(session));
    let unclaimed = ledger.sessions().iter().filter(|known| !claimed(known.0));
    findings.unclaimed = unclaimed.map(|(_, ordered)| ordered.counters.count()).sum();
    findings
}

impl Findings {
    fn judge_accepted(&mut self, ledger: &Ledger, origin: &OriginLog) {
        for (&session, answers) in origin.sessions() {
            let nothing = Runs::default();
            let history = ledger.sessions().get(&session).map_or(&nothing, |known| &known.counters);
            for (epoch, accepted) in &answers.ok {
                let absent = accepted.counters.without(history);
                let uncertain = ledger.uncertain(session).unwrap_or(&nothing);
                let missing = absent.without(uncertain);
                self.unjudged += absent.count() - missing.count();
                if missing.is_empty() {
                    continue;
                }
                match ledger.life_ended(*epoch) {
                    None if ledger.unbroken() => self.lose(ledger, origin, session, &missing),
                    None => self.rolled_back += missing.count(),
                    Some(ended) => {
                        let gone = gone(origin, session, accepted, history, &missing, ended);
                        self.rolled_back += gone.count();
                        self.lose(ledger, origin, session, &missing.without(&gone));
                    }
                }
            }
        }
    }

    /// These were accepted and are not in the history, unless they may be in a part unseen.
    fn lose(&mut self, ledger: &Ledger, origin: &OriginLog, session: u64, missing: &Runs) {
        let unseen = ledger.unseen();
        for &(first, last) in missing.ranges() {
            let mut known = origin.pairs().within(session, first, last);
            let seen = known.any(|(_, version)| !unseen.contains(version.seq));
            if !unseen.is_empty() && !seen {
                self.unjudged += last - first + 1;
                continue;
            }
            self.lost += last - first + 1;
            let version = origin.pairs().get(session, first);
            let version = version.map(|version| format!(", answered as {version}"));
            let detail = format!(
                "accepted and not in the history: dispatches {first} to {last} of session \
                 {session:x}{}",
                version.unwrap_or_default()
            );
            self.violations.add(Invariant::I3, origin.name(), detail);
        }
    }

    fn judge_refused(&mut self, ledger: &Ledger, origin: &OriginLog) {
        let mut extra = 0;
        for (&session, answers) in origin.sessions() {
            let Some(ordered) = ledger.sessions().get(&session) else { continue };
            let rejected = answers.rejected.both(&ordered.counters);
            if let Some(first) = rejected.first() {
                let detail = format!(
                    "{} rejected dispatches of session {session:x} are in the history, such as \
                     {first}",
                    rejected.count()
                );
                self.violations.add(Invariant::I4, origin.name(), detail);
            }
            let mut rest = ordered.counters.without(&rejected);
            for (_, accepted) in &answers.ok {
                rest = rest.without(&accepted.counters);
            }
            extra += rest.count();
        }
        if let Some(open) = origin.open_outcomes()
            && extra > open
        {
            let detail = format!(
                "{extra} dispatches are in the history that were not answered Ok, and only {open} \
                 have an outcome that is not known"
            );
            self.violations.add(Invariant::I4, origin.name(), detail);
        }
    }

    fn judge_seqs(&mut self, ledger: &Ledger, origin: &OriginLog) {
        for ((session, counter), answered) in origin.pairs().iter() {
            let Some(ordered) = ledger.pairs().get(session, counter) else { continue };
            let ended = ledger.life_ended(answered.epoch).unwrap_or(0);
            if answered.seq <= ended && answered != ordered {
                let detail = format!(
                    "dispatch {counter} of session {session:x} was answered as {answered} and is \
                     in the history as {ordered}"
                );
                self.violations.add(Invariant::I3, origin.name(), detail);
            }
        }
    }
}

/// Which of `missing` went with a life that ended at seq `ended`.
///
/// Counters and seqs rise together, so what went is the end of the session: above the last one
/// that is in the history, and above every one that is known to lie on the lineage.
fn gone(
    origin: &OriginLog,
    session: u64,
    accepted: &Accepted,
    history: &Runs,
    missing: &Runs,
    ended: u64,
) -> Runs {
    if accepted.seq_max <= ended {
        return Runs::default();
    }
    let present = accepted.counters.both(history).last();
    let all = origin.pairs().within(session, 0, u64::MAX);
    let on_lineage = all
        .filter(|(counter, version)| version.seq <= ended && accepted.counters.contains(*counter));
    let last = present.max(on_lineage.map(|(counter, _)| counter).max());
    let mut stays = missing.clone();
    match last {
        Some(last) => stays.truncate(last),
        None => stays = Runs::default(),
    }
    missing.without(&stays)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use samestate::replication::{Epoch, Version};

    use super::*;
    use crate::measure::timeline::tests::v;

    fn second(seq: u64) -> Version {
        Version { epoch: Epoch { number: 2, id: 8 }, seq }
    }

    fn accepted(name: &str, session: u64, answers: &[(u64, Version)]) -> OriginLog {
        let mut origin = OriginLog::of(name);
        for &(counter, version) in answers {
            origin.ok(session, counter, version, version);
        }
        origin
    }

    fn history(entries: &[(u64, u64)]) -> Ledger {
        let mut ledger = Ledger::of("tasks");
        ledger.ordered(1, v(entries.len() as u64), entries.iter().copied());
        ledger
    }

    #[test]
    fn what_was_accepted_and_applied_once_is_in_order() {
        let ledger = history(&[(1, 1), (2, 1), (1, 2)]);
        let origins = [accepted("a", 1, &[(1, v(1)), (2, v(3))]), accepted("b", 2, &[(1, v(2))])];
        assert_eq!(judge(&ledger, &origins), Findings::default());
    }

    #[test]
    fn a_planted_loss_is_found() {
        let ledger = history(&[(1, 1), (1, 3)]);
        let origin = accepted("a", 1, &[(1, v(1)), (2, v(2)), (3, v(2))]);
        let findings = judge(&ledger, &[origin]);
        assert_eq!((findings.lost, findings.rolled_back), (1, 0));
        assert!(findings.violations.of(Invariant::I3));
    }

    #[test]
    fn an_ok_at_another_seq_than_in_the_history_is_found() {
        let ledger = history(&[(1, 1), (1, 2)]);
        let findings = judge(&ledger, &[accepted("a", 1, &[(1, v(1)), (2, v(3))])]);
        assert!(findings.violations.of(Invariant::I3));
    }

    #[test]
    fn a_refused_dispatch_in_the_history_is_found() {
        let ledger = history(&[(1, 1), (1, 2)]);
        let mut origin = accepted("a", 1, &[(1, v(1))]);
        origin.refused();
        let findings = judge(&ledger, std::slice::from_ref(&origin));
        assert!(findings.violations.of(Invariant::I4));
        let mut known = origin.clone();
        known.unknown();
        assert!(judge(&ledger, &[known]).violations.is_empty(), "it is the unknown one");
        let mut killed = origin.clone();
        killed.died();
        assert!(judge(&ledger, &[killed]).violations.is_empty(), "its last answers are not known");
        origin.rejected(1, 2);
        assert!(judge(&ledger, &[origin]).violations.of(Invariant::I4));
    }

    #[test]
    fn what_went_with_its_sequencer_is_rolled_back_and_not_lost() {
        let mut ledger = history(&[(1, 1), (1, 2), (1, 3), (1, 4)]);
        ledger.begins(second(2));
        ledger.ordered(3, second(3), [(1, 5)]);
        let answers = [(1, v(1)), (2, v(2)), (3, v(3)), (4, v(4)), (5, second(3))];
        let findings = judge(&ledger, &[accepted("a", 1, &answers)]);
        assert_eq!((findings.lost, findings.rolled_back), (0, 2));
        assert!(findings.violations.is_empty(), "{:?}", findings.violations);
    }

    #[test]
    fn a_loss_before_a_rollback_is_still_a_loss() {
        let mut ledger = history(&[(1, 1), (1, 3), (1, 4)]);
        ledger.begins(second(2));
        let answers = [(1, v(1)), (2, v(2)), (3, v(2)), (4, v(3))];
        let findings = judge(&ledger, &[accepted("a", 1, &answers)]);
        assert_eq!((findings.lost, findings.rolled_back), (1, 1));
    }

    #[test]
    fn nothing_is_claimed_of_what_a_killed_sequencer_did_not_hand_over() {
        let mut ledger = history(&[(1, 1)]);
        ledger.begins(second(3));
        let answers = [(1, v(1)), (2, v(2)), (3, v(3))];
        let findings = judge(&ledger, &[accepted("a", 1, &answers)]);
        assert_eq!((findings.lost, findings.unjudged), (0, 2));
    }

    #[test]
    fn an_answer_of_a_life_that_never_was_is_a_loss() {
        let ledger = history(&[(1, 1)]);
        let findings = judge(&ledger, &[accepted("a", 1, &[(1, v(1)), (2, second(2))])]);
        assert_eq!((findings.lost, findings.rolled_back), (1, 0));
    }

    proptest! {
        #[test]
        fn every_planted_loss_and_duplicate_is_counted(
            fates in prop::collection::vec(0u8..6, 1..120),
        ) {
            // 0: lost, 1: applied twice (the second time at the end), otherwise applied once.
            let (mut entries, mut again) = (Vec::new(), Vec::new());
            let mut origin = OriginLog::of("a");
            for (at, fate) in fates.iter().enumerate() {
                let counter = at as u64 + 1;
                if *fate > 0 {
                    entries.push((7, counter));
                }
                if *fate == 1 {
                    again.push((7, counter));
                }
                let version = v(entries.len() as u64);
                origin.ok(7, counter, version, version);
            }
            entries.extend(again.iter());
            let findings = judge(&history(&entries), &[origin]);
            let lost = fates.iter().filter(|fate| **fate == 0).count() as u64;
            prop_assert_eq!((findings.lost, findings.duplicated), (lost, again.len() as u64));
            prop_assert_eq!(findings.violations.is_empty(), lost == 0 && again.is_empty());
        }
    }
}
