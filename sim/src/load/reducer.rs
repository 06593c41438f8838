//! The properties of a reducer that a runner needs, and the search for a reducer by the name that
//! scenarios use.
//!
//! Stores are typed, and a scenario knows names alone. A [`Visitor`] bridges that: it is generic
//! over the [`Reducer`], and a [`Registry`] calls it with the one that has the name. A registry
//! is a type, [`Shipped`](super::Shipped) or a pair of a reducer and a registry, so that a user
//! adds theirs with `(Mine, Shipped)` and pays nothing at run time.

use std::fmt::Debug;
use std::num::NonZeroU32;

use rand::Rng;
pub use samestate::Reject;
use samestate::state::Patching;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::scenario::{LoadPlan, StorePlan};

/// A reducer as a load: its state, its actions, and how to make them.
pub trait Reducer: Send + Sync + 'static {
    /// The state: its default is the empty store.
    type State: Clone + Default + Debug + Serialize + DeserializeOwned + Send + Sync + 'static;
    /// The actions.
    type Action: Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static;

    /// Its name and text, and the keys of a scenario that it takes.
    const INFO: ReducerInfo;

    /// Applies an action: pure and deterministic; checks first, then changes.
    fn reduce(state: &mut Self::State, action: &Self::Action) -> Result<(), Reject>;

    /// The functions that make patches of the state and apply them, for mode `delta`; `None` where
    /// the state has none.
    fn patching() -> Option<Patching<Self::State>> {
        None
    }

    /// The `n`-th action of a load.
    fn action(random: &mut dyn Rng, n: u64, params: &Params) -> Self::Action;

    /// Actions that bring an empty store into the state a load begins with; the root dispatches
    /// them before anything is measured.
    fn opening(_params: &Params) -> Vec<Self::Action> {
        Vec::new()
    }

    /// The action by which a mirror sets this store to another store's serialised state: `None`
    /// where a reducer cannot be mirrored into.
    fn mirroring(_serialised: Vec<u8>) -> Option<Self::Action> {
        None
    }

    /// The serialised state that was mirrored into this one, if that is what it holds.
    fn mirrored(_state: &Self::State) -> Option<&[u8]> {
        None
    }

    /// Returns whether two states are the same. By default they are compared as values, since a
    /// map's entries may stand in another order.
    fn same(one: &Self::State, other: &Self::State) -> bool {
        match (serde_json::to_value(one), serde_json::to_value(other)) {
            (Ok(one), Ok(other)) => one == other,
            _ => false,
        }
    }
}

/// A reducer as a scenario names it, and the keys that it takes there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReducerInfo {
    /// Its name in files.
    pub name: &'static str,
    /// A description of its state and its actions.
    pub about: &'static str,
    /// True if the state's size can be given (`size`).
    pub sized: bool,
    /// True if actions carry bytes whose number can be given (`payload`).
    pub payload: bool,
    /// True if the reducer supports actions that go wrong on purpose (`poison`).
    pub poisonable: bool,
}

impl ReducerInfo {
    /// Returns the description of a reducer that takes no keys of its own.
    pub const fn new(name: &'static str, about: &'static str) -> Self {
        ReducerInfo { name, about, sized: false, payload: false, poisonable: false }
    }
}

/// The sizes of a load, as the scenario gives them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Params {
    /// The size of the state, for reducers that can be told; `None` for their own choice.
    pub state_bytes: Option<u64>,
    /// The number of bytes that each action carries; `None` for the reducer's own choice.
    pub payload_bytes: Option<usize>,
    /// The actions that go wrong on purpose.
    pub poison: Poison,
}

impl Params {
    /// Returns the parameters of a load of a plan, for the actions of its store.
    pub fn of(store: &StorePlan, load: &LoadPlan) -> Self {
        let every = |every: Option<NonZeroU32>| every.map_or(0, |every| every.get().into());
        let usize_of = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
        Params {
            state_bytes: store.size_bytes,
            payload_bytes: load.payload_bytes.map(usize_of),
            poison: Poison {
                reject_every: every(load.poison.reject_every),
                panic_every: every(load.poison.panic_every),
            },
        }
    }

    /// Returns the number of bytes that each action carries; `usual` by default.
    pub fn payload_or(&self, usual: usize) -> usize {
        self.payload_bytes.unwrap_or(usual)
    }
}

/// The actions of a load that go wrong on purpose, for reducers that support it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Poison {
    /// Every so many actions one that the reducer rejects; 0 for never.
    pub reject_every: u64,
    /// Every so many actions one that makes the reducer panic; 0 for never.
    pub panic_every: u64,
}

/// The way in which an action goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The reducer rejects it.
    Rejects,
    /// The reducer panics.
    Panics,
}

impl Poison {
    /// Returns the way in which the `n`-th action of a load goes wrong, if it does.
    pub fn of(&self, n: u64) -> Option<Wrong> {
        let falls_on = |every: u64| every > 0 && (n + 1).is_multiple_of(every);
        if falls_on(self.panic_every) {
            Some(Wrong::Panics)
        } else {
            falls_on(self.reject_every).then_some(Wrong::Rejects)
        }
    }
}

/// Something done with a reducer that was found by its name.
pub trait Visitor {
    /// The type of the result.
    type Output;

    /// Called with the reducer.
    fn visit<R: Reducer>(self) -> Self::Output;
}

