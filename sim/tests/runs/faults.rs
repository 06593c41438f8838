//! Faults are really injected, and the record shows what was done.

use std::path::Path;
use std::process::{Command, Output};

use samestate_report::{FaultDone, Record};

fn run(scenario: &str) -> (Output, Record) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("broken.yaml");
    std::fs::write(&file, scenario).expect("writable");
    let output = Command::new(env!("CARGO_BIN_EXE_samestate"))
        .args([Path::new("run"), &file, Path::new("--out"), &folder.path().join("out")])
        .args(["--quiet", "--json", "-"])
        .output()
        .expect("it starts");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let record = Record::from_json(&output.stdout, "standard output")
        .unwrap_or_else(|error| panic!("{error}: {}\n{told}", output.status));
    assert_ne!(output.status.code(), Some(1), "{told}");
    (output, record)
}

/// Checks that the run found nothing wrong. 6: the machine was too busy to load the cluster as
/// planned, which says nothing of the cluster.
fn assert_nothing_wrong(output: &Output) {
    assert!(matches!(output.status.code(), Some(0 | 6)), "{}", output.status);
}

fn assert_done(fault: &FaultDone) {
    let (Some(injected), Some(ended)) = (fault.injected_at_seconds, fault.ended_at_seconds) else {
        panic!("{fault:#?}");
    };
    assert!(injected >= fault.planned_at_seconds && ended > injected, "{fault:#?}");
}

