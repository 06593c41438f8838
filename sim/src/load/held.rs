//! A store's state held still, its types hidden: to be compared, mirrored, and written down.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::reducer::Reducer;

/// Encodes a value as messages, payloads and final states are: MessagePack, with field names.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, rmp_serde::encode::Error> {
    rmp_serde::to_vec_named(value)
}

/// Decodes what [`encode`] wrote.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, rmp_serde::decode::Error> {
    rmp_serde::from_slice(bytes)
}

/// A store's state as it was at one instant.
pub trait HeldState: Send {
    /// Serialised.
    fn serialised(&self) -> Result<Vec<u8>, rmp_serde::encode::Error>;

    /// Returns the state that was mirrored into it, if it holds one.
    fn mirrored(&self) -> Option<&[u8]>;

    /// Returns whether the state equals this serialised one. An empty text stands for an empty
    /// store.
    fn is(&self, serialised: &[u8]) -> bool;
}

/// A state of a reducer's types.
#[derive(Debug)]
pub struct Held<R: Reducer>(Arc<R::State>);

impl<R: Reducer> Held<R> {
    /// Holds a state.
    pub fn new(state: Arc<R::State>) -> Self {
        Held(state)
    }
}

impl<R: Reducer> HeldState for Held<R> {
    fn serialised(&self) -> Result<Vec<u8>, rmp_serde::encode::Error> {
        encode(&*self.0)
    }

    fn mirrored(&self) -> Option<&[u8]> {
        R::mirrored(&self.0)
    }

    fn is(&self, serialised: &[u8]) -> bool {
        if encode(&*self.0).is_ok_and(|mine| mine == serialised) {
            return true;
        }
        let other = match serialised {
            [] => Ok(R::State::default()),
            bytes => decode::<R::State>(bytes),
        };
        other.is_ok_and(|other| R::same(&self.0, &other))
    }
}

/// Returns whether two states are the same: one the mirror of the other, or both of one kind.
pub fn same(one: &dyn HeldState, other: &dyn HeldState) -> bool {
    match (one.mirrored(), other.mirrored()) {
        (None, Some(mirror)) => one.is(mirror),
        (Some(mirror), None) => other.is(mirror),
        (Some(first), Some(second)) => first == second || one.is(second) || other.is(first),
        (None, None) => other.serialised().is_ok_and(|serialised| one.is(&serialised)),
    }
}
