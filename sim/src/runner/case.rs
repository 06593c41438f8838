//! One case, from the first process to the last word of each node.
//!
//! One task owns the case's state. Nodes, guardian and proxies put what happens in a line for
//! it; it looks at the clock between two of those and does what is due:
//!
//! ```text
//! launch -> all ready -> start -> phases, faults, events -> stop -> settled -> flush -> drained
//! ```
//!
//! A node that ends although that was not planned is noted, and the case continues without it. An
//! interruption goes straight to *flush*, so that the measurements until then are kept.

mod live;
mod outcome;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::watch;

use super::env::{Events, FromNode, RunEnv, RunnerEvent};
use super::guardian::Report;
use super::inject;
use super::nodes::Nodes;
use super::progress::{Glance, Progress};
use super::run::RunOptions;
use super::schedule::{Act, Schedule};
use crate::control::{ToNode, ToRunner, now_ns};
use crate::family;
use crate::faults::FaultLog;
use crate::live::LiveCase;
use crate::measure::CostSampler;
use crate::record::{Gathered, Taken, lost_cause};
use crate::scenario::{Event, Plan};

/// The time between the announcement of the load and its begin.
const START_AHEAD: Duration = Duration::from_millis(50);

/// The time that replicas have to become equal once the load has ended, back-off apart: the
/// deadline after which a peer is dead, and time to send a snapshot (I7).
const SETTLE_MAX: Duration = Duration::from_secs(15);

/// The time that nodes have to send their last figures and states.
const DRAIN_MAX: Duration = Duration::from_secs(60);

/// The same where the run was interrupted.
const DRAIN_INTERRUPTED_MAX: Duration = Duration::from_secs(3);

/// The time that nodes have to end by themselves. Then they are killed.
const EXIT_MAX: Duration = Duration::from_secs(2);

/// The interval at which progress is drawn.
const DRAW_EVERY_NS: u64 = 100_000_000;

/// The interval at which the processes' cost is read.
const SAMPLE_EVERY_NS: u64 = 500_000_000;

/// The number of errors of stores that are kept for the log.
const ERRORS_KEPT_MAX: usize = 10_000;

/// The reason why a case could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CaseFailed {
    /// Nodes are missing at the start.
    #[error("not all nodes came up:{0}")]
    NotReady(String),
    /// The guardian is gone, and with it the nodes' parent.
    #[error("the guardian process is gone; the run cannot go on without it")]
    NoGuardian,
}

/// The reason why attending ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attended {
    Done,
    Late,
    Interrupted,
}

/// A case that is being played.
pub(crate) struct CaseRunner<'c> {
    pub(super) plan: &'c Plan,
    pub(super) env: &'c RunEnv,
    pub(super) nodes: Nodes,
    pub(super) faults: FaultLog,
    pub(super) active_faults: inject::ActiveFaults,
    pub(super) schedule: Schedule,
    pub(super) costs: CostSampler,
    events: Events,
    interrupt: watch::Receiver<bool>,
    progress: Progress,
    live: Option<LiveCase>,
    gathered: Gathered,
    /// The masters' processes, by their ids.
    masters: BTreeMap<u32, String>,
    /// Connections of nodes that ended although that was not planned.
    crashed: BTreeSet<u64>,
    /// The reasons why the case cannot be done.
    trouble: Vec<String>,
    /// The errors that stores reported to `on_error`, with their times.
    errors: Vec<String>,
    start_ns: Option<u64>,
    stop_ns: u64,
    /// True if the case ends as soon as it cannot pass any more.
    fail_fast: bool,
    /// The time that all nodes have to become ready.
    start_timeout: Duration,
    /// The reason why it cannot pass.
    lost_cause: Option<String>,
    no_guardian: bool,
    drawn_ns: u64,
    sampled_ns: u64,
    /// The cost is over: what ends a process is none of the case's.
    cost_taken: bool,
    phase_cpu_ns: Vec<u64>,
}

