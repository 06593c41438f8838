//! `ring`: the article's first test (T1). Pushes a string; once there are more than 500, first
//! drops the oldest 100.

use std::collections::VecDeque;
use std::sync::Arc;

use rand::Rng;
use samestate::state::{Delta, Patching};
use serde::{Deserialize, Serialize};

use crate::load::reducer::{Params, Reducer, ReducerInfo, Reject};
use crate::load::text;

/// The ring holds this many strings before it drops any.
const FULL: usize = 500;

/// So many of the oldest are dropped at once.
const DROPPED: usize = 100;

/// The article's array.
pub struct Ring;

/// The strings, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Delta)]
pub struct RingState {
    /// The article calls them versions.
    pub versions: VecDeque<Arc<str>>,
}

/// The actions on a ring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RingAction {
    /// Adds a string.
    Push(Arc<str>),
}

impl Reducer for Ring {
    type State = RingState;
    type Action = RingAction;

    const INFO: ReducerInfo = ReducerInfo {
        name: "ring",
        about: "the article's: pushes a text onto a list, of which the oldest 100 go once it has \
                more than 500",
        sized: false,
        payload: true,
        poisonable: false,
    };

    fn reduce(state: &mut RingState, action: &RingAction) -> Result<(), Reject> {
        let RingAction::Push(text) = action;
        if state.versions.len() > FULL {
            state.versions.drain(..DROPPED);
        }
        state.versions.push_back(Arc::clone(text));
        Ok(())
    }

    fn patching() -> Option<Patching<Self::State>> {
        Some(Patching::new())
    }

    fn action(random: &mut dyn Rng, n: u64, params: &Params) -> RingAction {
        RingAction::Push(text::numbered(random, n, params.payload_or(24)).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_hundred_go_once_there_are_more_than_five_hundred() {
        let mut state = RingState::default();
        let push = |state: &mut RingState, n: u64| {
            Ring::reduce(state, &RingAction::Push(n.to_string().into())).expect("never rejects");
        };
        (0..501).for_each(|n| push(&mut state, n));
        assert_eq!(state.versions.len(), 501);
        push(&mut state, 501);
        assert_eq!(state.versions.len(), 402);
        assert_eq!(state.versions.front().map(|v| &**v), Some("100"));
        assert_eq!(state.versions.back().map(|v| &**v), Some("501"));
    }
}
