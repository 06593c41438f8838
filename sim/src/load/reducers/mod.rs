//! The reducers that ship, one a file.

mod counter;
mod document;
mod logger;
mod map;
mod probe;
mod replace;
mod ring;

pub use counter::{Counter, CounterAction, CounterState};
pub use document::{Document, DocumentAction, DocumentState, Section};
pub use logger::{LogRecord, Logger, LoggerAction, LoggerState};
pub use map::{MapAction, MapReducer, MapState};
pub use probe::{Probe, ProbeAction, ProbeAsk, ProbeState};
pub use replace::{Replace, ReplaceAction, ReplaceState};
pub use ring::{Ring, RingAction, RingState};
