//! A scenario without some of its nodes, stores or links, with whatever names them mended.

use std::collections::{BTreeMap, BTreeSet};

use crate::faults::{FaultSpec, ReplicaMut};
use crate::scenario::{LinkRef, NodeId, OneOrMany, Plan, Scenario, Upstream};

/// The treatment of the loads and faults of removed nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Orphans {
    /// They go with it.
    Dropped,
    /// They go to what takes its place: for a node, the one that fed it.
    Moved,
}

/// Returns the scenario without these nodes, and without the workers of masters among them. Nodes
/// below a removed node get its upstream; the first node below a removed root takes its place.
pub(super) fn nodes(
    scenario: &Scenario,
    plan: &Plan,
    gone: &BTreeSet<NodeId>,
    orphans: Orphans,
) -> Scenario {
    let removal = Removal::new(plan, gone);
    let mut rest = scenario.clone();
    removal.links(&mut rest);
    for phase in &mut rest.phases {
        phase.load.retain_mut(|load| removal.keep(&mut load.at, Some(&load.store), orphans));
    }
    rest.faults.retain_mut(|fault| {
        let struck = fault.spec_mut().replica_mut();
        struck.is_none_or(|ReplicaMut { node, store }| {
            removal.keep(node, store.map(|store| store.as_str()), orphans)
        })
    });
    let dropped = Orphans::Dropped;
    rest.events.retain_mut(|event| {
        let create = event.create_client.as_mut();
        create.is_none_or(|create| removal.keep(&mut create.client, None, dropped))
    });
    rest.mirrors.retain_mut(|mirror| removal.keep(&mut mirror.at, Some(&mirror.from), orphans));
    if let Some(virtual_time) = &mut rest.virtual_time {
        virtual_time.slow_subscribers.retain_mut(|name| removal.keep(name, None, dropped));
    }
    let survives = |name: &mut Option<String>| {
        name.as_mut().is_none_or(|name| removal.keep(name, None, dropped))
    };
    rest.observe.retain_mut(|observed| survives(&mut observed.at));
    rest.expect.retain_mut(|expected| survives(&mut expected.at) && survives(&mut expected.node));
    removal.clusters(&mut rest);
    unused_links(&mut rest);
    rest
}

/// The nodes to remove, the new names of the others, and the heirs of the removed ones.
struct Removal<'a> {
    plan: &'a Plan,
    gone: BTreeSet<NodeId>,
    /// The new names of those that stay.
    names: BTreeMap<NodeId, String>,
}

impl<'a> Removal<'a> {
    fn new(plan: &'a Plan, gone: &BTreeSet<NodeId>) -> Self {
        let mut all_gone = gone.clone();
        let mut names = BTreeMap::new();
        let (mut master_gone, mut workers) = (false, 0);
        for node in &plan.nodes {
            if node.is_master() {
                (master_gone, workers) = (gone.contains(&node.id), 0);
            }
            if master_gone || gone.contains(&node.id) {
                all_gone.insert(node.id);
            } else if node.is_master() {
                names.insert(node.id, node.name.clone());
            } else {
                workers += 1;
                names.insert(node.id, format!("{}.worker[{workers}]", node.cluster));
            }
        }
        Self { plan, gone: all_gone, names }
    }

    /// Returns the heir of a node for a store: the node itself, the nearest of its upstreams that
    /// stays, or else the first node of its tree that stays.
    fn heir(&self, store: &str, node: NodeId) -> Option<NodeId> {
        let (tree, _) = self.plan.topology.replica(store, node)?;
        let mut at = node;
        while self.gone.contains(&at) {
            match tree.member(at)?.upstream.map(Upstream::node) {
                Some(feeder) => at = feeder,
                None => {
                    let mut members = tree.members.iter().map(|member| member.node);
                    return members.find(|member| !self.gone.contains(member));
                }
            }
        }
        Some(at)
    }

    /// Puts a node's new name in place of its name, or its heir's; `false` if there is none.
    fn keep(&self, name: &mut String, store: Option<&str>, orphans: Orphans) -> bool {
        let Some(node) = self.plan.node_named(name).map(|node| node.id) else { return false };
        let any_store = || self.plan.node(node).stores.keys().next().map(String::as_str);
        let heir = match orphans {
            _ if !self.gone.contains(&node) => Some(node),
            Orphans::Dropped => None,
            Orphans::Moved => store.or_else(any_store).and_then(|store| self.heir(store, node)),
        };
        let new = heir.and_then(|heir| self.names.get(&heir));
        new.is_some_and(|new| {
            name.clone_from(new);
            true
        })
    }

