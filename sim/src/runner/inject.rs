//! Faults as they are injected into a case, and healed.
//!
//! A cut goes to the link's proxy, a kill to the guardian; what they report is the evidence. A
//! master that is started again forks its workers again; a worker is forked again by its master.

use std::collections::{BTreeMap, BTreeSet};

use super::case::CaseRunner;
use super::guardian::Ending;
use super::proxy::{ProxyEvent, Severed};
use super::schedule::Act;
use crate::control::ToNode;
use crate::faults::{Cut, Fault, Kill, Pause};
use crate::scenario::NodeId;

/// Faults that are not over.
#[derive(Debug, Default)]
pub(crate) struct ActiveFaults {
    /// Cuts that the proxies have not reported as restored.
    cuts: BTreeSet<usize>,
    /// Kills by the process that was to be killed.
    kills: BTreeMap<u32, usize>,
    /// Nodes that are to be restarted, by fault.
    restarts: BTreeMap<NodeId, usize>,
    /// Processes that stand still, by fault.
    pauses: BTreeMap<usize, u32>,
}

impl ActiveFaults {
    /// Returns whether no link is cut, no node is to be restarted, and no node stands still.
    pub(crate) fn all_over(&self) -> bool {
        self.cuts.is_empty() && self.restarts.is_empty() && self.pauses.is_empty()
    }

    /// The fault by which a process stands still.
    fn pause_of(&self, pid: u32) -> Option<usize> {
        self.pauses.iter().find(|(_, paused)| **paused == pid).map(|(fault, _)| *fault)
    }
}

impl CaseRunner<'_> {
    /// Injects a fault.
    pub(super) fn inject(&mut self, fault: usize) {
        match self.plan.faults[fault].fault {
            Fault::Cut(Cut { link, lasts }) => {
                self.active_faults.cuts.insert(fault);
                self.env.cut(link, fault, lasts);
            }
            Fault::Kill(Kill { node, restart_after, silent: false, moment: None }) => {
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
                if let Some(after) = restart_after {
                    self.active_faults.restarts.insert(node, fault);
                    self.schedule.add(self.at() + after, Act::Restart { node, fault });
                }
            }
            Fault::Pause(Pause { node, lasts }) => {
                let Some(pid) = self.target(node, fault) else { return };
                if self.active_faults.pause_of(pid).is_some() {
                    return self.faults.not_injected(fault, "the process stood still already");
                }
                self.active_faults.pauses.insert(fault, pid);
                self.env.pause(pid);
                self.schedule.add(self.at() + lasts, Act::Resume { fault });
            }
            // Such a plan is refused before anything is started: see `unsupported`.
            _ => {
                self.faults.not_injected(fault, "only `samestate simulate` does that");
            }
        }
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
        if let Some(pid) = self.active_faults.pauses.get(&fault) {
            self.env.resume(*pid);
        }
    }

    /// The guardian says what came of a pause.
    pub(super) fn paused(&mut self, pid: u32, alive: bool) {
        let at = self.at();
        let Some(fault) = self.active_faults.pause_of(pid) else { return };
        if alive {
            self.faults.injected(fault, at, format!("pid {pid} was sent SIGSTOP"));
        } else {
            self.active_faults.pauses.remove(&fault);
            self.faults.not_injected(fault, format_args!("pid {pid} was gone already"));
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

    /// Something happened to a link that is cut on purpose.
    pub(super) fn proxy_event(&mut self, event: ProxyEvent) {
        match event {
            ProxyEvent::Cut { fault, at_ns, severed } => {
                self.faults.injected(fault, self.at_ns(at_ns), in_words(&severed));
            }
            ProxyEvent::NotCut { fault } => {
                self.active_faults.cuts.remove(&fault);
                self.faults.not_injected(fault, "the link had no open connection to sever");
            }
            ProxyEvent::Restored { fault, at_ns } => {
                self.active_faults.cuts.remove(&fault);
                self.faults.ended(fault, self.at_ns(at_ns));
            }
            ProxyEvent::Reconnected { fault, at_ns } => {
                let at = self.at_ns(at_ns).as_secs_f64();
                let words = format_args!("connected again at {at:.3} s");
                self.faults.more_evidence(fault, words);
            }
        }
    }
}

fn in_words(severed: &[Severed]) -> String {
    let connections = match severed.len() {
        1 => "1 connection".to_owned(),
        count => format!("{count} connections"),
    };
    let carried: u64 = severed.iter().map(|one| one.carried_bytes).sum();
    let lost: u64 = severed.iter().map(|one| one.lost_bytes).sum();
    let lost =
        if lost > 0 { format!("; {lost} bytes on their way were lost") } else { String::new() };
    format!("{connections} severed after {carried} bytes{lost}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_severed_is_counted() {
        let one = Severed { carried_bytes: 10, lost_bytes: 0 };
        assert_eq!(in_words(&[one]), "1 connection severed after 10 bytes");
        let two = Severed { carried_bytes: 5, lost_bytes: 3 };
        assert_eq!(
            in_words(&[one, two]),
            "2 connections severed after 15 bytes; 3 bytes on their way were lost"
        );
    }
}
