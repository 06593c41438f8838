//! Faults as planned: names are looked up, and each strikes at one instant.

use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Fault, FaultSpec, Halt, Kind, LinkFault};
use crate::scenario::{NodeId, Plan, Span};
use crate::virtual_time::InjectedFault;

/// A fault at its instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimedFault {
    /// The time, from the run's start.
    pub at: Duration,
    /// The fault.
    pub fault: Fault,
}

/// The questions that each kind of fault answers as planned.
pub(crate) trait Planned {
    /// The facts of its kind.
    fn kind(&self) -> &'static Kind;

    /// The thing that it strikes.
    fn target(&self) -> Target<'_>;

    /// Returns the time for which it lasts: zero if it is over as soon as it has struck, `None` if
    /// it has no end.
    fn lasts(&self) -> Option<Duration> {
        Some(Duration::ZERO)
    }

    /// The fault in words, for a link or a node of this name.
    fn line(&self, at: &str) -> String;

    /// The fault as a file writes it: once, at this instant, for a link or a node of this name.
    fn spec(&self, name: String, at: Option<Span>) -> FaultSpec;

    /// The fault as it is injected into a simulated world: at a slot below the link that it
    /// strikes, at the host of the node, or at the slot of the replica. The word is for the
    /// evidence. `None` for a fault that the simulation injects in a way of its own.
    fn simulated(&self, _at: usize) -> Option<(InjectedFault, &'static str)> {
        None
    }

    /// The fault as the proxy of the link injects it in `run`; `None` if it strikes no link.
    fn on_link(&self) -> Option<LinkFault> {
        None
    }

    /// The reason why `run` cannot inject it; `None` if it can.
    fn run_lacks(&self) -> Option<&'static str> {
        self.kind().run_lacks
    }
}

/// The thing that a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    /// A link, by its position in [`Plan::links`].
    Link(usize),
    /// A node.
    Node(NodeId),
    /// A store at a node.
    Replica(NodeId, &'a str),
}

impl Target<'_> {
    /// The name of the link or of the node.
    pub(crate) fn name<'p>(&self, plan: &'p Plan) -> &'p str {
        match self {
            Self::Link(link) => &plan.links[*link].name,
            Self::Node(node) | Self::Replica(node, _) => &plan.node(*node).name,
        }
    }
}

/// A process that a fault stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlannedHalt {
    /// The process.
    pub(crate) node: NodeId,
    /// Its state meanwhile.
    pub(crate) halt: Halt,
    /// The duration; `None` if for good.
    pub(crate) lasts: Option<Duration>,
}

impl Fault {
    /// Its key in a scenario file.
    pub fn kind(&self) -> &'static str {
        self.planned().kind().key
    }

    /// The thing that it strikes.
    pub(crate) fn target(&self) -> Target<'_> {
        self.planned().target()
    }

    /// Returns the time for which it lasts: zero if it is over as soon as it has struck, `None` if
    /// it has no end.
    pub(crate) fn lasts(&self) -> Option<Duration> {
        self.planned().lasts()
    }

    /// The fault in words.
    pub(crate) fn line(&self, plan: &Plan) -> String {
        self.planned().line(self.target().name(plan))
    }

    /// The fault as a file writes it: once, at this instant.
    pub(crate) fn written_out(&self, plan: &Plan, at: Span) -> FaultSpec {
        self.planned().spec(self.target().name(plan).to_owned(), Some(at))
    }

    /// The fault as it is injected into a simulated world, at a slot or at a host.
    pub(crate) fn simulated(&self, at: usize) -> Option<(InjectedFault, &'static str)> {
        self.planned().simulated(at)
    }

    /// The fault as the proxy of the link injects it in `run`; `None` if it strikes no link.
    pub(crate) fn on_link(&self) -> Option<LinkFault> {
        self.planned().on_link()
    }

    /// Returns whether it leaves a replica with a wrong state until a check of the copies.
    pub(crate) fn spoils_state(&self) -> bool {
        self.planned().kind().spoils_state
    }

    /// The reason why `run` cannot inject it; `None` if it can.
    pub(crate) fn run_lacks(&self) -> Option<&'static str> {
        self.planned().run_lacks()
    }

    /// The process that it stops, if it stops one.
    pub(crate) fn halt(&self) -> Option<PlannedHalt> {
        let halt = self.planned().kind().halt?;
        let (Target::Node(node) | Target::Replica(node, _)) = self.target() else { return None };
        Some(PlannedHalt { node, halt, lasts: self.lasts() })
    }
}

