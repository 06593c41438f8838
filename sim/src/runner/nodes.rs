//! The runner's picture of its nodes: those that are there, their last reports, and those that are
//! missing.

use std::collections::BTreeMap;

use samestate_proto::Version;
use tokio::sync::mpsc;

use super::guardian::Ending;
use crate::control::ToNode;
use crate::record::NodeDelta;
use crate::scenario::{NodeId, Plan, Topology};

/// The time for which everything has to stay the same until the run counts as settled.
const QUIET_NS: u64 = 200_000_000;

/// All nodes of a case.
#[derive(Debug)]
pub(crate) struct Nodes {
    /// In the order of [`Plan::nodes`].
    nodes: Vec<Node>,
    /// Every process that ever said that it is a node, by its connection.
    incarnations: BTreeMap<u64, Incarnation>,
    /// The state of the run since it last changed, and the time of that change.
    quiet: Option<Quiet>,
}

#[derive(Debug)]
struct Node {
    name: String,
    /// The connection of its present process.
    here: Option<u64>,
    /// True if the run continues without the node.
    missing: bool,
}

/// One process of a node.
#[derive(Debug)]
pub(crate) struct Incarnation {
    /// The node.
    pub(crate) node: NodeId,
    /// The process.
    pub(crate) pid: u32,
    /// The process that speaks for it: another, if the node is a program.
    speaker: u32,
    /// The intended end: none, unless the run asked for one.
    pub(crate) end_wanted: bool,
    /// Its connection is over.
    pub(crate) over: bool,
    /// The actual end, if it is known.
    pub(crate) ending: Option<Ending>,
    /// The last thing that it said was going wrong beyond repair.
    pub(crate) fatal: Option<String>,
    outbox: mpsc::UnboundedSender<ToNode>,
    ready: bool,
    drained: bool,
    /// The last reports of its stores.
    stores: BTreeMap<String, Standing>,
    /// The time of that report.
    told_at_ns: u64,
}

/// The status of a store at a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Standing {
    version: Version,
    connected: bool,
    outstanding: u64,
}

#[derive(Debug)]
struct Quiet {
    since_ns: u64,
    versions: Vec<Version>,
}

impl Incarnation {
    /// Describes the end of the node, as far as it is known.
    pub(crate) fn end_in_words(&self) -> String {
        let how = self.ending.map_or_else(|| "ended".to_owned(), |how| how.to_string());
        match &self.fatal {
            Some(fatal) => format!("{how}: {fatal}"),
            None => how,
        }
    }
}

impl Nodes {
    /// The nodes of a plan; none has been started.
    pub(crate) fn new(plan: &Plan) -> Self {
        let node = |name: &str| Node { name: name.to_owned(), here: None, missing: false };
        Self {
            nodes: plan.nodes.iter().map(|planned| node(&planned.name)).collect(),
            incarnations: BTreeMap::new(),
            quiet: None,
        }
    }

    /// A process says that it is this node. `false` if the plan has no such node.
    pub(crate) fn joined(
        &mut self,
        connection: u64,
        node: NodeId,
        (pid, speaker): (u32, u32),
        outbox: mpsc::UnboundedSender<ToNode>,
    ) -> bool {
        let Some(known) = self.nodes.get_mut(node.index()) else { return false };
        known.here = Some(connection);
        known.missing = false;
        let incarnation = Incarnation {
            node,
            pid,
            speaker,
            end_wanted: false,
            over: false,
            ending: None,
            fatal: None,
            outbox,
            ready: false,
            drained: false,
            stores: BTreeMap::new(),
            told_at_ns: 0,
        };
        self.incarnations.insert(connection, incarnation);
        true
    }

    /// The node is in sync, and waits for the start.
    pub(crate) fn ready(&mut self, connection: u64) {
        if let Some(incarnation) = self.incarnations.get_mut(&connection) {
            incarnation.ready = true;
        }
    }

    /// The node has sent everything.
    pub(crate) fn drained(&mut self, connection: u64) {
        if let Some(incarnation) = self.incarnations.get_mut(&connection) {
            incarnation.drained = true;
        }
    }

