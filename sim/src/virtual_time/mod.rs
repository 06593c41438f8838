//! Scenarios on virtual time: many processes in one thread, everything drawn from one seed.
//!
//! The simulated code is the code that ships: [`samestate_proto::replication`] and
//! [`samestate_proto::wire`], bytes and all, under the reducers, loads and faults of a scenario
//! file. The simulator makes everything around it: a clock, a network that cuts, stalls, loses and
//! garbles, processes that die, pause and restart, and a checker that compares every step of every
//! replica with one history.
//!
//! | module | subject |
//! |---|---|
//! | `rng`, `heap` | chance, and time |
//! | `machine` | the state of a replica, whatever its reducer |
//! | `network` | connections: bytes that take time, and get lost |
//! | `world` | replicas and connections, and the loop |
//! | `check` | I1-I7 and I10, after every step |
//! | `play` | a plan, played in a world |
//! | `run` | a plan, simulated: an outcome, or a violation |
//! | `search` | many seeds, on all cores |
//! | [`draw`](mod@draw) | the scenario that a seed of the swarm draws |
//! | [`shrink`] | a scenario that fails, made as small as it gets |
//! | `trace` | traces, for people |

mod check;
pub mod draw;
mod heap;
mod machine;
mod network;
mod play;
mod rng;
mod run;
mod search;
pub mod shrink;
mod trace;
mod world;

pub use check::{Cause, Fate, Tally};
pub use draw::draw;
pub(crate) use machine::add_reducers;
pub use machine::{Action, ErasedMachine, Kind, Mishap, Still};
pub use network::NetworkModel;
pub use run::{Options, Outcome, SimulateError, simulate};
pub use search::{Failure, Glance, Search, Searched, Source, Why, why_of};
pub use trace::{Flight, Moment, Stamped, Trace, What};
pub use world::{HostSpec, InjectedFault, Moments, Notice, SlotSpec, Upstream, World};
