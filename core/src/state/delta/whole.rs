//! Types that are replaced as a whole.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::sync::{Arc, LazyLock};

use samestate_proto::wire::Codec;
use serde::{Deserialize, Serialize};

use super::{Delta, PatchMisfit};
use crate::codec::write_shallow;

/// Returns a clone of `after` if its encoding is another than that of `before`, or if one of them
/// cannot be encoded. The derive of [`Delta`] calls it for what is replaced as a whole.
pub fn changed<T: Clone + Serialize>(before: &T, after: &T) -> Option<T> {
    is_changed(before, after).then(|| after.clone())
}

/// Returns whether two values are encoded differently.
pub(super) fn is_changed<T: Serialize>(before: &T, after: &T) -> bool {
    fingerprint(before).is_none_or(|before| fingerprint(after) != Some(before))
}

/// Returns a hash of the encoding, with a key that only this process knows.
///
/// The digest would not do: it has no key, so a client can make two values with the same one. A
/// change from one to the other would be in no patch, and no check of the copies would find it.
fn fingerprint<T: Serialize>(value: &T) -> Option<u64> {
    static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    let mut hash = Hash(KEYS.build_hasher());
    write_shallow(Codec::MessagePack, value, &mut hash).ok()?;
    Some(hash.0.finish())
}

/// Hashes what is written.
struct Hash<H>(H);

impl<H: Hasher> io::Write for Hash<H> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

macro_rules! whole {
    ($($type:ty),* $(,)?) => {
        $(impl Delta for $type {
            type Patch = $type;

            fn diff(&self, before: &Self) -> Option<$type> {
                (self != before).then(|| self.clone())
            }

            fn is_same(&self, before: &Self) -> bool {
                self == before
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

    fn is_same(&self, before: &Self) -> bool {
        match (before, self) {
            (None, None) => true,
            (Some(before), Some(after)) => after.is_same(before),
            (None, Some(_)) | (Some(_), None) => false,
        }
    }

    fn apply(&mut self, patch: Self::Patch) -> Result<(), PatchMisfit> {
        match (patch, self.as_mut()) {
            (OptionPatch::Some(value), _) => *self = Some(value),
            (OptionPatch::None, _) => *self = None,
            (OptionPatch::Edit(patch), Some(value)) => value.apply(patch)?,
            (OptionPatch::Edit(_), None) => {
                return Err(PatchMisfit("the patch edits a value that is not there".into()));
            }
        }
        Ok(())
    }
}

impl<T: Delta> Delta for Box<T> {
    // In a box, because the patch of a type that contains itself contains itself.
    type Patch = Box<T::Patch>;

    fn record(&mut self, recording: bool) {
        T::record(self, recording);
    }

    fn diff(&self, before: &Self) -> Option<Self::Patch> {
        T::diff(self, before).map(Box::new)
    }

    fn is_same(&self, before: &Self) -> bool {
        T::is_same(self, before)
    }

    fn apply(&mut self, patch: Self::Patch) -> Result<(), PatchMisfit> {
        T::apply(self, *patch)
    }
}
