//! `slow_reader`: an end of a link, or a process, takes few bytes for a while.
//!
//! At a link, one end reads so many bytes a second, or none, and sends as always: what the other
//! end sends waits in its own buffers. Within a cluster no link can be named, so a process is: it
//! runs for a share of the time only, by `SIGSTOP` and `SIGCONT`, and reads and sends as slowly.

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Fault, FaultSpec, Halt, Kind, Lasts, LinkFault, Mistake, Planned, ReplicaMut, Shape, Spec,
    SpecTarget, Target, TimesMut, Ways,
};
use crate::scenario::{LinkRef, NodeId, Scenario, Size, Span};
use crate::virtual_time::InjectedFault;

static KIND: Kind = Kind { halt: Some(Halt::Still), ..Kind::of_link("slow_reader") };

/// The time in which a slow process stands still once and runs once.
pub(crate) const PULSE: Duration = Duration::from_millis(100);

/// A reader takes few bytes, or none, for a while: an end of a link, or a whole process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlowReaderSpec {
    /// The link; without it and `node`, one is drawn from the seed each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkRef>,
    /// The end of the link that is slow; `client` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader: Option<Reader>,
    /// The number of bytes a second that it reads; none at all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<Size>,
    /// The node, in place of a link; `alpha.worker[*]` for each worker of a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The percentage of the time for which the node runs, from 1 to 99. It stands still for the
    /// rest of each 100 ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_percent: Option<u32>,
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
}

/// An end of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Reader {
    /// The client.
    #[default]
    Client,
    /// The server.
    Server,
}

/// A reader takes few bytes, or none, for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlowReader {
    /// An end of a link.
    Link {
        /// The link's position in [`Plan::links`](crate::scenario::Plan::links).
        link: usize,
        /// The end that is slow.
        reader: Reader,
        /// The number of bytes a second that it reads.
        bytes_per_second: u64,
        /// The time for which it lasts.
        lasts: Duration,
    },
    /// A process.
    Node {
        /// The node.
        node: NodeId,
        /// The percentage of the time for which it runs.
        runs_percent: u32,
        /// The time for which it lasts.
        lasts: Duration,
    },
}

impl SlowReader {
    /// The time for which a process stands still in each [`PULSE`]; `None` for a link.
    pub(crate) fn still(&self) -> Option<Duration> {
        match self {
            Self::Link { .. } => None,
            Self::Node { runs_percent, .. } => {
                Some(PULSE * 100u32.saturating_sub(*runs_percent).max(1) / 100)
            }
        }
    }

    fn shape(&self) -> Option<(Ways, Shape)> {
        let Self::Link { reader, bytes_per_second, .. } = self else { return None };
        let up = *reader == Reader::Server;
        Some((Ways { up, down: !up }, Shape::Reader(*bytes_per_second)))
    }
}

impl Spec for SlowReaderSpec {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn target(&self) -> SpecTarget<'_> {
        let lasts = self.lasts.get();
        if let Some(node) = &self.node {
            let runs_percent = self.runs_percent.unwrap_or(1);
            return SpecTarget::node(node, move |node| {
                Fault::SlowReader(SlowReader::Node { node, runs_percent, lasts })
            });
        }
        let reader = self.reader.unwrap_or_default();
        let bytes_per_second = self.bytes_per_second.unwrap_or_default().0;
        SpecTarget::link(self.link.as_ref(), move |link| {
            Fault::SlowReader(SlowReader::Link { link, reader, bytes_per_second, lasts })
        })
    }

    fn times_mut(&mut self) -> TimesMut<'_> {
        TimesMut { at: self.at.as_mut(), lasts: Some(&mut self.lasts) }
    }

    fn lasts(&self) -> Lasts {
        Lasts::For(self.lasts)
    }

    fn replica_mut(&mut self) -> Option<ReplicaMut<'_>> {
        self.node.as_mut().map(|node| ReplicaMut { node, store: None })
    }

    fn mistake(&self, _: &Scenario) -> Option<Mistake> {
        let of_link =
            self.link.is_some() || self.reader.is_some() || self.bytes_per_second.is_some();
        match (&self.node, self.runs_percent) {
            (Some(_), _) if of_link => Some(Mistake {
                message: "the slow reader is an end of a link or a node, and not both",
                help: "keep `link`, `reader` and `bytes_per_second`, or `node` and `runs_percent`",
            }),
            (Some(_), Some(1..=99)) => None,
            (Some(_), _) => Some(Mistake {
                message: "a slow node runs for a part of the time",
                help: "write for example `runs_percent: 20`, from 1 to 99; or use `pause`",
            }),
            (None, Some(_)) => Some(Mistake {
                message: "`runs_percent` is for a slow `node`",
                help: "name the `node`, or write `bytes_per_second` for a link",
            }),
            (None, None) => {
                self.bytes_per_second.is_some_and(|bytes| bytes.0 == 0).then_some(Mistake {
                    message: "a reader that takes zero bytes a second reads nothing",
                    help: "leave `bytes_per_second` out if that is meant",
                })
            }
        }
    }
}

