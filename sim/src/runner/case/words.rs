//! Descriptions of failures of processes.

use std::collections::BTreeSet;

use super::CaseRunner;
use crate::runner::nodes::Incarnation;
use crate::scenario::NodeId;

impl CaseRunner<'_> {
    /// Describes the nodes that failed to start, with the known reasons. Nodes that wait for others
    /// are named only if no node failed before it was `late`.
    pub(super) fn not_ready(&self, late: bool) -> String {
        let mut told: BTreeSet<NodeId> =
            if late { self.nodes.unready().into_iter().collect() } else { BTreeSet::new() };
        told.extend(self.crashed.iter().filter_map(|c| Some(self.nodes.incarnation(*c)?.node)));
        let mut text: String =
            self.trouble.iter().map(|trouble| format!("\n  {trouble}")).collect();
        for node in told {
            let name = self.nodes.name(node);
            let what = match self.nodes.last_life(node) {
                None => format!("did not call{}", self.env.log_tail(name)),
                Some(incarnation) if incarnation.over => self.end_in_words(incarnation),
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
    fn end_in_words(&self, incarnation: &Incarnation) -> String {
        let mut words = incarnation.end_in_words();
        // A program says in its log why it ended.
        if incarnation.fatal.is_none() || self.plan.node(incarnation.node).program.is_some() {
            words += &self.env.log_tail(self.nodes.name(incarnation.node));
        }
        words
    }

    /// The crashes in words; workers that ended with their master are not told apart.
    pub(super) fn crashes(&self) -> Vec<String> {
        let incarnations: Vec<_> =
            self.crashed.iter().filter_map(|c| self.nodes.incarnation(*c)).collect();
        let masters: BTreeSet<&str> = incarnations
            .iter()
            .map(|incarnation| self.plan.node(incarnation.node))
            .filter(|node| node.is_master())
            .map(|node| node.cluster.as_str())
            .collect();
        let own = incarnations.iter().filter(|incarnation| {
            let node = self.plan.node(incarnation.node);
            node.is_master() || !masters.contains(node.cluster.as_str())
        });
        own.map(|incarnation| {
            let name = self.nodes.name(incarnation.node);
            format!("{name} (pid {}) {}", incarnation.pid, self.end_in_words(incarnation))
        })
        .collect()
    }
}
