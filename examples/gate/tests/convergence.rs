//! The gate: two hundred seeds of one topology, in a moment, the same on every machine. And the
//! program: the same file on real processes.

use std::process::Command;

use gate::Orders;
use samestate_sim::Scenario;
use samestate_sim::load::Shipped;
use samestate_sim::scenario::ScenarioError;

#[test]
fn orders_converge_under_faults() -> Result<(), ScenarioError> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/orders.yaml");
    Scenario::load(path)?.with::<(Orders, Shipped)>().seeds(0..200).assert_holds();
    Ok(())
}

#[test]
fn what_does_not_hold_fails_the_test_and_names_the_seed() -> Result<(), ScenarioError> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/too-strict.yaml");
    let scenario = Scenario::load(path)?.with::<(Orders, Shipped)>();
    let failed = scenario.seeds(3..5).check().expect_err("nothing is that fast");
    assert_eq!(failed.failure.seed, 3);
    assert!(failed.to_string().starts_with("too-strict, seed 3: expected"), "{failed}");
    Ok(())
}

/// Runs a program with these arguments. Returns its exit code and its output.
fn run(program: &str, args: &[&str]) -> (Option<i32>, String) {
    let folder = env!("CARGO_MANIFEST_DIR");
    let output = Command::new(program).args(args).current_dir(folder).output().expect("it starts");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

/// Runs the program with these arguments. Returns its output if it succeeds.
fn program(args: &[&str]) -> String {
    let (code, text) = run(env!("CARGO_BIN_EXE_gate"), args);
    assert_eq!(code, Some(0), "{text}");
    text
}

#[test]
fn the_program_knows_the_reducer_on_real_processes_and_on_virtual_time() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let path = |name| out.path().join(name).display().to_string();
    let ran = program(&["run", "orders.yaml", "--duration", "2s", "--out", &path("run")]);
    assert!(ran.contains("none lost, none twice"), "{ran}");
    let simulated = program(&["simulate", "orders.yaml", "--out", &path("simulated")]);
    assert!(simulated.contains("PASS"), "{simulated}");
    assert!(program(&["explain", "--reducers"]).contains("orders that are placed and shipped"));
    program(&["validate", "orders.yaml"]);
}

/// Checks that each bug is found, and shrunk to a file with which the program shows it again.
#[test]
fn a_bug_in_the_reducer_is_found_and_shrunk_to_a_file_that_the_program_replays() {
    let planted = env!("CARGO_BIN_EXE_planted");
    for reducer in ["orders-by-clock", "orders-lost-update", "orders-by-order"] {
        let out = tempfile::tempdir().expect("a temporary folder");
        let folder = out.path().display().to_string();
        let set = format!("stores.orders.reducer={reducer}");
        let seeds = ["--set", &set, "--seeds", "0..200", "--out", &folder];
        let (code, text) = run(planted, &[&["simulate", "orders.yaml"][..], &seeds].concat());
        assert_eq!(code, Some(3), "{reducer}: {text}");
        let found = out.path().join("found.yaml").display().to_string();
        let written = std::fs::read_to_string(&found).expect("a scenario was written");
        assert!(written.contains(reducer) && !written.contains("kill"), "{written}");
        // These bugs show by chance: what was replayed often when it was shrunk may still, once in
        // a hundred times, not show it.
        let replay = out.path().join("replay").display().to_string();
        let replayed = || run(planted, &["simulate", &found, "--out", &replay]);
        assert!((0..3).any(|_| replayed().0 == Some(3)), "{reducer}: {written}");
        assert!(written.contains("planted simulate "), "{written}");
    }
}
