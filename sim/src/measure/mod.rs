//! The measures of a run: identity, staleness, latency and cost.
//!
//! The input is observations, stamped in nanoseconds on a clock that all processes share (the
//! machine's monotonic clock, or virtual time). This module reads no clock and draws no random
//! number, so that both runners measure with the same code. Each kind of observation is bounded in
//! memory, can be handed over in parts while a run continues, and reports how much it had to thin
//! out.
//!
//! - [`timeline`]: when each replica of a store was at which version;
//! - [`identity`]: how much of the time the replicas were the same, and how soon again;
//! - [`staleness`]: how far behind the root each replica was;
//! - [`latency`]: from the intended dispatch to the answer, and to each replica;
//! - [`histogram`]: distributions of durations;
//! - [`over_time`]: measures in windows of time, bounded;
//! - [`cost`]: processor time and memory of each process;
//! - [`slices`]: processor time of an action, relative to a reference work;
//! - [`summary`]: all of that of one store, as the record shows it.

pub mod cost;
pub mod histogram;
pub mod identity;
pub mod latency;
pub mod over_time;
pub mod slices;
pub mod staleness;
pub mod summary;
pub mod timeline;

pub use cost::{Cost, CostSampler, Reading};
pub use histogram::{Latencies, Quantiles};
pub use identity::{Convergence, EqualVersion, Samples, Share};
pub use latency::{Arrivals, Counts, DispatchLog, Dispatched, Outcome};
pub use slices::{CpuSlices, reference_pass};
pub use staleness::Staleness;
pub use summary::StoreSeen;
pub use timeline::{Point, Timeline, Trace};
