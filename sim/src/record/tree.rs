//! One tree of one store: what was seen of it, and whether the invariants held.

mod over_time;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use samestate_proto::Version;

use super::delta::FinalState;
use super::gather::{Dispatching, Gathered, Incarnation, StoreIncarnation};
use super::sums::{Judged, Pace, Sums};
use crate::invariants::{Claims, Invariant, Ledger, Violations, agreement, convergence, judge};
use crate::load::Samplings;
use crate::measure::identity::Sameness;
use crate::measure::latency::Arrivals;
use crate::measure::{EqualVersion, Latencies, Samples, Staleness, StoreSeen, Trace, identity};
use crate::scenario::{Arrival, NodeId, Observation, PhasePlan, Plan, Tree};

pub(super) use over_time::OverTime;

/// A silent peer is dead after this long: the library's default, which scenarios do not change.
const DEAD_AFTER: Duration = Duration::from_secs(5);

/// The longest wait between two attempts to reconnect, unless a link says otherwise.
const BACKOFF_USUAL: Duration = Duration::from_secs(5);

/// The time that a snapshot may take to be sent.
const SNAPSHOT_WITHIN: Duration = Duration::from_secs(5);

/// The times of a case, on the clock that all processes share.
#[derive(Clone, Debug)]
pub(super) struct Instants {
    /// The time at which the load began.
    pub(super) start_ns: u64,
    /// The time at which the load ended.
    pub(super) load_ended_ns: u64,
    /// The time at which each injected fault was over.
    pub(super) faults_ended_ns: Vec<u64>,
    /// The time at which watching ended.
    pub(super) end_ns: u64,
    /// The time that the bytes take which were to be carried when the load ended; zero if that is
    /// not known.
    pub(super) carrying: Duration,
    /// The run was stopped before its end.
    pub(super) interrupted: bool,
}

/// One tree of one store, with what was seen of it.
pub(super) struct TreeSeen<'a> {
    plan: &'a Plan,
    store: &'a str,
    tree: &'a Tree,
    gathered: &'a Gathered,
    instants: &'a Instants,
    /// Every replica, in the order of the tree's members: the root first.
    pub(super) replicas: Vec<Trace>,
    /// Of each of them, whether it was in this tree from the start.
    there: Vec<bool>,
    /// The time since which the tree was what it was at the end.
    since_ns: u64,
    ledger: Ledger,
    claims: Claims,
    /// The result of comparing the replicas at equal versions.
    equal: EqualVersion,
    /// The times at which they were at one version.
    sameness: Sameness,
}

impl<'a> TreeSeen<'a> {
    pub(super) fn of(
        plan: &'a Plan,
        store: &'a str,
        tree: &'a Tree,
        gathered: &'a Gathered,
        instants: &'a Instants,
    ) -> Self {
        let mut seen = TreeSeen {
            plan,
            store,
            tree,
            gathered,
            instants,
            replicas: Vec::new(),
            there: Vec::new(),
            since_ns: instants.start_ns,
            ledger: Ledger::of(store),
            claims: Claims::default(),
            equal: EqualVersion::default(),
            sameness: Sameness::default(),
        };
        seen.replicas = tree.members.iter().map(|member| seen.trace(member.node)).collect();
        seen.there = seen.there_at_start();
        seen.since_ns = seen.unchanged_since_ns();
        seen.equal = identity::at_equal_version(&seen.replicas);
        seen.sameness = Sameness::of(&seen.replicas, instants.end_ns);
        seen.put_in_order();
        seen.claim();
        seen
    }

