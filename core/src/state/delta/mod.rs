//! Changes of a state as patches, for mode `delta`.
//!
//! A node that sends in mode `delta` keeps the state from before an action and asks the state after
//! it for the difference. A clone of the persistent collections takes O(1), and they record the
//! keys that an action touches, so the time to make a patch depends on the number of changes alone.
//! For other types both the clone and the comparison take O(size).
//!
//! | file | holds |
//! |---|---|
//! | `mod` | the trait [`Delta`], and [`Patching`], its functions for one type of state |
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

use crate::codec::{decode, encode_within};
use crate::store::State;

/// A patch that does not fit the state that it was applied to, with the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatchMisfit(pub String);

/// A type whose changes can be sent as patches. The state of a store in
/// [`Mode::Delta`](crate::Mode::Delta) must implement it.
///
/// [`Map`](super::Map), [`List`](super::List), `BTreeMap`, `HashMap`, `Vec`, `VecDeque`,
/// `Option`, `serde_json::Value`, strings, numbers and `bool` implement it. Derive it for your own
/// types:
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
/// The patch of a struct contains a patch of each field that changed. `#[delta(whole)]` on a field
/// or on the struct makes the whole new value its patch. `#[delta(skip)]` leaves a field out, for a
/// field with `#[serde(skip)]`. A type that is replaced as a whole must be `Clone` and `Serialize`,
/// and is compared by its encoding. A struct with parameters needs `#[delta(whole)]`.
///
/// The patch holds a field as the type of the field is encoded. Attributes of serde on the field,
/// such as `with`, do not apply. If the type alone does not survive its encoding, replace the
/// struct as a whole.
///
/// Equal keys of a `BTreeMap` or `HashMap` must be encoded alike.
///
/// # Implementing it by hand
///
/// `diff` and `apply` must agree: applying the patch to `before` must give `after`. If a patch
/// leaves something out, the copies differ. Mode delta compares digests as mode action does, and
/// reports this as a divergence.
pub trait Delta: Sized {
    /// The changes from one value to another.
    type Patch: Serialize + DeserializeOwned + Send + Sync;

    /// Starts or stops recording changes, for a type that makes its patches from such a record. The
    /// store calls this before and after each action. It clones the state after the recording
    /// started, so `before` has an empty record. The default does nothing.
    fn record(&mut self, recording: bool) {
        let _ = recording;
    }

    /// Returns the changes since `before`; `None` if there are none.
    fn diff(&self, before: &Self) -> Option<Self::Patch>;

    /// Returns whether nothing changed since `before`.
    ///
    /// A sequence calls it for its elements, before it asks for the patch of one. The default makes
    /// a patch. A type with parts should compare them instead: if each level of a nested value made
    /// a patch to compare, the time would grow exponentially with the levels.
    fn is_same(&self, before: &Self) -> bool {
        self.diff(before).is_none()
    }

    /// Applies a patch to this value.
    ///
    /// # Errors
    ///
    /// If the patch does not fit this value, which may then be partly changed.
    fn apply(&mut self, patch: Self::Patch) -> Result<(), PatchMisfit>;
}

/// The functions of [`Delta`] for the state `S`. A store can hold them without the bound
/// `S: Delta`.
pub struct Patching<S> {
    record: fn(&mut S, bool),
    diff: Diff<S>,
    apply: fn(Codec, &mut S, &[u8]) -> Result<(), String>,
}

type Diff<S> = fn(Codec, &S, &S, &mut Vec<u8>, usize) -> Result<(), String>;

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
    /// Returns the functions of `S`.
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

    /// Encodes the patch that turns `before` into `after`, and appends it to `out`. Appends nothing
    /// if they are equal. A patch of more than `bytes_max` bytes is an error.
    pub(crate) fn diff(
        &self,
        codec: Codec,
        before: &S,
        after: &S,
        out: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Result<(), String> {
        (self.diff)(codec, before, after, out, bytes_max)
    }

    /// Applies an encoded patch. An empty one changes nothing.
    pub(crate) fn apply(&self, codec: Codec, state: &mut S, patch: &[u8]) -> Result<(), String> {
        (self.apply)(codec, state, patch)
    }
}

fn diff<S: State + Delta>(
    codec: Codec,
    before: &S,
    after: &S,
    out: &mut Vec<u8>,
    bytes_max: usize,
) -> Result<(), String> {
    match after.diff(before) {
        Some(patch) => encode_within(codec, &patch, bytes_max, out),
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
#[cfg(test)]
mod unusual;
