//! Notes of a case, from which its record is made.

use std::collections::BTreeMap;
use std::time::Duration;

use samestate_proto::replication::Replica;
use serde_bytes::ByteBuf;

use super::Simulation;
use crate::invariants::Violations;
use crate::measure::{CpuSlices, Dispatched};
use crate::record::{
    FinalState, Gathered, IncarnationSeen, LinkFigures, NodeDelta, Recorder, Source, StoreDelta,
    Taken,
};
use crate::scenario::{NodeId, Plan, Role};
use crate::virtual_time::machine::ErasedMachine;

/// The notes of a case.
#[derive(Debug)]
pub(super) struct RunLog {
    gathered: Gathered,
    /// One for each slot, for this incarnation of its process.
    recorders: Vec<Recorder>,
    incarnations: Vec<(u64, NodeId)>,
    /// The incarnation that each host is in.
    connections: Vec<u64>,
    /// The traffic of each host when its incarnation began.
    carried: Vec<(u64, u64)>,
}

impl RunLog {
    pub(super) fn new(plan: &Plan, slots: usize) -> Self {
        RunLog {
            gathered: Gathered::new(plan),
            recorders: (0..slots).map(|_| Recorder::new("")).collect(),
            incarnations: Vec::new(),
            connections: vec![0; plan.nodes.len()],
            carried: vec![(0, 0); plan.nodes.len()],
        }
    }
}

