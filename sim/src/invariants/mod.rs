//! I1-I10, held against what replicas, origins and subscribers saw: one checker for both runners.
//!
//! The rooms record while a run goes on, cheaply and in bounded memory, and can be taken out in
//! parts where they are kept in another process. At the end they are held against each other.
//!
//! | file | holds |
//! |---|---|
//! | `violation` | what did not hold, where; bounded lists of it |
//! | `ledger` | the one canonical history, as the sequencer ordered it (I3, I5) |
//! | `origin` | what each origin was answered (I6) |
//! | `judge` | origins held against the ledger: lost, twice, rolled back (I3, I4) |
//! | `continuity` | no gap at a replica (I1), nor in what a subscriber is told (I10) |
//! | `agreement` | equal versions are equal (I1, I2), and replicas converge (I7) |
//! | `history` | the payloads, put through the reducer alone, compared deeply |
//! | `runs`, `pairs` | sets of counters as ranges; a consistent sample of counters and versions |
//!
//! I8 (memory) and I9 (strangers) are seen from outside: measured, and tested where they live.

mod agreement;
mod continuity;
mod history;
mod judge;
mod ledger;
mod origin;
mod pairs;
mod runs;
mod violation;

pub use agreement::{agreement, convergence, first_difference, same_state};
pub use continuity::Continuity;
pub use history::{History, KEPT_BYTES_MAX, NotReplayed};
pub use judge::{Findings, judge};
pub use ledger::Ledger;
pub use origin::OriginLog;
pub use violation::{Invariant, VIOLATIONS_MAX, Violation, Violations};