    fn links(&self, rest: &mut Scenario) {
        let mut gone = BTreeSet::new();
        for (index, link) in rest.links.iter_mut().enumerate() {
            let store = link.store.0.first().cloned().unwrap_or_default();
            if !self.keep(&mut link.server, Some(&store), Orphans::Moved) {
                gone.insert(index);
                continue;
            }
            link.client.0.retain_mut(|name| self.keep(name, None, Orphans::Dropped));
            link.client.0.retain(|name| *name != link.server);
        }
        links(rest, &gone);
    }

    fn clusters(&self, rest: &mut Scenario) {
        rest.clusters.retain(|name, cluster| {
            let left =
                self.names.keys().filter(|node| self.plan.node(**node).cluster == *name).count();
            cluster.workers = (left as u32).saturating_sub(1);
            left > 0
        });
    }
}

/// Takes these links away, and the faults and events that name them. All of them have names.
pub(super) fn links(rest: &mut Scenario, gone: &BTreeSet<usize>) {
    if gone.is_empty() {
        return;
    }
    let (mut kept, mut left) = (Vec::new(), BTreeSet::new());
    for (index, link) in std::mem::take(&mut rest.links).into_iter().enumerate() {
        if !gone.contains(&index) {
            left.extend(link.name.clone());
            kept.push(link);
        }
    }
    rest.links = kept;
    let is_there = |link: &LinkRef| matches!(link, LinkRef::Name(name) if left.contains(name));
    rest.faults.retain(|fault| fault.link().is_none_or(is_there));
    rest.events
        .retain(|event| event.create_client.as_ref().is_none_or(|create| is_there(&create.link)));
}

/// Removes links that have no client and that no fault or event names.
fn unused_links(rest: &mut Scenario) {
    let by_faults = rest.faults.iter().filter_map(FaultSpec::link);
    let by_events =
        rest.events.iter().filter_map(|event| Some(&event.create_client.as_ref()?.link));
    let wanted: BTreeSet<String> = by_faults.chain(by_events).map(LinkRef::to_string).collect();
    let unused = rest.links.iter().enumerate().filter(|(_, link)| {
        link.client.0.is_empty() && link.name.as_ref().is_some_and(|name| !wanted.contains(name))
    });
    let unused = unused.map(|(index, _)| index).collect();
    links(rest, &unused);
}

/// The scenario without these stores. Loads and faults go with them, or to the first that is left.
pub(super) fn stores(scenario: &Scenario, gone: &BTreeSet<String>, orphans: Orphans) -> Scenario {
    let mut rest = scenario.clone();
    let heir = scenario.stores.keys().find(|store| !gone.contains(*store));
    if let (Orphans::Moved, Some(heir)) = (orphans, heir) {
        let loads = rest.phases.iter_mut().flat_map(|phase| &mut phase.load);
        let by_loads = loads.map(|load| &mut load.store);
        // A wrong state belongs to a store whose copies are checked, and goes with it.
        let by_faults = rest.faults.iter_mut().filter(|fault| !fault.spoils_state());
        let by_faults = by_faults.filter_map(|fault| fault.spec_mut().replica_mut()?.store);
        for store in by_loads.chain(by_faults).filter(|store| gone.contains(*store)) {
            store.clone_from(heir);
        }
    }
    rest.stores.retain(|store, _| !gone.contains(store));
    for cluster in rest.clusters.values_mut() {
        cluster.modes.retain(|store, _| !gone.contains(store));
        if let Some(stores) = &mut cluster.stores {
            stores.retain(|store| !gone.contains(store));
        }
    }
    let mut empty = BTreeSet::new();
    for (index, link) in rest.links.iter_mut().enumerate() {
        let OneOrMany(stores) = &mut link.store;
        stores.retain(|store| !gone.contains(store));
        if stores.is_empty() {
            empty.insert(index);
        }
    }
    links(&mut rest, &empty);
    rest.mirrors.retain(|mirror| !gone.contains(&mirror.from) && !gone.contains(&mirror.to));
    for phase in &mut rest.phases {
        phase.load.retain(|load| !gone.contains(&load.store));
    }
    let faults = std::mem::take(&mut rest.faults);
    let is_left = |fault: &FaultSpec| fault.store().is_none_or(|store| !gone.contains(store));
    let makes_sense = |fault: &FaultSpec| fault.spec().mistake(&rest).is_none();
    rest.faults = faults.into_iter().filter(|fault| is_left(fault) && makes_sense(fault)).collect();
    let is_left = |store: &Option<String>| store.as_ref().is_none_or(|store| !gone.contains(store));
    rest.observe.retain(|observed| {
        let compared = observed.compare.iter().flatten().all(|store| !gone.contains(store));
        compared && is_left(&observed.store)
    });
    rest.expect.retain(|expected| is_left(&expected.store));
    rest
}
