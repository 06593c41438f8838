//! The resources that the processes used.

use samestate_report::{Cost, Process};

use super::gather::{Gathered, Incarnation};
use super::taken::IncarnationSeen;
use crate::scenario::{NodeId, Plan};

/// Every process, in the order in which they came.
pub(super) fn processes(
    plan: &Plan,
    incarnations: &[IncarnationSeen],
    gathered: &Gathered,
) -> Vec<Process> {
    incarnations.iter().map(|seen| process(plan, seen, gathered)).collect()
}

fn process(plan: &Plan, seen: &IncarnationSeen, gathered: &Gathered) -> Process {
    let incarnations = gathered.incarnations(seen.node);
    let known = incarnations.iter().find(|incarnation| incarnation.connection == seen.connection);
    let links = known.and_then(|incarnation: &Incarnation| incarnation.links);
    let seconds = |ns: u64| ns as f64 / 1e9;
    Process {
        name: plan.node(seen.node).name.clone(),
        pid: Some(seen.pid),
        cpu_user_seconds: seen.cost.map(|cost| seconds(cost.user_ns)),
        cpu_system_seconds: seen.cost.map(|cost| seconds(cost.system_ns)),
        rss_bytes_max: seen.cost.map(|cost| cost.rss_bytes_max),
        wire_bytes: links.map(|links| links.sent_bytes),
        wire_bytes_received: links.map(|links| links.received_bytes),
        syscalls: links.and_then(|links| links.syscalls),
        ended: seen.ended.clone(),
    }
}

/// Returns the processor time of all processes in passes of the reference work. `None` if one of
/// them ran too short a time to say.
pub(super) fn cpu_passes(incarnations: &[IncarnationSeen], gathered: &Gathered) -> Option<f64> {
    let passes = incarnations.iter().map(|seen| {
        let mut known = gathered.incarnations(seen.node).iter();
        let known = known.find(|known| known.connection == seen.connection)?;
        Some(seen.cost?.cpu_ns() as f64 * known.cpu.passes_per_ns()?)
    });
    passes.sum()
}

/// Returns the cost of the processes of all nodes together, or of one node. `of_stores` holds the
/// costs that stores count.
pub(super) fn cost(
    plan: &Plan,
    processes: &[Process],
    node: Option<NodeId>,
    of_stores: Cost,
) -> Cost {
    let name = node.map(|node| plan.node(node).name.as_str());
    let counted = || processes.iter().filter(|one| name.is_none_or(|name| name == one.name));
    let sum = |of: fn(&Process) -> Option<u64>| counted().filter_map(of).reduce(|a, b| a + b);
    Cost {
        cpu_seconds: counted().filter_map(Process::cpu_seconds).reduce(|a, b| a + b),
        rss_bytes_max: counted().filter_map(|one| one.rss_bytes_max).max(),
        wire_bytes: sum(|one| one.wire_bytes),
        syscalls: sum(|one| one.syscalls),
        ..of_stores
    }
}
