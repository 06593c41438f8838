//! Origins held against the ledger: was everything accepted applied, and nothing else?
//!
//! A version that an origin was told lies either on the final lineage, and then the history has
//! to have it, as the action that was dispatched: otherwise it is **lost**. Or its epoch of the
//! sequencer took it along: **rolled back**. What the history has besides are dispatches whose
//! outcome is not known; more of them than there are such outcomes means that something that was
//! refused was applied.

use samestate_proto::Epoch;
use serde::{Deserialize, Serialize};

use super::ledger::Ledger;
use super::origin::Claims;
use super::runs::Runs;
use super::violation::{Invariant, Violations};

/// The result of comparing origins with the ledger.
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
    /// The number of actions in the history that were answered `Ok` to no origin.
    pub unclaimed: u64,
    /// The violations in the history, at the origins, and between them.
    pub violations: Violations,
}

/// Holds the claims of all origins that dispatched into a store against its history.
///
/// The claims have to be those of every origin: of mirrors, and of opening actions too.
pub fn judge(store: &str, ledger: &Ledger, claims: &Claims) -> Findings {
    let duplicated = ledger.duplicated() + claims.twice();
    let lost = claims.vanished();
    let mut findings = Findings { lost, duplicated, ..Findings::default() };
    findings.violations.merge(ledger.violations().clone());
    findings.violations.merge(claims.violations().clone());
    findings.judge_claims(store, ledger, claims);
    findings.judge_prints(store, ledger, claims);
    findings.judge_rest(store, ledger, claims);
    findings
}

impl Findings {
    /// Fills in what became of the dispatches in the history.
    pub fn fill(&self, ledger: &Ledger, dispatches: &mut samestate_report::Dispatches) {
        dispatches.lost = Some(self.lost);
        dispatches.duplicated = Some(self.duplicated);
        dispatches.rolled_back = Some(self.rolled_back);
        dispatches.ordered = Some(ledger.ordered_total());
    }

    fn judge_claims(&mut self, store: &str, ledger: &Ledger, claims: &Claims) {
        for (epoch, claimed) in claims.ok() {
            let ordered = ledger.seqs_of(*epoch);
            let present = ordered.clone().unwrap_or_default();
            self.unjudged += claimed.both(&present).both(ledger.unseen()).count();
            let absent = claimed.without(&present);
            if absent.is_empty() {
                continue;
            }
            let goes_on = ledger.goes_on_in(*epoch);
            // Under the beginning of its epoch no sequencer can have ordered anything; past its
            // end it may have, and have lost it, unless that epoch goes on or is the only one.
            let mut before = absent.clone();
            match present.first() {
                Some(first) => before.truncate(first.saturating_sub(1)),
                None => before = Runs::default(),
            }
            let after = absent.without(&before);
            self.lose(store, &before, *epoch);
            if goes_on && ledger.tail_unseen() {
                self.unjudged += after.count();
            } else if goes_on || (ordered.is_none() && ledger.unbroken()) {
                self.lose(store, &after, *epoch);
            } else {
                self.rolled_back += after.count();
            }
        }
    }

    fn lose(&mut self, store: &str, seqs: &Runs, epoch: Epoch) {
        for &(first, last) in seqs.ranges() {
            self.lost += last - first + 1;
            let detail = format!("answered Ok as {first} to {last} of {epoch:?}, not in history");
            self.violations.add(Invariant::I3, store, detail);
        }
    }

    fn judge_prints(&mut self, store: &str, ledger: &Ledger, claims: &Claims) {
        for (version, dispatched) in claims.prints() {
            if ledger.print(version).is_some_and(|ordered| ordered != dispatched) {
                self.lost += 1;
                let detail = format!("answered Ok as {version}, which is another action");
                self.violations.add(Invariant::I3, store, detail);
            }
        }
    }