impl<'c> CaseRunner<'c> {
    pub(crate) fn new(
        plan: &'c Plan,
        env: &'c RunEnv,
        events: Events,
        (progress, live): (Progress, Option<LiveCase>),
        options: &RunOptions,
    ) -> Self {
        Self {
            plan,
            env,
            nodes: Nodes::new(plan),
            faults: FaultLog::new(plan),
            active_faults: inject::ActiveFaults::default(),
            schedule: Schedule::new(plan),
            costs: CostSampler::default(),
            events,
            interrupt: options.interrupt.clone(),
            progress,
            live,
            gathered: Gathered::new(plan),
            masters: BTreeMap::new(),
            crashed: BTreeSet::new(),
            trouble: Vec::new(),
            errors: Vec::new(),
            start_ns: None,
            stop_ns: 0,
            fail_fast: options.fail_fast,
            start_timeout: options.start_timeout,
            lost_cause: None,
            no_guardian: false,
            drawn_ns: 0,
            sampled_ns: 0,
            cost_taken: false,
            phase_cpu_ns: Vec::new(),
        }
    }

    /// Plays the whole case. Whatever comes of it, processes may still be there afterwards: the
    /// environment has to be torn down.
    pub(crate) async fn run(mut self) -> Result<Taken, CaseFailed> {
        let played = self.acts().await;
        self.progress.finish();
        self.tell();
        if self.no_guardian {
            for (_, incarnation) in self.nodes.incarnations() {
                family::signal(incarnation.pid, rustix::process::Signal::KILL);
            }
            return Err(CaseFailed::NoGuardian);
        }
        let interrupted = played? == Attended::Interrupted;
        let end_ns = now_ns();
        Ok(self.taken(interrupted, end_ns))
    }

    async fn acts(&mut self) -> Result<Attended, CaseFailed> {
        self.phase("starting", false);
        let clusters: BTreeSet<&str> =
            self.plan.nodes.iter().map(|node| node.cluster.as_str()).collect();
        for cluster in clusters {
            self.env.launch(cluster);
        }
        let up = |play: &mut Self| {
            play.nodes.unready().is_empty() || play.start_failed() || play.no_guardian
        };
        let up = self.attend(self.start_timeout, up).await;
        match up {
            Attended::Interrupted => return Ok(Attended::Interrupted),
            Attended::Done if self.nodes.unready().is_empty() => {}
            Attended::Done | Attended::Late => {
                // What ended it may come a moment after that it ended.
                self.attend(Duration::from_millis(200), |play| play.no_guardian).await;
                return Err(CaseFailed::NotReady(self.not_ready(up == Attended::Late)));
            }
        }
        let at_ns = now_ns() + nanos(START_AHEAD);
        self.start_ns = Some(at_ns);
        self.gathered.begins(at_ns);
        self.live.iter_mut().for_each(|live| live.begins(at_ns));
        self.costs.begin();
        self.nodes.tell_all(&ToNode::Start { at_ns });
        let over = |play: &mut Self| play.no_guardian || play.lost_cause.is_some();
        let mut came = self.attend(self.plan.duration() + START_AHEAD, over).await;
        self.stop_ns = now_ns();
        self.schedule.end();
        self.nodes.tell_all(&ToNode::Stop);
        self.mark_phase();
        if came != Attended::Interrupted && !self.plan.null {
            self.phase("settling", false);
            came = self.attend(self.settle_max(), Self::settled).await;
        }
        self.costs.sample();
        self.cost_taken = true;
        self.nodes.tell_all(&ToNode::Flush);
        let interrupted = came == Attended::Interrupted;
        self.phase(if interrupted { "interrupted" } else { "collecting" }, false);
        self.drain(interrupted).await;
        self.nodes.dismiss();
        self.wait(EXIT_MAX, |play| play.nodes.all_gone() || play.no_guardian).await;
        Ok(came)
    }

    /// Waits for the last word of each node.
    async fn drain(&mut self, interrupted: bool) {
        let within = if interrupted { DRAIN_INTERRUPTED_MAX } else { DRAIN_MAX };
        let done = |play: &mut Self| play.nodes.all_drained() || play.no_guardian;
        if self.wait(within, done).await == Attended::Late && !interrupted {
            self.trouble.push(format!(
                "{} sent no last figures within {} s",
                self.nodes.undrained().join(", "),
                within.as_secs()
            ));
        }
    }

