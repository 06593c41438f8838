//! Checks for tests of programs that use this library, and a link that they can break.

mod link;

use std::fmt;

use samestate_proto::wire::Codec;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{check, decode, difference, encode};
use crate::state::{Delta, Patching};
use crate::store::{Action, IntoReduction, State};

pub use link::TestLink;

/// A value that does not survive a codec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecError {
    /// The codec.
    pub codec: Codec,
    /// The place of the value among the ones that were checked, from 0.
    pub index: usize,
    /// The path of the part that does not survive, and the reason.
    pub why: String,
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CodecError { codec, index, why } = self;
        write!(f, "value {index} cannot be restored from its encoding as {codec:?}: {why}")
    }
}

impl std::error::Error for CodecError {}

/// Checks that each of these values survives [`Codec::MessagePack`], a store's default codec:
/// see [`check_codec_as`].
///
/// ```
/// use samestate::testing::check_codec;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// struct Patch {
///     /// `None`: leave it; `Some(None)`: clear it; `Some(Some(..))`: set it.
///     name: Option<Option<String>>,
/// }
///
/// let set = || Patch { name: Some(Some("Ada".into())) };
/// assert_eq!(check_codec([set()])?, [set()]);
///
/// // `Some(None)` comes back as `None`.
/// let error = check_codec([set(), Patch { name: Some(None) }]).unwrap_err();
/// assert_eq!(error.index, 1);
/// assert!(error.why.starts_with("name: "));
/// # Ok::<(), samestate::testing::CodecError>(())
/// ```
///
/// # Errors
///
/// As [`check_codec_as`].
pub fn check_codec<T: Serialize + DeserializeOwned + Send + Sync>(
    values: impl IntoIterator<Item = T>,
) -> Result<Vec<T>, CodecError> {
    check_codec_as(Codec::MessagePack, values)
}

/// Checks that each of these values survives a codec: that its bytes decode to a value with the
/// same [digest](crate::state::digest()). Use values of your actions, and of your state at its
/// fullest.
///
/// Returns the decoded values, to be compared with `assert_eq!` if they implement `PartialEq`: the
/// digest does not show the loss of a field marked `#[serde(skip)]`.
///
/// # Errors
///
/// The first value that does not survive, with the path of the part that does not.
pub fn check_codec_as<T: Serialize + DeserializeOwned + Send + Sync>(
    codec: Codec,
    values: impl IntoIterator<Item = T>,
) -> Result<Vec<T>, CodecError> {
    let checked = values.into_iter().enumerate().map(|(index, value)| {
        let mut bytes = Vec::new();
        let encoded = encode(codec, &value, &mut bytes);
        let back = encoded.and_then(|()| check(codec, &value, &bytes));
        back.map_err(|why| CodecError { codec, index, why })
    });
    checked.collect()
}

/// An action that a reducer applies differently each time, or whose change no patch describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReducerError {
    /// The place of the action among the ones that were applied, from 0.
    pub index: usize,
    /// The path of the part of the state that differs, and the reason.
    pub why: String,
}

impl fmt::Display for ReducerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ReducerError { index, why } = self;
        write!(f, "action {index}: {why}")
    }
}

impl std::error::Error for ReducerError {}

/// Checks that a reducer is deterministic: applies the actions, as their bytes decode, to two
/// states from the beginning, and compares the digests after each action. Returns the last state.
///
/// It finds a reducer that reads a clock, draws random numbers, counts its calls, or depends on the
/// order of a `HashMap`. A clock that reads the same both times is not found, so use actions that
/// reach every branch, and many of them.
///
/// ```
/// use std::collections::HashMap;
/// use samestate::testing::check_reducer;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Debug, Default, Serialize, Deserialize)]
/// struct Votes { votes: HashMap<String, u32>, first: String }
///
/// let count = |state: &mut Votes, name: &String| {
///     *state.votes.entry(name.clone()).or_default() += 1;
/// };
/// let names = || (0..50).map(|name| name.to_string());
/// assert_eq!(check_reducer(count, names())?.votes.len(), 50);
///
/// // Among several with the same number of votes, the order of the map decides.
/// let lead = move |state: &mut Votes, name: &String| {
///     count(state, name);
///     let first = state.votes.iter().max_by_key(|(_, votes)| **votes);
///     state.first = first.map(|(name, _)| name.clone()).unwrap_or_default();
/// };
/// let error = check_reducer(lead, names()).unwrap_err();
/// assert!(error.to_string().contains("first: "), "{error}");
/// # Ok::<(), samestate::testing::ReducerError>(())
/// ```
///
/// # Errors
///
/// The first action after which the two states differ, or that one of the two rejects, and the path
/// of the part that differs. Also an action that does not survive its encoding, and a state that
/// has no digest.
pub fn check_reducer<S, A, V>(
    reducer: impl Fn(&mut S, &A) -> V,
    actions: impl IntoIterator<Item = A>,
) -> Result<S, ReducerError>
where
    S: State + Default,
    A: Action,
    V: IntoReduction,
{
    let (mut one, mut other) = (S::default(), S::default());
    for (index, action) in actions.into_iter().enumerate() {
        let failed = |why: String| ReducerError { index, why };
        let action = as_sent(&action).map_err(failed)?;
        let verdicts =
            (reducer(&mut one, &action).verdict(), reducer(&mut other, &action).verdict());
        if verdicts.0 != verdicts.1 {
            return Err(failed(match (verdicts.0.err(), verdicts.1.err()) {
                (Some(one), Some(other)) => {
                    format!("the reducer rejects it with two reasons: {}, {}", one.0, other.0)
                }
                (one, other) => {
                    let why = one.or(other).map(|reject| reject.0).unwrap_or_default();
                    format!("the reducer takes it once and rejects it once: {why}")
                }
            }));
        }
        if let Some(path) = difference(&one, &other).map_err(failed)? {
            return Err(failed(at(&path, "the reducer gives another value each time")));
        }
    }
    Ok(one)
}