#[test]
fn links_over_tcp_and_unix_are_cut_and_connect_again() {
    let (_, record) = run(r#"
version: 1
stores: { a: { reducer: ring, mode: action }, b: { reducer: counter, mode: action } }
clusters: { one: { workers: 0 }, two: { workers: 0 } }
links:
  - { name: a, store: a, server: one.master, tcp: 22981, client: two.master, backoff_max: 100ms }
  - { name: b, store: b, server: two.master, unix: b.sock, client: one.master, backoff_max: 100ms }
phases:
  - name: steady
    duration: 3s
    load:
      - { at: two.master, store: a, arrival: { rate: 50/s } }
      - { at: one.master, store: b, arrival: { rate: 50/s } }
faults:
  - cut: { link: a, at: 500ms, for: 300ms }
  - cut: { link: b, at: 1s, for: 300ms }
"#);
    let faults = &record.cases[0].faults;
    assert_eq!((faults.planned, faults.injected), (2, 2), "{faults:#?}");
    for fault in &faults.list {
        assert_done(fault);
        assert!(fault.evidence.contains("1 connection severed after"), "{fault:#?}");
        assert!(fault.evidence.contains("connected again at"), "{fault:#?}");
    }
}

#[test]
fn a_master_and_a_worker_are_killed_and_come_back() {
    let (_, record) = run(r#"
version: 1
stores: { tasks: { reducer: ring, mode: action } }
clusters: { one: { workers: 0 }, two: { workers: 2 } }
links:
  - { store: tasks, server: one.master, unix: tasks.sock, client: two.master, backoff_max: 100ms }
phases:
  - name: steady
    duration: 4s
    load: [ { at: one.master, store: tasks, arrival: { rate: 50/s } } ]
faults:
  - kill: { node: "two.worker[2]", at: 500ms, restart_after: 200ms }
  - kill: { node: two.master, at: 2s, restart_after: 200ms }
"#);
    let case = &record.cases[0];
    assert_eq!((case.faults.planned, case.faults.injected), (2, 2), "{:#?}", case.faults);
    for fault in &case.faults.list {
        assert_done(fault);
        assert!(fault.evidence.contains("was sent SIGKILL"), "{fault:#?}");
        assert!(fault.evidence.contains("in sync again as pid"), "{fault:#?}");
    }
    assert!(case.faults.list[1].evidence.contains("killed by signal 9"), "{:#?}", case.faults);
    let lives = |name: &str| case.processes.iter().filter(|one| one.name == name).count();
    assert_eq!(lives("one.master"), 1);
    assert_eq!(lives("two.master"), 2);
    assert_eq!(lives("two.worker[2]"), 3, "once killed, once gone with its master");
}

#[test]
fn a_process_is_stopped_and_goes_on_and_catches_up() {
    let (output, record) = run(r#"
version: 1
stores: { tasks: { reducer: ring, mode: action } }
clusters: { one: { workers: 0 }, two: { workers: 1 } }
links:
  - { store: tasks, server: one.master, unix: tasks.sock, client: two.master, backoff_max: 100ms }
phases:
  - name: steady
    duration: 3s
    load: [ { at: one.master, store: tasks, arrival: { rate: 50/s } } ]
faults:
  - pause: { node: two.master, at: 500ms, for: 700ms }
  - pause: { node: "two.worker[1]", at: 2s, for: 300ms }
"#);
    let case = &record.cases[0];
    assert_eq!((case.faults.planned, case.faults.injected), (2, 2), "{:#?}", case.faults);
    for fault in &case.faults.list {
        assert_done(fault);
        assert!(fault.evidence.contains("was sent SIGSTOP"), "{fault:#?}");
        assert!(fault.evidence.contains("was sent SIGCONT"), "{fault:#?}");
    }
    // The root went on meanwhile: whoever stands still falls behind, and cannot do so otherwise.
    assert!(case.staleness.ms_max.is_some_and(|ms| ms >= 500.0), "{:#?}", case.staleness);
    assert_eq!(case.dispatches.lost, Some(0), "{:#?}", case.dispatches);
    assert!(case.violations.is_empty(), "{:#?}", case.violations);
    assert_eq!(case.processes.len(), 3, "nobody ended: {:#?}", case.processes);
    assert_nothing_wrong(&output);
}

#[test]
fn a_durable_root_that_is_killed_takes_nothing_with_it_and_another_what_it_had_not_saved() {
    let (output, record) = run(r#"
version: 1
stores:
  kept: { reducer: logger, mode: action, backup: { durable: true } }
  saved: { reducer: logger, mode: action, backup: { every_actions: 100000 } }
clusters: { one: { workers: 0 }, two: { workers: 1 } }
links:
  - store: [kept, saved]
    server: one.master
    unix: kept.sock
    client: two.master
    backoff_max: 100ms
phases:
  - name: steady
    duration: 4s
    load:
      - { at: two.master, store: kept, arrival: { rate: 100/s } }
      - { at: "two.worker[1]", store: saved, arrival: { rate: 100/s } }
faults:
  - kill: { node: one.master, at: 1s, restart_after: 200ms }
  - kill: { node: one.master, at: 2500ms, restart_after: 200ms }
"#);
    let case = &record.cases[0];
    assert_eq!((case.faults.planned, case.faults.injected), (2, 2), "{:#?}", case.faults);
    assert!(case.violations.is_empty(), "{:#?}", case.violations);
    assert_nothing_wrong(&output);
    let (kept, saved) = (&case.stores["kept"].dispatches, &case.stores["saved"].dispatches);
    assert_eq!((kept.lost, kept.duplicated, kept.rolled_back), (Some(0), Some(0), Some(0)));
    assert!(kept.ok > 100, "{kept:#?}");
    assert_eq!((saved.lost, saved.duplicated), (Some(0), Some(0)), "{saved:#?}");
    assert!(saved.rolled_back.is_some_and(|count| count > 50), "{saved:#?}");
}

#[test]
fn faults_that_meet_at_one_process_are_refused_with_both_lines() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("collide.yaml");
    let scenario = r#"
version: 1
stores: { tasks: { reducer: counter, mode: action } }
clusters: { one: { workers: 2 } }
phases:
  - name: steady
    duration: 6s
    load: [ { at: one.master, store: tasks, arrival: { rate: 50/s } } ]
faults:
  - kill: { node: "one.worker[1]", at: 2s, restart_after: 100ms }
  - kill: { node: "one.worker[1]", at: 2s, restart_after: 200ms }
"#;
    std::fs::write(&file, scenario).expect("writable");
    for verb in ["validate", "run", "simulate"] {
        let done = Command::new(env!("CARGO_BIN_EXE_samestate"))
            .args([Path::new(verb), &file])
            .current_dir(folder.path())
            .output()
            .expect("it starts");
        let told = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(2), "{verb}: {told}");
        assert!(told.contains("collide.yaml:11:"), "{verb}: {told}");
        assert!(told.contains("in line 10"), "{verb}: {told}");
    }
}

#[test]
fn drawn_faults_that_meet_at_one_process_have_it_started_again_once() {
    let (output, record) = run(r#"
version: 1
seed: 4
stores: { tasks: { reducer: counter, mode: action } }
clusters: { one: { workers: 2 } }
phases:
  - name: steady
    duration: 5s
    load: [ { at: one.master, store: tasks, arrival: { rate: 50/s } } ]
faults:
  - kill: { node: "one.worker[1]", times: 4, restart_after: 600ms }
  - kill: { node: "one.worker[1]", times: 4, restart_after: 500ms }
  - pause: { node: "one.worker[1]", times: 4, for: 400ms }
"#);
    let case = &record.cases[0];
    assert!(case.faults.injected < case.faults.planned, "some meet: {:#?}", case.faults);
    assert!(case.faults.injected > 0 && case.violations.is_empty(), "{case:#?}");
    // A machine that is too busy for the load makes it inconclusive.
    assert!(matches!(output.status.code(), Some(0 | 6)), "{:#?}", case.because);
}

#[test]
fn a_load_that_stands_still_as_planned_is_not_judged_by_that() {
    let (_, record) = run(r#"
version: 1
stores: { tasks: { reducer: counter, mode: action } }
clusters: { one: { workers: 0 }, two: { workers: 1 } }
links:
  - { store: tasks, server: one.master, unix: tasks.sock, client: two.master, backoff_max: 100ms }
phases:
  - name: steady
    duration: 4s
    load:
      - { at: two.master, store: tasks, arrival: { rate: 50/s } }
      - { at: "two.worker[*]", store: tasks, arrival: { rate: 50/s } }
faults:
  - pause: { node: two.master, at: 500ms, for: 700ms }
  - kill: { node: "two.worker[1]", at: 2s, restart_after: 100ms }
"#);
    let case = &record.cases[0];
    assert_eq!(case.faults.injected, 2, "{:#?}", case.faults);
    // Each with a second to catch up.
    assert_eq!(case.rate.left_out_seconds, Some(1.7 + 1.1), "{:#?}", case.rate);
    assert!(case.latency_us.local.as_ref().is_some_and(|local| local.max > 500_000.0));
    // With it, more than a tenth of all dispatches would have been late by more than that.
    let lag = case.rate.schedule_lag_ms_p99.expect("there is an open loop");
    assert!(lag < 250.0, "{lag} ms: {:#?}", case.because);
}