    /// Does what comes up until `done` says so, the time is over, or the user has had enough.
    async fn attend(&mut self, within: Duration, done: fn(&mut Self) -> bool) -> Attended {
        let until_ns = now_ns() + nanos(within);
        loop {
            if *self.interrupt.borrow() {
                return Attended::Interrupted;
            }
            if let Some(came) = self.step(until_ns, done, true).await {
                return came;
            }
        }
    }

    /// The same with an interruption that has been heeded already.
    async fn wait(&mut self, within: Duration, done: fn(&mut Self) -> bool) -> Attended {
        let until_ns = now_ns() + nanos(within);
        loop {
            if let Some(came) = self.step(until_ns, done, false).await {
                return came;
            }
        }
    }

    async fn step(
        &mut self,
        until_ns: u64,
        done: fn(&mut Self) -> bool,
        interruptible: bool,
    ) -> Option<Attended> {
        if done(self) {
            return Some(Attended::Done);
        }
        let now = now_ns();
        if now >= until_ns {
            return Some(Attended::Late);
        }
        self.tick(now);
        let next = [self.next_act_ns(), Some(now + DRAW_EVERY_NS), Some(until_ns)];
        let next = next.into_iter().flatten().min().unwrap_or(until_ns);
        let pause = tokio::time::sleep(Duration::from_nanos(next.saturating_sub(now)));
        tokio::select! {
            Some(event) = self.events.runner.recv() => self.heard_event(event),
            Some(said) = self.events.nodes.recv() => self.heard(said),
            _ = self.interrupt.changed(), if interruptible => {}
            () = pause => {}
        }
        None
    }

    /// Does what the clock says.
    fn tick(&mut self, now_ns: u64) {
        if let Some(start_ns) = self.start_ns.filter(|start_ns| *start_ns <= now_ns) {
            let at = Duration::from_nanos(now_ns - start_ns);
            while let Some(act) = self.schedule.due(at) {
                self.act(act);
            }
        }
        if now_ns >= self.sampled_ns + SAMPLE_EVERY_NS {
            self.sampled_ns = now_ns;
            if !self.cost_taken {
                self.costs.sample();
            }
            self.look_ahead();
        }
        if now_ns >= self.drawn_ns + DRAW_EVERY_NS {
            self.drawn_ns = now_ns;
            self.draw();
            self.tell();
        }
    }

    /// Notes if the case cannot pass any more.
    fn look_ahead(&mut self) {
        let goes_on = self.start_ns.is_some() && self.stop_ns == 0 && self.lost_cause.is_none();
        if self.fail_fast && goes_on {
            let at = self.at().as_secs_f64();
            let why = lost_cause(self.plan, &self.gathered);
            self.lost_cause = why.map(|why| format!("ended {at:.1} s into the run: {why}"));
        }
    }

