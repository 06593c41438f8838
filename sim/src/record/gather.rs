//! The parts that each process handed over, put together as they come.
//!
//! A run may last for days, and a process hands over ten parts a second: what is kept of them is
//! bounded by what they say, not by how many they are.

use std::collections::BTreeMap;

use samestate::replication::Version;

use super::delta::{Figures, FinalState, LinkFigures, LoadDelta, NodeDelta, StoreDelta};
use crate::invariants::{History, Ledger, OriginLog, Violations};
use crate::measure::{Counts, DispatchLog, Samples, Timeline};
use crate::scenario::{NodeId, Plan, Role};

/// All processes of a case.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    /// Of each node, its lives in their order.
    pub(super) nodes: BTreeMap<NodeId, Vec<Life>>,
    /// Comparisons of two stores, by the observation's position in the plan.
    pub(super) samples: BTreeMap<usize, Samples>,
    /// The node of each connection, and which of its lives.
    connections: BTreeMap<u64, (NodeId, usize)>,
    /// When the load began.
    start_ns: Option<u64>,
    /// When events change who feeds whom, from the run's start.
    events_ns: Vec<u64>,
}

/// One process of a node.
#[derive(Debug, Default)]
pub(crate) struct Life {
    /// Its connection to the runner.
    pub(super) connection: u64,
    /// It sent its last word: nothing of what it saw is missing.
    pub(super) whole: bool,
    /// When it was heard last.
    pub(super) heard_ns: u64,
    /// What its links carried from the load's begin on.
    pub(super) links: LinkFigures,
    /// Its stores.
    pub(super) stores: BTreeMap<String, StoreLife>,
    links_before: Option<LinkFigures>,
}

/// One store in one process.
#[derive(Debug, Default)]
pub(super) struct StoreLife {
    pub(super) timeline: Timeline,
    pub(super) digests: Vec<(Version, u64)>,
    pub(super) violations: Violations,
    /// What each load dispatched, by its stream.
    pub(super) loads: BTreeMap<u64, Dispatching>,
    pub(super) mirrors: Dispatching,
    pub(super) opening: Dispatching,
    pub(super) origins: Vec<Origin>,
    pub(super) ledger: Option<Ledger>,
    pub(super) history: Option<History>,
    pub(super) standing: Standing,
    /// What it counted from the load's begin on.
    pub(super) counters: Figures,
    pub(super) state: Option<FinalState>,
    counters_before: Option<Figures>,
}

/// What a node's dispatches were answered while it was in one place.
#[derive(Debug)]
pub(super) struct Origin {
    /// When the first delta of these was cut.
    pub(super) at_ns: u64,
    /// How often the node had become a client by then.
    pub(super) era: u32,
    pub(super) log: OriginLog,
    /// How many of the case's events had happened by then.
    events: usize,
}

/// What one load dispatched in one process.
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

    /// How its dispatches ended: one without an outcome has an unknown one.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = *self.log.counts();
        counts.intended += self.outstanding;
        counts.unknown += self.outstanding;
        counts
    }
}

/// What a store said of itself last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) connected: bool,
    pub(super) roles: Vec<Role>,
}

impl Gathered {
    /// A case of which nothing has been handed over yet.
    pub(crate) fn of(plan: &Plan) -> Self {
        let events_ns = plan.events.iter().map(|event| event.at.as_nanos() as u64).collect();
        Gathered { events_ns, ..Gathered::default() }
    }

    /// A process of a node is there.
    pub(crate) fn joined(&mut self, connection: u64, node: NodeId) {
        let lives = self.nodes.entry(node).or_default();
        self.connections.insert(connection, (node, lives.len()));
        lives.push(Life { connection, ..Life::default() });
    }

    /// The load begins: what was counted before is none of the case's.
    pub(crate) fn begins(&mut self, start_ns: u64) {
        self.start_ns = Some(start_ns);
    }

