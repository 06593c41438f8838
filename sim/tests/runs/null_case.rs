//! The null case of a run: what the instruments cost, measured beside the cost.

use std::fs;
use std::process::{Command, Output};

use samestate_report::Record;
use samestate_report::live::{Event, Line};

/// Two phases with a load of each node, so that there are dispatches of others to see.
const PACED: &str = r#"
version: 1
seed: 5
stores: { tasks: { reducer: ring, mode: action } }
clusters: { main: { workers: 1 } }
phases:
  - name: slow
    duration: 1s
    load: [ { at: main.master, store: tasks, arrival: { rate: 50/s } } ]
  - name: fast
    duration: 1s
    load:
      - { at: main.master, store: tasks, arrival: { rate: 100/s } }
      - { at: "main.worker[1]", store: tasks, arrival: { rate: 200/s } }
"#;

fn run(folder: &std::path::Path, args: &[&str]) -> (Output, Record) {
    fs::write(folder.join("paced.yaml"), PACED).expect("writable");
    let mut command = Command::new(env!("CARGO_BIN_EXE_samestate"));
    command.args(["run", "paced.yaml", "--out", "o"]).args(args).current_dir(folder);
    let output = command.output().expect("it starts");
    let record = Record::read(folder.join("o/record.json")).unwrap_or_else(|e| panic!("{e}"));
    (output, record)
}

#[test]
fn the_cost_of_the_instruments_stands_beside_the_cost() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let (output, record) = run(temp.path(), &["--ndjson", "live.ndjson"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let case = &record.cases[0];
    let null = case.cost.null_cpu_us_per_action.unwrap_or_else(|| panic!("{said}"));
    let whole = case.cost.cpu_us_per_action.unwrap_or_else(|| panic!("{said}"));
    assert!(null > 0.0 && null < whole, "{null} of {whole}: {said}");
    assert!(said.contains("in a null case"), "{said}");
    let lines = fs::read_to_string(temp.path().join("live.ndjson")).expect("it was written");
    let read = |line: &str| serde_json::from_str::<Line>(line).unwrap_or_else(|e| panic!("{e}"));
    let lines: Vec<Line> = lines.lines().map(read).collect();
    let begins = |line: &Line| matches!(&line.event, Event::Phase(at) if at.name == "null case");
    let null_begins = lines.iter().position(begins).expect("it is told");
    assert!(matches!(lines[null_begins + 1].event, Event::Verdict(_)), "then the verdict");
    let (end, of_repeat) = lines.split_last().expect("there are lines");
    assert!(matches!(end.event, Event::End(_)) && end.repeat.is_none());
    assert!(of_repeat.iter().all(|line| line.repeat == Some(1)));
    let phases: Option<Vec<f64>> = case.phases.iter().map(|phase| phase.cpu_seconds).collect();
    let phases: f64 = phases.unwrap_or_else(|| panic!("{said}")).iter().sum();
    let total = case.cost.cpu_seconds.expect("it was measured");
    assert!(phases > 0.0 && phases <= total, "{phases} of {total}: {said}");
}

#[test]
fn the_null_case_can_be_left_out() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let (output, record) = run(temp.path(), &["--no-null"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("null case"), "{said}");
    assert_eq!(record.cases[0].cost.null_cpu_us_per_action, None);
}