/// The time that a load has to make up for the dispatches that it could not make while its process
/// stood still.
const CATCHING_UP: Duration = Duration::from_secs(1);

impl Plan {
    /// Returns the times at which the faults of the plan have a process down or standing still,
    /// from the run's start: in order, apart from each other, and each with the time that its loads
    /// have to catch up. A load that is late then says nothing of the machine that it runs on.
    pub fn standstills(&self, node: NodeId) -> Vec<Range<Duration>> {
        let mine = self.node(node);
        let mut spans: Vec<Range<Duration>> = Vec::new();
        // Faults are in the order of their instants.
        for timed in &self.faults {
            let Some(halted) = timed.fault.halt() else { continue };
            let theirs = self.node(halted.node);
            let with_master =
                halted.halt == Halt::Down && theirs.is_master() && theirs.cluster == mine.cluster;
            if halted.node != node && !with_master {
                continue;
            }
            let end = halted.lasts.map_or(self.duration(), |lasts| timed.at + lasts) + CATCHING_UP;
            match spans.last_mut() {
                Some(last) if timed.at <= last.end => last.end = last.end.max(end),
                _ => spans.push(timed.at..end),
            }
        }
        spans
    }

    /// Returns the same for a process that was there from `there_from` on, which may be later than
    /// the plan has it started again.
    pub(crate) fn standstills_until(
        &self,
        node: NodeId,
        there_from: Duration,
    ) -> Vec<Range<Duration>> {
        let mut spans = self.standstills(node);
        let last = spans.iter().rposition(|span| span.start < there_from);
        let Some(last) = last.filter(|_| !there_from.is_zero()) else { return spans };
        let end = spans[last].end.max(there_from + CATCHING_UP);
        // The one that is made longer may reach the next ones.
        let mut following = spans.split_off(last + 1).into_iter().peekable();
        spans[last].end = end;
        while let Some(next) = following.next_if(|next| next.start <= spans[last].end) {
            spans[last].end = spans[last].end.max(next.end);
        }
        spans.extend(following);
        spans
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Overrides, ScenarioFile};

    #[test]
    fn a_process_that_comes_back_late_has_longer_to_catch_up() {
        let text = "
version: 1
stores: { s: { reducer: probe } }
clusters: { a: { workers: 1 } }
phases:
  - name: only
    duration: 20s
    load: [ { at: a.master, store: s, arrival: { rate: 20/s } } ]
faults:
  - kill: { node: a.master, at: 2s, restart_after: 100ms }
  - pause: { node: a.master, at: 6s, for: 500ms }
  - pause: { node: a.master, at: 12s, for: 500ms }
";
        let file = ScenarioFile::parse("late", "late.yaml", text, &Overrides::default());
        let file = file.unwrap_or_else(|invalid| panic!("{invalid}"));
        let plan = &file.cases[0].plan;
        let ms = Duration::from_millis;
        let node = NodeId(0);
        let planned = [ms(2_000)..ms(3_100), ms(6_000)..ms(7_500), ms(12_000)..ms(13_500)];
        assert_eq!(plan.standstills(node), planned);
        assert_eq!(plan.standstills_until(node, Duration::ZERO), planned);
        assert_eq!(plan.standstills_until(node, ms(2_050)), planned);
        let late = plan.standstills_until(node, ms(3_000));
        assert_eq!(late, [ms(2_000)..ms(4_000), planned[1].clone(), planned[2].clone()]);
        let later = plan.standstills_until(node, ms(5_500));
        assert_eq!(later, [ms(2_000)..ms(7_500), planned[2].clone()]);
    }
}
