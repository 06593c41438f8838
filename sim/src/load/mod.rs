//! What a cluster is loaded with: which actions, and into which reducers.
//!
//! - [`reducer`]: what a runner needs to know of a reducer, and how it finds one by its name;
//! - [`reducers`]: those that ship;
//! - [`text`]: filler for payloads, from the seed.

pub mod reducer;
pub mod reducers;
pub mod text;

pub use reducer::{Params, Poison, Reducer, Registry, Reject, Shipped, UnknownReducer, Visitor};
