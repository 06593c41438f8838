//! The digest of a state: what two replicas at one version compare.
//!
//! It is a structural hash of what a value tells serde, taken as it streams by: nothing is copied
//! and nothing is encoded. Two states that a reducer could tell apart have different digests (up
//! to the chance of any 64-bit hash), and the order of a map's entries changes nothing.
//!
//! The scheme is on [`Digest`], where users see it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::feed::{Feed, Refused};
use super::mix::{Mix, Tag};

/// A structural hash of a state, equal wherever the state is.
///
/// # The scheme
///
/// It is the same on every platform and in every release. Every word is mixed in under a tag that
/// says what it is, so that `["ab", "c"]` and `["a", "bc"]` differ, and so do `None`,
/// `Some(())` and `()`.
///
/// | value | mixed in |
/// |---|---|
/// | integer | its value. The width does not count: `5u8` is `5u64` is `5i32` |
/// | float | its bits as an `f64`. `-0.0` is not `0.0`, since a program can tell. All NaNs are one: they differ by processor |
/// | `bool`, `char`, unit | its tag and value |
/// | text, bytes | length, then bytes |
/// | `None`, `Some(x)` | its tag; then `x` |
/// | sequence, tuple | its elements in order, then how many |
/// | struct | name and value of each field in the order declared, then how many; no skipped fields |
/// | newtype struct | what is inside |
/// | enum | the kind and the *name* of the variant, then what is inside |
/// | map | the sum of its entries' hashes, each hashed by itself, and how many there are |
/// | [`List`](super::List) | a polynomial of its elements' hashes, see below, and how many there are |
/// | set, by [`as_set`](super::as_set) | the sum of its elements' hashes, and how many there are |
///
/// A struct's own name does not count. The polynomial of a list is taken modulo 2^61 - 1 (Karp
/// and Rabin, 1987).
///
/// # Sets
///
/// serde knows no sets: a `HashSet` serialises as a sequence, in another order in every process,
/// and two equal ones would have two digests. Put
/// `#[serde(serialize_with = "samestate::state::as_set")]` on such a field, or use a `BTreeSet`.
/// A type may also supply its own digest: [`serialize_with_digest`](super::serialize_with_digest).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest(pub u64);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A value that would not serialise, so that it has no digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "digest a `{of}`: {reason}; its `Serialize` has to succeed for every value that a reducer \
     can make"
)]
pub struct DigestError {
    /// The type whose digest was asked for.
    pub of: &'static str,
    /// The message of the value's `Serialize`.
    pub reason: String,
}

impl DigestError {
    pub(super) fn of<T: ?Sized>(refused: Refused) -> Self {
        DigestError { of: std::any::type_name::<T>(), reason: refused.0 }
    }
}

