//! Faults that make no sense, and the errors about them.

use samestate_sim::scenario::{Overrides, ScenarioFile};

/// A link with a login, one without, and a cluster with workers. The faults begin in line 15.
const SCENARIO: &str = "
version: 1
logins: { app: secret }
stores: { tasks: { reducer: probe }, other: { reducer: probe } }
clusters: { a: { workers: 2 }, b: {} }
links:
  - { name: ab, store: tasks, server: a.master, tcp: 1, client: b.master, login: app }
  - { name: ba, store: other, server: b.master, tcp: 2, client: a.master }
phases:
  - name: steady
    duration: 10s
    load: [ { at: b.master, store: tasks, arrival: { every: 5ms } } ]

faults:
";

/// Asserts that these faults are refused with a problem in the line of the last one whose message
/// and help hold all of `says`.
#[track_caller]
fn refused(faults: &[&str], says: &[&str]) {
    let lines: String = faults.iter().map(|fault| format!("  - {fault}\n")).collect();
    let text = format!("{SCENARIO}{lines}");
    let last = text.lines().count();
    let invalid = ScenarioFile::parse("odd", "odd.yaml", &text, &Overrides::default())
        .expect_err("this should be refused");
    let found = invalid.problems.iter().any(|problem| {
        let told = format!("{} {}", problem.message, problem.help.as_deref().unwrap_or_default());
        problem.place.map(|at| at.line) == Some(last) && says.iter().all(|part| told.contains(part))
    });
    assert!(found, "not in line {last} with {says:?}:\n{invalid}");
}

#[test]
fn a_fault_that_would_do_nothing_or_lacks_what_it_needs_is_refused() {
    for (fault, says) in [
        ("delay: { link: ab, at: 1s, for: 1s, by: 0s }", "a delay of zero"),
        ("jitter: { link: ab, at: 1s, for: 1s, up_to: 0ms }", "jitter of up to zero"),
        ("bandwidth: { link: ab, at: 1s, for: 1s, bytes_per_second: 0B }", "use `blackhole`"),
        ("slow_reader: { link: ab, at: 1s, for: 1s, bytes_per_second: 0B }", "reads nothing"),
        ("slow_reader: { node: b.master, at: 1s, for: 1s }", "runs_percent: 20"),
        ("slow_reader: { node: b.master, at: 1s, for: 1s, runs_percent: 100 }", "from 1 to 99"),
        ("slow_reader: { link: ab, node: b.master, at: 1s, for: 1s }", "and not both"),
        ("slow_reader: { link: ab, runs_percent: 5, at: 1s, for: 1s }", "for a slow `node`"),
        ("wrong_password: { link: ba, at: 1s, for: 1s }", "the link has no login"),
        ("wrong_password: { link: 1, at: 1s, for: 1s }", "the link has no login"),
        ("wrong_password: { at: 1s, for: 1s }", "the link has no login"),
        ("refuse: { link: ab, at: 1s, for: 0s }", "must be longer than zero"),
        ("one_way: { link: ab, at: 1s, for: 1s }", "direction"),
        ("churn: { cluster: b, at: 1s, restart_after: 1s }", "cluster `b` has no workers"),
        ("churn: { cluster: c, at: 1s, restart_after: 1s }", "there is no cluster `c`"),
        ("churn: { cluster: a.master, at: 1s, restart_after: 1s }", "`a.master` is no worker"),
        ("pause: { node: 'b.worker[*]', at: 1s, for: 1s }", "cluster `b` has no workers"),
        ("pause: { node: 'c.worker[*]', at: 1s, for: 1s }", "there is no cluster `c`"),
        ("kill: { node: 'a.worker[*]', at: 11s }", "after the run's end"),
    ] {
        refused(&[fault], &[says]);
    }
}

#[test]
fn faults_of_one_link_or_of_all_workers_that_collide_are_refused_with_both_lines() {
    let delay = "delay: { link: ab, at: 2s, for: 1s, by: 5ms }";
    let says = ["delay of the link `ab` at 2500ms", "in line 15", "lasts from 2s to 3s"];
    refused(&[delay, "delay: { link: ab, at: 2.5s, for: 1s, by: 9ms }"], &says);
    let by_position = "delay: { link: 0, at: 2.5s, for: 1s, by: 9ms }";
    refused(&[delay, by_position], &["in line 15"]);
    let cut = "cut: { link: ab, at: 1s, for: 2s }";
    refused(&[cut, delay], &["collides with the cut", "in line 15"]);
    let workers = "pause: { node: 'a.worker[*]', at: 1s, for: 1s }";
    refused(&[workers, "pause: { node: 'a.worker[2]', at: 1.5s, for: 1s }"], &["in line 15"]);
    let slow = "slow_reader: { node: 'a.worker[1]', at: 1s, for: 1s, runs_percent: 5 }";
    refused(&[slow, "pause: { node: 'a.worker[1]', at: 1.5s, for: 1s }"], &["in line 15"]);
}

#[test]
fn faults_of_several_kinds_may_strike_one_link_at_once() {
    let faults = "  - delay: { link: ab, at: 2s, for: 1s, by: 5ms }
  - jitter: { link: ab, at: 2s, for: 1s, up_to: 5ms }
  - bandwidth: { link: ab, at: 2s, for: 1s, bytes_per_second: 9KB }
  - blackhole: { link: ab, at: 2s, for: 1s }
  - blackhole: { link: ab, at: 2s, for: 1s }
  - delay: { link: ba, at: 2s, for: 1s, by: 5ms }
  - delay: { at: 2s, for: 1s, by: 5ms }
  - cut: { link: ab, at: 2.5s, for: 1s }
";
    let text = format!("{SCENARIO}{faults}");
    let read = ScenarioFile::parse("odd", "odd.yaml", &text, &Overrides::default());
    assert!(read.is_ok(), "{}", read.err().map(|invalid| invalid.to_string()).unwrap_or_default());
}
