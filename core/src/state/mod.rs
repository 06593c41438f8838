//! Building blocks of states: the digest, and the persistent collections that ship with the
//! library.
//!
//! | file | holds |
//! |---|---|
//! | `digest` | [`digest`]: what two replicas compare, and the scheme it follows |
//! | `supply` | how a type supplies its own digest: sets, and types that keep theirs |
//! | `map` | [`Map`]: cloned in O(1), digested in O(1) |
//! | `list` | [`List`]: the same for a sequence |
//! | `delta` | [`Delta`]: the changes of a state as a patch |
//! | `rolling` | the digest of a sequence that follows what happens to it |
//! | `feed` | the serde serializer by which a value reaches the hash |
//! | `mix` | the hash itself: 64-bit words in, one word out |

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
