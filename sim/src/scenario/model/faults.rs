//! Faults on purpose, and their times.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::is_false;
use crate::scenario::quantity::Span;
use crate::scenario::spellings::LinkRef;

/// Something that is broken on purpose. `run` does `cut`, `kill` and `pause`; `simulate` does all
/// of them.
///
/// `at` alone: once. `every`: again and again from `at` (or one period in), `times` at most.
/// `times` alone: at that many instants drawn from the seed, spread over the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultSpec {
    /// The connections of a link are cut, and refused for a while.
    Cut(CutSpec),
    /// A process is killed with `kill -9`, and started again after a while.
    Kill(KillSpec),
    /// A process stands still for a while, as by `SIGSTOP` and `SIGCONT`.
    Pause(PauseSpec),
    /// Nothing arrives over a link for a while, and all of it later.
    Blackhole(BlackholeSpec),
    /// Nothing arrives any more over a link's connections, and neither end is told.
    HalfOpen(HalfOpenSpec),
    /// A bit of what arrives next over a link is flipped.
    Corrupt(CorruptSpec),
    /// A replica applies the next action twice, and nobody notices.
    Slip(SlipSpec),
    /// The reducer panics at the next action, at one replica only.
    Fail(FailSpec),
    /// The disk of a process fails for a while, or its calls do not return.
    Disk(DiskSpec),
}

/// The times of a fault, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::scenario) struct When {
    pub(in crate::scenario) at: Option<Span>,
    pub(in crate::scenario) every: Option<Span>,
    pub(in crate::scenario) times: Option<NonZeroU32>,
}

/// The same expression over whichever kind of fault it is.
macro_rules! of_each {
    ($fault:expr, $spec:ident => $value:expr) => {
        match $fault {
            FaultSpec::Cut($spec) => $value,
            FaultSpec::Kill($spec) => $value,
            FaultSpec::Pause($spec) => $value,
            FaultSpec::Blackhole($spec) => $value,
            FaultSpec::HalfOpen($spec) => $value,
            FaultSpec::Corrupt($spec) => $value,
            FaultSpec::Slip($spec) => $value,
            FaultSpec::Fail($spec) => $value,
            FaultSpec::Disk($spec) => $value,
        }
    };
}

impl FaultSpec {
    /// Its key in a file.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Cut(_) => "cut",
            Self::Kill(_) => "kill",
            Self::Pause(_) => "pause",
            Self::Blackhole(_) => "blackhole",
            Self::HalfOpen(_) => "half_open",
            Self::Corrupt(_) => "corrupt",
            Self::Slip(_) => "slip",
            Self::Fail(_) => "fail",
            Self::Disk(_) => "disk",
        }
    }

    /// Returns the time of its first strike, if the file gives one. Otherwise the instants are
    /// drawn from the seed.
    pub fn first_at(&self) -> Option<Span> {
        let when = self.when();
        when.at.or(when.every)
    }

    /// Its instant and how long it lasts, to be changed, where the file says them.
    pub(crate) fn times_mut(&mut self) -> (Option<&mut Span>, Option<&mut Span>) {
        match self {
            Self::Cut(cut) => (cut.at.as_mut(), Some(&mut cut.lasts)),
            Self::Kill(kill) => (kill.at.as_mut(), kill.restart_after.as_mut()),
            Self::Pause(pause) => (pause.at.as_mut(), Some(&mut pause.lasts)),
            Self::Blackhole(hole) => (hole.at.as_mut(), Some(&mut hole.lasts)),
            Self::HalfOpen(half) => (half.at.as_mut(), None),
            Self::Corrupt(corrupt) => (corrupt.at.as_mut(), None),
            Self::Slip(slip) => (slip.at.as_mut(), None),
            Self::Fail(fail) => (fail.at.as_mut(), None),
            Self::Disk(disk) => (disk.at.as_mut(), Some(&mut disk.lasts)),
        }
    }

    pub(in crate::scenario) fn when(&self) -> When {
        of_each!(self, spec => When { at: spec.at, every: spec.every, times: spec.times })
    }

    pub(in crate::scenario) fn every_mut(&mut self) -> &mut Option<Span> {
        of_each!(self, spec => &mut spec.every)
    }
}

/// The connections of a link are cut, and refused for a while.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CutSpec {
    /// The link; without it, one is drawn from the seed each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkRef>,
    /// The time, from the run's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Span>,
    /// The time from one to the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// The number of strikes in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<NonZeroU32>,
    /// The time for which the link stays down.
    #[serde(rename = "for")]
    pub lasts: Span,
}

/// A process is killed with `kill -9`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KillSpec {
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

/// A process stands still for a while.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseSpec {
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
    /// The time for which it stands still.
    #[serde(rename = "for")]
    pub lasts: Span,
}

/// Nothing arrives over a link for a while, and all of it later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlackholeSpec {
    /// The link; without it, one is drawn from the seed each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkRef>,
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
    /// The direction; both by default.
    #[serde(default, skip_serializing_if = "Direction::is_both")]
    pub direction: Direction,
}

/// The direction over a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the clients to the server.
    Up,
    /// From the server to the clients.
    Down,
    /// Both ways.
    #[default]
    Both,
}

impl Direction {
    fn is_both(&self) -> bool {
        *self == Self::Both
    }
}

/// Nothing arrives any more over a link's connections, and neither end is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HalfOpenSpec {
    /// The link; without it, one is drawn from the seed each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkRef>,
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

/// A bit of what arrives next over a link is flipped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CorruptSpec {
    /// The link; without it, one is drawn from the seed each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkRef>,
    /// The time, from the run's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Span>,
    /// The time from one to the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// The number of strikes in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<NonZeroU32>,
    /// The direction.
    pub direction: OneWay,
}

/// One way over a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OneWay {
    /// From the clients to the server.
    Up,
    /// From the server to the clients.
    Down,
}

/// A replica applies the next action twice, and nobody notices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlipSpec {
    /// The node; it must not be the store's root.
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
