//! Clusters, and the trees of links that they form, one tree a store or one for all of them.

use std::collections::BTreeMap;
use std::iter;

use crate::scenario::{ClusterSpec, LinkSpec, Mode, OneOrMany, Span, StoreSpec};
use crate::virtual_time::rng::SeededRng;

const NODES_MAX: u64 = 9;

/// The number of hops that a server is away from the root at most.
const SERVER_DEPTH_MAX: usize = 3;

/// The port of the first link; the others follow. Virtual time listens on none of them.
const FIRST_PORT: u16 = 20_000;

/// A store's name and what it is.
pub(super) type NamedStore = (String, StoreSpec);

/// A node.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) name: String,
    /// Its cluster's master; `None` if it is the master.
    pub(super) master: Option<usize>,
}

/// A link: nodes and stores by their positions.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) server: usize,
    pub(super) clients: Vec<usize>,
    pub(super) stores: Vec<usize>,
}

/// The upstream of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fed {
    /// No upstream: the node is a root.
    Root,
    /// Its master.
    ByMaster,
    /// The server of a link.
    By(usize),
}

/// Nodes, links, and the upstream of each node when the run begins.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) nodes: Vec<Node>,
    pub(super) links: Vec<Link>,
    /// By store, then by node.
    pub(super) fed: Vec<Vec<Fed>>,
}

impl Shape {
    pub(super) fn draw(rng: &mut SeededRng, stores: &[NamedStore]) -> Self {
        let nodes = nodes(rng);
        let feeds = |node: &Node| node.master.map_or(Fed::Root, |_| Fed::ByMaster);
        let fed = vec![nodes.iter().map(feeds).collect(); stores.len()];
        let mut shape = Self { nodes, links: Vec::new(), fed };
        let together = rng.percent(60);
        let shares = rng.one_of(&[0, 30, 100]);
        if together {
            shape.grow(rng, (0..stores.len()).collect(), shares);
        } else {
            (0..stores.len()).for_each(|store| shape.grow(rng, vec![store], shares));
        }
        shape
    }

    /// Links all clusters into one tree for these stores. A client joins a link that there is this
    /// often, where there is one.
    fn grow(&mut self, rng: &mut SeededRng, stores: Vec<usize>, shares: u64) {
        let masters: Vec<usize> =
            (0..self.nodes.len()).filter(|node| self.nodes[*node].master.is_none()).collect();
        let mut left = masters;
        let mut depths: BTreeMap<usize, usize> = BTreeMap::new();
        while !left.is_empty() {
            let master = left.remove(if rng.percent(50) { 0 } else { rng.pick(left.len()) });
            let servers: Vec<usize> = depths
                .iter()
                .filter(|(_, depth)| **depth <= SERVER_DEPTH_MAX)
                .map(|(node, _)| *node)
                .collect();
            let depth = if servers.is_empty() {
                0
            } else {
                let server = rng.one_of(&servers);
                let link = self.link_of(rng, server, &stores, shares);
                self.links[link].clients.push(master);
                stores.iter().for_each(|store| self.fed[*store][master] = Fed::By(link));
                depths[&server] + 1
            };
            depths.insert(master, depth);
            for worker in self.workers(master) {
                let strays = rng.percent(15) && !servers.is_empty();
                if strays {
                    let server = rng.one_of(&servers);
                    let link = self.link_of(rng, server, &stores, shares);
                    self.links[link].clients.push(worker);
                    stores.iter().for_each(|store| self.fed[*store][worker] = Fed::By(link));
                    depths.insert(worker, depths[&server] + 1);
                } else {
                    depths.insert(worker, depth + 1);
                }
            }
        }
    }

