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

/// Runs the program with these arguments. Returns its output if it succeeds.
fn program(args: &[&str]) -> String {
    let folder = env!("CARGO_MANIFEST_DIR");
    let program = Command::new(env!("CARGO_BIN_EXE_gate")).args(args).current_dir(folder).output();
    let output = program.expect("it starts");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{text}");
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
