//! The guardian: a process that outlives the runner, so that no node ever does.
//!
//! The runner starts one for each case and holds a socket to it; the guardian starts the nodes,
//! so that it is their parent, and stands in for the parents of orphans (`prctl(2)`,
//! `PR_SET_CHILD_SUBREAPER`). When the socket ends, because the run is over or because the runner
//! is gone, however that came about, the guardian kills all that is below it, stopped processes
//! too, removes the run's folder, and ends. It has a session of its own: Ctrl-C in a terminal
//! reaches the runner alone.
//!
//! | module | subject |
//! |---|---|
//! | `message` | messages between the two, as lines of JSON |
//! | `program` | the guardian's process: the hidden command `guardian` |
//! | `handle` | [`Guardian`]: the runner's end |

mod handle;
mod message;
mod program;

pub(crate) use handle::{Guardian, GuardianError};
pub(crate) use message::{Ending, Report};
pub(crate) use program::serve;
