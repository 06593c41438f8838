//! Types that are replaced as a whole.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Delta, PatchMisfit};
use crate::state::digest;

/// Returns a clone of `after` if its digest differs from that of `before`, or if one of the digests
/// cannot be computed. The derive of [`Delta`] calls this for types and fields that are replaced as
/// a whole.
pub fn changed<T: Clone + Serialize>(before: &T, after: &T) -> Option<T> {
    let same = match (digest(before), digest(after)) {
        (Ok(before), Ok(after)) => before == after,
        _ => false,
    };
    (!same).then(|| after.clone())
}

macro_rules! whole {
    ($($type:ty),* $(,)?) => {
        $(impl Delta for $type {
            type Patch = $type;

            fn diff(&self, before: &Self) -> Option<$type> {
                (self != before).then(|| self.clone())
            }

            fn apply(&mut self, patch: $type) -> Result<(), PatchMisfit> {
                *self = patch;
                Ok(())
            }
        })*
    };
}

whole! {
    (), bool, char, u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize,
    String, Arc<str>, Box<str>,
}

/// Floats are compared by their bits: 0.0 and -0.0 are different states.
macro_rules! floats {
    ($($type:ty),*) => {
        $(impl Delta for $type {
            type Patch = $type;

            fn diff(&self, before: &Self) -> Option<$type> {
                (self.to_bits() != before.to_bits()).then_some(*self)
            }

            fn apply(&mut self, patch: $type) -> Result<(), PatchMisfit> {
                *self = patch;
                Ok(())
            }
        })*
    };
}

floats! { f32, f64 }

/// The change of an `Option`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptionPatch<T, P> {
    /// The option holds this value now.
    Some(T),
    /// The option is empty now.
    None,
    /// The value in the option changed.
    Edit(P),
}

impl<T> Delta for Option<T>
where
    T: Delta + Clone + Serialize + serde::de::DeserializeOwned + Send + Sync,
{
    type Patch = OptionPatch<T, T::Patch>;

    fn record(&mut self, recording: bool) {
        if let Some(value) = self {
            value.record(recording);
        }
    }

    fn diff(&self, before: &Self) -> Option<Self::Patch> {
        match (before, self) {
            (None, None) => None,
            (Some(before), Some(after)) => after.diff(before).map(OptionPatch::Edit),
            (None, Some(after)) => Some(OptionPatch::Some(after.clone())),
            (Some(_), None) => Some(OptionPatch::None),
        }
    }

    fn apply(&mut self, patch: Self::Patch) -> Result<(), PatchMisfit> {
        match (patch, self.as_mut()) {
            (OptionPatch::Some(value), _) => *self = Some(value),
            (OptionPatch::None, _) => *self = None,
            (OptionPatch::Edit(patch), Some(value)) => value.apply(patch)?,
            (OptionPatch::Edit(_), None) => {
                return Err(PatchMisfit("it edits a value that is not there".into()));
            }
        }
        Ok(())
    }
}

impl<T: Delta> Delta for Box<T> {
    type Patch = T::Patch;

    fn record(&mut self, recording: bool) {
        T::record(self, recording);
    }

    fn diff(&self, before: &Self) -> Option<Self::Patch> {
        T::diff(self, before)
    }

    fn apply(&mut self, patch: Self::Patch) -> Result<(), PatchMisfit> {
        T::apply(self, patch)
    }
}
