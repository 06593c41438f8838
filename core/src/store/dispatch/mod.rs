//! Dispatches, from the call to the outcome.
//!
//! - `future`: the future of a dispatch, and of many
//! - `middleware`: functions that see each dispatch before it is queued

pub(crate) mod future;
pub(crate) mod middleware;