    fn next_act_ns(&self) -> Option<u64> {
        Some(self.start_ns? + nanos(self.schedule.next_at()?))
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Phase(phase) => {
                self.mark_phase();
                self.phase(&self.plan.phases[phase].name, true);
            }
            Act::Fault(fault) => self.inject(fault),
            Act::Restart { node, fault } => self.start_again(node, fault),
            Act::Resume { fault } => self.resume(fault),
            Act::Pulse { fault } => self.pulse(fault),
            Act::Event(event) => match self.plan.events[event].event {
                Event::CreateClient { client, link } => {
                    self.nodes.tell(client, ToNode::CreateClient { link });
                }
            },
        }
    }

    fn heard(&mut self, said: FromNode) {
        match said {
            FromNode::Joined { connection, node, pid, speaker, outbox } => {
                if self.nodes.joined(connection, node, (pid, speaker), outbox) {
                    let family = self.plan.node(node).program.is_some();
                    self.costs.watch_whole(&connection.to_string(), pid, family);
                    self.gathered.joined(connection, node);
                    if let Some(live) = &mut self.live {
                        live.joined(connection, node, pid, now_ns());
                    }
                }
            }
            FromNode::Said { connection, message } => self.heard_message(connection, message),
            FromNode::Left { connection, error } => {
                if self.nodes.left(connection) {
                    self.crashed.insert(connection);
                    if let Some(error) = error {
                        self.note_error(connection, &error);
                    }
                }
                self.left_by_fault(connection);
            }
        }
    }

    fn heard_message(&mut self, connection: u64, message: ToRunner) {
        match message {
            ToRunner::Hello { .. } => {} // said once, and taken as joining
            ToRunner::Ready => {
                self.nodes.ready(connection);
                if let (Some(at_ns), Some(incarnation)) =
                    (self.start_ns, self.nodes.incarnation(connection))
                {
                    let node = incarnation.node;
                    if self.stop_ns == 0 {
                        self.nodes.tell(node, ToNode::Start { at_ns });
                    }
                    self.healed(node);
                }
            }
            ToRunner::Delta(delta) => {
                self.nodes.told(connection, &delta);
                self.live.iter_mut().for_each(|live| live.absorb(connection, &delta));
                self.gathered.absorb(connection, *delta);
            }
            ToRunner::Problem { fatal, text } => {
                self.note_error(connection, &text);
                if fatal {
                    self.nodes.fatal(connection, text);
                }
            }
            ToRunner::Drained => self.nodes.drained(connection),
        }
    }

    fn heard_event(&mut self, event: RunnerEvent) {
        match event {
            RunnerEvent::Guardian(Some(Report::Launched { name, pid })) => {
                self.masters.insert(pid, name);
            }
            RunnerEvent::Guardian(Some(Report::NotLaunched { name, error })) => {
                self.trouble.push(format!("{name}.master could not be started: {error}"));
            }
            RunnerEvent::Guardian(Some(Report::Killed { pid, alive })) => self.killed(pid, alive),
            RunnerEvent::Guardian(Some(Report::Paused { pid, alive })) => self.paused(pid, alive),
            RunnerEvent::Guardian(Some(Report::Resumed { pid, alive })) => self.resumed(pid, alive),
            RunnerEvent::Guardian(Some(Report::Ended { pid, how })) => {
                let known = self.nodes.ended(pid, how);
                self.ended_by_fault(pid, how);
                if known.is_none()
                    && let Some(cluster) = self.masters.get(&pid)
                {
                    self.trouble.push(format!("{cluster}.master (pid {pid}) {how}"));
                }
            }
            RunnerEvent::Guardian(Some(Report::Home { .. })) => {} // said once, at its start
            RunnerEvent::Guardian(None) => self.no_guardian = true,
            RunnerEvent::Proxy(event) => self.proxy_event(event),
        }
    }

    fn note_error(&mut self, connection: u64, text: &str) {
        if self.errors.len() < ERRORS_KEPT_MAX
            && let Some(incarnation) = self.nodes.incarnation(connection)
        {
            let name = self.nodes.name(incarnation.node);
            self.errors.push(format!("{:9.3} s  {name}: {text}", self.at().as_secs_f64()));
        }
    }

    /// The instant of the run; zero before its start.
    pub(super) fn at(&self) -> Duration {
        self.at_ns(now_ns())
    }

    /// An instant of the machine's clock as one of the run.
    pub(super) fn at_ns(&self, ns: u64) -> Duration {
        self.start_ns.map_or(Duration::ZERO, |start| Duration::from_nanos(ns.saturating_sub(start)))
    }

    fn settle_max(&self) -> Duration {
        let backoff = self.plan.links.iter().filter_map(|link| link.backoff_max).max();
        SETTLE_MAX + backoff.unwrap_or_default()
    }

    fn settled(&mut self) -> bool {
        let topology = self.plan.topology_at(self.plan.duration());
        // What a node that crashed has ordered never comes; the case is not done as planned anyway.
        self.no_guardian
            || !self.crashed.is_empty()
            || (self.active_faults.all_over() && self.nodes.settled(topology, self.stop_ns))
    }

    fn start_failed(&mut self) -> bool {
        !self.trouble.is_empty() || !self.crashed.is_empty()
    }

    fn draw(&mut self) {
        let Some(start_ns) = self.start_ns else { return };
        let elapsed = Duration::from_nanos(now_ns().saturating_sub(start_ns));
        let topology = self.plan.topology_at(elapsed);
        let seqs = self.nodes.seqs(topology);
        self.progress.draw(&Glance {
            elapsed,
            applied: seqs.iter().map(|(_, _, oldest)| oldest).sum(),
            stores: seqs.into_iter().map(|(store, newest, _)| (store, newest)).collect(),
            connected: self.nodes.connected(topology),
            faults: (self.faults.injected_count(), self.faults.planned()),
        });
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX / 4)
}
