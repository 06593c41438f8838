//! Encoding of actions and states, and the checks that they survive it.
//!
//! | file | holds |
//! |---|---|
//! | `bytes` | encoding and decoding, with a bound on nesting in both directions |
//! | `nesting` | how deep MessagePack nests, without recursion |
//! | `walk` | the serializer that counts levels, and records where it is |
//! | `outline` | the parts of a value with their paths, and the first one that differs |
//! | `check` | the check that a value survives its codec, and the path of what does not |

mod bytes;
mod check;
mod nesting;
mod outline;
mod walk;

pub(crate) use bytes::{decode, encode, encode_within, encoded_bytes, write_shallow};
pub(crate) use check::{check, decode_own, difference};
