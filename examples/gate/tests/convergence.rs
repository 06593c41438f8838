//! The gate: two hundred seeds of one topology, in a moment, the same on every machine.

use samestate_sim::Scenario;
use samestate_sim::scenario::ScenarioError;

#[test]
fn orders_converge_under_faults() -> Result<(), ScenarioError> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/orders.yaml");
    Scenario::load(path)?.seeds(0..200).assert_holds();
    Ok(())
}

#[test]
fn what_does_not_hold_fails_the_test_and_names_the_seed() -> Result<(), ScenarioError> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/too-strict.yaml");
    let failed = Scenario::load(path)?.seeds(3..5).check().expect_err("nothing is that fast");
    assert_eq!(failed.failure.seed, 3);
    assert!(failed.to_string().starts_with("too-strict, seed 3: expected"), "{failed}");
    Ok(())
}
