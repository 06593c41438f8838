//! The program that each node process of a run is.
//!
//! It joins its cluster, opens the stores that the plan gives it, connects them, and says that it
//! is ready. Told to start, it dispatches what the plan's loads say, mirrors and compares stores,
//! and ten times a second hands what it saw to the runner. It decides nothing: whether the run
//! went well is for the runner to say.
//!
//! | file | holds |
//! |---|---|
//! | `program` | a node's incarnation, from joining its cluster to leaving it |
//! | `session` | the conversation with the runner |
//! | `open` | opens the stores of the plan, and connects them |
//! | `store` | one open store, whose types no other module knows |
//! | `meter` | the processor time of this process in short slices |
//! | `null` | a store that replicates nothing: what the instruments cost |
//! | `open_loop`, `closed_loop` | the load |
//! | `mirror`, `compare` | one store's state into another, and two stores held together |
//! | `adapter` | a node that is a program in any language |
//! | `clock` | waiting for an instant, closely |
//! | `log` | the node's own log file |

mod adapter;
mod clock;
mod closed_loop;
mod compare;
mod log;
mod meter;
mod mirror;
mod null;
mod open;
mod open_loop;
mod program;
mod session;
mod store;

pub(crate) use adapter::messages::json_schema as adapter_schema;

use crate::load::catalog::Table;
use crate::load::{Registry, Shipped};
pub use program::{NodeError, main};

/// Opens stores with the types of a registry's reducers.
#[derive(Clone, Copy)]
struct Openers {
    own: open::OpenOwn,
    of_program: adapter::OpenOfProgram,
}

impl Openers {
    const fn of<R: Registry>() -> Self {
        Openers { own: open::open::<R>, of_program: adapter::open::<R> }
    }
}

static OPENERS: Table<Openers> = Table::new(Openers::of::<Shipped>());

/// Adds the stores of a registry's reducers.
pub(crate) fn add_reducers<R: Registry>() {
    OPENERS.add::<R>(Openers::of::<R>());
}
