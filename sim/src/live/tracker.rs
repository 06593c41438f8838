//! Samples of a case, from the parts that its processes hand over.
//!
//! A part arrives up to a tenth of a second after what it tells of, and those of a busy process
//! later. So a sample is made once every process has told of its whole stretch of time, or after
//! [`LATE_MAX_NS`]: a process that stands still does not keep the others waiting.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use samestate_proto::Version;
use samestate_report::live::{LiveDispatches, LiveProcess, LiveQuantiles, LiveStore, Sample};

use super::readings::Readings;
use super::replicas::{Replica, Stretch, sweep};
use crate::measure::cost::Usage;
use crate::measure::over_time::{Merge, Spread};
use crate::measure::{Counts, Outcome};
use crate::record::{LinkFigures, LoadDelta, NodeDelta, percent, short};
use crate::scenario::{Arrival, NodeId, Plan, Topology};

/// The length of a sample.
pub(super) const SAMPLE_NS: u64 = 500_000_000;

/// A sample waits for a process for no longer than this.
const LATE_MAX_NS: u64 = 1_000_000_000;

/// Dispatches that have not arrived at a replica after this time are not waited for.
const ARRIVAL_MAX_NS: u64 = 10_000_000_000;

/// The most changes of replicas that are kept, of all replicas together.
const CHANGES_MAX: usize = 1 << 20;

/// The least number of changes that are kept of one replica.
const CHANGES_MIN: usize = 256;

/// The most dispatches of a store whose arrival is watched, and of one part.
const WATCHED_MAX: usize = 1_000;
const WATCHED_OF_PART_MAX: usize = 10;

/// The last few seconds of a case, as its processes told them.
#[derive(Debug)]
pub(super) struct Tracker {
    start_ns: Option<u64>,
    /// The end of the last sample.
    sampled_ns: u64,
    changes_max: usize,
    stores: BTreeMap<String, Store>,
    /// The processes that are there, by their connections.
    processes: BTreeMap<u64, Process>,
}

#[derive(Debug, Default)]
struct Store {
    has_closed: bool,
    replicas: BTreeMap<NodeId, Replica>,
    counts: Counts,
    by_loads: u64,
    answered: Spread,
    arrived: Spread,
    watched: VecDeque<Watched>,
    /// The most actions that all replicas of a tree had applied, by its root.
    applied: BTreeMap<NodeId, u64>,
}

/// A dispatch whose arrival at other replicas is watched.
#[derive(Debug)]
struct Watched {
    intended_ns: u64,
    issued_ns: u64,
    version: Version,
    origin: NodeId,
    /// The replicas that are still to apply it; `None` until the origin's tree is looked up.
    left: Option<Vec<NodeId>>,
}

#[derive(Debug)]
struct Process {
    node: NodeId,
    pid: u32,
    heard_ns: u64,
    cpu: Readings,
    rss_bytes: Option<u64>,
    sent: Readings,
    received: Readings,
    syscalls: Readings,
    /// Dispatches due and issued, by store and load.
    loads: BTreeMap<(String, u64), (Readings, Readings)>,
}

impl Tracker {
    /// A case of which nothing has been heard.
    pub(super) fn new(plan: &Plan) -> Self {
        let mut stores: BTreeMap<String, Store> = BTreeMap::new();
        for name in plan.topology.trees.keys() {
            stores.entry(name.clone()).or_default();
        }
        for load in plan.phases.iter().flat_map(|phase| &phase.load) {
            let store = stores.entry(load.store.clone()).or_default();
            store.has_closed |= matches!(load.arrival, Arrival::Closed(_));
        }
        let replicas = plan.nodes.len() * stores.len().max(1);
        Self {
            start_ns: None,
            sampled_ns: 0,
            changes_max: (CHANGES_MAX / replicas.max(1)).max(CHANGES_MIN),
            stores,
            processes: BTreeMap::new(),
        }
    }

    /// The load begins at this instant.
    pub(super) fn begins(&mut self, start_ns: u64) {
        (self.start_ns, self.sampled_ns) = (Some(start_ns), start_ns);
    }

    /// A process of a node is there.
    pub(super) fn joined(&mut self, connection: u64, node: NodeId, pid: u32, at_ns: u64) {
        let process = Process {
            node,
            pid,
            heard_ns: at_ns,
            cpu: Readings::default(),
            rss_bytes: None,
            sent: Readings::default(),
            received: Readings::default(),
            syscalls: Readings::default(),
            loads: BTreeMap::new(),
        };
        self.processes.insert(connection, process);
    }