    /// The node says where its stores stand.
    pub(crate) fn told(&mut self, connection: u64, delta: &NodeDelta) {
        let Some(incarnation) = self.incarnations.get_mut(&connection) else { return };
        incarnation.told_at_ns = delta.at_ns;
        for (name, store) in &delta.stores {
            let loads = store.loads.values().chain([&store.mirrors, &store.opening]);
            let standing = Standing {
                version: store.version,
                connected: store.connected,
                outstanding: loads.map(|load| load.outstanding).sum(),
            };
            incarnation.stores.insert(name.clone(), standing);
        }
    }

    /// The node cannot go on, as it says itself.
    pub(crate) fn fatal(&mut self, connection: u64, text: String) {
        if let Some(incarnation) = self.incarnations.get_mut(&connection) {
            incarnation.fatal = Some(text);
        }
    }

    /// The connection is over. Returns whether that came unasked for.
    pub(crate) fn left(&mut self, connection: u64) -> bool {
        let Some(incarnation) = self.incarnations.get_mut(&connection) else { return false };
        incarnation.over = true;
        let node = &mut self.nodes[incarnation.node.index()];
        if node.here == Some(connection) {
            node.here = None;
            node.missing = true;
        }
        !incarnation.end_wanted
    }

    /// A process ended. Returns its connection, if it was a node's.
    pub(crate) fn ended(&mut self, pid: u32, how: Ending) -> Option<u64> {
        let incarnation =
            self.incarnations.iter_mut().rev().find(|(_, incarnation)| incarnation.speaker == pid);
        incarnation.map(|(connection, incarnation)| {
            incarnation.ending = Some(how);
            *connection
        })
    }

    /// The present process of a node is going to end, because the run wants it so.
    pub(crate) fn end_wanted(&mut self, node: NodeId) {
        if let Some(incarnation) = self.here_mut(node) {
            incarnation.end_wanted = true;
        }
    }

    /// Tells one node something; a node that is not there hears nothing.
    pub(crate) fn tell(&self, node: NodeId, letter: ToNode) {
        if let Some(incarnation) = self.here(node) {
            // A connection that has just ended is told of elsewhere.
            let _ = incarnation.outbox.send(letter);
        }
    }

    /// Tells all nodes something.
    pub(crate) fn tell_all(&self, letter: &ToNode) {
        for node in 0..self.nodes.len() {
            self.tell(NodeId(node as u32), letter.clone());
        }
    }

    /// Ends all nodes: from now on that is what the run wants.
    pub(crate) fn dismiss(&mut self) {
        self.tell_all(&ToNode::Exit);
        for incarnation in self.incarnations.values_mut().filter(|incarnation| !incarnation.over) {
            incarnation.end_wanted = true;
        }
    }

    /// A node's present process.
    pub(crate) fn here(&self, node: NodeId) -> Option<&Incarnation> {
        self.incarnations.get(&self.nodes.get(node.index())?.here?)
    }

    fn here_mut(&mut self, node: NodeId) -> Option<&mut Incarnation> {
        self.incarnations.get_mut(&self.nodes.get(node.index())?.here?)
    }

    /// A node's present process, or its last one.
    pub(crate) fn last_life(&self, node: NodeId) -> Option<&Incarnation> {
        self.incarnations.values().rev().find(|incarnation| incarnation.node == node)
    }

    /// The incarnation on a connection.
    pub(crate) fn incarnation(&self, connection: u64) -> Option<&Incarnation> {
        self.incarnations.get(&connection)
    }

    /// Every process there ever was, by its connection.
    pub(crate) fn incarnations(&self) -> impl Iterator<Item = (u64, &Incarnation)> {
        self.incarnations.iter().map(|(connection, incarnation)| (*connection, incarnation))
    }

    /// The name of a node.
    pub(crate) fn name(&self, node: NodeId) -> &str {
        self.nodes.get(node.index()).map_or("", |known| &known.name)
    }

    /// The nodes that are not ready, and why the run waits for them.
    pub(crate) fn unready(&self) -> Vec<NodeId> {
        let ids = (0..self.nodes.len()).map(|node| NodeId(node as u32));
        ids.filter(|id| !self.here(*id).is_some_and(|incarnation| incarnation.ready)).collect()
    }

    /// Lists the nodes without a last message. The nodes of which no last word came.
    pub(crate) fn undrained(&self) -> Vec<String> {
        let silent = self
            .incarnations
            .values()
            .filter(|incarnation| !incarnation.drained && !incarnation.over);
        silent.map(|incarnation| self.name(incarnation.node).to_owned()).collect()
    }