/// Reducers, found by name.
pub trait Registry: Send + Sync + 'static {
    /// Calls `visitor` with the reducer called `name`.
    fn visit<V: Visitor>(name: &str, visitor: V) -> Result<V::Output, UnknownReducer>;

    /// Returns a description of each, in the order of their list.
    fn all() -> Vec<ReducerInfo>;

    /// Returns the description of the reducer called `name`.
    fn find(name: &str) -> Option<ReducerInfo> {
        Self::all().into_iter().find(|reducer| reducer.name == name)
    }

    /// Returns the names of all, in alphabetical order.
    fn names() -> Vec<&'static str> {
        let mut names: Vec<_> = Self::all().iter().map(|reducer| reducer.name).collect();
        names.sort_unstable();
        names
    }
}

/// No reducer has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no reducer called `{name}`; there are {}", known.join(", "))]
pub struct UnknownReducer {
    /// The name asked for.
    pub name: String,
    /// The names there are.
    pub known: Vec<&'static str>,
}

/// Declares a registry of reducers.
macro_rules! registry {
    ($(#[$about:meta])* $registry:ident: $($reducer:ty),+ $(,)?) => {
        $(#[$about])*
        pub struct $registry;

        impl Registry for $registry {
            fn visit<V: Visitor>(name: &str, visitor: V) -> Result<V::Output, UnknownReducer> {
                $(if name == <$reducer>::INFO.name {
                    return Ok(visitor.visit::<$reducer>());
                })+
                Err(UnknownReducer { name: name.to_owned(), known: Self::names() })
            }

            fn all() -> Vec<ReducerInfo> {
                vec![$(<$reducer>::INFO),+]
            }
        }
    };
}

pub(super) use registry;

/// A reducer of one's own, before those of another registry.
impl<R: Reducer, Others: Registry> Registry for (R, Others) {
    fn visit<V: Visitor>(name: &str, visitor: V) -> Result<V::Output, UnknownReducer> {
        if name == R::INFO.name {
            return Ok(visitor.visit::<R>());
        }
        Others::visit(name, visitor)
            .map_err(|_| UnknownReducer { name: name.to_owned(), known: Self::names() })
    }

    fn all() -> Vec<ReducerInfo> {
        let others = Others::all().into_iter().filter(|other| other.name != R::INFO.name);
        std::iter::once(R::INFO).chain(others).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::reducers::Shipped;
    use rand::SeedableRng;

    use super::*;

    /// Applies a load to a store, and gives the state as JSON.
    struct Load {
        params: Params,
        actions: u64,
    }

    impl Visitor for Load {
        type Output = serde_json::Value;

        fn visit<R: Reducer>(self) -> serde_json::Value {
            let mut random = rand_pcg::Pcg64::seed_from_u64(7);
            let mut state = R::State::default();
            for action in R::opening(&self.params) {
                R::reduce(&mut state, &action).expect("an opening action is a good one");
            }
            let mut rejected = 0;
            for n in 0..self.actions {
                let action = R::action(&mut random, n, &self.params);
                let bytes = serde_json::to_vec(&action).expect("actions serialise");
                let action = serde_json::from_slice(&bytes).expect("and back");
                rejected += u64::from(R::reduce(&mut state, &action).is_err());
            }
            assert!(rejected <= self.actions / 5, "{}: {rejected} rejected", R::INFO.name);
            let bytes = serde_json::to_vec(&state).expect("states serialise");
            let back: R::State = serde_json::from_slice(&bytes).expect("and back");
            serde_json::to_value(&back).expect("states serialise")
        }
    }

    fn load(actions: u64) -> Load {
        Load { params: Params::default(), actions }
    }

    #[test]
    fn every_shipped_reducer_is_found_and_takes_its_load() {
        for name in Shipped::names() {
            let first = Shipped::visit(name, load(25)).expect("it is listed");
            assert_eq!(
                Shipped::visit(name, load(25)).as_ref(),
                Ok(&first),
                "{name} is deterministic"
            );
            assert_ne!(Shipped::visit(name, load(24)).as_ref(), Ok(&first), "{name} changes");
        }
    }

    #[test]
    fn an_unknown_reducer_is_answered_with_those_there_are() {
        let error = Shipped::visit("rong", load(0)).expect_err("there is none");
        assert!(error.to_string().contains("`rong`") && error.to_string().contains("ring"));
    }

    #[test]
    fn a_user_adds_a_reducer_of_their_own() {
        struct Mine;
        impl Reducer for Mine {
            type State = u64;
            type Action = ();
            const INFO: ReducerInfo = ReducerInfo {
                name: "mine",
                about: "counts in twos",
                sized: false,
                payload: false,
                poisonable: false,
            };
            fn reduce(state: &mut u64, _: &()) -> Result<(), Reject> {
                *state += 2;
                Ok(())
            }
            fn action(_: &mut dyn Rng, _: u64, _: &Params) {}
        }
        type Both = (Mine, Shipped);
        assert_eq!(Both::visit("mine", load(4)), Ok(serde_json::json!(8)));
        assert!(Both::visit("ring", load(1)).is_ok());
        let error = Both::visit("yours", load(1)).expect_err("there is none");
        assert!(error.known.contains(&"mine") && error.known.contains(&"ring"));
    }

    #[test]
    fn poison_falls_on_every_nth_action() {
        let poison = Poison { reject_every: 2, panic_every: 3 };
        let wrong: Vec<_> = (0..6).map(|n| poison.of(n)).collect();
        let (rejects, panics) = (Some(Wrong::Rejects), Some(Wrong::Panics));
        assert_eq!(wrong, [None, rejects, panics, rejects, None, panics]);
        assert_eq!(Poison::default().of(0), None);
    }
}
