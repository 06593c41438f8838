//! Checks for tests of programs that use this library.

use std::fmt;

use samestate_proto::wire::Codec;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{check, encode};

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
/// fullest. `docs/states.md` lists which types survive which codec.
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
