//! The cases of a matrix that are the best, as far as their repeats prove it.

use crate::record::{Better, Case, Metric, Verdict};
use crate::stats::holm;

/// The probability with which a report may name a difference that there is not.
const LEVEL: f64 = 0.05;

/// Cases that differ by less than this share are called equal, however sure the difference is.
const EQUAL: f64 = 0.01;

/// Cases that passed and have a measure, the best first.
pub(crate) struct Ranking<'a> {
    /// The cases with their values.
    pub(crate) cases: Vec<(&'a Case, f64)>,
    /// The number of them that are as good as the best, in front; `None` if the repeats are too few
    /// to tell.
    pub(crate) equal: Option<usize>,
}

/// Ranks cases by a measure. `judgements` is the number of rankings that one report makes of the
/// same cases; together they name a difference that there is not with a probability of 5 %.
///
/// The best is compared with each other case by the pairs of their repeats, and Holm's method
/// corrects for their number.
pub(crate) fn ranking<'a>(
    cases: impl Iterator<Item = &'a Case>,
    metric: &Metric,
    judgements: usize,
) -> Ranking<'a> {
    let passed = cases.filter(|case| case.verdict == Verdict::Pass);
    let mut ranked: Vec<(&Case, f64)> =
        passed.filter_map(|case| Some((case, metric.of_case(case)?))).collect();
    let higher = metric.better() == Better::Higher;
    let by = |a: &f64, b: &f64| if higher { b.total_cmp(a) } else { a.total_cmp(b) };
    ranked.sort_by(|a, b| by(&a.1, &b.1));
    let Some((best, value)) = ranked.first().copied() else {
        return Ranking { cases: ranked, equal: None };
    };
    let others = &ranked[1..];
    let worse = others.iter().map(|(other, _)| {
        let change = other.change_from(best, metric)?;
        let (rise, fall) = (change.p_rise(value, EQUAL, 0.0), change.p_fall(value, EQUAL, 0.0));
        Some(if higher { fall } else { rise })
    });
    let worse: Option<Vec<f64>> = worse.collect();
    let equal = worse.filter(|others| !others.is_empty()).map(|probabilities| {
        let proven = holm(&probabilities, LEVEL / 2.0 / judgements.max(1) as f64);
        // Cases between two that are as good as the best are not told from it either.
        1 + proven.iter().rposition(|proven| !proven).map_or(0, |at| at + 1)
    });
    Ranking { cases: ranked, equal }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Repeat, sample};

    fn case(name: &str, costs: &[f64]) -> Case {
        let runs = costs.iter().map(|us| {
            let mut case = sample::two_clusters().cases.remove(0);
            case.with = [("mode".to_owned(), name.into())].into();
            case.cost.cpu_us_per_action = Some(*us);
            (Repeat::of(&case), case)
        });
        Case::of_repeats(runs.collect())
    }

    fn equal(cases: &[Case]) -> Option<usize> {
        let metric = Metric::named("cost.cpu_us_per_action").expect("it is one");
        ranking(cases.iter(), metric, 5).equal
    }

    #[test]
    fn a_difference_is_named_only_where_the_repeats_prove_it() {
        let action = case("action", &[100.0, 104.0, 98.0, 101.0, 99.0]);
        let delta = case("delta", &[103.0, 99.0, 102.0, 100.0, 103.0]);
        let snapshot = case("snapshot", &[4_000.0, 4_400.0, 3_900.0, 4_100.0, 4_050.0]);
        assert_eq!(equal(&[action.clone(), snapshot.clone()]), Some(1));
        assert_eq!(equal(&[snapshot.clone(), action.clone(), delta.clone()]), Some(2));
        assert_eq!(equal(&[action.clone(), delta]), Some(2));
        assert_eq!(equal(&[action]), None, "nothing to compare with");
    }

    #[test]
    fn single_runs_and_pairs_prove_nothing() {
        let of = |count: usize| {
            [case("action", &vec![100.0; count]), case("snapshot", &vec![9_000.0; count])]
        };
        assert_eq!(equal(&of(1)), None);
        assert_eq!(equal(&of(2)), None);
        assert_eq!(equal(&of(3)), Some(1));
    }

    #[test]
    fn the_repeats_of_a_case_that_failed_prove_nothing() {
        let mut cheap = case("cheap", &[1.0, 1.1, 0.9]);
        cheap.verdict = Verdict::Fail;
        assert_eq!(equal(&[cheap, case("action", &[100.0, 104.0, 98.0])]), None);
    }
}