    /// A process is gone.
    pub(super) fn left(&mut self, connection: u64) {
        let Some(process) = self.processes.remove(&connection) else { return };
        let others = self.processes.values();
        if others.into_iter().any(|other| other.node == process.node) {
            return; // its successor speaks for the node already
        }
        for store in self.stores.values_mut() {
            if let Some(replica) = store.replicas.get_mut(&process.node) {
                replica.end(process.heard_ns);
            }
        }
    }

    /// A process hands over a part.
    pub(super) fn absorb(&mut self, connection: u64, delta: &NodeDelta) {
        let Some(process) = self.processes.get_mut(&connection) else { return };
        process.heard_ns = delta.at_ns;
        if let Some(LinkFigures { sent_bytes, received_bytes, syscalls }) = delta.links {
            process.sent.push(delta.at_ns, sent_bytes);
            process.received.push(delta.at_ns, received_bytes);
            syscalls.into_iter().for_each(|calls| process.syscalls.push(delta.at_ns, calls));
        }
        for (name, part) in &delta.stores {
            let store = self.stores.entry(name.clone()).or_default();
            let replica = store.replicas.entry(process.node).or_default();
            replica.absorb(&part.seen.timeline, self.changes_max);
            for (stream, load) in &part.loads {
                store.by_loads += load.log.counts().intended;
                store.dispatched(process.node, load);
                let load_key = (name.clone(), *stream);
                let (due, issued) = process.loads.entry(load_key).or_default();
                due.push(delta.at_ns, load.due);
                issued.push(delta.at_ns, load.issued);
            }
            store.dispatched(process.node, &part.mirrors);
        }
    }

    /// A reading of what a process has used.
    pub(super) fn used(&mut self, connection: u64, usage: Usage) {
        if let Some(process) = self.processes.get_mut(&connection) {
            process.cpu.push(usage.at_ns, usage.cpu_ns);
            process.rss_bytes = Some(usage.rss_bytes);
        }
    }

    /// Makes the next sample if it is time for it. Returns it with the instant of its end.
    pub(super) fn sample(&mut self, plan: &Plan, now_ns: u64) -> Option<(u64, Sample)> {
        let start_ns = self.start_ns?;
        let (from_ns, to_ns) = (self.sampled_ns, self.sampled_ns + SAMPLE_NS);
        let heard_ns = self.processes.values().map(|process| process.heard_ns).min();
        let complete = heard_ns.is_some_and(|heard_ns| heard_ns >= to_ns);
        if now_ns < to_ns || !(complete || now_ns >= to_ns + LATE_MAX_NS) {
            return None;
        }
        self.sampled_ns = to_ns;
        let topology = plan.topology_at(Duration::from_nanos(to_ns - start_ns));
        let processes = &self.processes;
        let stores = self.stores.iter_mut().map(|(name, store)| {
            let rate = |load: fn(&(Readings, Readings)) -> &Readings| -> f64 {
                let loads = processes.values().flat_map(|process| &process.loads);
                let loads = loads.filter(|((store, _), _)| store == name);
                loads.filter_map(|(_, both)| load(both).per_second(from_ns, to_ns)).sum()
            };
            let mut seen = store.watch(name, topology, from_ns, to_ns);
            seen.intended_per_s = (!store.has_closed).then(|| short(rate(|both| &both.0)));
            seen.issued_per_s = Some(short(rate(|both| &both.1)));
            (name.clone(), seen)
        });
        let stores = stores.collect();
        let processes = self.processes.values();
        let processes = processes.map(|process| process.seen(plan, from_ns, to_ns)).collect();
        let seconds = SAMPLE_NS as f64 / 1e9;
        Some((to_ns, Sample { seconds, stores, processes, ..Sample::default() }))
    }

    /// The connections of the processes that are there.
    pub(super) fn connections(&self) -> Vec<u64> {
        self.processes.keys().copied().collect()
    }
}

impl Store {
    /// Takes what dispatches of a node came to.
    fn dispatched(&mut self, node: NodeId, load: &LoadDelta) {
        self.counts.merge(load.log.counts());
        for (_, window) in load.log.course().values() {
            self.answered.merge(window.local.clone());
        }
        let kept = load.log.kept();
        let stride = kept.len().div_ceil(WATCHED_OF_PART_MAX).max(1);
        for dispatched in kept.iter().step_by(stride) {
            if let Outcome::Ok(version) = dispatched.outcome {
                let (intended_ns, issued_ns) = (dispatched.intended_ns, dispatched.issued_ns);
                let (origin, left) = (node, None);
                self.watched.push_back(Watched { intended_ns, issued_ns, version, origin, left });
            }
        }
        let beyond = self.watched.len().saturating_sub(WATCHED_MAX);
        self.watched.drain(..beyond);
    }