impl Simulation<'_> {
    /// A host has a process: its incarnation is written down from here on.
    pub(super) fn host_lives(&mut self, host: usize) {
        let carried = self.world.carried(host);
        let Some(log) = &mut self.log else { return };
        let node = self.plan.nodes[host].id;
        let connection = log.incarnations.len() as u64 + 1;
        log.incarnations.push((connection, node));
        log.connections[host] = connection;
        log.carried[host] = carried;
        log.gathered.joined(connection, node);
        for slot in self.world.seats_of(host) {
            log.recorders[*slot] = Recorder::new(&self.plan.nodes[host].name);
        }
        if let Some(started) = self.started {
            self.book_standstills(host, started);
        }
    }

    /// Says when the plan has a host down or standing still.
    fn book_standstills(&mut self, host: usize, started: Duration) {
        let Some(log) = &mut self.log else { return };
        let ns = |at: Duration| (started + at).as_nanos() as u64;
        let spans = self.plan.standstills(self.plan.nodes[host].id).into_iter();
        let spans: Vec<_> = spans.map(|span| ns(span.start)..ns(span.end)).collect();
        for slot in self.world.seats_of(host) {
            log.recorders[*slot].stands_still(spans.clone());
        }
    }

    /// The load begins.
    pub(super) fn book_begins(&mut self) {
        // What was counted before is none of the case's.
        self.hand_over_all(Duration::ZERO);
        let now_ns = self.world.now().as_nanos() as u64;
        if let Some(log) = &mut self.log {
            log.gathered.begins(now_ns);
        }
        for host in 0..self.plan.nodes.len() {
            self.book_standstills(host, self.world.now());
        }
    }

    pub(super) fn write_issued(&mut self, slot: usize, source: Source) {
        if let Some(log) = &mut self.log {
            log.recorders[slot].issued(source, 1);
        }
    }

    pub(super) fn write_resolved(&mut self, slot: usize, source: Source, dispatched: Dispatched) {
        let local = self.world.replica(slot).map(Replica::version).unwrap_or_default();
        if let Some(log) = &mut self.log {
            log.recorders[slot].resolved(source, dispatched, local, None);
        }
    }

    /// Takes out what was written down of all hosts, as it was `before` now.
    pub(super) fn hand_over_all(&mut self, before: Duration) {
        for host in 0..self.plan.nodes.len() {
            self.hand_over_at(host, before, false);
        }
    }

    /// Takes out what was written down of a host; `last`: its final states too.
    pub(super) fn hand_over(&mut self, host: usize, last: bool) {
        self.hand_over_at(host, Duration::ZERO, last);
    }

    fn hand_over_at(&mut self, host: usize, before: Duration, last: bool) {
        if self.log.is_none() || !self.world.is_alive(host) {
            return;
        }
        let at_ns = self.world.now().saturating_sub(before).as_nanos() as u64;
        let mut stores = BTreeMap::new();
        for slot in self.world.seats_of(host).to_vec() {
            let (_, store) = self.placement.place(slot);
            if let Some(delta) = self.store_delta(slot, last) {
                stores.insert(store.to_owned(), delta);
            }
        }
        let (sent, received) = self.world.carried(host);
        let era = self.eras[host];
        let Some(log) = &mut self.log else { return };
        let (sent_before, received_before) = log.carried[host];
        let links = Some(LinkFigures {
            sent_bytes: sent - sent_before,
            received_bytes: received - received_before,
            syscalls: None,
        });
        let samples = if last { std::mem::take(&mut self.samples) } else { BTreeMap::new() };
        let delta =
            NodeDelta { at_ns, era, stores, samples, links, cpu: CpuSlices::default(), last };
        log.gathered.absorb(log.connections[host], delta);
    }

    fn store_delta(&self, slot: usize, last: bool) -> Option<StoreDelta> {
        let replica = self.world.replica(slot)?;
        let recorded = self.log.as_ref()?.recorders[slot].take();
        let seen = self.world.witness(slot)?.take();
        Some(StoreDelta {
            roles: self.roles(slot),
            counters: Some(replica.counters().into()),
            state: last.then(|| final_state(replica)),
            ..recorded.into_delta(replica.version(), replica.is_connected(), seen)
        })
    }

    /// Notes which replicas are in sync now.
    pub(super) fn note_links(&mut self) {
        let at_ns = self.world.now().as_nanos() as u64;
        for host in (0..self.plan.nodes.len()).filter(|host| self.world.is_alive(*host)) {
            for slot in self.world.seats_of(host) {
                let Some(replica) = self.world.replica(*slot) else { continue };
                let Some(log) = &mut self.log else { return };
                let (_, store) = self.placement.place(*slot);
                let (connection, connected) = (log.connections[host], replica.is_connected());
                log.gathered.connects(connection, store, at_ns, connected);
            }
        }
    }

    /// Returns the roles of a slot in its store, sorted.
    fn roles(&self, slot: usize) -> Vec<Role> {
        let (node, store) = self.placement.place(slot);
        let planned = self.plan.node(node);
        let upstream = self.world.upstream(slot);
        let mut roles = Vec::new();
        if planned.is_master() && self.plan.workers(&planned.cluster).next().is_some() {
            roles.push(Role::Master);
        }
        if upstream.is_some_and(|upstream| upstream.link.is_none()) {
            roles.push(Role::Worker);
        }
        let serves = |link: &crate::scenario::LinkPlan| {
            link.server == node && link.stores.iter().any(|carried| carried == store)
        };
        if self.plan.links.iter().any(serves) {
            roles.push(Role::Server);
        }
        if upstream.is_some_and(|upstream| upstream.link.is_some()) {
            roles.push(Role::Client);
        }
        roles.sort();
        roles
    }

    /// Closes the log: all that a record is made of.
    pub(super) fn close_book(
        &mut self,
        started: Option<Duration>,
        stopped: Duration,
    ) -> Option<Taken> {
        for host in 0..self.plan.nodes.len() {
            self.hand_over(host, true);
        }
        let log = self.log.take()?;
        let mut violations = Violations::default();
        if let Some(violation) = self.world.violation() {
            violations.push(violation.clone());
        }
        let ns = |at: Duration| at.as_nanos() as u64;
        let incarnations = log.incarnations.iter().map(|(connection, node)| IncarnationSeen {
            connection: *connection,
            node: *node,
            pid: 0,
            cost: None,
            course: Vec::new(),
            ended: None,
        });
        Some(Taken {
            phase_cpu_ns: Vec::new(),
            incarnations: incarnations.collect(),
            gathered: log.gathered,
            start_ns: started.map(ns),
            stop_ns: ns(stopped),
            end_ns: ns(self.world.now()),
            faults: self.faults.list().to_vec(),
            violations,
            carrying: self.carries,
            interrupted: self.interrupted(),
            lost_cause: None,
            trouble: Vec::new(),
            errors: Vec::new(),
        })
    }
}

fn final_state(replica: &Replica<ErasedMachine>) -> FinalState {
    let state = replica.machine().still();
    FinalState {
        version: replica.version(),
        digest: state.digest_or_zero(),
        bytes: ByteBuf::from(state.bytes()),
    }
}
