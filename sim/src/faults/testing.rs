//! A check that holds for every kind of fault, for the tests of each.

use super::TimedFault;
use crate::scenario::{Overrides, ScenarioFile, Span};
use crate::virtual_time::{Options, simulate};

/// A server and its client, a worker, and a durable store under load.
const SCENARIO: &str = "
version: 1
logins: { app: secret }
stores:
  tasks: { reducer: probe, mode: action, resync: { verify: 7 }, backup: { durable: true } }
clusters: { a: { workers: 1 }, b: {} }
links: [ { name: ab, store: tasks, server: a.master, tcp: 1, client: b.master, login: app } ]
phases:
  - name: steady
    duration: 1s
    load: [ { at: b.master, store: tasks, arrival: { every: 5ms } } ]
faults:
";

/// The fault of a scenario with this one fault.
#[track_caller]
fn one_fault(fault: &str) -> ScenarioFile {
    let text = format!("{SCENARIO}  - {fault}\n");
    ScenarioFile::parse("fault", "fault.yaml", &text, &Overrides::default())
        .unwrap_or_else(|invalid| panic!("{invalid}"))
}

/// Asserts that a fault, written as in a file, is read, planned, written back and drawn, and that
/// a simulation injects it.
#[track_caller]
pub(super) fn is_injected(fault: &str) {
    let file = one_fault(fault);
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

#[test]
fn the_page_of_faults_has_a_row_for_each_kind_that_says_whether_run_injects_it() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/faults.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let mut rows: Vec<String> = Vec::new();
    for line in page.lines().filter(|line| line.ends_with("| yes |") || line.ends_with("| no |")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, kind, example, _, run, _] = cells.as_slice() else { panic!("{line}") };
        let kind = kind.trim_matches('`');
        let example = example.trim_matches('`').trim_end_matches('}');
        let file = one_fault(&format!("{kind}: {example}, at: 500ms }}"));
        let fault = &file.cases[0].plan.faults[0].fault;
        assert_eq!(fault.kind(), kind);
        assert_eq!(*run == "yes", fault.run_lacks().is_none(), "{line}");
        rows.push(kind.replace('_', ""));
    }
    let kinds: Vec<String> = super::KINDS.iter().map(|kind| kind.to_lowercase()).collect();
    rows.sort();
    let mut known = kinds;
    known.sort();
    assert_eq!(rows, known, "a row for each kind");
}
