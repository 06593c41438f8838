//! The real thing: clusters as processes, driven over a control channel.
//!
//! | room | holds |
//! |---|---|
//! | [`control`] | what the runner and the node processes tell each other |
//! | [`node`] | the program that each node process is |
//! | `run` | [`run_scenario`]: a scenario's cases in turn, and their record |
//! | `play` | one case, from the first process to the last word of each node |
//! | `schedule`, `injure` | what is done at which instant; faults injected and healed |
//! | `stage` | what a case plays on: folder, guardian, control socket, proxies |
//! | `nodes` | the runner's picture of its nodes |
//! | `guardian` | the process that outlives the runner, so that no node does |
//! | `certificates` | the run's own CA, and what it signs for the nodes that speak TLS |
//! | `proxy` | a link's bytes by way of the runner, so that it can be cut |
//! | `family` | who descends from whom, and how to end all of them |
//! | `beyond` | what a scenario may ask for that real processes cannot do |
//! | `progress` | what is seen meanwhile |

mod beyond;
mod certificates;
pub mod control;
mod family;
mod guardian;
mod injure;
pub mod node;
mod nodes;
mod play;
mod progress;
mod proxy;
mod run;
mod schedule;
mod stage;

pub use beyond::beyond_run;
pub(crate) use guardian::serve as guard;
pub use progress::Watching;
pub(crate) use run::logs_kept;
pub use run::{Ran, RunOptions, run_scenario};
