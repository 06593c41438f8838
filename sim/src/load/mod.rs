//! What a cluster is loaded with: which actions, and into which reducers.
//!
//! - [`arrival`]: when dispatches are meant to be made, and samples taken;
//! - [`reducer`]: what a runner needs to know of a reducer, and how it finds one by its name;
//! - [`reducers`]: those that ship;
//! - [`text`]: filler for payloads, from the seed.

pub mod arrival;
pub mod reducer;
pub mod reducers;
pub mod text;

pub use arrival::{Arrivals, Samplings};
pub use reducer::{Params, Poison, Reducer, Registry, Reject, Shipped, UnknownReducer, Visitor};
