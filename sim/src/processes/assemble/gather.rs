//! The parts that each process handed over, put together.

use std::collections::BTreeMap;

use samestate::replication::Version;

use crate::invariants::{History, Ledger, OriginLog, Violations};
use crate::measure::{Counts, DispatchLog, Samples, Timeline};
use crate::processes::control::{
    Figures, FinalState, LinkFigures, LoadDelta, NodeDelta, StoreDelta,
};
use crate::processes::taken::{LifeSeen, Taken};
use crate::scenario::{NodeId, Role};

/// All processes of a case.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// Of each node, its lives in their order.
    pub(super) nodes: BTreeMap<NodeId, Vec<Life>>,
    /// Comparisons of two stores, by the observation's position in the plan.
    pub(super) samples: BTreeMap<usize, Samples>,
}

/// One process of a node.
#[derive(Debug, Default)]
pub(super) struct Life {
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
    pub(super) ledgers: Vec<Ledger>,
    pub(super) histories: Vec<History>,
    pub(super) standing: Standing,
    /// What it counted from the load's begin on.
    pub(super) counters: Figures,
    pub(super) state: Option<FinalState>,
    counters_before: Option<Figures>,
}

/// What a node's dispatches were answered during one delta.
#[derive(Debug)]
pub(super) struct Origin {
    /// When the delta was cut.
    pub(super) at_ns: u64,
    /// How often the node had become a client by then.
    pub(super) era: u32,
    pub(super) log: OriginLog,
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
    /// Puts together what was taken down. `lives` are the processes, in the order in which they
    /// came.
    pub(super) fn of(taken: &mut Taken) -> Self {
        let mut gathered = Gathered::default();
        let mut by_connection = BTreeMap::new();
        for LifeSeen { connection, node, .. } in &taken.lives {
            let lives = gathered.nodes.entry(*node).or_default();
            by_connection.insert(*connection, (*node, lives.len()));
            lives.push(Life { connection: *connection, ..Life::default() });
        }
        let start_ns = taken.start_ns.unwrap_or(u64::MAX);
        for (connection, mut delta) in std::mem::take(&mut taken.deltas) {
            for (index, samples) in std::mem::take(&mut delta.samples) {
                gathered.samples.entry(index).or_default().merge(&samples);
            }
            let Some((node, at)) = by_connection.get(&connection) else { continue };
            if let Some(life) = gathered.nodes.get_mut(node).and_then(|lives| lives.get_mut(*at)) {
                life.absorb(delta, start_ns);
            }
        }
        gathered
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

impl Life {
    fn absorb(&mut self, delta: NodeDelta, start_ns: u64) {
        let before = delta.at_ns <= start_ns;
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
            life.absorb(store, (delta.at_ns, delta.era), before);
        }
    }
}

impl StoreLife {
    fn absorb(&mut self, delta: StoreDelta, (at_ns, era): (u64, u32), before: bool) {
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
        self.origins.push(Origin { at_ns, era, log: delta.origin });
        self.ledgers.extend(delta.seen.ledger);
        self.histories.extend(delta.seen.history);
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
