//! `churn`: workers of a cluster come and go.

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Fault, FaultSpec, Halt, Kill, Kind, Lasts, Planned, Spec, SpecTarget, Target, TimesMut,
};
use crate::scenario::{NodeId, Span};

static KIND: Kind = Kind { halt: Some(Halt::Down), ..Kind::new("churn") };

/// A worker of a cluster, drawn from the seed each time, is killed with `kill -9` and started again
/// after a while.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChurnSpec {
    /// The cluster, or one of its workers, `alpha.worker[1]`, which is then always the one.
    pub cluster: String,
    /// The time, from the run's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Span>,
    /// The time from one to the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// The number of strikes in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<NonZeroU32>,
    /// The time until the worker is started again.
    pub restart_after: Span,
}

/// A worker is killed, and started again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Churn {
    /// The worker.
    pub worker: NodeId,
    /// The time until it is started again.
    pub restart_after: Duration,
}

impl Churn {
    /// The same as a kill.
    pub(crate) fn kill(&self) -> Kill {
        let restart_after = Some(self.restart_after);
        Kill { node: self.worker, restart_after, silent: false, moment: None }
    }
}

impl Spec for ChurnSpec {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn target(&self) -> SpecTarget<'_> {
        let restart_after = self.restart_after.get();
        SpecTarget::worker(&self.cluster, move |worker| {
            Fault::Churn(Churn { worker, restart_after })
        })
    }

    fn times_mut(&mut self) -> TimesMut<'_> {
        TimesMut { at: self.at.as_mut(), lasts: Some(&mut self.restart_after) }
    }

    fn lasts(&self) -> Lasts {
        Lasts::UntilRestart(Some(self.restart_after))
    }
}

impl Planned for Churn {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn target(&self) -> Target<'_> {
        Target::Node(self.worker)
    }

    fn lasts(&self) -> Option<Duration> {
        Some(self.restart_after)
    }

    fn line(&self, at: &str) -> String {
        format!("kill {at}, start it after {}", Span(self.restart_after))
    }

    fn spec(&self, cluster: String, at: Option<Span>) -> FaultSpec {
        let restart_after = Span(self.restart_after);
        FaultSpec::Churn(ChurnSpec { cluster, at, every: None, times: None, restart_after })
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_simulation_injects_it() {
        crate::faults::testing::is_injected(
            "churn: { cluster: \"a.worker[1]\", at: 500ms, restart_after: 20ms }",
        );
    }
}