    /// A link from a server, one that there is or a new one.
    pub(super) fn link_of(
        &mut self,
        rng: &mut SeededRng,
        server: usize,
        stores: &[usize],
        shares: u64,
    ) -> usize {
        let known =
            self.links.iter().position(|link| link.server == server && link.stores == stores);
        match known.filter(|_| rng.percent(shares)) {
            Some(known) => known,
            None => {
                self.links.push(Link { server, clients: Vec::new(), stores: stores.to_vec() });
                self.links.len() - 1
            }
        }
    }

    /// The workers of a master.
    fn workers(&self, master: usize) -> Vec<usize> {
        let of = |node: &usize| self.nodes[*node].master == Some(master);
        (0..self.nodes.len()).filter(of).collect()
    }

    /// The node that feeds one; `None` at a root.
    pub(super) fn feeder(&self, fed: Fed, node: usize) -> Option<usize> {
        match fed {
            Fed::Root => None,
            Fed::ByMaster => self.nodes[node].master,
            Fed::By(link) => Some(self.links[link].server),
        }
    }

    /// Returns the nodes of this store with an upstream.
    pub(super) fn fed_nodes(&self, store: usize) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| self.fed[store][*node] != Fed::Root).collect()
    }

    /// The clusters as a file has them. Some feed others by snapshots, and some in the other of
    /// modes action and delta than their store has.
    pub(super) fn clusters(
        &self,
        rng: &mut SeededRng,
        stores: &[NamedStore],
    ) -> BTreeMap<String, ClusterSpec> {
        let snapshots = rng.one_of(&[0, 0, 20, 60, 100]);
        let masters = (0..self.nodes.len()).filter(|node| self.nodes[*node].master.is_none());
        masters
            .map(|master| {
                let name = self.nodes[master].name.trim_end_matches(".master").to_owned();
                let mut modes = BTreeMap::new();
                for (name, store) in stores {
                    let mode = match store.mode {
                        _ if rng.percent(snapshots) => Mode::Snapshot,
                        Some(Mode::Delta) if rng.percent(25) => Mode::Action,
                        Some(Mode::Action) if rng.percent(10) => Mode::Delta,
                        _ => continue,
                    };
                    modes.insert(name.clone(), mode);
                }
                let workers = self.workers(master).len() as u32;
                (name, ClusterSpec { workers, modes, stores: None, program: None })
            })
            .collect()
    }

    /// The links as a file has them.
    pub(super) fn links(&self, rng: &mut SeededRng, stores: &[NamedStore]) -> Vec<LinkSpec> {
        let names = |nodes: &[usize]| {
            OneOrMany(nodes.iter().map(|node| self.nodes[*node].name.clone()).collect())
        };
        let backoff_max = rng.percent(70).then(|| Span(rng.micros(5_000, 300_000)));
        iter::zip(&self.links, FIRST_PORT..)
            .enumerate()
            .map(|(index, (link, port))| LinkSpec {
                name: Some(format!("link{index}")),
                store: OneOrMany(
                    link.stores.iter().map(|store| stores[*store].0.clone()).collect(),
                ),
                server: self.nodes[link.server].name.clone(),
                tcp: Some(port),
                unix: None,
                tls: false,
                client: names(&link.clients),
                login: None,
                backoff_max,
            })
            .collect()
    }
}

/// Clusters of one node, and in some seeds of up to four.
fn nodes(rng: &mut SeededRng) -> Vec<Node> {
    let count = rng.within(1, NODES_MAX) as usize;
    let forks = if rng.percent(35) { 40 } else { 0 };
    let mut nodes = Vec::new();
    let mut cluster = 0;
    while nodes.len() < count {
        let master = nodes.len();
        nodes.push(Node { name: format!("n{cluster}.master"), master: None });
        let workers = if rng.percent(forks) { rng.within(1, 3) as usize } else { 0 };
        for worker in 1..=workers.min(count - nodes.len()) {
            let name = format!("n{cluster}.worker[{worker}]");
            nodes.push(Node { name, master: Some(master) });
        }
        cluster += 1;
    }
    nodes
}