    pub(crate) fn all_drained(&self) -> bool {
        self.incarnations.values().all(|incarnation| incarnation.drained || incarnation.over)
    }

    /// Returns whether no process is left.
    pub(crate) fn all_gone(&self) -> bool {
        self.incarnations.values().all(|incarnation| incarnation.over)
    }

    /// Returns whether all work under way has come to rest: every node that is there has reported,
    /// some time after `since_ns` and for a while, that its dispatches are answered, that its
    /// stores are in sync, and that all replicas of a tree are at one version. Nodes behind one
    /// that is missing cannot be in sync, and are not waited for.
    pub(crate) fn settled(&mut self, topology: &Topology, since_ns: u64) -> bool {
        let versions = self.versions_at_rest(topology, since_ns);
        let (Some(versions), Some(oldest)) = (versions, self.oldest_word_ns()) else {
            self.quiet = None;
            return false;
        };
        match &self.quiet {
            Some(quiet) if quiet.versions == versions => oldest >= quiet.since_ns + QUIET_NS,
            _ => {
                let newest = self
                    .present()
                    .map(|incarnation| incarnation.told_at_ns)
                    .max()
                    .unwrap_or(oldest);
                self.quiet = Some(Quiet { since_ns: newest, versions });
                false
            }
        }
    }

    /// The version of each tree, if all is at rest.
    fn versions_at_rest(&self, topology: &Topology, since_ns: u64) -> Option<Vec<Version>> {
        let mut versions = Vec::new();
        for (store, trees) in &topology.trees {
            for tree in trees {
                let mut reachable = Vec::new();
                let mut of_tree = None;
                for member in &tree.members {
                    let fed = member.upstream.is_none_or(|up| reachable.contains(&up.node()));
                    if !fed || self.nodes[member.node.index()].missing {
                        continue;
                    }
                    reachable.push(member.node);
                    let incarnation = self.here(member.node)?;
                    let standing = incarnation.stores.get(store)?;
                    let at_rest = standing.connected
                        && standing.outstanding == 0
                        && incarnation.told_at_ns > since_ns
                        && *of_tree.get_or_insert(standing.version) == standing.version;
                    if !at_rest {
                        return None;
                    }
                }
                versions.extend(of_tree);
            }
        }
        Some(versions)
    }

    /// Returns the number of replicas that report to be in sync, and the number of all replicas.
    pub(crate) fn connected(&self, topology: &Topology) -> (usize, usize) {
        let members = topology
            .trees
            .iter()
            .flat_map(|(store, trees)| trees.iter().map(move |tree| (store, tree)))
            .flat_map(|(store, tree)| tree.members.iter().map(move |member| (store, member.node)));
        let (mut connected, mut all) = (0, 0);
        for (store, node) in members {
            all += 1;
            let standing = self.here(node).and_then(|incarnation| incarnation.stores.get(store));
            connected += usize::from(standing.is_some_and(|standing| standing.connected));
        }
        (connected, all)
    }

    /// For each store the newest and the oldest seq that a replica is at, its trees summed up.
    pub(crate) fn seqs(&self, topology: &Topology) -> Vec<(String, u64, u64)> {
        let seqs = topology.trees.iter().map(|(store, trees)| {
            let (mut newest, mut oldest) = (0, 0);
            for tree in trees {
                let standings = tree.members.iter().filter_map(|member| {
                    Some(self.here(member.node)?.stores.get(store)?.version.seq)
                });
                let of_tree: Vec<u64> = standings.collect();
                newest += of_tree.iter().max().copied().unwrap_or(0);
                oldest += of_tree.iter().min().copied().unwrap_or(0);
            }
            (store.clone(), newest, oldest)
        });
        seqs.collect()
    }

    fn present(&self) -> impl Iterator<Item = &Incarnation> {
        self.nodes.iter().filter_map(|node| self.incarnations.get(&node.here?))
    }

    /// Returns the time of the last message of the node that has been silent for the longest time.
    fn oldest_word_ns(&self) -> Option<u64> {
        self.present().map(|incarnation| incarnation.told_at_ns).min()
    }
}
