//! The parts that each process handed over, put together as they come.
//!
//! A run may last for days, and a process hands over ten parts a second. The memory for them
//! depends on the number of failures, and not on the number of parts or dispatches. So the claims
//! of origins are combined for each tree while the run continues, since the versions of one origin
//! have gaps that others fill; and the history is put through its reducer at once.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use samestate_proto::Epoch;

use super::delta::{Figures, FinalState, LinkFigures, LoadDelta, NodeDelta, StoreDelta};
use super::replay::{AnyReplay, replay_of};
use crate::invariants::{Claims, History, Ledger, Sample, Violations};
use crate::measure::over_time::Thinned;
use crate::measure::{Counts, CpuSlices, DispatchLog, Samples, Timeline};
use crate::scenario::{Event, NodeId, Plan, Role, TimedEvent, Topology};

/// The most times that are kept at which a store came into sync or fell out of it.
const CONNECTED_MAX: usize = 1_024;

/// All processes of a case.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    /// Of each node, its incarnations in their order.
    pub(super) nodes: BTreeMap<NodeId, Vec<Incarnation>>,
    /// Comparisons of two stores, by the observation's position in the plan.
    pub(super) samples: BTreeMap<usize, Samples>,
    /// The node of each connection, and which of its incarnations.
    connections: BTreeMap<u64, (NodeId, usize)>,
    /// The claims of the origins of each tree, by store and sequencer.
    pub(super) claims: BTreeMap<(String, NodeId), Claims>,
    /// The ordered actions of each sequencer, by store and node.
    pub(super) replays: BTreeMap<(String, NodeId), SequencerReplay>,
    /// The time at which the load began.
    start_ns: Option<u64>,
    places: Places,
    /// The reducer of each store.
    reducers: BTreeMap<String, String>,
}

/// The ordered actions of a node, put through the store's reducer.
#[derive(Debug)]
pub(super) struct SequencerReplay {
    replay: Box<dyn AnyReplay>,
    /// The number of the node's current incarnation.
    incarnation: usize,
    /// A part of an earlier incarnation came after one of a later.
    disordered: bool,
}

impl SequencerReplay {
    /// Compares final states with what the history gives; says nothing where that is not known.
    pub(super) fn compare(&mut self, store: &str, states: &[(&str, &FinalState)]) -> Violations {
        if self.disordered { Violations::default() } else { self.replay.compare(store, states) }
    }
}

/// The sequencer of each node over time, by the plan.
#[derive(Debug, Default)]
struct Places {
    topology: Topology,
    events: Vec<TimedEvent>,
}

impl Places {
    /// The sequencer that a node's dispatches into a store went to, `at` so long after the start,
    /// when the node had become a client `era` times.
    fn root(&self, store: &str, node: NodeId, era: u32, at: Duration) -> Option<NodeId> {
        let moves = |event: &&TimedEvent| {
            let Event::CreateClient { client, .. } = event.event;
            client == node
        };
        let last = if self.events.iter().any(|event| moves(&event)) {
            // It says itself how often it had moved.
            self.events.iter().filter(moves).take(era as usize).last()
        } else {
            self.events.iter().rev().find(|event| event.at <= at)
        };
        let topology = last.map_or(&self.topology, |event| &event.topology);
        topology.replica(store, node).map(|(tree, _)| tree.root)
    }
}

/// One process of a node.
#[derive(Debug, Default)]
pub(crate) struct Incarnation {
    /// Its connection to the runner.
    pub(super) connection: u64,
    /// It sent its last word: nothing of what it saw is missing.
    pub(super) whole: bool,
    /// The time of its last message.
    pub(super) heard_ns: u64,
    /// The traffic of its links since the load's begin, if it is known.
    pub(super) links: Option<LinkFigures>,
    /// Its stores.
    pub(super) stores: BTreeMap<String, StoreIncarnation>,
    links_before: Option<LinkFigures>,
    /// Its processor time in short slices since the load's begin.
    pub(super) cpu: CpuSlices,
    /// The traffic of its links over time.
    pub(super) traffic: Thinned<(u64, LinkFigures)>,
}

