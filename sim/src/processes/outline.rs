//! What is known of a case without its measurements: processes and faults.

use samestate_report::{Case, Faults, Process, Verdict};

use super::taken::Taken;
use crate::scenario::Plan;

pub(crate) fn outline(plan: &Plan, taken: Taken) -> Case {
    let process = taken.lives.iter().map(|life| Process {
        name: plan.node(life.node).name.clone(),
        pid: Some(life.pid),
        cpu_user_seconds: life.cost.map(|cost| cost.user_ns as f64 / 1e9),
        cpu_system_seconds: life.cost.map(|cost| cost.system_ns as f64 / 1e9),
        rss_bytes_max: life.cost.map(|cost| cost.rss_bytes_max),
        ended: life.ended.clone(),
        ..Process::default()
    });
    let injected = taken.faults.iter().filter(|fault| fault.injected_at_seconds.is_some()).count();
    Case {
        verdict: Verdict::Inconclusive,
        processes: process.collect(),
        faults: Faults {
            planned: taken.faults.len() as u64,
            injected: injected as u64,
            list: taken.faults,
        },
        ..Case::default()
    }
}
