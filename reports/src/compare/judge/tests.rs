use super::*;
use crate::record::{Repeat, sample};

/// A record of `two_clusters` with repeats whose CPU per action is `costs`.
fn repeated(costs: &[f64]) -> Record {
    let mut record = sample::two_clusters();
    record.cases = vec![case(costs)];
    record
}

fn case(costs: &[f64]) -> Case {
    let runs = costs.iter().map(|us| {
        let mut case = sample::two_clusters().cases.remove(0);
        case.cost.cpu_us_per_action = Some(*us);
        (Repeat::of(&case), case)
    });
    Case::of_repeats(runs.collect())
}

const BASE: [f64; 5] = [100.0, 101.0, 99.5, 100.5, 99.0];

fn times(factor: f64) -> Vec<f64> {
    // In another order, as the next run has it.
    [1.0, 0.995, 1.01, 0.99, 1.005].iter().map(|noise| 100.0 * factor * noise).collect()
}

fn compared(base: &Record, new: &Record) -> Comparison {
    compare(&[(vec![base], vec![new])], 0.02).remove(0)
}

fn finding(comparison: &Comparison, name: &str) -> Finding {
    let line = comparison.cases[0].lines.iter().find(|line| line.metric.name() == name);
    line.expect("it is judged").finding
}

const CPU: &str = "cost.cpu_us_per_action";

#[test]
fn a_run_is_not_worse_than_itself() {
    for record in [repeated(&BASE), sample::big_store_repeated(), sample::disconnect_failed()] {
        let comparison = compared(&record, &record);
        assert!(!comparison.worse(), "{comparison:?}");
        assert!(comparison.doubts.is_empty() && comparison.machines.is_empty(), "{comparison:?}");
    }
}

#[test]
fn a_rise_is_worse_if_the_repeats_prove_it() {
    let base = repeated(&BASE);
    let worse = compared(&base, &repeated(&times(1.1)));
    assert_eq!(finding(&worse, CPU), Finding::Worse);
    let (_, line) = worse.regressions().next().expect("there is one");
    let (ratio, (low, high)) = line.ratio.expect("positive");
    assert!((ratio - 1.1).abs() < 0.01 && low > 1.05 && high < 1.15, "{line:?}");
    assert_eq!(finding(&compared(&repeated(&times(1.1)), &base), CPU), Finding::Better);
    assert_eq!(finding(&compared(&base, &repeated(&times(1.0))), CPU), Finding::Same);
    let noisy = repeated(&[70.0, 130.0, 110.0, 100.0, 150.0]);
    assert_eq!(finding(&compared(&base, &noisy), CPU), Finding::Unclear);
}

#[test]
fn single_runs_prove_nothing_and_say_so() {
    let mut worse = sample::two_clusters();
    worse.cases[0].cost.cpu_us_per_action = Some(9_000.0);
    let comparison = compared(&sample::two_clusters(), &worse);
    assert!(!comparison.worse() && comparison.says_nothing());
    assert_eq!(finding(&comparison, CPU), Finding::NotCompared(Refusal::FewRepeats));
}

#[test]
fn several_records_of_one_scenario_count_as_repeats() {
    let records = |costs: &[f64], day: u32| -> Vec<Record> {
        let record = |(at, us): (usize, &f64)| {
            let mut record = sample::two_clusters();
            record.cases[0].cost.cpu_us_per_action = Some(*us);
            record.started = Some(format!("2026-11-{day:02}T10:{at:02}:00Z"));
            record
        };
        costs.iter().enumerate().map(record).collect()
    };
    let (base, new) = (records(&BASE, 1), records(&times(1.1), 2));
    let pair = (base.iter().collect(), new.iter().collect());
    let comparison = compare(&[pair], 0.02).remove(0);
    assert_eq!(finding(&comparison, CPU), Finding::Worse);
}

#[test]
fn sides_that_took_turns_make_pairs() {
    // The machine becomes four times as slow in the meantime; the new build is 5 % slower.
    let drift = [1.0, 1.5, 2.0, 2.8, 4.0];
    let records = |factor: f64, second: u32| -> Vec<Record> {
        let record = |(at, drift): (usize, &f64)| {
            let mut record = sample::two_clusters();
            let noise = 1.0 + 0.002 * (at % 2) as f64;
            record.cases[0].cost.cpu_us_per_action = Some(100.0 * drift * factor * noise);
            record.started = Some(format!("2026-11-01T10:{at:02}:{second:02}Z"));
            record
        };
        drift.iter().enumerate().map(record).collect()
    };
    let (base, new) = (records(1.0, 0), records(1.05, 30));
    let turns = (base.iter().collect(), new.iter().collect());
    assert_eq!(finding(&compare(&[turns], 0.02)[0], CPU), Finding::Worse);
    let mut later = records(1.05, 30);
    later.iter_mut().for_each(|record| {
        record.started = record.started.as_ref().map(|at| at.replace("T10", "T11"));
    });
    let apart = (base.iter().collect(), later.iter().collect());
    assert_eq!(finding(&compare(&[apart], 0.02)[0], CPU), Finding::Unclear);
}

