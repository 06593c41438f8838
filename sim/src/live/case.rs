//! One case, told line by line.

use std::collections::BTreeSet;
use std::time::SystemTime;

use samestate_report::live::{
    CaseStart, CaseVerdict, Event, FaultNews, FaultState, LIVE, Line, PhaseBegin, ProcessNews,
    ProcessState, Sample,
};
use samestate_report::{Case, Outcome};

use super::feed::Feed;
use super::tracker::{SAMPLE_NS, Tracker};
use crate::faults::FaultLog;
use crate::measure::CostSampler;
use crate::record::{NodeDelta, phases, topologies, utc};
use crate::scenario::{NodeId, Plan, ScenarioFile};

/// The name of the phase in which the null case runs.
const NULL_CASE: &str = "null case";

/// The teller of a case that goes on. It follows what the runner sees of the case, and changes
/// nothing in it.
#[derive(Debug)]
pub(crate) struct LiveCase {
    feed: Feed,
    scenario: String,
    case: usize,
    repeat: u32,
    tracker: Tracker,
    start_ns: Option<u64>,
    faults: Vec<Option<FaultState>>,
    /// The processes that have been told of and are there.
    processes: BTreeSet<u64>,
}

/// A process as the runner knows it.
pub(crate) struct ProcessSeen {
    pub(crate) connection: u64,
    pub(crate) node: NodeId,
    pub(crate) pid: u32,
    pub(crate) over: bool,
    /// The cause of its end, if that was not planned.
    pub(crate) unplanned: Option<String>,
}

/// The runner's view of a case at an instant.
pub(crate) struct View<'a> {
    pub(crate) now_ns: u64,
    pub(crate) plan: &'a Plan,
    pub(crate) faults: &'a FaultLog,
    pub(crate) costs: &'a CostSampler,
    /// Replicas in sync, and all replicas.
    pub(crate) connected: (usize, usize),
    pub(crate) processes: &'a dyn Fn() -> Vec<ProcessSeen>,
}

impl Feed {
    /// Begins to tell of a case of a file; `None` if nobody watches.
    pub(crate) fn case(&self, file: &ScenarioFile, round: u32, index: usize) -> Option<LiveCase> {
        let case = file.cases.get(index).filter(|_| self.is_watched())?;
        let plan = &case.plan;
        let live = LiveCase {
            feed: self.clone(),
            scenario: file.name.clone(),
            case: index + 1,
            repeat: round + 1,
            tracker: Tracker::new(plan),
            start_ns: None,
            faults: vec![None; plan.faults.len()],
            processes: BTreeSet::new(),
        };
        live.tell(
            None,
            Event::Start(CaseStart {
                file: file.path.display().to_string(),
                about: file.scenario.about.trim().to_owned(),
                started: utc(SystemTime::now()),
                samestate: env!("CARGO_PKG_VERSION").to_owned(),
                seed: plan.seed,
                cases: file.cases.len(),
                repeat: round + 1,
                repeats: file.repeats(),
                with: case.with.clone(),
                planned_seconds: plan.duration().as_secs_f64(),
                sample_seconds: SAMPLE_NS as f64 / 1e9,
                phases: phases(plan),
                faults_planned: plan.faults.len() as u64,
                nodes: plan.nodes.iter().map(|node| node.name.clone()).collect(),
                topologies: topologies(plan),
            }),
        );
        Some(live)
    }

    /// Tells of the verdict on a case, `at_seconds` after its load began.
    pub(crate) fn judged(
        &self,
        file: &ScenarioFile,
        (round, index): (u32, usize),
        at_seconds: Option<f64>,
        case: &Case,
    ) {
        let met = case.expectations.iter().filter(|one| one.outcome == Outcome::Held).count();
        let event = Event::Verdict(CaseVerdict {
            verdict: case.verdict,
            because: case.reasons(),
            expectations: case.expectations.len(),
            expectations_met: met,
        });
        self.of_case(file, (round, index), at_seconds, event);
    }

    /// Tells that the null case of a case begins, which is told no further.
    pub(crate) fn null_case(&self, file: &ScenarioFile, round: u32, index: usize) {
        let phase = PhaseBegin { name: NULL_CASE.to_owned(), of_scenario: false };
        self.of_case(file, (round, index), None, Event::Phase(phase));
    }

