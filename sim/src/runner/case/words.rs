//! Descriptions of failures of processes.

use std::collections::BTreeSet;

use super::CaseRunner;
use crate::runner::nodes::Life;
use crate::scenario::NodeId;

impl CaseRunner<'_> {
    /// Describes the nodes that failed to start, with the known reasons. Nodes that wait for others
    /// are named only if no node failed before it was `late`.
    pub(super) fn not_ready(&self, late: bool) -> String {
        let mut told: BTreeSet<NodeId> =
            if late { self.nodes.unready().into_iter().collect() } else { BTreeSet::new() };
        told.extend(self.crashed.iter().filter_map(|c| Some(self.nodes.life(*c)?.node)));
        let mut text: String =
            self.trouble.iter().map(|trouble| format!("\n  {trouble}")).collect();
        for node in told {
            let name = self.nodes.name(node);
            let what = match self.nodes.last_life(node) {
                None => format!("did not call{}", self.env.log_tail(name)),
                Some(life) if life.over => self.end_in_words(life),
                Some(_) if self.plan.node(node).program.is_some() => format!(
                    "has not said `ready` after {} s{}",
                    self.start_timeout.as_secs_f64(),
                    self.env.log_tail(name)
                ),
                Some(_) => format!(
                    "is not in sync after {} s{}",
                    self.start_timeout.as_secs_f64(),
                    self.env.log_tail(name)
                ),
            };
            text += &format!("\n  {name} {what}");
        }
        text
    }

    /// Describes the end of a process, with the last lines of its log if it gave no reason itself.
    fn end_in_words(&self, life: &Life) -> String {
        let mut words = life.end_in_words();
        // A program says in its log why it ended.
        if life.fatal.is_none() || self.plan.node(life.node).program.is_some() {
            words += &self.env.log_tail(self.nodes.name(life.node));
        }
        words
    }

    /// The crashes in words; workers that ended with their master are not told apart.
    pub(super) fn crashes(&self) -> Vec<String> {
        let lives: Vec<_> = self.crashed.iter().filter_map(|c| self.nodes.life(*c)).collect();
        let masters: BTreeSet<&str> = lives
            .iter()
            .map(|life| self.plan.node(life.node))
            .filter(|node| node.is_master())
            .map(|node| node.cluster.as_str())
            .collect();
        let own = lives.iter().filter(|life| {
            let node = self.plan.node(life.node);
            node.is_master() || !masters.contains(node.cluster.as_str())
        });
        own.map(|life| {
            let name = self.nodes.name(life.node);
            format!("{name} (pid {}) {}", life.pid, self.end_in_words(life))
        })
        .collect()
    }
}
