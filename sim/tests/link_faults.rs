//! Every fault of a link is injected into real sockets of each transport, leaves its evidence, and
//! costs no dispatch.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use samestate_report::{Case, FaultDone, Record};

/// Runs a scenario that has to end well, unless the machine is too busy to load it as planned.
fn case_of(scenario: &str) -> Case {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("faults.yaml");
    std::fs::write(&file, scenario).expect("writable");
    let output = Command::new(env!("CARGO_BIN_EXE_samestate"))
        .args([Path::new("run"), &file, Path::new("--out"), &folder.path().join("out")])
        .args(["--quiet", "--json", "-"])
        .output()
        .expect("it starts");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let record = Record::from_json(&output.stdout, "standard output")
        .unwrap_or_else(|error| panic!("{error}: {}\n{told}", output.status));
    assert!(matches!(output.status.code(), Some(0 | 6)), "{}: {told}", output.status);
    let [case] = <[Case; 1]>::try_from(record.cases).expect("one case was asked for");
    assert_eq!(case.dispatches.lost, Some(0), "{:#?}", case.dispatches);
    assert_eq!(case.dispatches.duplicated, Some(0), "{:#?}", case.dispatches);
    case
}

/// Asserts that the faults of these kinds were injected, in this order, with this evidence.
fn assert_evidence(case: &Case, faults: &[(&str, &str)]) {
    let kinds: Vec<&str> = case.faults.list.iter().map(|fault| fault.kind.as_str()).collect();
    let planned: Vec<&str> = faults.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, planned);
    for (fault, (_, evidence)) in case.faults.list.iter().zip(faults) {
        let FaultDone { injected_at_seconds, ended_at_seconds, .. } = fault;
        assert!(injected_at_seconds.is_some() && ended_at_seconds.is_some(), "{fault:#?}");
        assert!(fault.evidence.contains(evidence), "{fault:#?} without {evidence}");
    }
}

/// A link under load in both directions, over this transport, with these faults.
fn scenario(transport: &str, faults: &str) -> String {
    format!(
        "
version: 1
seed: 7
logins: {{ app: secret }}
stores: {{ a: {{ reducer: ring, mode: action }} }}
clusters: {{ one: {{ workers: 0 }}, two: {{ workers: 0 }} }}
links:
  - name: ab
    store: a
    server: one.master
    {transport}
    client: two.master
    login: app
    backoff_max: 100ms
phases:
  - name: steady
    duration: 5s
    load:
      - {{ at: one.master, store: a, arrival: {{ rate: 50/s }} }}
      - {{ at: two.master, store: a, arrival: {{ rate: 50/s }} }}
faults:
{faults}"
    )
}

const SHAPES: &str = "
  - delay: { link: ab, at: 200ms, for: 400ms, by: 30ms }
  - jitter: { link: ab, at: 700ms, for: 400ms, up_to: 20ms, direction: down }
  - bandwidth: { link: ab, at: 1200ms, for: 400ms, bytes_per_second: 5KB }
  - slow_reader: { link: ab, at: 1700ms, for: 400ms, bytes_per_second: 1KB }
  - slow_reader: { link: ab, at: 2200ms, for: 400ms, reader: server }
  - blackhole: { link: ab, at: 2700ms, for: 400ms }
  - one_way: { link: ab, at: 3200ms, for: 400ms, direction: down }
  - refuse: { link: ab, at: 3700ms, for: 600ms }
  - reset: { link: ab, at: 3900ms }
";

const SHAPED: &[(&str, &str)] = &[
    ("delay", "bytes delayed, by 3"),
    ("jitter", "down: "),
    ("bandwidth", "bytes passed slowly"),
    ("slow_reader", "waiting at once at most"),
    ("slow_reader", "up: 0 bytes taken"),
    ("blackhole", "bytes held"),
    ("one_way", "up: "),
    ("refuse", "attempts to connect refused"),
    ("reset", "connected again at"),
];

