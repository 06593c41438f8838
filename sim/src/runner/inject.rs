//! Faults as they are injected into a case, and healed.
//!
//! A fault of a link goes to the link's proxy, a kill to the guardian; what they report is the
//! evidence. A master that is started again forks its workers again; a worker is forked again by
//! its master.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::case::CaseRunner;
use super::guardian::Ending;
use super::proxy::{Happened, ProxyEvent};
use super::schedule::Act;
use crate::control::ToNode;
use crate::faults::{Fault, Kill, PULSE, Pause, SlowReader, Target};
use crate::scenario::NodeId;

/// Faults that are not over.
#[derive(Debug, Default)]
pub(crate) struct ActiveFaults {
    /// Faults of links that the proxies have not reported as over.
    links: BTreeSet<usize>,
    /// Kills by the process that was to be killed.
    kills: BTreeMap<u32, usize>,
    /// Nodes that are to be restarted, by fault.
    restarts: BTreeMap<NodeId, usize>,
    /// Processes that stand still, by fault.
    pauses: BTreeMap<usize, u32>,
    /// Processes that are slow, by fault.
    slow: BTreeMap<usize, Slow>,
}

/// A process that stands still again and again.
#[derive(Debug)]
struct Slow {
    pid: u32,
    still: Duration,
    until: Duration,
    times: u32,
}

impl ActiveFaults {
    /// Returns whether no link is struck, no node is to be restarted, and no node stands still.
    pub(crate) fn all_over(&self) -> bool {
        self.links.is_empty()
            && self.restarts.is_empty()
            && self.pauses.is_empty()
            && self.slow.is_empty()
    }

    /// The fault by which a process stands still.
    fn pause_of(&self, pid: u32) -> Option<usize> {
        self.pauses.iter().find(|(_, paused)| **paused == pid).map(|(fault, _)| *fault)
    }

    /// The fault by which a process is slow.
    fn slow_of(&self, pid: u32) -> Option<usize> {
        self.slow.iter().find(|(_, slow)| slow.pid == pid).map(|(fault, _)| *fault)
    }
}

