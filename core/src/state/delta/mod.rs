//! Changes of a state as patches, for mode `delta`.
//!
//! A node that sends in mode `delta` keeps the state from before an action and asks the state after
//! it for the difference. A clone of the persistent collections takes O(1), and they record the
//! keys that an action touches, so a patch takes O(what changed). For other types both the clone
//! and the comparison take O(size).
//!
//! | file | holds |
//! |---|---|
//! | `mod` | the trait [`Delta`], and a state's functions behind one type |
//! | `whole` | types that are replaced as a whole |
//! | `recorded` | the keys that were touched since a recording began |
//! | `entries` | patches of maps |
//! | `elements` | patches of sequences |
//! | `list` | patches of the persistent list |
//! | `json` | patches of `serde_json::Value` |

mod elements;
mod entries;
mod json;
mod list;
mod recorded;
mod whole;

use std::fmt;

pub use elements::{ElementsPatch, Splice};
pub use entries::EntriesPatch;
pub use json::ValuePatch;
pub use list::ListPatch;
pub(super) use list::Overlap;
pub(super) use recorded::Recorded;
pub use samestate_derive::Delta;
use samestate_proto::wire::Codec;
use serde::Serialize;
use serde::de::DeserializeOwned;
pub use whole::{OptionPatch, changed};

use crate::codec::{decode, encode};
use crate::store::State;

/// A patch that does not fit the state that it was applied to, with the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatchMisfit(pub String);

/// A value whose changes can be sent as a patch: what a state needs for
/// [`Mode::Delta`](crate::Mode::Delta).
///
/// [`Map`](super::Map), [`List`](super::List), `BTreeMap`, `HashMap`, `Vec`, `VecDeque`,
/// `Option`, `serde_json::Value`, texts, numbers and `bool` have it. Derive it for your own types:
///
/// ```
/// use samestate::state::{Delta, Map};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Default, Serialize, Deserialize, Delta)]
/// struct Tasks {
///     by_id: Map<u64, Task>,
///     title: String,
/// }
///
/// #[derive(Clone, Serialize, Deserialize, Delta)]
/// struct Task {
///     text: String,
///     status: Status,
/// }
///
/// // An enum is replaced as a whole, and so is a field with `#[delta(whole)]`.
/// #[derive(Clone, Serialize, Deserialize, Delta)]
/// enum Status {
///     Open,
///     Done { at: u64 },
/// }
///
/// let task = Task { text: "sweep".into(), status: Status::Open };
/// let before = Tasks { by_id: Map::from_iter([(7, task)]), title: "chores".into() };
/// let mut after = before.clone();
/// after.by_id.update(&7, |task| task.status = Status::Done { at: 12 });
///
/// let patch = after.diff(&before).expect("something changed");
/// assert_eq!(
///     serde_json::to_string(&patch)?,
///     r#"{"by_id":[{"edit":[[7,{"status":[{"Done":{"at":12}}]}]]}]}"#,
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// # The derive
///
/// A struct gets a patch with the patches of the fields that changed. `#[delta(whole)]` on a field
/// replaces the field as a whole, `#[delta(skip)]` leaves it out (for a field with
/// `#[serde(skip)]`), and `#[delta(whole)]` on a struct replaces the struct as a whole. What is
/// replaced as a whole needs `Clone` and `Serialize`, and is compared by its
/// [digest](super::digest()).
///
/// # By hand
///
/// `diff` and `apply` must agree: `before` with the patch applied is `after`. Mode delta compares
/// digests as mode action does, so a patch that leaves something out is found and reported as a
/// divergence.
pub trait Delta: Sized {
    /// The changes from one value to another.
    type Patch: Serialize + DeserializeOwned + Send + Sync;

    /// Starts or ends the recording of changes, for a type that makes a patch from such a record.
    /// Called before and after each action. The default does nothing.
    fn record(&mut self, recording: bool) {
        let _ = recording;
    }

    /// Returns the changes since `before`; `None` if there are none.
    fn diff(&self, before: &Self) -> Option<Self::Patch>;

    /// Changes this value as the patch says.
    ///
    /// # Errors
    ///
    /// If the patch is of another value. This value may then be changed in part.
    fn apply(&mut self, patch: Self::Patch) -> Result<(), PatchMisfit>;
}

/// The functions of [`Delta`] for one type of state, so that a store holds them without a bound on
/// its type.
pub struct Patching<S> {
    record: fn(&mut S, bool),
    diff: fn(Codec, &S, &S, &mut Vec<u8>) -> Result<(), String>,
    apply: fn(Codec, &mut S, &[u8]) -> Result<(), String>,
}

impl<S> Clone for Patching<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Patching<S> {}

impl<S> fmt::Debug for Patching<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patching").finish_non_exhaustive()
    }
}

impl<S: State + Delta> Patching<S> {
    /// Returns the functions of this type.
    pub fn new() -> Self {
        Patching { record: S::record, diff: diff::<S>, apply: apply::<S> }
    }
}

impl<S: State + Delta> Default for Patching<S> {
    fn default() -> Self {
        Patching::new()
    }
}

impl<S> Patching<S> {
    pub(crate) fn record(&self, state: &mut S, recording: bool) {
        (self.record)(state, recording);
    }

    /// Appends the encoded patch from `before` to `after` to `out`; nothing if they are the same.
    pub(crate) fn diff(
        &self,
        codec: Codec,
        before: &S,
        after: &S,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        (self.diff)(codec, before, after, out)
    }

    /// Applies an encoded patch; no bytes are no change.
    pub(crate) fn apply(&self, codec: Codec, state: &mut S, patch: &[u8]) -> Result<(), String> {
        (self.apply)(codec, state, patch)
    }
}

fn diff<S: State + Delta>(
    codec: Codec,
    before: &S,
    after: &S,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    match after.diff(before) {
        Some(patch) => encode(codec, &patch, out),
        None => Ok(()),
    }
}

fn apply<S: State + Delta>(codec: Codec, state: &mut S, patch: &[u8]) -> Result<(), String> {
    if patch.is_empty() {
        return Ok(());
    }
    let patch = decode::<S::Patch>(codec, patch)?;
    state.apply(patch).map_err(|misfit| misfit.0)
}

#[cfg(test)]
mod tests;
