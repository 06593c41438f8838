//! `fail`: the reducer panics at one replica.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Fault, FaultSpec, Kind, Planned, ReplicaMut, Spec, SpecTarget, TAMPERED_REDUCER, Target,
    TimesMut,
};
use crate::scenario::{NodeId, Span};
use crate::virtual_time::InjectedFault;

static KIND: Kind = Kind { run_lacks: Some(TAMPERED_REDUCER), ..Kind::new("fail") };

/// The reducer panics at the next action, at one replica only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailSpec {
    /// The node.
    pub node: String,
    /// The store.
    pub store: String,
    /// The time, from the run's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Span>,
    /// The time from one to the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// The number of strikes in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<NonZeroU32>,
}

/// The reducer panics at the next action, at one replica only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fail {
    /// The node.
    pub node: NodeId,
    /// The store.
    pub store: String,
}

impl Spec for FailSpec {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn target(&self) -> SpecTarget<'_> {
        SpecTarget::replica(&self.node, &self.store, |node| {
            Fault::Fail(Fail { node, store: self.store.clone() })
        })
    }

    fn replica_mut(&mut self) -> Option<ReplicaMut<'_>> {
        Some(ReplicaMut { node: &mut self.node, store: Some(&mut self.store) })
    }

    fn times_mut(&mut self) -> TimesMut<'_> {
        TimesMut { at: self.at.as_mut(), lasts: None }
    }
}

impl Planned for Fail {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn target(&self) -> Target<'_> {
        Target::Replica(self.node, &self.store)
    }

    fn line(&self, at: &str) -> String {
        format!("the reducer of {} panics at {at} alone", self.store)
    }

    fn spec(&self, node: String, at: Option<Span>) -> FaultSpec {
        let store = self.store.clone();
        FaultSpec::Fail(FailSpec { node, store, at, every: None, times: None })
    }

    fn simulated(&self, slot: usize) -> Option<(InjectedFault, &'static str)> {
        let fault = InjectedFault::Fail { slot };
        Some((fault, "copy"))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_simulation_injects_it() {
        crate::faults::testing::is_injected("fail: { node: b.master, store: tasks, at: 500ms }");
    }
}
