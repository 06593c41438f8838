//! `counter`: one number. The cheapest reducer there is, and one that can be poisoned.

use rand::Rng;
use samestate::state::{Delta, Patching};
use serde::{Deserialize, Serialize};

use crate::load::reducer::{Params, Reducer, ReducerInfo, Reject, Wrong};

/// A number that grows.
pub struct Counter;

/// The number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Delta)]
pub struct CounterState {
    /// Wraps around, so that no sum is an error.
    pub value: i64,
}

/// The actions on the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CounterAction {
    /// Adds so much.
    Add(i64),
    /// Is rejected.
    Reject,
    /// Makes the reducer panic.
    Panic,
}

impl Reducer for Counter {
    type State = CounterState;
    type Action = CounterAction;

    const INFO: ReducerInfo = ReducerInfo {
        name: "counter",
        about: "adds to a number",
        sized: false,
        payload: false,
        poisonable: true,
    };

    fn reduce(state: &mut CounterState, action: &CounterAction) -> Result<(), Reject> {
        match action {
            CounterAction::Add(more) => state.value = state.value.wrapping_add(*more),
            CounterAction::Reject => return Err("asked to be rejected".into()),
            CounterAction::Panic => panic!("the counter was asked to panic"),
        }
        Ok(())
    }

    fn patching() -> Option<Patching<Self::State>> {
        Some(Patching::new())
    }

    fn action(_random: &mut dyn Rng, n: u64, params: &Params) -> CounterAction {
        match params.poison.of(n) {
            Some(Wrong::Rejects) => CounterAction::Reject,
            Some(Wrong::Panics) => CounterAction::Panic,
            None => CounterAction::Add(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejected_action_changes_nothing() {
        let mut state = CounterState { value: 3 };
        assert!(Counter::reduce(&mut state, &CounterAction::Reject).is_err());
        assert_eq!(state.value, 3);
    }
}