    fn judge_rest(&mut self, store: &str, ledger: &Ledger, claims: &Claims) {
        let mut rest = ledger.seqs().without(ledger.unseen());
        for (epoch, claimed) in claims.ok() {
            if let Some(ordered) = ledger.seqs_of(*epoch) {
                rest = rest.without(&claimed.both(&ordered));
            }
        }
        self.unclaimed = rest.count();
        if let (Some(open), Some(first)) = (claims.open_outcomes(), rest.first())
            && self.unclaimed > open
        {
            let detail = format!(
                "the history has {} actions that nobody was answered Ok for, the first of them \
                 seq {first}, and only {open} dispatches have an outcome that is not known",
                self.unclaimed
            );
            self.violations.add(Invariant::I4, store, detail);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use samestate_proto::Version;

    use super::super::origin::OriginLog;
    use super::*;
    use crate::measure::timeline::tests::v;

    fn second(seq: u64) -> Version {
        Version { epoch: Epoch { number: 2, id: 8 }, seq }
    }

    /// The claims of an origin, whose payloads are the words given.
    fn claims(answers: &[(Version, &str)]) -> Claims {
        let (mut origin, mut claims) = (OriginLog::of("a"), Claims::default());
        for (version, payload) in answers {
            origin.ok(*version, *version, Some(payload.as_bytes()));
        }
        claims.absorb(origin.take());
        claims
    }

    /// A history of one session.
    fn history(payloads: &[&str]) -> Ledger {
        let mut ledger = Ledger::of("tasks");
        let entries = payloads.iter().enumerate();
        let entries = entries.map(|(at, payload)| (1, at as u64 + 1, payload.as_bytes()));
        ledger.ordered(1, v(payloads.len() as u64), entries);
        ledger
    }

    #[test]
    fn what_was_accepted_and_applied_once_is_in_order() {
        let claims = claims(&[(v(1), "one"), (v(3), "three"), (v(2), "two")]);
        let findings = judge("tasks", &history(&["one", "two", "three"]), &claims);
        assert_eq!(findings, Findings::default());
    }

    #[test]
    fn a_planted_loss_is_found() {
        let past_the_end = claims(&[(v(1), "one"), (v(2), "two")]);
        let findings = judge("tasks", &history(&["one"]), &past_the_end);
        assert_eq!((findings.lost, findings.rolled_back), (1, 0));
        assert!(findings.violations.of(Invariant::I3));

        let replaced = judge("tasks", &history(&["one", "2"]), &past_the_end);
        assert_eq!(replaced.lost, 1);
        assert!(replaced.violations.of(Invariant::I3));

        let no_such_life = claims(&[(v(1), "one"), (second(2), "two")]);
        assert_eq!(judge("tasks", &history(&["one"]), &no_such_life).lost, 1);
    }

    #[test]
    fn a_refused_dispatch_in_the_history_is_found() {
        let ledger = history(&["one", "refused"]);
        let mut known = claims(&[(v(1), "one")]);
        let findings = judge("tasks", &ledger, &known);
        assert_eq!(findings.unclaimed, 1);
        assert!(findings.violations.of(Invariant::I4));
        let mut killed = known.clone();
        killed.died();
        assert!(judge("tasks", &ledger, &killed).violations.is_empty(), "nobody knows");
        let mut unknown = OriginLog::of("b");
        unknown.unknown();
        known.absorb(unknown);
        assert!(judge("tasks", &ledger, &known).violations.is_empty(), "it is the unknown one");
    }

    #[test]
    fn what_went_with_its_sequencer_is_rolled_back_and_not_lost() {
        let mut ledger = history(&["one", "two", "three", "four"]);
        ledger.begins(second(0).epoch, 2);
        ledger.ordered(3, second(3), [(1, 5, &b"five"[..])]);
        let claims = claims(&[
            (v(1), "one"),
            (v(2), "two"),
            (v(3), "three"),
            (v(4), "four"),
            (second(3), "five"),
        ]);
        let findings = judge("tasks", &ledger, &claims);
        assert_eq!((findings.lost, findings.rolled_back, findings.unclaimed), (0, 2, 0));
        assert!(findings.violations.is_empty(), "{:?}", findings.violations);
    }

    #[test]
    fn an_answer_from_under_the_beginning_of_its_life_is_a_loss() {
        let mut ledger = history(&["one", "two"]);
        ledger.begins(second(0).epoch, 2);
        ledger.ordered(3, second(3), [(1, 3, &b"three"[..])]);
        let findings = judge("tasks", &ledger, &claims(&[(second(2), "two")]));
        assert_eq!(findings.lost, 1);
    }

    #[test]
    fn nothing_is_claimed_of_what_a_killed_sequencer_did_not_hand_over() {
        let mut ledger = history(&["one"]);
        let answers = claims(&[(v(1), "one"), (v(2), "two"), (v(3), "three")]);
        ledger.died();
        let findings = judge("tasks", &ledger, &answers);
        assert_eq!((findings.lost, findings.unjudged), (0, 2));
        ledger.begins(second(0).epoch, 3);
        let findings = judge("tasks", &ledger, &answers);
        assert_eq!((findings.lost, findings.unjudged), (0, 2), "restored from its journal");
    }

    proptest! {
        #[test]
        fn every_planted_loss_is_counted(
            fates in prop::collection::vec(0u8..6, 1..120),
        ) {
            // 0: answered Ok, and something else was ordered in its place. 1: outcome unknown.
            let (mut origin, mut claims) = (OriginLog::of("a"), Claims::default());
            let mut words = Vec::new();
            for (at, fate) in fates.iter().enumerate() {
                let (word, version) = (format!("word {at}"), v(at as u64 + 1));
                match fate {
                    1 => origin.unknown(),
                    _ => origin.ok(version, version, Some(word.as_bytes())),
                }
                words.push(if *fate == 0 { "another".to_owned() } else { word });
            }
            claims.absorb(origin);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let findings = judge("tasks", &history(&words), &claims);
            let count = |fate| fates.iter().filter(|found| **found == fate).count() as u64;
            prop_assert_eq!((findings.lost, findings.unclaimed), (count(0), count(1)));
            prop_assert_eq!(findings.violations.total(), count(0));
        }
    }
}
