//! The data that a case leaves: what its processes used, and all that they handed over.

use std::time::Duration;

use super::CaseRunner;
use crate::invariants::Violations;
use crate::record::{IncarnationSeen, Taken};

impl CaseRunner<'_> {
    /// Notes the CPU that all processes have used, at the begin of a phase and at the end of all.
    pub(super) fn mark_phase(&mut self) {
        self.costs.sample();
        self.phase_cpu_ns.extend(self.costs.total().map(|cost| cost.cpu_ns()));
    }

    /// Returns all that the case leaves.
    pub(super) fn taken(mut self, interrupted: bool, end_ns: u64) -> Taken {
        let mut trouble = self.crashes();
        trouble.append(&mut self.trouble);
        let costs = self.costs.per_node();
        let incarnations =
            self.nodes.incarnations().map(|(connection, incarnation)| IncarnationSeen {
                connection,
                node: incarnation.node,
                pid: incarnation.pid,
                cost: costs.get(connection.to_string().as_str()).copied().flatten(),
                course: self.costs.course(&connection.to_string()),
                ended: (!incarnation.end_wanted && incarnation.over)
                    .then(|| incarnation.end_in_words()),
            });
        Taken {
            incarnations: incarnations.collect(),
            start_ns: self.start_ns,
            stop_ns: self.stop_ns,
            phase_cpu_ns: self.phase_cpu_ns,
            end_ns,
            faults: self.faults.list().to_vec(),
            violations: Violations::default(),
            carrying: Duration::ZERO,
            interrupted,
            lost_cause: self.lost_cause,
            trouble,
            errors: self.errors,
            gathered: self.gathered,
        }
    }
}
