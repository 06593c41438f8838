//! The null case: the nodes of a case without replication, to see what the instruments cost.
//!
//! The processes, the open-loop load, the records, the witnesses, the digests and the control
//! channel are those of a run. There are no links, no order and no reducers.

use std::time::Duration;

use super::case::CaseRunner;
use super::env::RunEnv;
use super::progress::{Progress, Watching};
use super::run::RunOptions;
use crate::scenario::{Arrival, PhasePlan, Plan};
use crate::streams::note;

/// The time that a case has to last for a null case: shorter ones say nothing of their cost.
const CASE_MIN: Duration = Duration::from_secs(2);

/// The length of a null case.
const LOAD_MAX: Duration = Duration::from_secs(2);

/// Runs the null case of a plan, and returns its CPU for each action in microseconds: `None` if
/// there is none, or if it could not be done, which is no reason for the run to fail.
///
/// `begins` is called before anything is started.
pub(super) async fn null_case(
    plan: &Plan,
    title: &str,
    options: &RunOptions,
    begins: impl FnOnce(),
) -> Option<f64> {
    let plan = null_plan(plan)?;
    begins();
    let (env, events) = RunEnv::set_up(&plan).await.ok()?;
    let title = format!("{title}: null case");
    // One line: those of its phases would look like the case's own.
    let watching = match options.watching {
        Watching::Lines => {
            note!("{title}");
            Watching::Quiet
        }
        other => other,
    };
    let progress = Progress::new(watching, &title, plan.duration());
    let play = CaseRunner::new(&plan, &env, events, (progress, None), options);
    let played = play.run().await;
    let _ = env.tear_down().await;
    let taken = played.ok().filter(|taken| !taken.interrupted && taken.trouble.is_empty())?;
    let costs = taken.incarnations.iter().map(|seen| Some(seen.cost?.cpu_ns()));
    let cpu_ns: u64 = costs.sum::<Option<u64>>()?;
    let actions = taken.gathered.issued();
    (actions > 0).then(|| cpu_ns as f64 / 1e3 / actions as f64)
}

/// The plan of the null case: all phases with a load, shortened to [`LOAD_MAX`] together. There is
/// none if a node is a program, whose instruments are not ours, or if a load waits for answers,
/// since these come at once.
fn null_plan(plan: &Plan) -> Option<Plan> {
    let loads = || plan.phases.iter().flat_map(|phase| &phase.load);
    let waits = loads().any(|load| matches!(load.arrival, Arrival::Closed(_)));
    let programs = plan.nodes.iter().any(|node| node.program.is_some());
    if waits || programs || plan.duration() < CASE_MIN {
        return None;
    }
    let loaded = || plan.phases.iter().filter(|phase| !phase.load.is_empty());
    let total: Duration = loaded().map(|phase| phase.duration).sum();
    let factor = (LOAD_MAX.as_secs_f64() / total.as_secs_f64()).min(1.0);
    let mut start = Duration::ZERO;
    let phases = loaded().map(|phase| {
        let duration = phase.duration.mul_f64(factor);
        let shortened = PhasePlan { start, duration, ..phase.clone() };
        start += duration;
        shortened
    });
    let phases: Vec<PhasePlan> = phases.collect();
    (!phases.is_empty()).then(|| Plan {
        null: true,
        phases,
        mirrors: Vec::new(),
        faults: Vec::new(),
        events: Vec::new(),
        observe: Vec::new(),
        expect: Vec::new(),
        ..plan.clone()
    })
}
