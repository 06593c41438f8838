//! A check that holds for every kind of fault, for the tests of each.

use super::TimedFault;
use crate::scenario::{Overrides, ScenarioFile, Span};
use crate::virtual_time::{Options, simulate};

/// A server and its client, a worker, and a durable store under load.
const SCENARIO: &str = "
version: 1
stores:
  tasks: { reducer: probe, mode: action, resync: { verify: 7 }, backup: { durable: true } }
clusters: { a: { workers: 1 }, b: {} }
links: [ { name: ab, store: tasks, server: a.master, tcp: 1, client: b.master } ]
phases:
  - name: steady
    duration: 1s
    load: [ { at: b.master, store: tasks, arrival: { every: 5ms } } ]
faults:
";

/// Asserts that a fault, written as in a file, is read, planned, written back and drawn, and that
/// a simulation injects it.
#[track_caller]
pub(super) fn is_injected(fault: &str) {
    let text = format!("{SCENARIO}  - {fault}\n");
    let file = ScenarioFile::parse("fault", "fault.yaml", &text, &Overrides::default())
        .unwrap_or_else(|invalid| panic!("{invalid}"));
    let (scenario, plan) = (&file.cases[0].scenario, &file.cases[0].plan);
    let [TimedFault { at, fault: planned }] = plan.faults.as_slice() else {
        panic!("one strike was asked for: {:?}", plan.faults)
    };
    assert!(fault.starts_with(planned.kind()), "{fault} is read as {planned:?}");
    assert_eq!(planned.written_out(plan, Span(*at)), scenario.faults[0]);
    let name = planned.target().name(plan);
    assert!(planned.line(plan).contains(name), "{}", planned.line(plan));
    let options = Options { recorded: true, ..Options::default() };
    let outcome = simulate(plan, &options).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(outcome.violation, None);
    let done = &outcome.case.expect("a record was asked for").faults.list[0];
    assert!(done.injected_at_seconds.is_some(), "{done:#?}");
}