    /// Looks at the replicas in a stretch of time.
    fn watch(&mut self, name: &str, topology: &Topology, from_ns: u64, to_ns: u64) -> LiveStore {
        let mut worst: Option<Stretch> = None;
        let (mut behind, mut newest, mut achieved) = (None, 0, 0);
        let none = Replica::default();
        for tree in topology.trees_of(name) {
            let members = tree.members.iter().map(|member| member.node);
            let replicas: Vec<&Replica> =
                members.map(|node| self.replicas.get(&node).unwrap_or(&none)).collect();
            let stretch = sweep(&replicas, from_ns, to_ns);
            let share = |one: &Stretch| one.same_ns as f64 / one.total_ns.max(1) as f64;
            if stretch.total_ns > 0 && worst.is_none_or(|worst| share(&stretch) < share(&worst)) {
                worst = Some(stretch);
            }
            behind = behind.max(stretch.behind);
            newest += stretch.newest.unwrap_or(0);
            let slowest = stretch.slowest.unwrap_or(0);
            // The first sample counts from the state in which the load found the store.
            let before = sweep(&replicas, from_ns, from_ns).slowest.unwrap_or(0);
            let most = self.applied.entry(tree.root).or_insert(before);
            achieved += slowest.saturating_sub(*most);
            *most = (*most).max(slowest);
        }
        self.arrivals(name, topology, to_ns);
        let kept_ns = self.watched.front().map_or(from_ns, |first| first.issued_ns.min(from_ns));
        self.replicas.values_mut().for_each(|replica| replica.forget_before(kept_ns));
        // What is applied everywhere includes what mirrors dispatched; a rate is of the load alone.
        let by_load = self.by_loads as f64 / self.counts.intended.max(1) as f64;
        let by_load = if self.counts.intended == 0 { 1.0 } else { by_load };
        let seconds = (to_ns - from_ns) as f64 / 1e9;
        LiveStore {
            identical_percent: worst
                .map(|one| percent(one.same_ns as f64 * 100.0 / one.total_ns as f64)),
            versions_behind_max: behind,
            intended_per_s: None,
            issued_per_s: None,
            achieved_per_s: Some(short(achieved as f64 * by_load / seconds)),
            local_us: quantiles(std::mem::take(&mut self.answered)),
            replica_us: quantiles(std::mem::take(&mut self.arrived)),
            version: newest,
            dispatches: LiveDispatches {
                ok: self.counts.ok,
                refused: self.counts.refused(),
                rejected: self.counts.rejected,
                unknown: self.counts.unknown,
            },
        }
    }

    /// Takes the arrivals of watched dispatches at the other replicas of their tree.
    fn arrivals(&mut self, name: &str, topology: &Topology, now_ns: u64) {
        let mut watched = std::mem::take(&mut self.watched);
        for Watched { intended_ns, issued_ns, version, origin, left } in &mut watched {
            let left = left.get_or_insert_with(|| {
                let tree = topology.replica(name, *origin).map(|(tree, _)| tree);
                let members = tree.iter().flat_map(|tree| &tree.members);
                members.map(|member| member.node).filter(|node| node != origin).collect()
            });
            left.retain(|node| {
                let replica = self.replicas.get(node);
                let reached = replica.and_then(|replica| replica.reached(*version, *issued_ns));
                if let Some(t_ns) = reached {
                    self.arrived.record(t_ns.saturating_sub(*intended_ns));
                }
                reached.is_none()
            });
        }
        watched.retain(|one| {
            let done = one.left.as_ref().is_some_and(Vec::is_empty);
            !done && one.issued_ns.saturating_add(ARRIVAL_MAX_NS) > now_ns
        });
        self.watched = watched;
    }
}

impl Process {
    fn seen(&self, plan: &Plan, from_ns: u64, to_ns: u64) -> LiveProcess {
        let rate = |readings: &Readings| readings.per_second(from_ns, to_ns).map(short);
        LiveProcess {
            name: plan.node(self.node).name.clone(),
            pid: self.pid,
            cpu_percent: self.cpu.per_second(from_ns, to_ns).map(|ns| short(ns / 1e7)),
            cpu_seconds: self.cpu.newest().map(|ns| ns as f64 / 1e9),
            rss_bytes: self.rss_bytes,
            sent_bytes_per_s: rate(&self.sent),
            received_bytes_per_s: rate(&self.received),
            syscalls_per_s: rate(&self.syscalls),
            sent_bytes: self.sent.newest(),
            received_bytes: self.received.newest(),
        }
    }
}

fn quantiles(spread: Spread) -> Option<LiveQuantiles> {
    let us = |ns: Option<u64>| ns.map(|ns| short(ns as f64 / 1e3));
    Some(LiveQuantiles {
        p50: us(spread.quantile_ns(0.5))?,
        p99: us(spread.quantile_ns(0.99))?,
        max: us(spread.max_ns())?,
    })
}

#[cfg(test)]
mod tests {
    use samestate_proto::Epoch;

