//! The reducer of the service as a load for scenarios: `reducer: flags`.

use flags::{Action, Flags};
use proptest::prelude::*;
use samestate_sim::load::{Params, Reducer, ReducerInfo, Reject, sample};
use samestate_sim::rand::Rng;

pub struct FlagsLoad;

/// Few names, so that most changes meet a flag that exists, and some that no flag may have.
fn actions() -> impl Strategy<Value = Action> {
    let name = || "[a-e]|beta-[0-9]|No!";
    let by = || "ada|bob";
    prop_oneof![
        2 => (name(), any::<bool>(), by())
            .prop_map(|(name, on, by)| Action::Create { name, on, by }),
        6 => (name(), any::<bool>(), by()).prop_map(|(name, on, by)| Action::Set { name, on, by }),
        1 => (0..4_usize).prop_map(|worker| Action::Beat { worker }),
    ]
}

impl Reducer for FlagsLoad {
    type State = Flags;
    type Action = Action;

    const INFO: ReducerInfo = ReducerInfo::new("flags", "feature flags that are set and changed");

    fn reduce(flags: &mut Flags, action: &Action) -> Result<(), Reject> {
        flags::reduce(flags, action)
    }

    fn action(random: &mut dyn Rng, _n: u64, _params: &Params) -> Action {
        sample(&actions(), random).expect("the strategy filters nothing")
    }
}
