//! The load of a cluster: its actions, and the reducers that they go to.
//!
//! - [`arrival`]: when dispatches are meant to be made, and samples taken;
//! - `catalog`: the reducers that this process knows, shipped or a user's;
//! - [`reducer`]: what a runner needs to know of a reducer, and how it finds one by its name;
//! - [`reducers`]: those that ship;
//! - `held`: states held still, their types hidden, and how payloads are encoded;
//! - `strategy`: actions drawn from the strategies of proptest;
//! - [`text`]: filler for payloads, from the seed.

pub mod arrival;
pub(crate) mod catalog;
mod held;
pub mod reducer;
pub mod reducers;
#[cfg(feature = "proptest")]
mod strategy;
pub mod text;

pub use arrival::{Arrivals, Samplings, random};
pub use held::{Held, HeldState, decode, encode, same};
pub use reducer::{
    Params, Poison, Reducer, ReducerInfo, Registry, Reject, UnknownReducer, Visitor,
};
pub use reducers::Shipped;
#[cfg(feature = "proptest")]
pub use strategy::sample;
