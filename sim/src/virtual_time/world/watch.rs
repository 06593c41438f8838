//! What a replica did at a step, and what it asks for.

use std::time::Duration;

use samestate::replication::{Counters, LinkFault, LinkId, Output, Replica, Report, Resolution};

use super::{Done, Event, World};
use crate::virtual_time::check::Seen;
use crate::virtual_time::machine::Subject;
use crate::virtual_time::network::EndId;

impl World {
    /// Hands an input to the replica of a node, holds what it did against the history, and carries
    /// out what it asks for. `None`: there is no process.
    pub(super) fn step<T>(
        &mut self,
        node: usize,
        input: impl FnOnce(&mut Replica<Subject>, Duration) -> T,
    ) -> Option<T> {
        let now = self.now;
        let process = self.nodes[node].process.as_mut()?;
        let result = input(&mut process.replica, now);
        self.watch(node);
        Some(result)
    }

    pub(super) fn watch(&mut self, node: usize) {
        self.look(node);
        if !self.nodes[node].spec.slow_subscriber {
            self.tell(node);
        }
        let Some(process) = &mut self.nodes[node].process else { return };
        if process.replica.has_outputs() {
            for output in process.replica.take_outputs() {
                self.carry_out(node, output);
            }
        }
    }

    /// Holds what happened to the state against the canonical history.
    fn look(&mut self, node: usize) {
        let Some(process) = &self.nodes[node].process else { return };
        let seen = process.tap.take();
        let sequencer = process.replica.is_sequencer();
        let (version, digest) =
            (process.replica.version(), process.replica.machine().state().digest());
        for seen in &seen {
            let found = self.checker.seen(node, seen, sequencer);
            self.seen(node, seen);
            if let Err(violation) = found {
                return self.broken(violation);
            }
        }
        if let Err(violation) = self.checker.stands(node, version, digest) {
            self.broken(violation);
        }
    }

    fn seen(&mut self, node: usize, seen: &Seen) {
        let (version, history) = match seen {
            Seen::Applied { last, history, .. } => (last, history),
            Seen::Jumped { to, history, .. } => (to, history),
        };
        self.mix(node as u64 ^ self.now.as_nanos() as u64);
        self.mix(version.epoch.id ^ version.seq ^ history);
        self.say(|| match seen {
            Seen::Applied { first, last, actions, .. } => {
                let ids = actions.iter().flatten().map(|action| format!("{:x}", action.id));
                format!(
                    "n{node} applies {first} to {last:?}: {}",
                    ids.collect::<Vec<_>>().join(" ")
                )
            }
            Seen::Jumped { from, to, .. } => format!("n{node} jumps from {from:?} to {to:?}"),
        });
    }

    /// The subscriber of a node takes what it is told.
    pub(super) fn tell(&mut self, node: usize) {
        let Some(process) = &mut self.nodes[node].process else { return };
        let changes = process.replica.take_changes();
        if let Err(violation) = self.checker.told(node, changes) {
            self.broken(violation);
        }
    }

    fn carry_out(&mut self, node: usize, output: Output<Subject>) {
        match output {
            Output::Wake(link) => self.wake(EndId::of(link)),
            Output::Cut(link, fault) => self.cut_off(node, link, fault),
            Output::Run(job) => {
                let cost = self.dice.micros(10, 1500);
                let life = self.nodes[node].life;
                let done = Done { job: Box::new(job.run()), cost };
                self.heap.push(self.now + cost, Event::Finish { node, life, done });
            }
            Output::Resolved { ticket, resolution } => {
                self.say(|| format!("n{node}: {ticket:x} is {resolution:?}"));
                self.resolved(node, ticket, &resolution);
            }
            Output::Connected(connected) => {
                let word = if connected { "in sync" } else { "not in sync" };
                self.say(|| format!("n{node} is {word}"));
            }
            Output::Report(report) => self.reported(node, &report),
        }
    }

    fn cut_off(&mut self, node: usize, link: LinkId, fault: LinkFault) {
        let end = EndId::of(link);
        let ours = self.connections.get(&end.connection);
        if ours.is_some_and(|connection| connection.end(end.side).node == node) {
            self.close(end, Some(fault));
        }
    }

    pub(super) fn resolved(&mut self, node: usize, id: u64, resolution: &Resolution) {
        let Some(process) = &self.nodes[node].process else { return };
        let local = process.replica.version();
        let found = self.checker.resolved(node, id, resolution, local);
        self.mix(id ^ self.now.as_nanos() as u64);
        if let Err(violation) = found {
            self.broken(violation);
        }
    }

    fn reported(&mut self, node: usize, report: &Report) {
        self.say(|| format!("n{node} reports: {report}"));
        match report {
            Report::HistoryLost { .. } => self.moments.histories_lost += 1,
            Report::FailedHere { .. } => self.moments.failed_here += 1,
            Report::NonDeterministic(_) => self.moments.non_deterministic += 1,
            Report::FedBySnapshots => self.moments.fed_by_snapshots += 1,
            Report::Diverged(_)
            | Report::Poisoned(_)
            | Report::Unencodable { .. }
            | Report::Refuses(_) => {}
        }
    }
}

/// Adds up what replicas counted.
pub(super) fn add(sum: &mut Counters, one: &Counters) {
    sum.snapshots_forced += one.snapshots_forced;
    sum.entries_skipped += one.entries_skipped;
    sum.snapshots_sent += one.snapshots_sent;
    sum.snapshots_cut += one.snapshots_cut;
    sum.snapshots_installed += one.snapshots_installed;
    sum.divergences += one.divergences;
    sum.stale_hops += one.stale_hops;
    sum.deduplicated += one.deduplicated;
    sum.gaps += one.gaps;
    sum.resumed += one.resumed;
    sum.applied += one.applied;
}
