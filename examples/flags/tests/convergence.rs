//! The reducer of the service under faults: 200 seeds on virtual time. `examples/harness.rs` runs
//! the same file on real processes.

mod harness;

use harness::FlagsLoad;
use samestate_sim::Scenario;
use samestate_sim::load::Shipped;
use samestate_sim::scenario::ScenarioError;

#[test]
fn flags_converge_under_faults() -> Result<(), ScenarioError> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/flags.yaml");
    Scenario::load(path)?.with::<(FlagsLoad, Shipped)>().seeds(0..200).assert_holds();
    Ok(())
}