const BREAKS: &str = "
  - corrupt: { link: ab, at: 500ms, direction: up }
  - corrupt: { link: ab, at: 1s, direction: down }
  - wrong_password: { link: ab, at: 1500ms, for: 600ms }
  - half_open: { link: ab, at: 2500ms }
";

const BROKEN: &[(&str, &str)] = &[
    ("corrupt", "flipped"),
    ("corrupt", "flipped"),
    ("wrong_password", "the old password was tried"),
    ("half_open", "1 connection half open"),
];

#[test]
fn a_tcp_link_is_late_slow_silent_and_closed_and_nothing_is_lost() {
    assert_evidence(&case_of(&scenario("tcp: 22971", SHAPES)), SHAPED);
}

#[test]
fn a_unix_link_is_late_slow_silent_and_closed_and_nothing_is_lost() {
    assert_evidence(&case_of(&scenario("unix: ab.sock", SHAPES)), SHAPED);
}

#[test]
fn a_tcp_link_is_garbled_shut_out_and_half_open_and_nothing_is_lost() {
    assert_evidence(&case_of(&scenario("tcp: 22972", BREAKS)), BROKEN);
}

#[test]
fn a_unix_link_is_garbled_shut_out_and_half_open_and_nothing_is_lost() {
    assert_evidence(&case_of(&scenario("unix: ab.sock", BREAKS)), BROKEN);
}

#[test]
fn workers_behind_inherited_sockets_come_and_go_and_read_slowly() {
    let case = case_of(
        "
version: 1
seed: 3
stores: { a: { reducer: ring, mode: action } }
clusters: { one: { workers: 2 } }
phases:
  - name: steady
    duration: 4s
    load: [ { at: one.master, store: a, arrival: { rate: 100/s } } ]
faults:
  - slow_reader: { node: 'one.worker[1]', runs_percent: 10, at: 200ms, for: 800ms }
  - churn: { cluster: one, at: 1500ms, restart_after: 100ms }
  - pause: { node: 'one.worker[*]', at: 3s, for: 300ms }
",
    );
    let faults = [
        ("slow_reader", "it stood still"),
        ("churn", "in sync again as pid"),
        ("pause", "was sent SIGCONT"),
        ("pause", "was sent SIGCONT"),
    ];
    assert_evidence(&case, &faults);
}

#[test]
fn every_fault_at_once_loses_no_dispatch_and_leaves_no_process_and_no_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let temp = folder.path().join("temp");
    std::fs::create_dir(&temp).expect("a folder");
    let torture = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/torture.yaml");
    let output = Command::new(env!("CARGO_BIN_EXE_samestate"))
        .args(["run", torture, "--duration", "15s", "--quiet", "--json", "-", "--out"])
        .arg(folder.path().join("out"))
        .env("TMPDIR", &temp)
        .output()
        .expect("it starts");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(matches!(output.status.code(), Some(0 | 6)), "{}: {told}", output.status);
    let record = Record::from_json(&output.stdout, "standard output").expect("a record");
    let case = &record.cases[0];
    let dispatches = &case.dispatches;
    assert_eq!((dispatches.lost, dispatches.duplicated), (Some(0), Some(0)), "{dispatches:#?}");
    let kinds: BTreeSet<&str> = case.faults.list.iter().map(|fault| &*fault.kind).collect();
    let injected = case.faults.list.iter().filter(|fault| fault.injected_at_seconds.is_some());
    let injected: BTreeSet<&str> = injected.map(|fault| &*fault.kind).collect();
    assert_eq!(injected, kinds, "at least once each: {:#?}", case.faults);
    let left = std::fs::read_dir(&temp).expect("it is there").count();
    assert_eq!(left, 0, "files in {}", temp.display());
    let temp = temp.to_str().expect("a plain path");
    let processes = std::fs::read_dir("/proc").expect("Linux").flatten();
    let lines = processes.filter_map(|one| std::fs::read(one.path().join("cmdline")).ok());
    let left: Vec<String> = lines
        .map(|line| String::from_utf8_lossy(&line).into_owned())
        .filter(|line| line.contains(temp))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
