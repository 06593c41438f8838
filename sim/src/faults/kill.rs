//! `kill`: a process ends without warning.

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Fault, FaultSpec, Halt, Kind, Lasts, Mistake, Planned, ReplicaMut, Spec, SpecTarget, Target,
    TimesMut, is_false,
};
use crate::scenario::{NodeId, Scenario, Span};

static KIND: Kind = Kind { halt: Some(Halt::Down), ..Kind::new("kill") };

/// A process is killed with `kill -9`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KillSpec {
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
    /// The time until it is started again; never, without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_after: Option<Span>,
    /// Its peers are not told, as when a machine loses its power.
    #[serde(default, skip_serializing_if = "is_false")]
    pub silent: bool,
    /// Not at that instant, but at the first of these moments after it; `simulate` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moment: Option<KillMoment>,
}

/// A moment between two steps of the protocol, at which a process is killed.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum KillMoment {
    /// It has ordered an action, which is not committed, nor answered.
    Ordered,
    /// Its ordered actions are on disk, and not answered.
    Written,
    /// It has issued a session, which is not on disk, nor answered.
    SessionIssued,
    /// It has attached to its upstream, and did not go on from where it was.
    Attached,
    /// It has received a snapshot, which is not in place.
    SnapshotReceived,
}

impl KillMoment {
    /// Its name in a file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ordered => "ordered",
            Self::Written => "written",
            Self::SessionIssued => "session_issued",
            Self::Attached => "attached",
            Self::SnapshotReceived => "snapshot_received",
        }
    }
}

/// A process is killed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kill {
    /// The node.
    pub node: NodeId,
    /// The time until it is started again; never, if `None`.
    pub restart_after: Option<Duration>,
    /// Its peers are not told.
    pub silent: bool,
    /// At the first of these moments.
    pub moment: Option<KillMoment>,
}

impl Spec for KillSpec {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn target(&self) -> SpecTarget<'_> {
        let restart_after = self.restart_after.map(Span::get);
        let (silent, moment) = (self.silent, self.moment);
        SpecTarget::node(&self.node, move |node| {
            Fault::Kill(Kill { node, restart_after, silent, moment })
        })
    }

    fn replica_mut(&mut self) -> Option<ReplicaMut<'_>> {
        Some(ReplicaMut { node: &mut self.node, store: None })
    }

    fn times_mut(&mut self) -> TimesMut<'_> {
        TimesMut { at: self.at.as_mut(), lasts: self.restart_after.as_mut() }
    }

    fn lasts(&self) -> Lasts {
        Lasts::UntilRestart(self.restart_after)
    }

    fn mistake(&self, _: &Scenario) -> Option<Mistake> {
        let repeats = self.every.is_some() || self.times.is_some();
        (repeats && self.restart_after.is_none()).then_some(Mistake {
            message: "a process that is killed again has to be started again between",
            help: "add `restart_after`",
        })
    }

    fn simplify(&mut self) {
        (self.silent, self.moment) = (false, None);
    }
}

impl Planned for Kill {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn target(&self) -> Target<'_> {
        Target::Node(self.node)
    }

    fn lasts(&self) -> Option<Duration> {
        self.restart_after
    }

    fn line(&self, at: &str) -> String {
        let silently = if self.silent { " silently" } else { "" };
        let when = self.moment.map_or(String::new(), |moment| format!(" once `{}`", moment.name()));
        match self.restart_after {
            Some(after) => format!("kill {at}{silently}{when}, start it after {}", Span(after)),
            None => format!("kill {at}{silently}{when} for good"),
        }
    }

    fn spec(&self, node: String, at: Option<Span>) -> FaultSpec {
        FaultSpec::Kill(KillSpec {
            node,
            at,
            every: None,
            times: None,
            restart_after: self.restart_after.map(Span),
            silent: self.silent,
            moment: self.moment,
        })
    }

    fn run_lacks(&self) -> Option<&'static str> {
        match self {
            Self { moment: Some(_), .. } => {
                Some("with `moment` needs to see between two steps of the protocol")
            }
            Self { silent: true, .. } => Some(
                "with `silent` needs a machine that loses its power: the system closes the links \
                 of a process that it kills",
            ),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_simulation_injects_it() {
        crate::faults::testing::is_injected(
            "kill: { node: b.master, at: 500ms, restart_after: 20ms, silent: true }",
        );
    }
}
