//! `map`: keys and values in the persistent map. A load can be poisoned with actions at which the
//! reducer panics, to show that the panic is undone.

use rand::{Rng, RngExt};
use samestate::state::{Delta, Map, Patching};
use serde::{Deserialize, Serialize};

use crate::load::reducer::{Params, Reducer, ReducerInfo, Reject, Wrong};
use crate::load::text;

/// The number of keys, unless the load sets the size of the state.
const KEYS: u64 = 1_000;

/// The default number of bytes of a value.
const VALUE_BYTES: usize = 32;

/// Keys and values.
pub struct MapReducer;

/// The entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Delta)]
pub struct MapState {
    /// By key.
    pub entries: Map<String, String>,
}

/// The actions on the entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MapAction {
    /// Puts a value at a key.
    Put {
        /// The key of the entry.
        key: String,
        /// The new value.
        value: String,
    },
    /// Removes a key; nothing happens where there is none.
    Remove {
        /// The key of the entry.
        key: String,
    },
    /// Is rejected.
    Reject,
    /// Puts a value, then panics.
    Panic,
}

impl Reducer for MapReducer {
    type State = MapState;
    type Action = MapAction;

    const INFO: ReducerInfo = ReducerInfo {
        name: "map",
        about: "keys and values of about `size` bytes in all, of which each action sets one",
        sized: true,
        payload: true,
        poisonable: true,
    };

    fn reduce(state: &mut MapState, action: &MapAction) -> Result<(), Reject> {
        match action {
            MapAction::Put { key, value } => {
                state.entries.insert(key.clone(), value.clone());
            }
            MapAction::Remove { key } => {
                state.entries.remove(key);
            }
            MapAction::Reject => return Err("asked to be rejected".into()),
            MapAction::Panic => {
                state.entries.insert("half-done".to_owned(), "by a reducer that panicked".into());
                panic!("the map was asked to panic");
            }
        }
        Ok(())
    }

    fn patching() -> Option<Patching<Self::State>> {
        Some(Patching::new())
    }

    fn action(random: &mut dyn Rng, n: u64, params: &Params) -> MapAction {
        match params.poison.of(n) {
            Some(Wrong::Rejects) => return MapAction::Reject,
            Some(Wrong::Panics) => return MapAction::Panic,
            None => {}
        }
        let value_bytes = params.payload_or(VALUE_BYTES);
        let keys = params.state_bytes.map_or(KEYS, |bytes| bytes / (value_bytes as u64 + 12));
        let key = format!("key-{:08}", random.random_range(0..keys.max(1)));
        if n % 10 == 9 {
            return MapAction::Remove { key };
        }
        MapAction::Put { key, value: text::numbered(random, n, value_bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::reducer::Poison;

    #[test]
    fn poison_comes_when_asked_for() {
        let mut random: rand_pcg::Pcg64 = rand::SeedableRng::seed_from_u64(1);
        let poison = Poison { reject_every: 3, panic_every: 5 };
        let params = Params { poison, ..Params::default() };
        let actions: Vec<_> = (0..5).map(|n| MapReducer::action(&mut random, n, &params)).collect();
        assert_eq!((&actions[2], &actions[4]), (&MapAction::Reject, &MapAction::Panic));
    }

    #[test]
    fn a_clone_from_before_a_panic_is_untouched() {
        let mut state = MapState::default();
        let before = state.clone();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            MapReducer::reduce(&mut state, &MapAction::Panic)
        }));
        assert!(outcome.is_err());
        assert!(before.entries.is_empty());
    }
}
