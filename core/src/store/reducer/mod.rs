//! The reducer: the state machine made of it, several as one, and the undoing of its panics.
//!
//! - `machine`: state and reducer as the state machine that is replicated
//! - `combine`: one reducer made of several
//! - `slow`: a handicap, to test that comparisons find it
//! - `undo`: the state before an action on which the reducer panicked

pub(crate) mod combine;
pub(crate) mod machine;
#[cfg(samestate_slow_apply)]
mod slow;
pub(crate) mod undo;
