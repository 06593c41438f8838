//! Launches clusters from a scenario, breaks them, and measures how identical they stayed.
#![warn(clippy::print_stderr, clippy::print_stdout)]

pub mod cli;
mod console;
pub mod control;
mod family;
pub mod faults;
mod gate;
pub mod invariants;
pub mod live;
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
/// The crate of the random numbers that [`load::Reducer::action`] draws from.
pub use rand;

/// Runs a program with all the verbs of `samestate`, which knows the reducers of a registry beside
/// those that ship.
///
/// ```no_run
/// use rand::{Rng, RngExt};
/// use samestate_sim::cli::ExitCode;
/// use samestate_sim::load::{Params, Reducer, ReducerInfo, Reject, Shipped};
///
/// struct Stock;
///
/// impl Reducer for Stock {
///     type State = u64;
///     type Action = i8;
///
///     const INFO: ReducerInfo = ReducerInfo::new("stock", "the number of items in a warehouse");
///
///     fn reduce(stock: &mut u64, change: &i8) -> Result<(), Reject> {
///         let left = stock.checked_add_signed((*change).into());
///         *stock = left.ok_or("there are not that many")?;
///         Ok(())
///     }
///
///     fn action(random: &mut dyn Rng, _n: u64, _params: &Params) -> i8 {
///         random.random_range(-3..5)
///     }
/// }
///
/// fn main() -> ExitCode {
///     samestate_sim::main_with::<(Stock, Shipped)>()
/// }
/// ```
pub fn main_with<R: load::Registry>() -> cli::ExitCode {
    cli::main_with::<R>()
}

/// Adds a registry's reducers to those that this process knows.
pub(crate) fn add_reducers<R: load::Registry>() {
    load::catalog::add::<R>();
    node::add_reducers::<R>();
    record::add_reducers::<R>();
    virtual_time::add_reducers::<R>();
}