    /// A process hands over a part.
    pub(crate) fn absorb(&mut self, connection: u64, mut delta: NodeDelta) {
        for (index, samples) in std::mem::take(&mut delta.samples) {
            self.samples.entry(index).or_default().merge(&samples);
        }
        let elapsed_ns = self.start_ns.map(|start_ns| delta.at_ns.saturating_sub(start_ns));
        let cut = Cut {
            at_ns: delta.at_ns,
            era: delta.era,
            events: self.events_ns.iter().filter(|at| elapsed_ns >= Some(**at)).count(),
            before: self.start_ns.is_none_or(|start_ns| delta.at_ns <= start_ns),
        };
        let Some((node, at)) = self.connections.get(&connection) else { return };
        if let Some(life) = self.nodes.get_mut(node).and_then(|lives| lives.get_mut(*at)) {
            life.absorb(delta, cut);
        }
    }

    /// The lives of a node, oldest first.
    pub(super) fn lives(&self, node: NodeId) -> &[Life] {
        self.nodes.get(&node).map_or(&[], Vec::as_slice)
    }

    /// The lives of a node in which it opened a store, oldest first.
    pub(super) fn stores<'a>(
        &'a self,
        node: NodeId,
        store: &'a str,
    ) -> impl Iterator<Item = (&'a Life, &'a StoreLife)> {
        let lives = self.lives(node).iter();
        lives.filter_map(move |life| Some((life, life.stores.get(store)?)))
    }

    /// A node's process at the end, if it sent its last word.
    pub(super) fn at_end(&self, node: NodeId) -> Option<&Life> {
        self.lives(node).last().filter(|life| life.whole)
    }
}

/// Where in the case a delta was cut.
#[derive(Clone, Copy)]
struct Cut {
    at_ns: u64,
    era: u32,
    /// How many events had happened.
    events: usize,
    /// The load had not begun.
    before: bool,
}

impl Life {
    fn absorb(&mut self, delta: NodeDelta, cut: Cut) {
        let before = cut.before;
        self.heard_ns = delta.at_ns;
        self.whole |= delta.last;
        let links = delta.links;
        if before || self.links_before.is_none() {
            // A process that began after the load did owes its joining to the case.
            self.links_before = Some(if before { links } else { LinkFigures::default() });
        }
        let base = self.links_before.unwrap_or_default();
        self.links = LinkFigures {
            sent_bytes: links.sent_bytes.saturating_sub(base.sent_bytes),
            received_bytes: links.received_bytes.saturating_sub(base.received_bytes),
            syscalls: links.syscalls.saturating_sub(base.syscalls),
        };
        for (name, store) in delta.stores {
            let life = self.stores.entry(name).or_default();
            life.absorb(store, cut);
        }
    }
}

impl StoreLife {
    fn absorb(&mut self, delta: StoreDelta, cut: Cut) {
        let before = cut.before;
        self.timeline.absorb(delta.seen.timeline);
        self.violations.merge(delta.seen.continuity.violations().clone());
        if let Some(subscriber) = delta.subscriber {
            self.violations.merge(subscriber.violations().clone());
        }
        self.digests.extend(delta.digests);
        for (stream, load) in delta.loads {
            self.loads.entry(stream).or_default().absorb(load);
        }
        self.mirrors.absorb(delta.mirrors);
        self.opening.absorb(delta.opening);
        match self.origins.last_mut() {
            Some(last) if (last.era, last.events) == (cut.era, cut.events) => {
                last.log.absorb(delta.origin);
            }
            _ => {
                let Cut { at_ns, era, events, .. } = cut;
                self.origins.push(Origin { at_ns, era, log: delta.origin, events });
            }
        }
        if let Some(part) = delta.seen.ledger {
            match &mut self.ledger {
                Some(ledger) => ledger.absorb(part),
                None => self.ledger = Some(part),
            }
        }
        if let Some(part) = delta.seen.history {
            match &mut self.history {
                Some(history) => history.absorb(part),
                None => self.history = Some(part),
            }
        }
        self.standing = Standing { connected: delta.connected, roles: delta.roles };
        let counters = delta.counters;
        if before || self.counters_before.is_none() {
            self.counters_before = Some(if before { counters } else { Figures::default() });
        }
        let base = self.counters_before.unwrap_or_default();
        self.counters = Figures {
            snapshots_forced: counters.snapshots_forced - base.snapshots_forced,
            entries_skipped: counters.entries_skipped - base.entries_skipped,
            snapshots_sent: counters.snapshots_sent - base.snapshots_sent,
            divergences: counters.divergences - base.divergences,
        };
        if let Some(state) = delta.state {
            self.digests.push((state.version, state.digest));
            self.state = Some(state);
        }
    }
}
