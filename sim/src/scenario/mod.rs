//! The scenario file: read, checked, resolved and explained.
//!
//! A file is read in steps, each of which makes the next one simpler:
//!
//! ```text
//! text -> tree (values with their places) -> Scenario (typed, as written) -> Plan (resolved)
//! ```
//!
//! `--set`, `--seed` and the values of `matrix` change the tree, so that they are checked like
//! anything that stands in the file. A [`Plan`] is valid: no later code has to ask whether a node
//! exists or a link makes sense. The errors of a file are reported all at once, each with file,
//! line, column and what to write instead.

mod decode;
pub(crate) mod draws;
mod environment;
mod error;
mod explain;
mod model;
mod near;
mod plan;
mod quantity;
mod read;
mod rescale;
mod resolve;
mod schema;
mod spellings;
mod topology;
mod tree;
mod units;

pub use error::{Invalid, Place, Problem, ScenarioError};
pub(crate) use explain::arrival_in_words;
pub use explain::explain;
pub use model::{
    Arrival, BackupSpec, Burst, Closed, ClusterSpec, CreateClientSpec, EventSpec, ExpectSpec,
    FORMAT_VERSION, LinkSpec, LoadSpec, MirrorSpec, Mode, ObserveSpec, PhaseSpec, PoisonSpec, Ramp,
    Resync, Role, Scenario, StoreSpec, VirtualTimeSpec,
};
pub use plan::{
    Address, Event, Expectation, Expected, LinkPlan, LoadPlan, Login, MetricBound, MirrorPlan,
    NodeId, NodePlan, Observation, PhasePlan, Plan, StorePlan, TimedEvent, VirtualTimePlan,
};
pub use quantity::{QuantityError, Rate, Size, Span};
pub use read::{Case, Overrides, ScenarioFile, Setting};
pub(crate) use read::{REDACTED, is_password};
pub(crate) use resolve::ALL_WORKERS;
pub use schema::json_schema;
pub use spellings::{LinkRef, OneOrMany};
pub use topology::{Member, Topology, Tree, Upstream};
