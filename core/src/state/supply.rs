//! Types that supply their own digest, instead of being walked.
//!
//! The digest and the encoders all see a value through its one `Serialize`. What tells them apart
//! is the type of the serializer, and nothing else: no flag that a panic could leave set, or that
//! an encoder called from within a `Serialize` could take for its own.

use std::any::type_name;

use serde::ser::Error;
use serde::{Serialize, Serializer};

use super::digest::{Digest, DigestError};
use super::feed::{Feed, SUPPLIED, element_hash, unordered_digest};
use super::mix::Tag;

/// Serialises by `ordinary`, except for [`digest`](super::digest()), which is given `digest()`
/// and walks nothing. For the `Serialize` of a type that keeps its digest, or whose order of
/// elements is not part of its value.
///
/// Values that are equal have to supply equal digests. Where another serializer stands between,
/// as serde's `flatten` puts one there, the digest walks what `ordinary` gives.
///
/// ```
/// use samestate::state::{digest, serialize_with_digest};
/// use serde::{Serialize, Serializer};
///
/// /// A name in which upper and lower case are the same.
/// struct Name(String);
///
/// impl Serialize for Name {
///     fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
///         serialize_with_digest(
///             serializer,
///             || digest(&self.0.to_lowercase()),
///             |serializer| self.0.serialize(serializer),
///         )
///     }
/// }
///
/// assert_eq!(digest(&Name("Ada".into())), digest(&Name("ADA".into())));
/// ```
///
/// # Errors
///
/// Those of `digest` and of `ordinary`.
pub fn serialize_with_digest<S: Serializer>(
    serializer: S,
    digest: impl FnOnce() -> Result<Digest, DigestError>,
    ordinary: impl FnOnce(S) -> Result<S::Ok, S::Error>,
) -> Result<S::Ok, S::Error> {
    // `TypeId` would need `S: 'static`. A type of the same name in another version of this crate
    // would be a serializer that knows what the name `SUPPLIED` means, too.
    if type_name::<S>() == type_name::<Feed<'static>>() {
        let digest = digest().map_err(S::Error::custom)?;
        serializer.serialize_newtype_struct(SUPPLIED, &digest.0)
    } else {
        ordinary(serializer)
    }
}

/// Serialises a set: a sequence to every encoder, blind to order for the digest.
///
/// ```
/// # use std::collections::HashSet;
/// #[derive(serde::Serialize)]
/// struct Lobby {
///     #[serde(serialize_with = "samestate::state::as_set")]
///     players: HashSet<String>,
/// }
/// ```
///
/// # Errors
///
/// Those of the serializer, and of the elements' own `Serialize`.
pub fn as_set<'a, C, S>(set: &'a C, serializer: S) -> Result<S::Ok, S::Error>
where
    S: Serializer,
    C: ?Sized,
    &'a C: IntoIterator<Item: Serialize>,
{
    serialize_with_digest(serializer, || set_digest(set), |serializer| serializer.collect_seq(set))
}

/// The digest of `items` in any order: what [`as_set`] supplies.
///
/// # Errors
///
/// If the `Serialize` of an item fails.
pub fn set_digest<I: IntoIterator<Item: Serialize>>(items: I) -> Result<Digest, DigestError> {
    let (mut sum, mut count) = (0u64, 0);
    for item in items {
        let hash = element_hash(&item).map_err(DigestError::of::<I::Item>)?;
        sum = sum.wrapping_add(hash);
        count += 1;
    }
    Ok(Digest(unordered_digest(Tag::Set, sum, count)))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet, HashSet};

    use super::*;
    use crate::state::{Map, digest};

    /// A set of any type, as a field marked `as_set` serialises it.
    struct Unordered<C>(C);

    impl<C: Clone + IntoIterator<Item: Serialize>> Serialize for Unordered<C> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let items: Vec<_> = self.0.clone().into_iter().collect();
            as_set(&items, serializer)
        }
    }

    #[test]
    fn a_set_has_one_digest_in_any_order_and_any_type() {
        let names: Vec<String> = (0..100).map(|n| format!("player {n}")).collect();
        let hashed: HashSet<String> = names.iter().cloned().collect();
        let ordered: BTreeSet<String> = names.iter().cloned().collect();
        let reversed: Vec<String> = names.iter().rev().cloned().collect();
        let expected = digest(&Unordered(names.clone()));
        assert_eq!(expected, digest(&Unordered(hashed)));
        assert_eq!(expected, digest(&Unordered(ordered)));
        assert_eq!(expected, digest(&Unordered(reversed)));
        assert_ne!(expected, digest(&Unordered(names[1..].to_vec())));
        assert_ne!(expected, digest(&names));
    }

    #[test]
    fn a_field_marked_as_a_set_is_an_ordinary_sequence_to_an_encoder() {
        #[derive(Serialize)]
        struct Lobby {
            #[serde(serialize_with = "as_set")]
            players: HashSet<u8>,
            #[serde(serialize_with = "as_set")]
            waiting: [u8; 2],
        }

        let lobby = Lobby { players: HashSet::from([3]), waiting: [2, 1] };
        let json = serde_json::to_string(&lobby).expect("encodes");
        assert_eq!(json, r#"{"players":[3],"waiting":[2,1]}"#);
        let other = Lobby { players: HashSet::from([3]), waiting: [1, 2] };
        assert_eq!(digest(&lobby), digest(&other));
    }

    /// A value that encodes, and digests, another one while it is itself being digested.
    struct Nosy(Map<String, u32>);

    impl Serialize for Nosy {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let json = serde_json::to_string(&self.0).map_err(S::Error::custom)?;
            let inner = digest(&self.0).map_err(S::Error::custom)?;
            (json, inner, &self.0).serialize(serializer)
        }
    }

    #[test]
    fn an_encoder_called_within_a_digest_sees_the_ordinary_value() {
        let map = Map::from_iter([("a".to_owned(), 1)]);
        let plain = BTreeMap::from([("a", 1)]);
        let expected = digest(&(r#"{"a":1}"#, digest(&plain).expect("digests"), &plain));
        assert_eq!(digest(&Nosy(map)), expected);
    }

    #[test]
    fn serdes_own_wrappers_see_the_ordinary_value() {
        #[derive(Serialize)]
        struct Flat<M> {
            id: u32,
            #[serde(flatten)]
            rest: M,
        }

        #[derive(Serialize)]
        #[serde(tag = "kind")]
        enum Tagged<M> {
            Map(M),
        }

        let map = Map::from_iter([("a".to_owned(), 1)]);
        let plain = BTreeMap::from([("a".to_owned(), 1)]);
        let flat = digest(&Flat { id: 7, rest: map.clone() }).expect("digests");
        assert_eq!(flat, digest(&Flat { id: 7, rest: plain.clone() }).expect("digests"));
        let tagged = digest(&Tagged::Map(map)).expect("digests");
        assert_eq!(tagged, digest(&Tagged::Map(plain)).expect("digests"));
    }
}
