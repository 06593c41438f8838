//! Records for the tests of this crate: one of each kind of run that has something to show.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

/// The article's second test, passed: the record of the contract, filled in.
pub(crate) fn two_clusters() -> Record {
    let mut record = Record::new("two-clusters", 42, Kind::Processes, vec![passed()]);
    record.wall_seconds = 61.2;
    record.machine = machine();
    record
}

/// A big store in both modes, side by side.
pub(crate) fn big_store() -> Record {
    let mut snapshot = passed();
    snapshot.with = with(&[("stores.document.mode", json!("snapshot"))]);
    snapshot.identical.time_weighted_percent = Some(61.5);
    snapshot.latency_us.replica =
        Some(quantiles([8_400.0, 14_000.0, 31_000.0, 40_000.0, 52_000.0]));
    snapshot.cost = Cost {
        cpu_seconds: Some(41.3),
        rss_bytes_max: Some(96_000_000),
        wire_bytes: Some(59_000_000_000),
        syscalls: Some(1_400_000),
        ..cost()
    }
    .per_action(898);
    let mut action = passed();
    action.with = with(&[("stores.document.mode", json!("action"))]);
    let mut record = Record::new("big-store", 7, Kind::Processes, vec![snapshot, action]);
    record.wall_seconds = 185.0;
    record.machine = machine();
    record
}

/// The same with five repeats of each case.
pub(crate) fn big_store_repeated() -> Record {
    let once = big_store();
    let noise = [1.0, 1.01, 0.995, 1.005, 0.99];
    let cases = once.cases.iter().map(|case| {
        let runs = noise.iter().map(|noise| {
            let mut case = case.clone();
            case.cost.cpu_us_per_action = case.cost.cpu_us_per_action.map(|us| us * noise);
            let replica = case.latency_us.replica.as_mut();
            replica.into_iter().for_each(|quantiles| quantiles.p50 *= noise);
            (Repeat::of(&case), case)
        });
        Case::of_repeats(runs.collect())
    });
    Record { cases: cases.collect(), ..once }
}

/// A run in which links were cut, and which failed for two reasons.
pub(crate) fn disconnect_failed() -> Record {
    let mut case = passed();
    case.verdict = Verdict::Fail;
    case.identical.at_equal_version_percent = Some(99.996);
    case.identical.converged_within_ms = None;
    case.dispatches.ok = 880;
    case.dispatches.refused = 17;
    case.dispatches.unknown = 1;
    case.dispatches.lost = Some(2);
    case.faults = Faults {
        planned: 2,
        injected: 1,
        list: vec![
            FaultDone {
                kind: "cut".into(),
                at: "beta.master -> alpha.master".into(),
                planned_at_seconds: 5.0,
                injected_at_seconds: Some(5.01),
                ended_at_seconds: Some(5.51),
                converged_within_ms: Some(112.0),
                evidence: "the socket of 127.0.0.1:8888 was shut down".into(),
            },
            FaultDone {
                kind: "kill".into(),
                at: "beta.worker[1]".into(),
                planned_at_seconds: 9.0,
                evidence: "the process had ended before".into(),
                ..FaultDone::default()
            },
        ],
    };
    case.violations = vec![Violation {
        after_seconds: Some(5.6),
        reproduce: Some("samestate simulate disconnect.yaml --seed 42".into()),
        ..Violation::new(
            "I2",
            "beta.worker[1]",
            "store tasks at 3:418: digest 9f2c, canonical 77ab",
        )
    }];
    case.expectations = [
        ("identical.at_equal_version_percent", Some(100.0), None),
        ("identical.converged_within_ms", None, Some(1_000.0)),
        ("dispatches.lost", None, Some(0.0)),
        ("cost.cpu_us_per_action", None, Some(500.0)),
    ]
    .into_iter()
    .filter_map(|(metric, min, max)| Expectation::of_metric(&case, None, metric, min, max))
    .collect();
    let mut record = Record::new("disconnect", 42, Kind::Processes, vec![case]);
    record.wall_seconds = 30.4;
    record.machine = machine();
    record
}

/// A simulation whose load generator was the bottleneck, with little measured.
pub(crate) fn virtual_inconclusive() -> Record {
    let case = Case {
        verdict: Verdict::Inconclusive,
        because: vec!["the load generator issued 83 % of the intended rate, under 95 %".into()],
        dispatches: Dispatches { intended: 10, ok: 10, ..Dispatches::default() },
        ..Case::default()
    };
    let mut record = Record::new("tiny", 3, Kind::Virtual, vec![case]);
    record.wall_seconds = 0.2;
    record.virtual_seconds = Some(3_600.0);
    record
}

