//! Stores, clusters and the nodes that they are made of.

use std::collections::BTreeMap;

use super::Resolver;
use crate::load::catalog::{self, in_words};
use crate::scenario::model::{ClusterSpec, Mode};
use crate::scenario::near::suggest;
use crate::scenario::plan::{NodeId, NodePlan, StorePlan};

/// The most processes that one scenario has; `run` starts fewer.
const NODES_MAX: u32 = 20_000;

/// The name of Samestate's own nodes among programs.
const OWN: &str = "samestate";

impl<'a> Resolver<'a> {
    pub(super) fn stores(&mut self) -> BTreeMap<String, StorePlan> {
        let scenario = self.scenario;
        if scenario.stores.is_empty() {
            self.complain("stores", "the scenario has no store", "name at least one");
        }
        let mut stores = BTreeMap::new();
        for (name, spec) in &scenario.stores {
            let path = format!("stores.{name}");
            self.good_name(&path, name);
            if let Some(size) = spec.size {
                self.state_size(&format!("{path}.size"), size);
            }
            self.store_limits(&path, spec);
            match catalog::find(&spec.reducer) {
                Some(reducer) => {
                    if spec.size.is_some() && !reducer.sized {
                        self.complain(
                            &format!("{path}.size"),
                            format!("the reducer `{}` takes no `size`", reducer.name),
                            format!("remove it, or use {}", in_words(|known| known.sized, "or")),
                        );
                    }
                }
                None => {
                    let names: Vec<&str> = catalog::all().iter().map(|known| known.name).collect();
                    self.complain(
                        &format!("{path}.reducer"),
                        format!("there is no reducer `{}`", spec.reducer),
                        suggest(&spec.reducer, &names),
                    );
                    if let Some(problem) = self.problems.last_mut() {
                        problem.is_unknown_reducer = true;
                    }
                }
            }
            let durable = spec.backup.is_some_and(|backup| backup.durable);
            let every = spec.backup.and_then(|backup| backup.every_actions);
            if spec.backup.is_some() && every.is_some() == durable {
                self.complain(
                    &format!("{path}.backup"),
                    "a backup is made every so many actions, or the store is durable",
                    "say `every_actions: 100` or `durable: true`, and not both",
                );
            }
            let plan = StorePlan {
                name: name.clone(),
                reducer: spec.reducer.clone(),
                size_bytes: spec.size.map(|size| size.0),
                resync: spec.resync.unwrap_or_default(),
                log_bytes: spec.log_bytes.map(|size| size.0),
                backup_every: every,
                durable,
            };
            stores.insert(name.clone(), plan);
        }
        stores
    }

    /// Makes the nodes; `None` if they are too many to be made.
    pub(super) fn nodes(&mut self) -> Option<()> {
        let scenario = self.scenario;
        if scenario.clusters.is_empty() {
            self.complain("clusters", "the scenario has no cluster", "name at least one");
        }
        let by_default = self.program_by_default();
        let mut total = 0u32;
        for (name, spec) in &scenario.clusters {
            let path = format!("clusters.{name}");
            self.good_name(&path, name);
            total = total.saturating_add(spec.workers).saturating_add(1);
            if total > NODES_MAX {
                self.complain(
                    &format!("{path}.workers"),
                    format!("the scenario has more than {NODES_MAX} processes"),
                    "write fewer workers: a cluster is one process and its workers",
                );
                return None;
            }
            let stores = self.stores_of(&path, spec);
            let program = spec.program.as_ref().or(by_default);
            self.program(&path, spec, program);
            let workers = (1..=spec.workers).map(Some);
            for worker in std::iter::once(None).chain(workers) {
                let node_name = match worker {
                    None => format!("{name}.master"),
                    Some(index) => format!("{name}.worker[{index}]"),
                };
                self.nodes.push(NodePlan {
                    id: NodeId(self.nodes.len() as u32),
                    name: node_name,
                    cluster: name.clone(),
                    worker,
                    stores: stores.clone(),
                    program: program.cloned(),
                });
            }
        }
        Some(())
    }

    /// The program of the clusters that name none: `None` for Samestate's own nodes.
    fn program_by_default(&mut self) -> Option<&'a Vec<String>> {
        let scenario = self.scenario;
        for (name, command) in &scenario.programs {
            if name == OWN {
                let message = format!("`{OWN}` stands for Samestate's own nodes");
                self.complain_of_key(&format!("programs.{name}"), message, "take another name");
            }
            self.command(&format!("programs.{name}"), command);
        }
        let name = scenario.program.as_ref().filter(|name| *name != OWN)?;
        let command = scenario.programs.get(name);
        if command.is_none() {
            let known = scenario.programs.keys().map(String::as_str);
            let known: Vec<&str> = known.chain([OWN]).collect();
            let message = format!("`programs` has no `{name}`");
            self.complain("program", message, suggest(name, &known));
        }
        command
    }

    fn command(&mut self, path: &str, command: &[String]) {
        if command.first().is_none_or(String::is_empty) {
            let help = "write the program and its arguments: `[python3, adapter.py]`";
            self.complain(path, "the program has no name", help);
        }
    }

    /// Checks the program of a cluster's nodes, if they have one.
    fn program(&mut self, path: &str, spec: &ClusterSpec, program: Option<&Vec<String>>) {
        if program.is_none() {
            return;
        }
        if let Some(command) = &spec.program {
            self.command(&format!("{path}.program"), command);
        }
        let scenario = self.scenario;
        for (name, store) in &scenario.stores {
            if store.backup.is_some() && spec.stores.as_ref().is_none_or(|s| s.contains(name)) {
                self.complain(
                    &format!("stores.{name}.backup"),
                    format!("the nodes of `{path}` are programs, and keep no backups"),
                    "remove `backup`; a program keeps its files in the folder that it is told",
                );
            }
        }
    }

    /// The stores that a cluster's nodes open, each with the mode in which they feed others.
    fn stores_of(&mut self, path: &str, spec: &ClusterSpec) -> BTreeMap<String, Mode> {
        let scenario = self.scenario;
        let mut names: Vec<&String> = Vec::new();
        match &spec.stores {
            None => names.extend(scenario.stores.keys()),
            Some(listed) => {
                for (index, name) in listed.iter().enumerate() {
                    if self.store(&format!("{path}.stores.{index}"), name) {
                        names.push(name);
                    }
                }
            }
        }
        for store in spec.modes.keys() {
            let mode_path = format!("{path}.modes.{store}");
            let known: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            if !known.contains(&store.as_str()) {
                let message = format!("the cluster opens no store `{store}`");
                let help = suggest(store, &known);
                self.complain_of_key(&mode_path, message, help);
            }
        }
        names
            .into_iter()
            .map(|name| {
                let by_store = scenario.stores[name].mode;
                let mode = spec.modes.get(name).copied().or(by_store).unwrap_or_default();
                (name.clone(), mode)
            })
            .collect()
    }
}