/// Checks the patches of a type of state: applies the actions, makes the patch of each, sends it
/// through both codecs, and applies it to a state from before. Returns the last state. Use it if
/// you implement [`Delta`] by hand.
///
/// ```
/// use samestate::state::Map;
/// use samestate::testing::check_delta;
///
/// let set = |texts: &mut Map<u32, String>, key: &u32| { texts.insert(*key, "text".into()); };
/// assert_eq!(check_delta(set, [1, 2, 1])?.len(), 2);
/// # Ok::<(), samestate::testing::ReducerError>(())
/// ```
///
/// # Errors
///
/// The first action whose patch does not lead to the state after it, and the path of the part that
/// differs. Also an action that does not survive its encoding, and a patch that cannot be encoded
/// or decoded.
pub fn check_delta<S, A, V>(
    reducer: impl Fn(&mut S, &A) -> V,
    actions: impl IntoIterator<Item = A>,
) -> Result<S, ReducerError>
where
    S: State + Delta + Default,
    A: Action,
    V: IntoReduction,
{
    let patching = Patching::<S>::new();
    let mut state = S::default();
    for (index, action) in actions.into_iter().enumerate() {
        let failed = |why: String| ReducerError { index, why };
        let action = as_sent(&action).map_err(failed)?;
        patching.record(&mut state, true);
        let mut after = state.clone();
        let rejected = reducer(&mut after, &action).verdict().is_err();
        for codec in [Codec::MessagePack, Codec::Json] {
            let (mut patch, mut patched) = (Vec::new(), state.clone());
            patching.diff(codec, &state, &after, &mut patch, usize::MAX).map_err(failed)?;
            patching.apply(codec, &mut patched, &patch).map_err(failed)?;
            if let Some(path) = difference(&patched, &after).map_err(failed)? {
                return Err(failed(at(
                    &path,
                    "the patch does not give the value after the action",
                )));
            }
        }
        if !rejected {
            state = after;
        }
        patching.record(&mut state, false);
    }
    Ok(state)
}

/// Returns the action that every node gets.
fn as_sent<A: Action>(action: &A) -> Result<A, String> {
    let mut bytes = Vec::new();
    encode(Codec::MessagePack, action, &mut bytes)?;
    decode(Codec::MessagePack, &bytes)
}

fn at(path: &str, why: &str) -> String {
    if path.is_empty() { why.to_owned() } else { format!("{path}: {why}") }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use serde::Deserialize;

    use super::*;
    use crate::state::PatchMisfit;

    #[derive(Clone, Default, Serialize, Deserialize)]
    struct Pair {
        one: u64,
        two: u64,
    }

    #[test]
    fn a_reducer_that_counts_its_calls_or_rejects_at_random_is_found() {
        let calls = Cell::new(0_u64);
        let count = |pair: &mut Pair, by: &u64| {
            calls.set(calls.get() + 1);
            pair.one += by;
            if *by == 3 {
                pair.two = calls.get();
            }
        };
        let error = check_reducer(count, [1, 2, 3, 4]).err().expect("it is found");
        assert_eq!((error.index, error.why.starts_with("two: ")), (2, true), "{error}");
        let reject = |_: &mut Pair, _: &u64| {
            calls.set(calls.get() + 1);
            if calls.get().is_multiple_of(2) {
                Err(crate::Reject("now and then".into()))
            } else {
                Ok(())
            }
        };
        let error = check_reducer(reject, [1]).err().expect("it is found");
        assert!(error.why.contains("now and then"), "{error}");
    }

    /// Leaves a field out.
    impl Delta for Pair {
        type Patch = u64;

        fn diff(&self, before: &Self) -> Option<u64> {
            (self.one != before.one).then_some(self.one)
        }

        fn apply(&mut self, patch: u64) -> Result<(), PatchMisfit> {
            self.one = patch;
            Ok(())
        }
    }

    #[test]
    fn a_patch_that_leaves_something_out_is_found() {
        let add = |pair: &mut Pair, by: &u64| match by {
            0 => pair.two += 1,
            by => pair.one += by,
        };
        assert_eq!(check_delta(add, [1, 2, 1]).expect("these are told").one, 4);
        let error = check_delta(add, [1, 0]).err().expect("it is found");
        assert_eq!((error.index, error.why.starts_with("two: ")), (1, true), "{error}");
    }
}
