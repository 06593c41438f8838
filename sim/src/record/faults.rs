//! The time until all replicas were equal after each fault.

use std::time::Duration;

use samestate_report::{FaultDone, Faults};

use super::tree::{Instants, TreeSeen};

/// Returns the time at which each injected fault was over, on the shared clock.
pub(super) fn ended_ns(faults: &[FaultDone], start_ns: u64) -> Vec<u64> {
    let done = faults.iter().filter(|fault| fault.injected_at_seconds.is_some());
    done.filter_map(|fault| fault.ended_at_seconds).map(|at| on_clock(start_ns, at)).collect()
}

/// The faults as the record shows them.
pub(super) fn healed(
    mut list: Vec<FaultDone>,
    trees: &[TreeSeen<'_>],
    instants: &Instants,
) -> Faults {
    let injected: Vec<u64> = list
        .iter()
        .filter_map(|fault| fault.injected_at_seconds)
        .map(|at| on_clock(instants.start_ns, at))
        .collect();
    for fault in list.iter_mut().filter(|fault| fault.injected_at_seconds.is_some()) {
        let Some(ended) = fault.ended_at_seconds else { continue };
        let since_ns = on_clock(instants.start_ns, ended);
        let next_ns = injected.iter().copied().filter(|next| *next > since_ns).min();
        let until_ns = next_ns.unwrap_or(instants.end_ns);
        let soonest: Option<Vec<u64>> =
            trees.iter().map(|tree| tree.equal_after(since_ns, until_ns)).collect();
        let longest_ns = soonest.map(|all| all.into_iter().max().unwrap_or_default());
        fault.converged_within_ms = longest_ns.map(|ns| ns as f64 / 1e6);
    }
    Faults { planned: list.len() as u64, injected: injected.len() as u64, list }
}

fn on_clock(start_ns: u64, seconds: f64) -> u64 {
    let at = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    start_ns + at.as_nanos() as u64
}
