//! From a scenario as written to a plan: every name looked up, every rule checked.
//!
//! Each file takes one part of a scenario: `nodes` the stores and clusters, `links` the upstreams
//! of nodes, `timeline` phases and events, `faults` the faults, `checks` observations and
//! expectations, `virtual_time` the settings of a run in virtual time, and `bounds` the extremes of
//! them all. All of them report problems to one [`Resolver`], which knows the place of each path in
//! the file, and continue, so that all problems are reported at once.

mod bounds;
mod checks;
mod faults;
mod links;
mod nodes;
mod timeline;
mod virtual_time;

use std::collections::BTreeMap;

use super::error::Problem;
use super::model::{FORMAT_VERSION, Scenario};
use super::near::suggest;
use super::plan::{LinkPlan, NodeId, NodePlan, PhasePlan, Plan};
use super::topology::Topology;
use super::tree::Node;

/// The end of the name that stands for all workers of a cluster: `alpha.worker[*]`.
pub(crate) const ALL_WORKERS: &str = ".worker[*]";

/// Checks a scenario and resolves it. With its `tree`, problems know their places.
pub(super) fn resolve(
    scenario: &Scenario,
    name: &str,
    tree: Option<&Node>,
) -> Result<Plan, Vec<Problem>> {
    let mut resolver = Resolver { scenario, tree, nodes: Vec::new(), problems: Vec::new() };
    resolver.version();
    let stores = resolver.stores();
    if resolver.nodes().is_none() {
        return Err(resolver.problems);
    }
    let links = resolver.links();
    let attached = resolver.attached(&links);
    let topology = Topology::build(&resolver.nodes, &links, &attached);
    let mirrors = resolver.mirrors();
    let phases = resolver.phases();
    let end = phases.last().map(PhasePlan::end).unwrap_or_default();
    let events = resolver.events(&links, attached, end);
    let faults = resolver.faults(&links, &topology, &events, end);
    let observe = resolver.observations(end);
    let expect = resolver.expectations();
    let virtual_time = resolver.virtual_time();
    if !resolver.problems.is_empty() {
        return Err(resolver.problems);
    }
    Ok(Plan {
        name: name.to_owned(),
        seed: scenario.seed,
        null: false,
        nodes: resolver.nodes,
        stores,
        links,
        topology,
        mirrors,
        phases,
        faults,
        events,
        observe,
        expect,
        virtual_time,
    })
}

/// The resolved parts so far, and the problems so far.
struct Resolver<'a> {
    scenario: &'a Scenario,
    tree: Option<&'a Node>,
    nodes: Vec<NodePlan>,
    problems: Vec<Problem>,
}