impl Planned for SlowReader {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn target(&self) -> Target<'_> {
        match self {
            Self::Link { link, .. } => Target::Link(*link),
            Self::Node { node, .. } => Target::Node(*node),
        }
    }

    fn lasts(&self) -> Option<Duration> {
        match self {
            Self::Link { lasts, .. } | Self::Node { lasts, .. } => Some(*lasts),
        }
    }

    fn line(&self, at: &str) -> String {
        match self {
            Self::Link { reader, bytes_per_second, lasts, .. } => {
                let end = if *reader == Reader::Client { "clients" } else { "server" };
                let takes = match bytes_per_second {
                    0 => "no bytes".to_owned(),
                    bytes => format!("{} a second", Size(*bytes)),
                };
                format!("the {end} of {at} read {takes} for {}", Span(*lasts))
            }
            Self::Node { runs_percent, lasts, .. } => {
                format!("{at} runs for {runs_percent} % of the time for {}", Span(*lasts))
            }
        }
    }

    fn spec(&self, name: String, at: Option<Span>) -> FaultSpec {
        let mut spec = SlowReaderSpec {
            link: None,
            reader: None,
            bytes_per_second: None,
            node: None,
            runs_percent: None,
            at,
            every: None,
            times: None,
            lasts: Span(self.lasts().unwrap_or_default()),
        };
        match *self {
            Self::Link { reader, bytes_per_second, .. } => {
                spec.link = Some(LinkRef::Name(name));
                spec.reader = Some(reader);
                spec.bytes_per_second = (bytes_per_second > 0).then_some(Size(bytes_per_second));
            }
            Self::Node { runs_percent, .. } => {
                spec.node = Some(name);
                spec.runs_percent = Some(runs_percent);
            }
        }
        FaultSpec::SlowReader(spec)
    }

    fn simulated(&self, at: usize) -> Option<(InjectedFault, &'static str)> {
        let lasts = self.lasts().unwrap_or_default();
        if let Some((ways, shape)) = self.shape() {
            let fault = InjectedFault::Shape { slot: at, ways, shape, lasts };
            return Some((fault, "slow reader"));
        }
        let lasts = self.still()?.min(lasts);
        Some((InjectedFault::Pause { host: at, lasts }, "process made slow"))
    }

    fn on_link(&self) -> Option<LinkFault> {
        let (ways, shape) = self.shape()?;
        Some(LinkFault::Shape { ways, shape, lasts: self.lasts()? })
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_simulation_injects_it_at_a_link() {
        crate::faults::testing::is_injected(
            "slow_reader: { link: ab, reader: client, bytes_per_second: 1KB, at: 1ms, for: 30ms }",
        );
    }

    #[test]
    fn a_simulation_injects_it_at_a_process() {
        crate::faults::testing::is_injected(
            "slow_reader: { node: \"a.worker[1]\", runs_percent: 20, at: 400ms, for: 300ms }",
        );
    }
}
