//! The protocol as a state machine: no sockets, no clocks, no randomness of its own.
//!
//! A store is a log; a link is a cursor over it. One [`Replica`] is one store at one node. Time,
//! random numbers and the cost of work are passed in, so that a simulation that passes the same
//! ones sees the same history.
//!
//! The module promises, by the numbers of `docs/ARCHITECTURE.md`: one order (I1), one state a
//! version (I2), every `Ok` exactly once (I3), honest errors (I4), an origin's order (I5), its own
//! writes read (I6), convergence (I7), bounded memory (I8), and truthful subscriptions (I10).

mod condition;
mod config;
mod counters;
mod downstream;
mod events;
mod fetching;
mod healing;
#[cfg(all(test, samestate_mutants))]
mod held;
mod keeping;
mod log;
mod note;
mod observer;
mod origin;
mod output;
mod patience;
mod pressure;
mod probes;
mod replica;
mod requests;
mod restore_check;
mod routes;
mod sessions;
mod snapshots;
mod state_machine;
mod upstream;
mod verify;

pub use config::{Config, Resync};
pub use counters::Counters;
pub use downstream::Snapshot;
pub use events::{Change, Changes, Jump};
pub use keeping::{ReplayFault, Span, last_action_of};
pub use log::{Held, Log};
pub use note::{Note, Resume};
pub use observer::Observer;
pub use origin::{Origin, Resolution};
pub use output::{Image, LinkFault, LinkId, Output, Report};
pub use replica::{
    Decode, Decoded, Dispatched, Gauges, Holdings, Job, JobDone, LinkGauge, NotPromotable,
    Received, Refused, Replica, Standing,
};
pub use sessions::{Holder, Sessions, Verdict};
pub use state_machine::{Fault, StateMachine, StateView};