impl Resolver<'_> {
    /// Complains of a version that `--set` or the matrix put there.
    fn version(&mut self) {
        if self.scenario.version != FORMAT_VERSION {
            let message = format!("the only version there is is {FORMAT_VERSION}");
            self.complain("version", message, format!("write `version: {FORMAT_VERSION}`"));
        }
    }

    /// Notes a problem with the value at `path`.
    fn complain(&mut self, path: &str, message: impl Into<String>, help: impl Into<String>) {
        let place = self.tree.and_then(|tree| tree.place_of(path));
        self.note(Problem::new(message).at(place), help.into());
    }

    /// Notes a problem with the key that ends `path`.
    fn complain_of_key(&mut self, path: &str, message: impl Into<String>, help: impl Into<String>) {
        let place = self.tree.and_then(|tree| tree.place_of_key(path));
        self.note(Problem::new(message).at(place), help.into());
    }

    fn note(&mut self, problem: Problem, help: String) {
        self.problems.push(if help.is_empty() { problem } else { problem.help(help) });
    }

    /// The node that the value at `path` names.
    fn node(&mut self, path: &str, name: &str) -> Option<NodeId> {
        if let Some(node) = self.nodes.iter().find(|node| node.name == name) {
            return Some(node.id);
        }
        let names: Vec<&str> = self.nodes.iter().map(|node| node.name.as_str()).collect();
        let help = suggest(name, &names);
        let message = self.missing_worker(name).unwrap_or(format!("there is no node `{name}`"));
        self.complain(path, message, help);
        None
    }

    /// The nodes that the value at `path` names: one, or with `alpha.worker[*]` each worker of a
    /// cluster.
    fn nodes_named(&mut self, path: &str, name: &str) -> Vec<NodeId> {
        let Some(cluster) = name.strip_suffix(ALL_WORKERS) else {
            return self.node(path, name).into_iter().collect();
        };
        let of = |node: &&NodePlan| node.cluster == cluster && !node.is_master();
        let workers: Vec<NodeId> = self.nodes.iter().filter(of).map(|node| node.id).collect();
        if workers.is_empty() {
            let known: Vec<&str> = self.scenario.clusters.keys().map(String::as_str).collect();
            if known.contains(&cluster) {
                let help = format!("set `clusters.{cluster}.workers`, or name `{cluster}.master`");
                self.complain(path, format!("cluster `{cluster}` has no workers"), help);
            } else {
                let message = format!("there is no cluster `{cluster}`");
                self.complain(path, message, suggest(cluster, &known));
            }
        }
        workers
    }

    /// Describes the problem of a name like `alpha.worker[7]` whose cluster does exist.
    fn missing_worker(&self, name: &str) -> Option<String> {
        let (cluster, index) = name.split_once(".worker[")?;
        let index: u32 = index.strip_suffix(']')?.parse().ok()?;
        let spec = self.scenario.clusters.get(cluster)?;
        Some(match (index, spec.workers) {
            (0, _) => "workers are numbered from 1".to_owned(),
            (_, 0) => format!("cluster `{cluster}` has no workers"),
            (_, 1) => format!("cluster `{cluster}` has one worker, and no `{name}`"),
            (_, count) => format!("cluster `{cluster}` has {count} workers, and no `{name}`"),
        })
    }

    /// Checks that the value at `path` names a store.
    fn store(&mut self, path: &str, name: &str) -> bool {
        if self.scenario.stores.contains_key(name) {
            return true;
        }
        let names: Vec<&str> = self.scenario.stores.keys().map(String::as_str).collect();
        let help = suggest(name, &names);
        self.complain(path, format!("there is no store `{name}`"), help);
        false
    }

    /// Checks that the value at `path` names a store that `node` opens.
    fn store_at(&mut self, path: &str, store: &str, node: Option<NodeId>) -> bool {
        if !self.store(path, store) {
            return false;
        }
        let Some(node) = node.map(|id| &self.nodes[id.index()]) else { return true };
        if node.stores.contains_key(store) {
            return true;
        }
        let message = format!("`{}` does not open the store `{store}`", node.name);
        let help = format!("add it to `clusters.{}.stores`", node.cluster);
        self.complain(path, message, help);
        false
    }

    /// The link that the value at `path` refers to, by name or position.
    fn link(&mut self, path: &str, link: &super::LinkRef, links: &[LinkPlan]) -> Option<usize> {
        let found = match link {
            super::LinkRef::Index(index) => (*index < self.scenario.links.len()).then_some(*index),
            super::LinkRef::Name(name) => {
                self.scenario.links.iter().position(|link| link.name.as_ref() == Some(name))
            }
        };
        if found.is_none() {
            let names: Vec<&str> =
                self.scenario.links.iter().filter_map(|link| link.name.as_deref()).collect();
            let help = match (link, self.scenario.links.len()) {
                (_, 0) => "the scenario has no links".to_owned(),
                (super::LinkRef::Index(_), count) => {
                    format!("links are numbered from 0 to {}", count - 1)
                }
                (super::LinkRef::Name(name), _) if !names.is_empty() => suggest(name, &names),
                (super::LinkRef::Name(_), _) => {
                    "no link has a `name`: give it one, or use its position, from 0".to_owned()
                }
            };
            self.complain(path, format!("there is no link `{link}`"), help);
        }
        // A link that is wrong itself has been complained about and is not in the plan.
        found.filter(|index| links.iter().any(|link| link.index == *index))
    }

    /// The first of several things with one name, by position; notes the others.
    fn distinct<'n>(&mut self, names: impl Iterator<Item = (String, &'n str)>, what: &str) {
        let mut seen = BTreeMap::new();
        for (path, name) in names {
            if let Some(first) = seen.insert(name, path.clone()) {
                self.complain(
                    &path,
                    format!("two {what} are called `{name}`: also `{first}`"),
                    "rename one",
                );
            }
        }
    }
}
