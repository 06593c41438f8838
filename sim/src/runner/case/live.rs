//! The case as it is shown while it goes on.

use super::CaseRunner;
use crate::control::now_ns;
use crate::live::{ProcessSeen, View};

impl CaseRunner<'_> {
    /// A phase begins: one of the scenario, or of the work around it.
    pub(super) fn phase(&mut self, name: &str, of_scenario: bool) {
        self.progress.phase(name);
        if let Some(live) = &self.live {
            live.phase(now_ns(), name, of_scenario);
        }
    }

    /// Tells those who watch what has changed.
    pub(super) fn tell(&mut self) {
        let Some(mut live) = self.live.take() else { return };
        let topology = self.plan.topology_at(self.at());
        let processes = || {
            let incarnations = self.nodes.incarnations();
            let seen = incarnations.map(|(connection, incarnation)| ProcessSeen {
                connection,
                node: incarnation.node,
                pid: incarnation.pid,
                over: incarnation.over,
                unplanned: (incarnation.over && !incarnation.end_wanted)
                    .then(|| incarnation.end_in_words()),
            });
            seen.collect()
        };
        live.look(&View {
            now_ns: now_ns(),
            plan: self.plan,
            faults: &self.faults,
            costs: &self.costs,
            connected: self.nodes.connected(topology),
            processes: &processes,
        });
        self.live = Some(live);
    }
}