/// One store in one process.
#[derive(Debug, Default)]
pub(super) struct StoreIncarnation {
    pub(super) timeline: Timeline,
    /// Digests of its state: of the same versions at each replica, if they are too many.
    pub(super) digests: Sample<(Epoch, u64), u64>,
    pub(super) violations: Violations,
    /// The dispatches of each load, by its stream.
    pub(super) loads: BTreeMap<u64, Dispatching>,
    pub(super) mirrors: Dispatching,
    pub(super) opening: Dispatching,
    /// The sequencers that its dispatches went to.
    pub(super) roots: BTreeSet<NodeId>,
    pub(super) ledger: Option<Ledger>,
    pub(super) standing: Standing,
    /// The times at which it came into sync, and fell out of it: the first of them.
    pub(super) connected: Vec<(u64, bool)>,
    /// Its counters since the load's begin, if it has any.
    pub(super) counters: Option<Figures>,
    pub(super) state: Option<FinalState>,
    counters_before: Option<Figures>,
}

/// The dispatches of one load in one process.
#[derive(Debug, Default)]
pub(super) struct Dispatching {
    pub(super) log: DispatchLog,
    /// Without an outcome when the process was heard last.
    pub(super) outstanding: u64,
    pub(super) due: u64,
    pub(super) issued: u64,
}

impl Dispatching {
    fn absorb(&mut self, part: LoadDelta) {
        self.log.absorb(part.log);
        (self.outstanding, self.due, self.issued) = (part.outstanding, part.due, part.issued);
    }

    /// Returns the numbers of its dispatches by outcome. One without an outcome counts as unknown.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = *self.log.counts();
        counts.intended += self.outstanding;
        counts.unknown += self.outstanding;
        counts
    }
}

/// The last status that a store reported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) connected: bool,
    pub(super) roles: Vec<Role>,
}

impl Gathered {
    /// A case of which nothing has been handed over yet.
    pub(crate) fn new(plan: &Plan) -> Self {
        let places = Places { topology: plan.topology.clone(), events: plan.events.clone() };
        let stores = plan.stores.iter();
        let reducers = stores.map(|(name, store)| (name.clone(), store.reducer.clone())).collect();
        Gathered { places, reducers, ..Gathered::default() }
    }

    /// A process of a node is there.
    pub(crate) fn joined(&mut self, connection: u64, node: NodeId) {
        let incarnations = self.nodes.entry(node).or_default();
        self.connections.insert(connection, (node, incarnations.len()));
        incarnations.push(Incarnation { connection, ..Incarnation::default() });
    }

    /// The load begins: what was counted before is none of the case's.
    pub(crate) fn begins(&mut self, start_ns: u64) {
        self.start_ns = Some(start_ns);
    }

    /// Returns the number of dispatches that the loads have made.
    pub(crate) fn issued(&self) -> u64 {
        let incarnations = self.nodes.values().flatten();
        let stores = incarnations.flat_map(|incarnation| incarnation.stores.values());
        stores.flat_map(|store| store.loads.values()).map(|load| load.issued).sum()
    }

    /// A process hands over a part.
    pub(crate) fn absorb(&mut self, connection: u64, mut delta: NodeDelta) {
        for (index, samples) in std::mem::take(&mut delta.samples) {
            self.samples.entry(index).or_default().merge(&samples);
        }
        let Some(&(node, number)) = self.connections.get(&connection) else { return };
        let start_ns = self.start_ns.unwrap_or(u64::MAX);
        let at = Duration::from_nanos(delta.at_ns.saturating_sub(start_ns));
        for (name, store) in &mut delta.stores {
            if let Some(root) = self.places.root(name, node, delta.era, at) {
                let log = std::mem::take(&mut store.origin);
                self.claims.entry((name.clone(), root)).or_default().absorb(log);
                let incarnation =
                    self.nodes.get_mut(&node).and_then(|incarnations| incarnations.get_mut(number));
                if let Some(incarnation) = incarnation {
                    incarnation.stores.entry(name.clone()).or_default().roots.insert(root);
                }
            }
            if let Some(part) = store.seen.history.take() {
                self.replay(name, node, number, part);
            }
        }
        if let Some(incarnation) =
            self.nodes.get_mut(&node).and_then(|incarnations| incarnations.get_mut(number))
        {
            let before = delta.at_ns <= start_ns;
            incarnation.absorb(delta, before);
        }
    }

    /// Notes whether a store of a process was in sync at an instant, between two parts.
    pub(crate) fn connects(&mut self, connection: u64, store: &str, at_ns: u64, connected: bool) {
        let Some(&(node, number)) = self.connections.get(&connection) else { return };
        let incarnations = self.nodes.get_mut(&node);
        if let Some(incarnation) = incarnations.and_then(|all| all.get_mut(number)) {
            let known = incarnation.stores.entry(store.to_owned()).or_default();
            known.connects(at_ns, connected);
        }
    }

