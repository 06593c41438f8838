//! The store as users hold it.
//!
//! - `store`: the handle
//! - `builder`: the options of a store before it opens
//! - `opening`: the wait until it is in sync
//! - `bounds`: the bounds of all options

pub(crate) mod bounds;
pub(crate) mod builder;
pub(crate) mod opening;
pub(crate) mod store;
