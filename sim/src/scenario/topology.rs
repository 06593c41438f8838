//! The topology: for each store, the trees that its links and clusters form.
//!
//! A node has at most one upstream for a store: its server where it is a client, its master
//! where it is a worker. A worker that becomes the client of a server for a store leaves its
//! master's tree (A10, A17). So the nodes that open one store form one or more trees, each with
//! its own sequencer at the root. Two trees of one store share nothing but the store's name and
//! are never compared with each other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::model::{Mode, Role};
use super::plan::{LinkPlan, NodeId, NodePlan};

/// The upstreams of all nodes, store by store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    /// Each store's trees, in the order of their roots.
    pub trees: BTreeMap<String, Vec<Tree>>,
}

/// A sequencer and all nodes that descend from it, for one store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    /// The sequencer's node.
    pub root: NodeId,
    /// All its nodes, the root first and each node after its upstream.
    pub members: Vec<Member>,
}

/// A node in a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The node.
    pub node: NodeId,
    /// The upstream of the node; `None` at the root.
    pub upstream: Option<Upstream>,
    /// The number of hops to the root.
    pub depth: u32,
    /// The mode in which it feeds others: what was asked for, or `snapshot` where that is all it
    /// gets itself.
    pub mode: Mode,
    /// The roles of the node in the store, sorted.
    pub roles: Vec<Role>,
}

/// The upstream of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Upstream {
    /// Its cluster's master, over the inherited channel.
    Master(NodeId),
    /// A server, over a link.
    Server {
        /// The node that serves.
        node: NodeId,
        /// The link's position in [`Plan::links`](super::Plan::links).
        link: usize,
    },
}

impl Upstream {
    /// The node that feeds.
    pub fn node(self) -> NodeId {
        match self {
            Self::Master(node) | Self::Server { node, .. } => node,
        }
    }
}

impl Tree {
    /// Returns the member of this tree for a node, if the node is in it.
    pub fn member(&self, node: NodeId) -> Option<&Member> {
        self.members.iter().find(|member| member.node == node)
    }

    /// The nodes that a node feeds.
    pub fn fed_by(&self, node: NodeId) -> impl Iterator<Item = &Member> {
        self.members
            .iter()
            .filter(move |member| member.upstream.is_some_and(|upstream| upstream.node() == node))
    }
}

impl Topology {
    /// The trees of a store; none for a store that no node opens.
    pub fn trees_of(&self, store: &str) -> &[Tree] {
        self.trees.get(store).map_or(&[], Vec::as_slice)
    }

    /// Returns the tree of a store that a node is in, and its member for the node.
    pub fn replica(&self, store: &str, node: NodeId) -> Option<(&Tree, &Member)> {
        self.trees_of(store).iter().find_map(|tree| Some((tree, tree.member(node)?)))
    }

    /// The trees that nodes and links form. `attached` are the links' clients, each with its
    /// link's position, in the order in which they attach.
    ///
    /// Of the nodes in a loop, which no root feeds, none is in any tree: [`looped`] finds them.
    pub(super) fn build(
        nodes: &[NodePlan],
        links: &[LinkPlan],
        attached: &[(NodeId, usize)],
    ) -> Self {
        let mut trees = BTreeMap::new();
        for store in nodes.iter().flat_map(|node| node.stores.keys()) {
            if !trees.contains_key(store) {
                let upstreams = upstreams(store, nodes, links, attached);
                trees.insert(store.clone(), trees_of(store, nodes, links, &upstreams));
            }
        }
        Self { trees }
    }
}

/// The upstream of every node that opens `store`; `None` for a root.
pub(super) fn upstreams(
    store: &str,
    nodes: &[NodePlan],
    links: &[LinkPlan],
    attached: &[(NodeId, usize)],
) -> BTreeMap<NodeId, Option<Upstream>> {
    let mut masters = BTreeMap::new();
    let mut upstreams = BTreeMap::new();
    for node in nodes.iter().filter(|node| node.stores.contains_key(store)) {
        let upstream = match node.worker {
            None => {
                masters.insert(node.cluster.as_str(), node.id);
                None
            }
            Some(_) => masters.get(node.cluster.as_str()).copied().map(Upstream::Master),
        };
        upstreams.insert(node.id, upstream);
    }
    for &(client, link) in attached {
        if links[link].stores.iter().any(|carried| carried == store)
            && let Some(upstream) = upstreams.get_mut(&client)
        {
            *upstream = Some(Upstream::Server { node: links[link].server, link });
        }
    }
    upstreams
}

/// The nodes of a loop among `upstreams`, in the order in which each feeds the one before it.
pub(super) fn looped(upstreams: &BTreeMap<NodeId, Option<Upstream>>) -> Option<Vec<NodeId>> {
    for &start in upstreams.keys() {
        let mut path = vec![start];
        let mut at = start;
        while let Some(Some(upstream)) = upstreams.get(&at) {
            at = upstream.node();
            if at == start {
                return Some(path);
            }
            if path.contains(&at) {
                break; // a loop further up: its own nodes find it
            }
            path.push(at);
        }
    }
    None
}

fn trees_of(
    store: &str,
    nodes: &[NodePlan],
    links: &[LinkPlan],
    upstreams: &BTreeMap<NodeId, Option<Upstream>>,
) -> Vec<Tree> {
    let mut downstream: BTreeMap<NodeId, Vec<NodeId>> = BTreeMap::new();
    for (&node, upstream) in upstreams {
        if let Some(upstream) = upstream {
            downstream.entry(upstream.node()).or_default().push(node);
        }
    }
    let roots = upstreams.iter().filter(|(_, upstream)| upstream.is_none()).map(|(node, _)| *node);
    roots
        .map(|root| {
            let mut members: Vec<Member> = Vec::new();
            let mut next = vec![(root, 0, Mode::Action)];
            while !next.is_empty() {
                let mut deeper = Vec::new();
                for (node, depth, fed) in next {
                    let asked = nodes[node.index()].stores[store];
                    let mode = if fed == Mode::Snapshot { Mode::Snapshot } else { asked };
                    let roles = roles(store, &nodes[node.index()], nodes, links, upstreams);
                    let upstream = upstreams[&node];
                    members.push(Member { node, upstream, depth, mode, roles });
                    let fed_by_it = downstream.get(&node).into_iter().flatten();
                    deeper.extend(fed_by_it.map(|&child| (child, depth + 1, mode)));
                }
                next = deeper;
            }
            Tree { root, members }
        })
        .collect()
}

/// Returns the roles of a node in a store: `worker` unless it is a client itself, `master` if its
/// cluster has workers, `server` if a link of that store listens.
fn roles(
    store: &str,
    node: &NodePlan,
    nodes: &[NodePlan],
    links: &[LinkPlan],
    upstreams: &BTreeMap<NodeId, Option<Upstream>>,
) -> Vec<Role> {
    let mut roles = Vec::new();
    let has_workers = nodes.iter().any(|other| other.cluster == node.cluster && !other.is_master());
    if node.is_master() && has_workers {
        roles.push(Role::Master);
    }
    let serves = links
        .iter()
        .any(|link| link.server == node.id && link.stores.iter().any(|carried| carried == store));
    match upstreams[&node.id] {
        Some(Upstream::Master(_)) => roles.push(Role::Worker),
        Some(Upstream::Server { .. }) => roles.push(Role::Client),
        None => {}
    }
    if serves {
        roles.push(Role::Server);
    }
    roles.sort();
    roles
}
