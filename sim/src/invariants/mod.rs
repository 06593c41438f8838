//! I1-I10, held against what replicas, origins and subscribers saw: one checker for both runners.
//!
//! These modules record while a run continues, cheaply and in bounded memory, and their parts can
//! be handed over to another process. At the end they are compared with each other.
//!
//! | file | holds |
//! |---|---|
//! | `violation` | what did not hold, where; bounded lists of it |
//! | `ledger` | the one canonical history, as the sequencer ordered it (I3, I5) |
//! | `origin` | what origins were answered (I6): the versions they claim |
//! | `judge` | origins held against the ledger: lost, twice, rolled back (I3, I4) |
//! | `continuity` | no gap at a replica (I1), nor in what a subscriber is told (I10) |
//! | `agreement` | equal versions are equal (I1, I2), and replicas converge (I7) |
//! | `history`, `replay` | the payloads, put through the reducer alone, compared deeply |
//! | `witness` | records all of that at one replica, as the library's observer |
//! | `runs`, `sample` | sets of numbers as ranges; a sample that is the same at both ends |
//!
//! I8 (memory) and I9 (strangers) are seen from outside: measured, and tested where they live.

mod agreement;
mod continuity;
mod history;
mod judge;
mod ledger;
mod origin;
mod replay;
mod runs;
mod sample;
mod violation;
mod witness;

pub use agreement::{agreement, convergence, first_difference, same_state};
pub use continuity::Continuity;
pub use history::{History, KEPT_BYTES_MAX, NotReplayed};
pub use judge::{Findings, judge};
pub use ledger::Ledger;
pub use origin::{Claims, OriginLog};
pub use replay::Replay;
pub(crate) use sample::Sample;
pub use violation::{Invariant, VIOLATIONS_MAX, Violation, Violations};
pub use witness::{Clock, Testimony, Witness};
