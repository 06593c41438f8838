//! Phases, and their loads.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::is_false;
use crate::scenario::quantity::{Rate, Size, Span};

/// A stretch of the run with one load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PhaseSpec {
    /// The name in `expect` and in the report.
    pub name: String,
    /// The length of the phase.
    pub duration: Span,
    /// Keeps its length when `--duration` rescales the others.
    #[serde(default, skip_serializing_if = "is_false")]
    pub fixed: bool,
    /// The loads of the phase; none, for a phase of rest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub load: Vec<LoadSpec>,
}

/// A node that dispatches into a store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadSpec {
    /// The node; `alpha.worker[*]` for each worker of a cluster, with a load of its own.
    pub at: String,
    /// The store.
    pub store: String,
    /// The times of its dispatches.
    pub arrival: Arrival,
    /// The number of bytes that each action carries, for reducers whose actions carry any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Size>,
    /// The actions that go wrong on purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poison: Option<PoisonSpec>,
}

/// Actions that go wrong on purpose, for reducers that know how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoisonSpec {
    /// Every so many actions one that the reducer rejects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reject_every: Option<NonZeroU32>,
    /// Every so many actions one that makes the reducer panic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub panic_every: Option<NonZeroU32>,
}

/// The times at which dispatches are made. All but `closed` are open loops: the intended instants
/// do not wait for answers and, but for those of `at`, begin at an offset drawn from the seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Arrival {
    /// One dispatch each so much time.
    Every(Span),
    /// So many a second, evenly spaced.
    Rate(Rate),
    /// So many a second on average, at random and independent of each other.
    Poisson(Rate),
    /// Several at one instant, again and again.
    Burst(Burst),
    /// A rate that goes evenly from one to another over the phase.
    Ramp(Ramp),
    /// As fast as answers come, with so many under way at once.
    Closed(Closed),
    /// At these instants, counted from the phase's start and in their order; two may be the same.
    At(Vec<Span>),
}

/// Several dispatches at one instant, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Burst {
    /// The number of dispatches at once.
    pub of: NonZeroU32,
    /// The time from one burst to the next.
    pub every: Span,
}

/// A rate that goes evenly from one to another over the phase.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ramp {
    /// The rate at the phase's start.
    pub from: Rate,
    /// The rate at the phase's end.
    pub to: Rate,
}

/// As fast as answers come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Closed {
    /// The number of dispatches under way at once.
    pub in_flight: NonZeroU32,
}
