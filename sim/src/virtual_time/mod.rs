//! The protocol in virtual time: many nodes in one thread, everything drawn from one seed.
//!
//! What runs is the code that ships: [`samestate::replication`] and [`samestate::wire`], bytes and
//! all. What is made here is everything around it: a clock, a network that cuts, stalls, loses and
//! garbles, processes that die, pause and come back, and a checker that holds every step of every
//! node against one canonical history.
//!
//! | room | holds |
//! |---|---|
//! | `dice`, `heap` | chance, and time |
//! | `machine` | the store: a state that any slip in the order shows in |
//! | `network` | connections: bytes that take time, and get lost |
//! | `fault` | what can go wrong, as values |
//! | `world` | nodes and connections, and the loop |
//! | `check` | I1-I7 and I10, after every step |
//! | [`draw`] | what a seed of the swarm draws: a whole scenario file |
//! | [`shrink`] | a scenario that fails, made as small as it gets |
//! | `swarm` | what a seed draws: a topology, settings, a load, faults |
//! | `run` | a seed, run: an outcome, or a violation with its trace |
//! | `trace` | what happened last, for people |

mod check;
mod dice;
pub mod draw;
mod fault;
mod heap;
mod machine;
mod network;
mod run;
pub mod shrink;
mod swarm;
mod trace;
mod world;

pub use check::{Fate, Tally};
pub use fault::Fault;
pub use machine::{Action, Ask, Mishap, State, Subject};
pub use network::Weather;
pub use run::{Failure, Options, Outcome, run_plan, run_seed};
pub use swarm::{Dispatch, NodePlan, Plan};
pub use world::{Moments, NodeSpec, World};
