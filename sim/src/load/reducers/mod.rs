//! The reducers that ship: each describes itself in a file of its own, and stands in one list.

use super::reducer::{Reducer as _, ReducerInfo, Registry, UnknownReducer, Visitor, registry};

mod counter;
mod document;
mod logger;
mod map;
mod probe;
mod ranking;
mod replace;
mod ring;

pub use counter::{Counter, CounterAction, CounterState};
pub use document::{Document, DocumentAction, DocumentState, Section};
pub use logger::{LogRecord, Logger, LoggerAction, LoggerState};
pub use map::{MapAction, MapReducer, MapState};
pub use probe::{Probe, ProbeAction, ProbeAsk, ProbeState};
pub use ranking::{Player, Ranking, RankingAction, RankingState};
pub use replace::{Replace, ReplaceAction, ReplaceState};
pub use ring::{Ring, RingAction, RingState};

registry! {
    /// The reducers that ship, in the order in which they are listed for people.
    Shipped: Ring, Replace, Counter, Logger, Document, Ranking, MapReducer, Probe
}