#[test]
fn figures_of_another_machine_are_refused_and_ratios_between_cases_compared() {
    let base = repeated(&BASE);
    let mut new = repeated(&times(3.0));
    new.machine.cpu = "Another 1".into();
    let comparison = compared(&base, &new);
    assert_eq!(finding(&comparison, CPU), Finding::NotCompared(Refusal::OtherMachine));
    assert_eq!(comparison.machines, ["the processors differ: Example 9000, now Another 1"]);
    assert!(!comparison.worse());

    let matrix = |first: &[f64], second: &[f64], cpu: &str| {
        let mut record = sample::two_clusters();
        record.cases = vec![case(first), case(second)];
        for (case, name) in record.cases.iter_mut().zip(["action", "snapshot"]) {
            case.with = [("mode".to_owned(), name.into())].into();
        }
        record.machine.cpu = cpu.into();
        record
    };
    let base = matrix(&BASE, &times(10.0), "Example 9000");
    let same = compared(&base, &matrix(&times(3.0), &times(30.0), "Another 1"));
    assert!(!same.worse(), "three times as slow, in both cases alike: {same:?}");
    let worse = compared(&base, &matrix(&times(3.0), &times(45.0), "Another 1"));
    let (case, line) = worse.regressions().next().expect("snapshot alone became slower");
    assert_eq!((&*case.name, case.beside.as_deref()), ("mode=snapshot", Some("mode=action")));
    assert!(line.relative && (line.ratio.expect("positive").0 - 1.5).abs() < 0.02, "{line:?}");
}

#[test]
fn what_has_to_be_perfect_needs_no_repeats() {
    let base = sample::two_clusters();
    let mut new = base.clone();
    new.cases[0].dispatches.lost = Some(1);
    assert!(compared(&base, &new).worse());
    let mut new = base.clone();
    new.cases[0].identical.at_equal_version_percent = Some(99.999);
    assert!(compared(&base, &new).worse());
    let mut new = base.clone();
    new.cases[0].identical.converged_within_ms = None;
    assert!(compared(&base, &new).worse(), "it never converged");
}

#[test]
fn simulations_of_one_seed_are_compared_exactly() {
    let mut base = sample::two_clusters();
    base.kind = crate::Kind::Virtual;
    let mut new = base.clone();
    new.machine.cpu = "Another 1".into();
    new.cases[0].cost.wire_bytes_per_action =
        base.cases[0].cost.wire_bytes_per_action.map(|bytes| bytes * 1.05);
    let comparison = compared(&base, &new);
    assert_eq!(finding(&comparison, "cost.wire_bytes_per_action"), Finding::Worse);
    assert!(comparison.machines.is_empty(), "virtual time is the same everywhere");
    new.seed += 1;
    assert!(!compared(&base, &new).worse(), "another seed is another history");
}

#[test]
fn a_verdict_lost_and_a_case_gone_are_worse() {
    let base = sample::big_store_repeated();
    let mut new = base.clone();
    new.cases[1].verdict = Verdict::Fail;
    assert!(compared(&base, &new).worse());
    new = base.clone();
    new.cases.pop();
    let comparison = compared(&base, &new);
    assert!(comparison.worse());
    assert_eq!(comparison.gone, ["stores.document.mode=action"]);
    assert!(!compared(&new, &base).worse(), "a case added is not worse");
}

#[test]
fn a_scenario_that_changed_is_a_doubt() {
    let mut base = sample::two_clusters();
    base.scenario_digest = Some("1".into());
    let mut new = base.clone();
    assert_eq!(compared(&base, &new).doubts, Vec::<String>::new());
    new.scenario_digest = Some("2".into());
    assert_eq!(compared(&base, &new).doubts.len(), 1);
}

#[test]
fn a_latency_may_vary_with_what_else_the_machine_does() {
    let slower = |factor: f64| {
        let runs = [1.0, 0.99, 1.01, 1.005, 0.995].map(|noise| {
            let mut case = sample::two_clusters().cases.remove(0);
            let replica = case.latency_us.replica.as_mut().expect("it was measured");
            (replica.p50, replica.p99) = (8_000.0 * factor * noise, 40_000.0 * factor * noise);
            (Repeat::of(&case), case)
        });
        let mut record = sample::two_clusters();
        record.cases = vec![Case::of_repeats(runs.into())];
        record
    };
    let (p50, p99) = ("latency_us.replica.p50", "latency_us.replica.p99");
    let little = compared(&slower(1.0), &slower(1.2));
    assert!(!little.worse(), "{little:?}");
    let more = compared(&slower(1.0), &slower(1.4));
    assert_eq!((finding(&more, p50), finding(&more, p99)), (Finding::Worse, Finding::Same));
    assert_eq!(finding(&compared(&slower(1.0), &slower(1.7)), p99), Finding::Worse);
}

#[test]
fn a_run_that_says_nothing_is_not_one_that_never_converged() {
    let base = sample::two_clusters();
    let mut new = base.clone();
    new.cases[0].verdict = Verdict::Inconclusive;
    assert!(!compared(&base, &new).worse(), "{:?}", compared(&base, &new));
    let mut repeated = repeated(&BASE);
    repeated.cases[0].repeats[1].verdict = Verdict::Inconclusive;
    repeated.cases[0].repeats[1].figures.clear();
    assert!(!compared(&self::repeated(&BASE), &repeated).worse());
}