impl CaseRunner<'_> {
    /// Injects a fault.
    pub(super) fn inject(&mut self, fault: usize) {
        let planned = &self.plan.faults[fault].fault;
        if let (Target::Link(link), Some(what)) = (planned.target(), planned.on_link()) {
            self.active_faults.links.insert(fault);
            return self.env.inject(link, fault, what);
        }
        match planned {
            Fault::Kill(kill @ Kill { silent: false, moment: None, .. }) => self.kill(fault, kill),
            Fault::Churn(churn) => self.kill(fault, &churn.kill()),
            Fault::Pause(Pause { node, lasts }) => {
                let Some(pid) = self.still_target(*node, fault) else { return };
                self.active_faults.pauses.insert(fault, pid);
                self.env.pause(pid);
                self.schedule.add(self.at() + *lasts, Act::Resume { fault });
            }
            Fault::SlowReader(slow @ SlowReader::Node { node, lasts, .. }) => {
                let Some(pid) = self.still_target(*node, fault) else { return };
                let (still, until) = (slow.still().unwrap_or_default(), self.at() + *lasts);
                self.active_faults.slow.insert(fault, Slow { pid, still, until, times: 0 });
                self.pulse(fault);
            }
            // Such a plan is refused before anything is started: see `unsupported`.
            _ => {
                self.faults.not_injected(fault, "only `samestate simulate` does that");
            }
        }
    }

    fn kill(&mut self, fault: usize, kill: &Kill) {
        let node = kill.node;
        let Some(pid) = self.target(node, fault) else { return };
        self.costs.sample();
        let planned = self.plan.node(node);
        self.nodes.end_wanted(node);
        if planned.is_master() {
            let workers: Vec<NodeId> =
                self.plan.workers(&planned.cluster).map(|worker| worker.id).collect();
            for worker in workers {
                self.nodes.end_wanted(worker);
            }
        }
        self.active_faults.kills.insert(pid, fault);
        self.env.kill(pid);
        if let Some(after) = kill.restart_after {
            self.active_faults.restarts.insert(node, fault);
            self.schedule.add(self.at() + after, Act::Restart { node, fault });
        }
    }

    /// The process that a fault stops, unless it is gone, or another fault stops it just now.
    fn still_target(&mut self, node: NodeId, fault: usize) -> Option<u32> {
        let pid = self.target(node, fault)?;
        if self.active_faults.pause_of(pid).is_some() || self.active_faults.slow_of(pid).is_some() {
            self.faults.not_injected(fault, "the process stood still already");
            return None;
        }
        Some(pid)
    }

    /// A slow process stands still once more, or is slow no longer.
    pub(super) fn pulse(&mut self, fault: usize) {
        let at = self.at();
        let Some(slow) = self.active_faults.slow.get(&fault) else { return };
        if at >= slow.until {
            let words = format!("it stood still {} times for {:?}", slow.times, slow.still);
            if slow.times > 0 {
                self.faults.more_evidence(fault, words);
                self.faults.ended(fault, at);
            }
            self.active_faults.slow.remove(&fault);
            return;
        }
        let (pid, still) = (slow.pid, slow.still.min(slow.until - at));
        self.env.pause(pid);
        self.schedule.add(at + still, Act::Resume { fault });
        self.schedule.add((at + PULSE).min(slow.until.max(at + still)), Act::Pulse { fault });
    }

    /// The process that a fault strikes, unless it is gone or another fault ends it just now.
    fn target(&mut self, node: NodeId, fault: usize) -> Option<u32> {
        let (pid, why) = match self.nodes.here(node) {
            Some(incarnation) if !incarnation.end_wanted => (Some(incarnation.pid), ""),
            Some(_) => (None, "another fault was killing the process"),
            None => (None, "the process was not there"),
        };
        if pid.is_none() {
            self.faults.not_injected(fault, why);
        }
        pid
    }

    /// Starts a node again that was killed, unless it was started again already: a worker is
    /// when its master is.
    pub(super) fn start_again(&mut self, node: NodeId, fault: usize) {
        if self.nodes.here(node).is_some_and(|incarnation| !incarnation.end_wanted) {
            return self.faults.more_evidence(fault, "it had been started again already");
        }
        let planned = self.plan.node(node);
        match planned.worker {
            None => {
                for worker in self.plan.workers(&planned.cluster) {
                    // A worker normally ends with its master. One that is left must be gone before
                    // its successor starts.
                    if let Some(incarnation) = self.nodes.here(worker.id) {
                        self.env.kill(incarnation.pid);
                    }
                }
                self.env.launch(&planned.cluster);
            }
            Some(worker) => {
                let master = self
                    .plan
                    .nodes
                    .iter()
                    .find(|other| other.is_master() && other.cluster == planned.cluster);
                let master = master.filter(|master| self.nodes.here(master.id).is_some());
                let Some(master) = master else {
                    self.active_faults.restarts.remove(&node);
                    return self.faults.more_evidence(fault, "its master was not there to fork it");
                };
                self.nodes.tell(master.id, ToNode::Fork { worker });
            }
        }
        self.faults.more_evidence(
            fault,
            format_args!("started again {:.3} s into the run", self.at().as_secs_f64()),
        );
    }

    /// Lets the process go on that a fault stopped, if it is still there.
    pub(super) fn resume(&mut self, fault: usize) {
        let slow = self.active_faults.slow.get(&fault).map(|slow| &slow.pid);
        if let Some(pid) = self.active_faults.pauses.get(&fault).or(slow) {
            self.env.resume(*pid);
        }
    }

    /// The guardian says what came of a pause.
    pub(super) fn paused(&mut self, pid: u32, alive: bool) {
        let at = self.at();
        if let Some(fault) = self.active_faults.slow_of(pid) {
            return self.slowed(fault, alive);
        }
        let Some(fault) = self.active_faults.pause_of(pid) else { return };
        if alive {
            self.faults.injected(fault, at, format!("pid {pid} was sent SIGSTOP"));
        } else {
            self.active_faults.pauses.remove(&fault);
            self.faults.not_injected(fault, format_args!("pid {pid} was gone already"));
        }
    }

    /// The guardian says whether a slow process stood still once more.
    fn slowed(&mut self, fault: usize, alive: bool) {
        let at = self.at();
        let Some(slow) = self.active_faults.slow.get_mut(&fault) else { return };
        let (pid, first) = (slow.pid, slow.times == 0);
        match (alive, first) {
            (true, first) => {
                slow.times += 1;
                if first {
                    self.faults.injected(fault, at, format!("pid {pid} was sent SIGSTOP"));
                }
            }
            (false, first) => {
                self.active_faults.slow.remove(&fault);
                if first {
                    self.faults.not_injected(fault, format_args!("pid {pid} was gone already"));
                } else {
                    self.faults.more_evidence(fault, "it was gone before the end");
                    self.faults.ended(fault, at);
                }
            }
        }
    }

    /// Notes that a process continues or is gone, as the guardian reports.
    pub(super) fn resumed(&mut self, pid: u32, alive: bool) {
        let at = self.at();
        let Some(fault) = self.active_faults.pause_of(pid) else { return };
        self.active_faults.pauses.remove(&fault);
        let how = if alive { "was sent SIGCONT" } else { "was gone before it could go on" };
        let words = format_args!("it {how} at {:.3} s", at.as_secs_f64());
        self.faults.more_evidence(fault, words);
        self.faults.ended(fault, at);
    }

    /// The guardian says what came of a kill.
    pub(super) fn killed(&mut self, pid: u32, alive: bool) {
        let at = self.at();
        let Some(&fault) = self.active_faults.kills.get(&pid) else { return };
        if alive {
            self.faults.injected(fault, at, format!("pid {pid} was sent SIGKILL"));
        } else {
            self.active_faults.kills.remove(&pid);
            self.faults.not_injected(fault, format_args!("pid {pid} was gone already"));
        }
    }

    /// The guardian saw a process end.
    pub(super) fn ended_by_fault(&mut self, pid: u32, how: Ending) {
        if let Some(fault) = self.active_faults.kills.remove(&pid) {
            self.faults.more_evidence(fault, format_args!("it {how}"));
        }
    }

    /// A node's connection is over: all that is seen of a worker's end.
    pub(super) fn left_by_fault(&mut self, connection: u64) {
        let at = self.at().as_secs_f64();
        let Some(incarnation) = self.nodes.incarnation(connection) else { return };
        if let Some(&fault) = self.active_faults.kills.get(&incarnation.pid) {
            let words = format_args!("its control connection ended {at:.3} s into the run");
            self.faults.more_evidence(fault, words);
        }
    }

    /// A node is in sync that had been started again.
    pub(super) fn healed(&mut self, node: NodeId) {
        let at = self.at();
        let Some(fault) = self.active_faults.restarts.remove(&node) else { return };
        if let Some(incarnation) = self.nodes.here(node) {
            let words = format_args!(
                "in sync again as pid {} at {:.3} s",
                incarnation.pid,
                at.as_secs_f64()
            );
            self.faults.more_evidence(fault, words);
        }
        self.faults.ended(fault, at);
    }

    /// A proxy says what came of a fault.
    pub(super) fn proxy_event(&mut self, event: ProxyEvent) {
        let ProxyEvent { fault, at_ns, what } = event;
        let at = self.at_ns(at_ns);
        match what {
            Happened::Injected(evidence) => self.faults.injected(fault, at, evidence),
            Happened::NotInjected(why) => {
                self.active_faults.links.remove(&fault);
                self.faults.not_injected(fault, why);
            }
            Happened::Ended(more) => {
                self.active_faults.links.remove(&fault);
                if let Some(more) = more {
                    self.faults.more_evidence(fault, more);
                }
                self.faults.ended(fault, at);
            }
            Happened::Reconnected => {
                let words = format_args!("connected again at {:.3} s", at.as_secs_f64());
                self.faults.more_evidence(fault, words);
            }
        }
    }
}