/// The digest of `state`.
///
/// The work is O(state), except where a type keeps its digest, as [`Map`](super::Map) and
/// [`List`](super::List) do.
///
/// # Errors
///
/// If the `Serialize` of something in the state fails.
pub fn digest<T: Serialize + ?Sized>(state: &T) -> Result<Digest, DigestError> {
    let mut mix = Mix::new(Tag::Root);
    state.serialize(Feed::into_mix(&mut mix)).map_err(DigestError::of::<T>)?;
    Ok(Digest(mix.finish()))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn of<T: Serialize + ?Sized>(value: &T) -> Digest {
        digest(value).expect("serialises")
    }

    #[derive(Serialize)]
    struct Point {
        x: i32,
        y: i32,
    }

    #[derive(Serialize)]
    struct Unit;

    #[derive(Serialize)]
    struct Wrapped(u64);

    #[derive(Serialize)]
    enum Shape {
        None,
        Unit(()),
        Pair(u8, u8),
        Named { x: i32, y: i32 },
    }

    /// Values no two of which are the same to a reducer.
    fn distinct() -> Vec<Digest> {
        vec![
            of(&()),
            of(&None::<()>),
            of(&Some(())),
            of(&Some(Some(()))),
            of(&false),
            of(&true),
            of(&0),
            of(&1),
            of(&-1),
            of(&u64::MAX),
            of(&(u128::from(u64::MAX) + 1)),
            of(&i128::MIN),
            of(&i64::MIN),
            of(&0.0),
            of(&-0.0),
            of(&1.0),
            of(&f64::NAN),
            of(&f64::INFINITY),
            of(&'a'),
            of("a"),
            of(""),
            of("\0"),
            of(&[""]),
            of(&["", ""]),
            of(&["ab", "c"]),
            of(&["a", "bc"]),
            of(&["c", "ab"]),
            of(&vec![vec![1], vec![2]]),
            of(&vec![vec![1, 2]]),
            of(&vec![vec![1, 2], vec![]]),
            of(&[1, 2]),
            of(&[2, 1]),
            of::<[u8]>(&[]),
            of(&[0u8]),
            of(&Point { x: 1, y: 2 }),
            of(&Point { x: 2, y: 1 }),
            of(&Shape::None),
            of(&Shape::Unit(())),
            of(&Shape::Pair(1, 2)),
            of(&Shape::Named { x: 1, y: 2 }),
            of(&BTreeMap::<u8, u8>::new()),
            of(&BTreeMap::from([(1, 2), (3, 4)])),
            of(&BTreeMap::from([(1, 4), (3, 2)])),
            of(&BTreeMap::from([("x", 1), ("y", 2)])),
        ]
    }

    #[test]
    fn values_that_differ_in_structure_or_content_have_different_digests() {
        let digests = distinct();
        for (i, one) in digests.iter().enumerate() {
            for (j, other) in digests.iter().enumerate().skip(i + 1) {
                assert_ne!(one, other, "values {i} and {j} of the list");
            }
        }
    }

    #[test]
    fn the_width_of_a_number_and_a_newtype_around_it_do_not_count() {
        assert_eq!(of(&5u8), of(&5i64));
        assert_eq!(of(&5u8), of(&5u128));
        assert_eq!(of(&-5i8), of(&-5i128));
        assert_eq!(of(&1.5f32), of(&1.5f64));
        assert_eq!(of(&5u8), of(&Wrapped(5)));
        assert_eq!(of(&()), of(&Unit));
        assert_eq!(of(&[1, 2]), of(&(1u8, 2u64)));
    }

    #[test]
    fn all_nans_are_one() {
        assert_eq!(of(&f64::NAN), of(&-f64::NAN));
        assert_eq!(of(&f64::NAN), of(&f32::NAN));
        assert_eq!(of(&f64::NAN), of(&f64::from_bits(f64::NAN.to_bits() | 1)));
    }

    /// The values the scheme is pinned to. If this fails, replicas of two releases would call
    /// each other diverged: change the code back, not the numbers. A second implementation,
    /// written in Python from the scheme, gave the same ones.
    #[test]
    fn the_scheme_is_the_same_in_every_release() {
        let golden = [
            (of(&()), "cc4b6b6cec405c37"),
            (of(&5), "a2660fc16d754742"),
            (of(&-5), "1ac3048980d1f559"),
            (of(&1.5), "e6d89cdb33bc5050"),
            (of("a sentence of more than sixteen bytes"), "b0bfb26225506802"),
            (of(&["ab", "c"]), "5f413f73ae17a9d9"),
            (of(&Some(true)), "576c886a39422878"),
            (of(&Point { x: 1, y: -2 }), "c040e5b83b0722f1"),
            (of(&Shape::Named { x: 1, y: -2 }), "eaed7ebe9b6a738a"),
            (of(&BTreeMap::from([("b", vec![1]), ("a", vec![])])), "397a399334c1bf58"),
            (of(&json!({"tasks": [{"id": 1, "done": null}]})), "ec534e702118a184"),
        ];
        let digests: Vec<String> = golden.iter().map(|pair| pair.0.to_string()).collect();
        let pinned: Vec<&str> = golden.iter().map(|pair| pair.1).collect();
        assert_eq!(digests, pinned);
    }

    #[test]
    fn a_serialize_that_fails_is_an_error_that_names_the_type() {
        struct Sulky;
        impl Serialize for Sulky {
            fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("not today"))
            }
        }
        let error = digest(&vec![Sulky]).expect_err("must fail").to_string();
        assert!(error.contains("Sulky") && error.contains("not today"), "{error}");
    }

    proptest! {
        #[test]
        fn the_order_of_a_maps_entries_changes_nothing(
            entries in prop::collection::btree_map(any::<u16>(), ".{0,12}", 0..40)
        ) {
            let hashed: HashMap<_, _> = entries.clone().into_iter().collect();
            prop_assert_eq!(of(&entries), of(&hashed));
        }

        #[test]
        fn the_order_of_a_sequence_counts(mut items in prop::collection::vec(any::<u8>(), 2..20)) {
            let before = (items.clone(), of(&items));
            items.rotate_left(1);
            prop_assert_eq!(before.0 == items, before.1 == of(&items));
        }
    }
}
