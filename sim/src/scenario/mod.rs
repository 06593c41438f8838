//! The scenario file: read, checked, resolved and explained.
//!
//! [`Scenario`] is the file as written; [`Plan`] is what it means once every name is resolved.

mod model;
mod plan;
mod quantity;
mod spellings;
mod topology;

pub use model::{
    Arrival, Burst, Closed, ClusterSpec, CreateClientSpec, CutSpec, EventSpec, ExpectSpec,
    FORMAT_VERSION, FaultSpec, KillSpec, LinkSpec, LoadSpec, MirrorSpec, Mode, ObserveSpec,
    PhaseSpec, Ramp, Resync, Role, Scenario, StoreSpec,
};
pub use plan::{
    Address, Event, Expectation, Fault, LinkPlan, LoadPlan, Login, MetricBound, MirrorPlan, NodeId,
    NodePlan, Observation, PhasePlan, Plan, StorePlan, TimedEvent, TimedFault,
};
pub use quantity::{QuantityError, Rate, Size, Span};
pub use spellings::{LinkRef, OneOrMany};
pub use topology::{Member, Topology, Tree, Upstream};