fn passed() -> Case {
    let mut case = Case {
        verdict: Verdict::Pass,
        seconds: Some(60.0),
        identical: Identical {
            sampled_percent: Some(99.8),
            samples: 120,
            time_weighted_percent: Some(99.83),
            at_equal_version_percent: Some(100.0),
            compared_at_equal_version: Some(512),
            converged_within_ms: Some(0.4),
        },
        dispatches: Dispatches {
            intended: 898,
            ok: 898,
            lost: Some(0),
            duplicated: Some(0),
            rolled_back: Some(0),
            from_mirrors: 448,
            ordered: Some(898),
            ..Dispatches::default()
        },
        rate: Rate {
            intended_per_s: Some(7.5),
            issued_per_s: Some(7.5),
            achieved_per_s: Some(7.5),
            schedule_lag_ms_p99: Some(0.4),
            left_out_seconds: Some(0.0),
        },
        latency_us: Latency {
            local: Some(quantiles([31.0, 50.0, 88.0, 140.0, 190.0])),
            replica: Some(quantiles([40.0, 60.0, 95.0, 160.0, 210.0])),
        },
        staleness: Staleness {
            versions_p99: Some(1),
            versions_max: Some(2),
            ms_p99: Some(0.2),
            ms_max: Some(0.9),
        },
        cost: cost().per_action(898),
        observations: vec![Observation {
            at: Some("alpha.worker[1]".into()),
            stores: vec!["tasks".into(), "mirror".into()],
            every_ms: 500.0,
            samples: 120,
            identical: 119,
        }],
        stores: BTreeMap::from([
            ("tasks".into(), store("ring", 450, 99.83)),
            ("mirror".into(), store("replace", 448, 99.9)),
        ]),
        processes: vec![
            process("alpha.master", 4711, 0.05),
            process("alpha.worker[1]", 4712, 0.02),
            process("beta.master", 4713, 0.01),
            process("beta.worker[1]", 4714, 0.02),
        ],
        ..Case::default()
    };
    case.expectations = [
        ("identical.at_equal_version_percent", Some(100.0), None),
        ("identical.converged_within_ms", None, Some(1_000.0)),
        ("dispatches.lost", None, Some(0.0)),
    ]
    .into_iter()
    .filter_map(|(metric, min, max)| Expectation::of_metric(&case, None, metric, min, max))
    .collect();
    case
}

fn cost() -> Cost {
    Cost {
        cpu_seconds: Some(0.108),
        rss_bytes_max: Some(9_000_000),
        wire_bytes: Some(400_000),
        syscalls: Some(9_000),
        snapshots_forced: Some(0),
        entries_skipped: Some(0),
        ..Cost::default()
    }
}

fn store(reducer: &str, actions: u64, time_weighted_percent: f64) -> StoreMeasures {
    StoreMeasures {
        reducer: Some(reducer.into()),
        mode: Some("action".into()),
        resync: Some("snapshot 100".into()),
        replicas: Some(4),
        state_bytes: Some(23_400),
        identical: Identical {
            time_weighted_percent: Some(time_weighted_percent),
            at_equal_version_percent: Some(100.0),
            converged_within_ms: Some(0.4),
            ..Identical::default()
        },
        dispatches: Dispatches {
            intended: actions,
            ok: actions,
            lost: Some(0),
            duplicated: Some(0),
            ordered: Some(actions),
            ..Dispatches::default()
        },
        rate: Rate { achieved_per_s: Some(7.5), ..Rate::default() },
        latency_us: Latency {
            local: Some(quantiles([31.0, 50.0, 88.0, 140.0, 190.0])),
            replica: Some(quantiles([40.0, 60.0, 95.0, 160.0, 210.0])),
        },
        cost: Cost { wire_bytes: Some(200_000), ..Cost::default() },
        ..StoreMeasures::default()
    }
}

fn process(name: &str, pid: u32, cpu_user_seconds: f64) -> Process {
    Process {
        name: name.into(),
        pid: Some(pid),
        cpu_user_seconds: Some(cpu_user_seconds),
        cpu_system_seconds: Some(0.002),
        rss_bytes_max: Some(9_000_000),
        wire_bytes: Some(100_000),
        wire_bytes_received: Some(99_000),
        syscalls: Some(2_250),
        ended: None,
    }
}

fn quantiles([p50, p90, p99, p999, max]: [f64; 5]) -> Quantiles {
    Quantiles { p50, p90, p99, p999, max, count: Some(898), histogram: None }
}

fn machine() -> Machine {
    Machine {
        cores: 2,
        cpu: "Example 9000".into(),
        os: "Linux 6.1".into(),
        samestate: "0.1.0".into(),
        debug_build: false,
    }
}

fn with(values: &[(&str, Value)]) -> BTreeMap<String, Value> {
    values.iter().map(|(path, value)| ((*path).to_owned(), value.clone())).collect()
}
