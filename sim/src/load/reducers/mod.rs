//! The reducers that ship, one a file.

mod counter;
mod logger;
mod replace;
mod ring;

pub use counter::{Counter, CounterAction, CounterState};
pub use logger::{LogRecord, Logger, LoggerAction, LoggerState};
pub use replace::{Replace, ReplaceAction, ReplaceState};
pub use ring::{Ring, RingAction, RingState};