    use super::*;
    use crate::invariants::{OriginLog, Testimony};
    use crate::measure::Dispatched;
    use crate::record::StoreDelta;
    use crate::scenario::{Overrides, ScenarioFile};

    const S: u64 = 1_000_000_000;

    fn plan() -> Plan {
        let yaml = "{version: 1, stores: {tasks: {reducer: ring, mode: action}}, \
                    clusters: {main: {workers: 1}}, phases: [{name: busy, duration: 9s, \
                    load: [{at: main.master, store: tasks, arrival: {rate: 10/s}}]}]}";
        let temp = tempfile::tempdir().expect("a temporary folder");
        let path = temp.path().join("tasks.yaml");
        std::fs::write(&path, yaml).expect("writable");
        let file = ScenarioFile::load(&path, &Overrides::default());
        file.unwrap_or_else(|e| panic!("{e}")).cases.remove(0).plan
    }

    fn v(seq: u64) -> Version {
        Version { epoch: Epoch { number: 1, id: 7 }, seq }
    }

    /// A part of a process until `at_ns`, with the versions that it reached.
    fn part(at_ns: u64, reached: &[(u64, u64)], load: LoadDelta) -> NodeDelta {
        let mut seen = Testimony::of("node");
        reached.iter().for_each(|(t_ns, seq)| seen.timeline.applied(*t_ns, v(*seq), 0));
        let store = StoreDelta {
            version: v(0),
            connected: true,
            roles: Vec::new(),
            seen,
            subscriber: None,
            digests: Vec::new(),
            loads: BTreeMap::from([(0, load)]),
            mirrors: LoadDelta::default(),
            opening: LoadDelta::default(),
            origin: OriginLog::of("node"),
            counters: None,
            state: None,
        };
        let stores = BTreeMap::from([("tasks".to_owned(), store)]);
        NodeDelta { at_ns, stores, ..NodeDelta::default() }
    }

    #[test]
    fn a_sample_waits_for_each_process_but_not_for_ever() {
        let plan = plan();
        let mut tracker = Tracker::new(&plan);
        let (root, worker) = (NodeId(0), NodeId(1));
        tracker.joined(1, root, 11, 0);
        tracker.joined(2, worker, 12, 0);
        tracker.begins(S);
        let mut load = LoadDelta { due: 4, issued: 4, ..LoadDelta::default() };
        let (intended_ns, issued_ns) = (S + S / 10, S + S / 10);
        let (answered_ns, outcome) = (S + S / 5, Outcome::Ok(v(1)));
        load.log.record(Dispatched { intended_ns, issued_ns, answered_ns, outcome });
        tracker.absorb(1, &part(S, &[(0, 0)], LoadDelta::default()));
        tracker.absorb(1, &part(S + S / 2, &[(S + S / 5, 1)], load));
        assert_eq!(tracker.sample(&plan, S + S / 2), None, "the worker has not told");
        let told = part(S + S / 2, &[(0, 0), (S + S / 4, 1)], LoadDelta::default());
        tracker.absorb(2, &told);
        let (end_ns, sample) = tracker.sample(&plan, S + S / 2).expect("both have told");
        assert_eq!(end_ns, S + S / 2);
        let tasks = &sample.stores["tasks"];
        assert_eq!(tasks.identical_percent, Some(90.0));
        assert_eq!((tasks.versions_behind_max, tasks.version), (Some(1), 1));
        assert_eq!((tasks.issued_per_s, tasks.achieved_per_s), (Some(8.0), Some(2.0)));
        let us = |quantiles: Option<LiveQuantiles>| quantiles.map(|us| us.max);
        assert_eq!((us(tasks.local_us), us(tasks.replica_us)), (Some(1e5), Some(1.5e5)));
        assert_eq!(tasks.dispatches.ok, 1);
        assert_eq!(tracker.sample(&plan, 2 * S), None, "nobody has told");
        assert!(tracker.sample(&plan, 3 * S).is_some(), "it has waited long enough");
    }

    #[test]
    fn a_process_that_is_gone_is_not_waited_for() {
        let plan = plan();
        let mut tracker = Tracker::new(&plan);
        tracker.joined(1, NodeId(0), 11, 0);
        tracker.joined(2, NodeId(1), 12, 0);
        tracker.begins(S);
        tracker.absorb(1, &part(2 * S, &[(0, 0), (S + S / 4, 1)], LoadDelta::default()));
        tracker.absorb(2, &part(S + S / 10, &[(0, 0)], LoadDelta::default()));
        tracker.left(2);
        let (_, sample) = tracker.sample(&plan, S + S / 2).expect("only the root is there");
        assert_eq!(sample.stores["tasks"].identical_percent, Some(100.0));
        assert_eq!(sample.processes.len(), 1);
    }
}
