//! The hosts and slots that a plan asks for.

use std::collections::BTreeMap;
use std::time::Duration;

use samestate_proto::replication::{Config, Resync};

use crate::load::UnknownReducer;
use crate::scenario::{self, Arrival, NodeId, Plan, Upstream};
use crate::virtual_time::machine::Kind;
use crate::virtual_time::network::NetworkModel;
use crate::virtual_time::rng::SeededRng;
use crate::virtual_time::world::{self, HostSpec, SlotSpec, World};

/// The longest wait between two attempts to connect, unless a link says otherwise: the library's.
const BACKOFF_USUAL: Duration = Duration::from_secs(5);

/// A function that changes the settings of every replica once the plan has set them.
pub(crate) type Adjust = std::sync::Arc<dyn Fn(&mut Config) + Send + Sync>;

/// The slot of each store at each node. A host has the number of its node.
#[derive(Debug, Default)]
pub(crate) struct Placement {
    slots: Vec<BTreeMap<String, usize>>,
    /// The node and the store of each slot.
    places: Vec<(NodeId, String)>,
    kinds: BTreeMap<String, Kind>,
}

impl Placement {
    /// Places the replicas of a plan.
    pub(crate) fn new(plan: &Plan) -> Result<Self, UnknownReducer> {
        let mut placement = Placement::default();
        for (name, store) in &plan.stores {
            placement.kinds.insert(name.clone(), Kind::named(&store.reducer)?);
        }
        for node in &plan.nodes {
            let mut slots = BTreeMap::new();
            for store in node.stores.keys() {
                slots.insert(store.clone(), placement.places.len());
                placement.places.push((node.id, store.clone()));
            }
            placement.slots.push(slots);
        }
        Ok(placement)
    }

    /// The slot of a store at a node, if the node opens that store.
    pub(crate) fn slot(&self, node: NodeId, store: &str) -> Option<usize> {
        self.slots.get(node.index())?.get(store).copied()
    }

    /// The node and the store of a slot.
    pub(crate) fn place(&self, slot: usize) -> (NodeId, &str) {
        let (node, store) = &self.places[slot];
        (*node, store)
    }

    /// The reducer of a store.
    pub(crate) fn kind(&self, store: &str) -> Option<Kind> {
        self.kinds.get(store).copied()
    }

    /// Returns the number of slots.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Returns the names of slots: the node, and the store if there are several.
    pub(crate) fn names(&self, plan: &Plan) -> Vec<String> {
        let several = plan.stores.len() > 1;
        let names = self.places.iter().map(|(node, store)| {
            let node = &plan.node(*node).name;
            if several { format!("{node}/{store}") } else { node.clone() }
        });
        names.collect()
    }

    /// The replica that a slot follows, as the topology has it.
    pub(crate) fn upstream(&self, store: &str, upstream: Upstream) -> Option<world::Upstream> {
        let slot = self.slot(upstream.node(), store)?;
        let link = match upstream {
            Upstream::Server { link, .. } => Some(link),
            Upstream::Master(_) => None,
        };
        Some(world::Upstream { slot, link })
    }

    /// Puts all hosts and slots into a world, where nothing runs yet.
    pub(crate) fn enter(&self, plan: &Plan, adjust: Option<&Adjust>, world: &mut World) {
        let mut upstreams: Vec<Option<world::Upstream>> = vec![None; self.len()];
        for (store, trees) in &plan.topology.trees {
            for member in trees.iter().flat_map(|tree| &tree.members) {
                if let Some(slot) = self.slot(member.node, store) {
                    let upstream = member.upstream;
                    upstreams[slot] = upstream.and_then(|found| self.upstream(store, found));
                }
            }
        }
        let drift = plan.virtual_time.clock_drift_ppm;
        let mut rng = SeededRng::new(plan.seed, 3);
        for node in &plan.nodes {
            let ppm = rng.within(0, 2 * u64::from(drift)) as i64 - i64::from(drift);
            world.add_host(HostSpec { name: node.name.clone(), drift_ppm: ppm });
        }
        let names = self.names(plan);
        let windows = windows(plan);
        for (slot, (node, store)) in self.places.iter().enumerate() {
            let Some(kind) = self.kind(store) else { continue };
            let mut config = config(plan, *node, store);
            if let Some(window) = windows.get(&(*node, store.as_str())) {
                config.window = config.window.max(*window);
            }
            if let Some(adjust) = adjust {
                adjust(&mut config);
            }
            let upstream = upstreams[slot];
            let link = upstream.and_then(|upstream| plan.links.get(upstream.link?));
            let backoff = link.and_then(|link| link.backoff_max).unwrap_or(BACKOFF_USUAL);
            world.add_slot(SlotSpec {
                name: names[slot].clone(),
                host: node.index(),
                kind,
                config,
                upstream,
                backoff_max: backoff,
                slow_subscriber: plan.virtual_time.slow_subscribers.contains(node),
                backup_every: plan.stores[store].backup_every.map(std::num::NonZeroU64::get),
                durable: plan.stores[store].durable,
            });
        }
    }
}

/// Returns the number of dispatches that closed loops have under way at once, if that is more than
/// usual.
fn windows(plan: &Plan) -> BTreeMap<(NodeId, &str), usize> {
    let mut windows = BTreeMap::new();
    for load in plan.phases.iter().flat_map(|phase| &phase.load) {
        if let Arrival::Closed(closed) = load.arrival {
            let window: &mut usize = windows.entry((load.at, load.store.as_str())).or_default();
            *window = (*window).max(closed.in_flight.get() as usize);
        }
    }
    windows
}

/// The network of a plan.
pub(crate) fn model(plan: &Plan) -> NetworkModel {
    let virtual_time = &plan.virtual_time;
    NetworkModel {
        latency: virtual_time.latency,
        jitter: virtual_time.jitter,
        bytes_per_ms: (virtual_time.bandwidth_bytes_per_s / 1000).max(1),
        buffer_bytes: virtual_time.buffer_bytes,
    }
}

/// The settings of a store's replica at a node.
fn config(plan: &Plan, node: NodeId, store: &str) -> Config {
    let mut config = Config::new(store);
    let planned = &plan.stores[store];
    config.mode = plan.node(node).stores.get(store).copied().unwrap_or_default().into();
    config.resync = match planned.resync {
        scenario::Resync::Snapshot(every) => Resync::Snapshot(every.get()),
        scenario::Resync::Verify(every) => Resync::Verify(every.get()),
        scenario::Resync::Off => Resync::Off,
    };
    // What a digest costs in virtual time is drawn, and says nothing of a real one.
    config.verify_budget = 1.0;
    if let Some(bytes) = planned.log_bytes {
        config.log_bytes_max = usize::try_from(bytes).unwrap_or(usize::MAX);
    }
    let settings = &plan.virtual_time;
    config.heartbeat = settings.heartbeat.unwrap_or(config.heartbeat);
    config.dead_after = settings.dead_after.unwrap_or(config.dead_after);
    config.stall_grace = settings.stall_grace.unwrap_or(config.stall_grace);
    // Its default, where deadlines are as long as they are by default.
    config.pressure_grace = config.dead_after / 5;
    config.dispatch_deadline = settings.dispatch_deadline.or(config.dispatch_deadline);
    config.window = settings.window.unwrap_or(config.window);
    config.window_bytes = settings.window_bytes.unwrap_or(config.window_bytes);
    config.sessions_max = settings.sessions_max.unwrap_or(config.sessions_max);
    config.events_max = settings.events_max.unwrap_or(config.events_max);
    config
}
