//! The protocol of Samestate as a state machine.
//!
//! [`wire`] turns messages into bytes and back. [`replication`] holds one store at one node: a
//! [`Replica`](replication::Replica) takes messages, local dispatches and the time, and returns
//! messages, events and work to do. Neither opens a socket, reads a clock or draws a random number;
//! the driver of a replica passes all of these in. The `samestate` crate drives it over real
//! connections, and the simulator of `samestate-sim` over virtual ones.
//!
//! Users of Samestate do not depend on this crate. Its items follow the protocol and change with
//! it.

#![warn(clippy::missing_errors_doc, clippy::missing_panics_doc)]
#![warn(clippy::print_stderr, clippy::print_stdout)]

mod causes;
mod mode;
mod mutant;
pub mod replication;
mod token;
mod version;
pub mod wire;

pub use causes::with_causes;
pub use mode::Mode;
#[cfg(samestate_mutants)]
pub use mutant::{Mutant, UnknownMutant};
pub use token::{Claim, TOKEN_BYTES, TOKEN_KEY_BYTES, Token, TokenKey};
pub use version::{EPOCHS_MAX, Epoch, Lineage, NodeId, PROMOTION_SKIPS, Version};
