//! `pause`: a process stands still for a while.

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Fault, FaultSpec, Halt, Kind, Lasts, Planned, ReplicaMut, Spec, SpecTarget, Target, TimesMut,
};
use crate::scenario::{NodeId, Span};
use crate::virtual_time::InjectedFault;

static KIND: Kind = Kind { halt: Some(Halt::Still), ..Kind::new("pause") };

/// A process stands still for a while.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseSpec {
    /// The node; `alpha.worker[*]` for each worker of a cluster.
    pub node: String,
    /// The time, from the run's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Span>,
    /// The time from one to the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// The number of strikes in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<NonZeroU32>,
    /// The time for which it stands still.
    #[serde(rename = "for")]
    pub lasts: Span,
}

/// A process stands still for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// The node.
    pub node: NodeId,
    /// The time for which it lasts.
    pub lasts: Duration,
}

impl Spec for PauseSpec {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn target(&self) -> SpecTarget<'_> {
        let lasts = self.lasts.get();
        SpecTarget::node(&self.node, move |node| Fault::Pause(Pause { node, lasts }))
    }

    fn replica_mut(&mut self) -> Option<ReplicaMut<'_>> {
        Some(ReplicaMut { node: &mut self.node, store: None })
    }

    fn times_mut(&mut self) -> TimesMut<'_> {
        TimesMut { at: self.at.as_mut(), lasts: Some(&mut self.lasts) }
    }

    fn lasts(&self) -> Lasts {
        Lasts::For(self.lasts)
    }
}

impl Planned for Pause {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn target(&self) -> Target<'_> {
        Target::Node(self.node)
    }

    fn lasts(&self) -> Option<Duration> {
        Some(self.lasts)
    }

    fn line(&self, at: &str) -> String {
        format!("pause {at} for {}", Span(self.lasts))
    }

    fn spec(&self, node: String, at: Option<Span>) -> FaultSpec {
        let lasts = Span(self.lasts);
        FaultSpec::Pause(PauseSpec { node, at, every: None, times: None, lasts })
    }

    fn simulated(&self, host: usize) -> Option<(InjectedFault, &'static str)> {
        let fault = InjectedFault::Pause { host, lasts: self.lasts };
        Some((fault, "process stood still"))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_simulation_injects_it() {
        crate::faults::testing::is_injected("pause: { node: b.master, at: 500ms, for: 20ms }");
    }
}
