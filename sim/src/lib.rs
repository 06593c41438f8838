//! Launches clusters from a scenario, breaks them, and measures how identical they stayed.
#![warn(clippy::print_stderr, clippy::print_stdout)]

pub mod cli;
mod console;
pub mod control;
pub mod faults;
mod gate;
pub mod invariants;
pub mod load;
pub mod measure;
pub mod node;
pub mod record;
mod results;
pub mod runner;
pub mod scenario;
mod streams;
mod threads;
pub mod virtual_time;

pub use gate::{Failed, Scenario, Seeds};
