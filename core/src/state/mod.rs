//! Building blocks of states: the digest, and the persistent collections that ship with the
//! library.
//!
//! A state may be any type. [`Map`] and [`List`] are for its large parts: they are cloned and
//! digested in O(1). [`Delta`] is for mode delta, and [`as_set`], [`set_digest`] and
//! [`serialize_with_digest`] for types whose equal values are serialised in different ways.

// The files:
//
// digest     what two replicas compare, and the scheme that it follows
// supply     how a type supplies its own digest: sets, and types that keep theirs
// map, list  the persistent collections
// delta      the changes of a state as a patch
// rolling    the digest of a sequence that follows the changes of it
// feed       the serde serializer by which a value reaches the hash
// mix        the hash itself: 64-bit words in, one word out

mod delta;
mod digest;
mod feed;
mod list;
mod map;
mod mix;
mod rolling;
mod supply;

pub use delta::{
    Delta, ElementsPatch, EntriesPatch, ListPatch, OptionPatch, PatchMisfit, Patching, Splice,
    ValuePatch, changed,
};
pub use digest::{Digest, DigestError, digest};
pub use list::{Iter as ListIter, List};
pub use map::{Iter, Map};
#[doc(hidden)]
pub use serde as __serde;
pub use supply::{as_set, serialize_with_digest, set_digest};
