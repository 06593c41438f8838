//! `disk`: the disk of a process fails or hangs for a while.

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Fault, FaultSpec, Kind, Lasts, Mistake, Planned, ReplicaMut, Spec, SpecTarget, Target,
    TimesMut, is_false,
};
use crate::scenario::{NodeId, Scenario, Span};
use crate::virtual_time::InjectedFault;

static KIND: Kind =
    Kind { run_lacks: Some("needs a disk that fails on command"), ..Kind::new("disk") };

/// The disk of a process fails for a while: of each durable store that the process orders.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiskSpec {
    /// The node.
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
    /// The time for which it lasts.
    #[serde(rename = "for")]
    pub lasts: Span,
    /// Its calls do not return meanwhile; otherwise they fail.
    #[serde(default, skip_serializing_if = "is_false")]
    pub hangs: bool,
}

/// The disk of a process fails for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// The node.
    pub node: NodeId,
    /// The time for which it lasts.
    pub lasts: Duration,
    /// Its calls do not return meanwhile; otherwise they fail.
    pub hangs: bool,
}

impl Spec for DiskSpec {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn target(&self) -> SpecTarget<'_> {
        let (lasts, hangs) = (self.lasts.get(), self.hangs);
        SpecTarget::node(&self.node, move |node| Fault::Disk(Disk { node, lasts, hangs }))
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

    fn mistake(&self, scenario: &Scenario) -> Option<Mistake> {
        let mut stores = scenario.stores.values();
        let any_durable = stores.any(|store| store.backup.is_some_and(|backup| backup.durable));
        (!any_durable).then_some(Mistake {
            message: "no store is durable, so nothing waits for a disk",
            help: "add `backup: { durable: true }` to a store",
        })
    }
}

impl Planned for Disk {
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
        let does = if self.hangs { "hangs" } else { "fails" };
        format!("the disk of {at} {does} for {}", Span(self.lasts))
    }

    fn spec(&self, node: String, at: Option<Span>) -> FaultSpec {
        FaultSpec::Disk(DiskSpec {
            node,
            at,
            every: None,
            times: None,
            lasts: Span(self.lasts),
            hangs: self.hangs,
        })
    }

    fn simulated(&self, host: usize) -> Option<(InjectedFault, &'static str)> {
        let fault = InjectedFault::Disk { host, lasts: self.lasts, hangs: self.hangs };
        Some((fault, "disk"))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_simulation_injects_it() {
        crate::faults::testing::is_injected(
            "disk: { node: a.master, at: 500ms, for: 30ms, hangs: true }",
        );
    }
}