    /// The store.
    pub(super) fn store(&self) -> &'a str {
        self.store
    }

    /// Returns the trace of a node's replica over all incarnations of the node.
    fn trace(&self, node: NodeId) -> Trace {
        let mut trace = Trace::named(&*self.plan.node(node).name);
        trace.incarnations.clear();
        for (incarnation, store) in self.gathered.stores(node, self.store) {
            let mut timeline = store.timeline.clone();
            if !incarnation.whole {
                timeline.end(incarnation.heard_ns);
            }
            trace.incarnations.push(timeline);
            let digests = store.digests.iter();
            let digests = digests.map(|(&(epoch, seq), digest)| (Version { epoch, seq }, *digest));
            let last = store.state.as_ref().map(|state| (state.version, state.digest));
            trace.digests.extend(digests.chain(last));
        }
        trace
    }

    /// Returns the time of the last event that changed the tree.
    fn unchanged_since_ns(&self) -> u64 {
        let nodes = |tree: &Tree| -> BTreeSet<NodeId> {
            tree.members.iter().map(|member| member.node).collect()
        };
        let mine = nodes(self.tree);
        let others = self.plan.events.iter().rev().find(|event| {
            let before = self.plan.topology_at(event.at.saturating_sub(Duration::from_nanos(1)));
            let tree = before.trees_of(self.store).iter().find(|tree| tree.root == self.tree.root);
            tree.is_none_or(|tree| nodes(tree) != mine)
        });
        let at = others.map_or(Duration::ZERO, |event| event.at);
        self.instants.start_ns + at.as_nanos() as u64
    }

    /// Returns whether a node ordered actions of its own before it became a member of this tree.
    fn ordered_before(&self, node: NodeId) -> bool {
        let root_of = |tree: &Tree| tree.root == node;
        node != self.tree.root && self.plan.topology.trees_of(self.store).iter().any(root_of)
    }

    /// Puts together what the tree's sequencers ordered. What a node ordered before it became a
    /// client counts as a history that was lost: none of it is on the lineage of the tree.
    fn put_in_order(&mut self) {
        let members = self.tree.members.iter().map(|member| member.node);
        let sequencers = members.filter(|node| self.ordered_before(*node)).collect::<Vec<_>>();
        for node in sequencers.into_iter().chain([self.tree.root]) {
            for (incarnation, store) in self.gathered.stores(node, self.store) {
                if let Some(part) = &store.ledger {
                    self.ledger.absorb(part.clone());
                }
                if !incarnation.whole {
                    self.ledger.died();
                }
            }
        }
    }

    /// Takes what the tree's origins were answered.
    fn claim(&mut self) {
        let root = self.tree.root;
        let claims = self.gathered.claims.get(&(self.store.to_owned(), root));
        self.claims = claims.cloned().unwrap_or_default();
        let incarnations = self.plan.nodes.iter();
        let mut incarnations =
            incarnations.flat_map(|node| self.gathered.stores(node.id, self.store));
        if incarnations
            .any(|(incarnation, store)| !incarnation.whole && store.roots.contains(&root))
        {
            self.claims.died();
        }
    }

    /// The final states of the replicas that can hear the root, with their nodes' names.
    pub(super) fn final_states(&self) -> Vec<(&'a str, &'a FinalState)> {
        let states = self.reachable().into_iter().filter_map(|(node, incarnation)| {
            let state = incarnation.stores.get(self.store)?.state.as_ref()?;
            Some((self.plan.node(node).name.as_str(), state))
        });
        states.collect()
    }

    /// The tree's sequencer.
    pub(super) fn root(&self) -> NodeId {
        self.tree.root
    }

    /// The members that can hear the root: those all of whose upstreams were there at the end.
    fn reachable(&self) -> Vec<(NodeId, &'a Incarnation)> {
        let mut reachable: Vec<(NodeId, &'a Incarnation)> = Vec::new();
        for member in &self.tree.members {
            let fed = member
                .upstream
                .is_none_or(|upstream| reachable.iter().any(|(node, _)| *node == upstream.node()));
            if let Some(incarnation) = self.gathered.at_end(member.node).filter(|_| fed) {
                reachable.push((member.node, incarnation));
            }
        }
        reachable
    }

    /// Returns the measures of the tree over the whole run.
    pub(super) fn sums(&self) -> Sums {
        let mut sums = self.sums_between(self.instants.start_ns, self.instants.load_ended_ns, None);
        let (since_ns, ended_ns) = (self.since_ns, self.instants.load_ended_ns);
        let share = identity::time_weighted(&self.replicas, since_ns, ended_ns);
        sums.time_weighted_percent = share.percent();
        sums.equal = self.equal.clone();
        sums.samples = self.sampled();
        sums.converged = self.converged_within_ns().into();
        sums.judged = Some(self.judged().0);
        let members = self.tree.members.iter();
        for (_, store) in members.flat_map(|member| self.gathered.stores(member.node, self.store)) {
            sums.count(store.counters);
        }
        sums
    }

    /// Returns the measures of the tree during one phase.
    pub(super) fn sums_of_phase(&self, phase: &PhasePlan) -> Sums {
        let ns = |at: Duration| self.instants.start_ns + at.as_nanos() as u64;
        let streams = phase.load.iter().map(|load| load.stream).collect();
        self.sums_between(ns(phase.start), ns(phase.end()), Some(&streams))
    }

    /// Returns the dispatches of a time, by these loads alone if they are given (mirrors are then
    /// left out), and how the replicas followed.
    fn sums_between(&self, begun_ns: u64, ended_ns: u64, streams: Option<&BTreeSet<u64>>) -> Sums {
        let mut sums = Sums::default();
        let mut arrivals = Arrivals::default();
        let closed = self.closed_streams();
        for (at, member) in self.tree.members.iter().enumerate() {
            for (_, store) in self.gathered.stores(member.node, self.store) {
                for (stream, load) in &store.loads {
                    if streams.is_none_or(|streams| streams.contains(stream)) {
                        self.add(&mut sums, &mut arrivals, at, load);
                        pace(&mut sums.pace, load, closed.contains(stream));
                    }
                }
                if streams.is_none() {
                    sums.from_mirrors += store.mirrors.counts().intended;
                    self.add(&mut sums, &mut arrivals, at, &store.mirrors);
                }
            }
        }
        sums.pace.left_out_ns = self.left_out_ns(streams);
        sums.replica = arrivals.latencies;
        for replica in self.replicas.iter().skip(1) {
            let begun_ns = begun_ns.max(self.since_ns);
            let stale = Staleness::of(&self.replicas[0], replica, begun_ns, ended_ns);
            sums.staleness.merge(&stale);
        }
        let nothing = BTreeMap::new();
        let made = sums.counts.intended.max(1) as f64;
        let by_load = 1.0 - sums.from_mirrors as f64 / made;
        let applied_per_s = self.seen(begun_ns, ended_ns, &nothing).rate(None).achieved_per_s;
        // What is applied everywhere includes what mirrors dispatched; a rate is of the load alone.
        sums.achieved_per_s = applied_per_s.map(|per_s| per_s * by_load).filter(|_| by_load > 0.0);
        sums
    }

    /// Returns the time for which the open loops of the tree's nodes, or these alone, could not be
    /// on time, by the plan.
    fn left_out_ns(&self, streams: Option<&BTreeSet<u64>>) -> u64 {
        let mut total = Duration::ZERO;
        for phase in &self.plan.phases {
            let open = phase.load.iter().filter(|load| {
                load.store == self.store
                    && !matches!(load.arrival, Arrival::Closed(_))
                    && streams.is_none_or(|streams| streams.contains(&load.stream))
                    && self.tree.members.iter().any(|member| member.node == load.at)
            });
            for span in open.flat_map(|load| self.plan.standstills(load.at)) {
                let (from, to) = (span.start.max(phase.start), span.end.min(phase.end()));
                total += to.saturating_sub(from);
            }
        }
        total.as_nanos() as u64
    }

    fn add(&self, sums: &mut Sums, arrivals: &mut Arrivals, at: usize, load: &Dispatching) {
        sums.counts.merge(&load.counts());
        sums.local.merge(load.log.local());
        if load.log.kept().is_empty() {
            return;
        }
        for (other, replica) in self.replicas.iter().enumerate() {
            // One that came later did not hear of it when it was made.
            if other != at && self.there[other] {
                arrivals.merge(&load.log.at_replica(replica));
            }
        }
    }

    /// Returns whether each member was in this tree from the start.
    fn there_at_start(&self) -> Vec<bool> {
        let trees = self.plan.topology.trees_of(self.store).iter();
        let same = trees.filter(|tree| tree.root == self.tree.root);
        let then: BTreeSet<NodeId> =
            same.flat_map(|tree| &tree.members).map(|member| member.node).collect();
        self.tree.members.iter().map(|member| then.contains(&member.node)).collect()
    }

    fn closed_streams(&self) -> BTreeSet<u64> {
        let loads = self.plan.phases.iter().flat_map(|phase| &phase.load);
        let closed = loads.filter(|load| matches!(load.arrival, Arrival::Closed(_)));
        closed.map(|load| load.stream).collect()
    }

    fn seen<'s>(
        &'s self,
        begun_ns: u64,
        load_ended_ns: u64,
        nothing: &'s BTreeMap<String, crate::measure::DispatchLog>,
    ) -> StoreSeen<'s> {
        StoreSeen {
            replicas: &self.replicas,
            root: 0,
            loads: nothing,
            mirrors: nothing,
            samples: Samples::default(),
            begun_ns,
            load_ended_ns,
            faults_ended_ns: &self.instants.faults_ended_ns,
            watched_until_ns: self.instants.end_ns,
            sameness: &self.sameness,
        }
    }

    /// Samples whether all replicas were the same at the instants that the plan draws.
    fn sampled(&self) -> Samples {
        let mut samples = Samples::default();
        for (index, observation) in self.plan.observe.iter().enumerate() {
            if matches!(observation, Observation::Replicas { store, .. } if store == self.store) {
                samples.merge(&self.sampled_by(index));
            }
        }
        samples
    }

    /// Returns the findings of one observation of the plan; none if it observes another store.
    pub(super) fn sampled_by(&self, index: usize) -> Samples {
        let Some(Observation::Replicas { every, .. }) = self.plan.observe.get(index) else {
            return Samples::default();
        };
        let start_ns = self.instants.start_ns;
        let instants = Samplings::new(*every, self.plan.duration(), self.plan.seed, index as u64);
        let instants = instants.map(|at| start_ns + at.as_nanos() as u64);
        let watched = self.since_ns..self.instants.load_ended_ns;
        let instants: Vec<u64> = instants.filter(|at| watched.contains(at)).collect();
        identity::sampled(&self.replicas, &instants)
    }

    /// The longest until all were equal: for good after the load, for once after each fault.
    fn converged_within_ns(&self) -> Option<u64> {
        let nothing = BTreeMap::new();
        self.seen(self.since_ns, self.instants.load_ended_ns, &nothing).converged_within_ns()
    }

    /// Returns the time until all were equal after an instant, as seen until another.
    pub(super) fn equal_after(&self, since_ns: u64, until_ns: u64) -> Option<u64> {
        self.sameness.convergence(since_ns, until_ns).first_ns
    }

    /// Returns the fate of the dispatches in the history, and the violations.
    fn judged(&self) -> (Judged, Violations) {
        let findings = judge(self.store, &self.ledger, &self.claims);
        // What brought the store into its first state is no part of the load.
        let opening: u64 = self.opening_ok();
        let judged = Judged {
            lost: findings.lost,
            duplicated: findings.duplicated,
            rolled_back: findings.rolled_back,
            ordered: self.ledger.ordered_total().saturating_sub(opening),
        };
        (judged, findings.violations)
    }

    fn opening_ok(&self) -> u64 {
        let members = self.tree.members.iter();
        let incarnations = members.flat_map(|member| self.gathered.stores(member.node, self.store));
        incarnations.map(|(_, store)| store.opening.log.counts().ok).sum()
    }

    /// Returns the violations in this tree, without those of the final states.
    pub(super) fn violations(&self) -> Violations {
        let mut violations = Violations::default();
        for member in &self.tree.members {
            for (_, store) in self.gathered.stores(member.node, self.store) {
                violations.merge(store.violations.clone());
                self.diverged(member.node, store, &mut violations);
            }
        }
        violations.merge(agreement(&self.equal));
        violations.merge(self.judged().1);
        if !self.instants.interrupted {
            self.converges(&mut violations);
        }
        violations
    }

    fn diverged(&self, node: NodeId, store: &StoreIncarnation, violations: &mut Violations) {
        let divergences = store.counters.map_or(0, |counters| counters.divergences);
        if divergences > 0 {
            let detail = format!(
                "store {}: {divergences} verifications found another digest than the sequencer's",
                self.store
            );
            violations.add(Invariant::I2, &self.plan.node(node).name, detail);
        }
    }

    /// Checks that the replicas that can reach the root became equal in time (I7).
    fn converges(&self, violations: &mut Violations) {
        let reachable = self.reachable();
        let there = |trace: &&Trace| {
            reachable.iter().any(|(node, _)| self.plan.node(*node).name == trace.name)
        };
        let replicas: Vec<Trace> = self.replicas.iter().filter(there).cloned().collect();
        if replicas.len() < 2 {
            return;
        }
        let faults = self.instants.faults_ended_ns.iter().copied();
        let since_ns = faults.chain([self.instants.load_ended_ns]).max().unwrap_or_default();
        let end_ns = self.instants.end_ns;
        let found = Sameness::of(&replicas, end_ns).convergence(since_ns, end_ns);
        let backoff = self.plan.links.iter().filter_map(|link| link.backoff_max).max();
        let backoff = backoff.unwrap_or(BACKOFF_USUAL);
        let deadline = DEAD_AFTER + backoff + SNAPSHOT_WITHIN + self.instants.carrying;
        let violation = convergence(self.store, &found, deadline.as_nanos() as u64);
        violation.into_iter().for_each(|violation| violations.push(violation));
    }
}

fn pace(pace: &mut Pace, load: &Dispatching, closed: bool) {
    if closed {
        pace.closed += load.issued;
        pace.has_closed = true;
        return;
    }
    pace.due += load.due;
    pace.issued += load.issued;
    let lag: &Latencies = load.log.lag();
    pace.lag.merge(lag);
}