    fn of_case(
        &self,
        file: &ScenarioFile,
        (round, index): (u32, usize),
        at_seconds: Option<f64>,
        event: Event,
    ) {
        let (scenario, case, repeat) = (file.name.clone(), index + 1, Some(round + 1));
        self.tell(Line { version: LIVE, scenario, case, repeat, at_seconds, event });
    }
}

impl LiveCase {
    fn tell(&self, at_seconds: Option<f64>, event: Event) {
        let at_seconds = at_seconds.map(|at| (at * 1e3).round() / 1e3);
        let (scenario, case, repeat) = (self.scenario.clone(), self.case, Some(self.repeat));
        self.feed.tell(Line { version: LIVE, scenario, case, repeat, at_seconds, event });
    }

    fn seconds(&self, at_ns: u64) -> Option<f64> {
        let since_ns = at_ns.checked_sub(self.start_ns?)?;
        Some(since_ns as f64 / 1e9)
    }

    /// The load begins at this instant.
    pub(crate) fn begins(&mut self, start_ns: u64) {
        self.start_ns = Some(start_ns);
        self.tracker.begins(start_ns);
    }

    /// A phase begins: one of the scenario, or of the work around it.
    pub(crate) fn phase(&self, now_ns: u64, name: &str, of_scenario: bool) {
        let name = name.to_owned();
        self.tell(self.seconds(now_ns), Event::Phase(PhaseBegin { name, of_scenario }));
    }

    /// A process hands over a part.
    pub(crate) fn absorb(&mut self, connection: u64, delta: &NodeDelta) {
        self.tracker.absorb(connection, delta);
    }

    /// A process of a node is there.
    pub(crate) fn joined(&mut self, connection: u64, node: NodeId, pid: u32, now_ns: u64) {
        self.tracker.joined(connection, node, pid, now_ns);
    }

    /// Tells what has changed, and the next sample if it is time for it.
    pub(crate) fn look(&mut self, view: &View<'_>) {
        self.look_at_processes(view);
        self.look_at_faults(view);
        for connection in self.tracker.connections() {
            if let Some(usage) = view.costs.latest(&connection.to_string()) {
                self.tracker.used(connection, usage);
            }
        }
        while let Some((end_ns, sample)) = self.tracker.sample(view.plan, view.now_ns) {
            let state = |wanted| self.faults.iter().filter(|state| **state == Some(wanted)).count();
            let sample = Sample {
                replicas_in_sync: view.connected.0 as u64,
                replicas: view.connected.1 as u64,
                faults_injected: view.faults.injected_count() as u64,
                faults_active: state(FaultState::Injected) as u64,
                ..sample
            };
            self.tell(self.seconds(end_ns), Event::Sample(sample));
        }
    }

    fn look_at_processes(&mut self, view: &View<'_>) {
        for seen in (view.processes)() {
            let state = if !seen.over && self.processes.insert(seen.connection) {
                ProcessState::Began
            } else if seen.over && self.processes.remove(&seen.connection) {
                self.tracker.left(seen.connection);
                ProcessState::Ended
            } else {
                continue;
            };
            let name = view.plan.node(seen.node).name.clone();
            let news = ProcessNews { name, pid: seen.pid, state, unplanned: seen.unplanned };
            self.tell(self.seconds(view.now_ns), Event::Process(news));
        }
    }

    fn look_at_faults(&mut self, view: &View<'_>) {
        for (at, fault) in view.faults.list().iter().enumerate() {
            let (state, seconds) = match (fault.injected_at_seconds, fault.ended_at_seconds) {
                (Some(_), Some(ended)) => (FaultState::Ended, Some(ended)),
                (Some(injected), None) => (FaultState::Injected, Some(injected)),
                (None, _) if view.faults.was_refused(at) => {
                    (FaultState::NotInjected, self.seconds(view.now_ns))
                }
                (None, _) => continue,
            };
            let before = self.faults[at];
            if before == Some(state) {
                continue;
            }
            let news = |state| {
                let (kind, target) = (fault.kind.clone(), fault.at.clone());
                let evidence = fault.evidence.clone();
                Event::Fault(FaultNews { fault: at + 1, fault_kind: kind, target, state, evidence })
            };
            if before.is_none() && state == FaultState::Ended {
                // It began and ended between two looks.
                self.tell(fault.injected_at_seconds, news(FaultState::Injected));
            }
            self.faults[at] = Some(state);
            self.tell(seconds, news(state));
        }
    }
}