    /// Puts what an incarnation of a node ordered through the store's reducer.
    fn replay(&mut self, store: &str, node: NodeId, incarnation: usize, part: History) {
        let known = self.replays.entry((store.to_owned(), node));
        let found = match known {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(free) => {
                let reducer = self.reducers.get(store);
                let Some(replay) = reducer.and_then(|name| replay_of(name)) else { return };
                free.insert(SequencerReplay { replay, incarnation, disordered: false })
            }
        };
        found.disordered |= incarnation < found.incarnation;
        found.incarnation = found.incarnation.max(incarnation);
        if !found.disordered {
            found.replay.absorb(part);
        }
    }

    /// The incarnations of a node, oldest first.
    pub(super) fn incarnations(&self, node: NodeId) -> &[Incarnation] {
        self.nodes.get(&node).map_or(&[], Vec::as_slice)
    }

    /// The incarnations of a node in which it opened a store, oldest first.
    pub(super) fn stores<'a>(
        &'a self,
        node: NodeId,
        store: &'a str,
    ) -> impl Iterator<Item = (&'a Incarnation, &'a StoreIncarnation)> {
        let incarnations = self.incarnations(node).iter();
        incarnations
            .filter_map(move |incarnation| Some((incarnation, incarnation.stores.get(store)?)))
    }

    /// A node's process at the end, if it sent its last word.
    pub(super) fn at_end(&self, node: NodeId) -> Option<&Incarnation> {
        self.incarnations(node).last().filter(|incarnation| incarnation.whole)
    }
}

impl Incarnation {
    /// Adds a part, which was cut `before` the load began.
    fn absorb(&mut self, delta: NodeDelta, before: bool) {
        self.heard_ns = delta.at_ns;
        self.whole |= delta.last;
        if !before {
            self.cpu.merge(&delta.cpu);
        }
        if let Some(links) = delta.links {
            self.traffic.push((delta.at_ns, links));
            if before || self.links_before.is_none() {
                // A process that began after the load did owes its joining to the case.
                self.links_before = Some(if before { links } else { LinkFigures::default() });
            }
            let base = self.links_before.unwrap_or_default();
            self.links = Some(LinkFigures {
                sent_bytes: links.sent_bytes.saturating_sub(base.sent_bytes),
                received_bytes: links.received_bytes.saturating_sub(base.received_bytes),
                syscalls: links
                    .syscalls
                    .map(|calls| calls.saturating_sub(base.syscalls.unwrap_or(0))),
            });
        }
        for (name, store) in delta.stores {
            let incarnation = self.stores.entry(name).or_default();
            incarnation.absorb(store, delta.at_ns, before);
        }
    }
}

impl StoreIncarnation {
    /// Notes whether it was in sync at an instant.
    fn connects(&mut self, at_ns: u64, connected: bool) {
        let changed = self.connected.last().is_none_or(|last| last.1 != connected);
        if changed && self.connected.len() < CONNECTED_MAX {
            self.connected.push((at_ns, connected));
        }
    }

    fn absorb(&mut self, delta: StoreDelta, at_ns: u64, before: bool) {
        self.timeline.absorb(delta.seen.timeline);
        self.violations.merge(delta.seen.continuity.violations().clone());
        if let Some(subscriber) = delta.subscriber {
            self.violations.merge(subscriber.violations().clone());
        }
        for (version, digest) in delta.digests {
            self.digests.insert((version.epoch, version.seq), || digest);
        }
        for (stream, load) in delta.loads {
            self.loads.entry(stream).or_default().absorb(load);
        }
        self.mirrors.absorb(delta.mirrors);
        self.opening.absorb(delta.opening);
        if let Some(part) = delta.seen.ledger {
            match &mut self.ledger {
                Some(ledger) => ledger.absorb(part),
                None => self.ledger = Some(part),
            }
        }
        self.connects(at_ns, delta.connected);
        self.standing = Standing { connected: delta.connected, roles: delta.roles };
        if let Some(counters) = delta.counters {
            if before || self.counters_before.is_none() {
                self.counters_before = Some(if before { counters } else { Figures::default() });
            }
            self.counters = Some(counters.since(self.counters_before.unwrap_or_default()));
        }
        self.state = delta.state.or(self.state.take());
    }
}
