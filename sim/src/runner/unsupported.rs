//! Requests of a scenario that real processes cannot fulfil.

use crate::faults::{Fault, Target};
use crate::scenario::{Event, Plan, TimedEvent, Topology, Upstream};

/// The most processes that `run` starts.
const PROCESSES_MAX: usize = 1_000;

/// Lists the parts of a plan that `run` cannot do, a line each; empty for a plan that it can run.
///
/// It is asked before anything is started: a run that leaves out part of its scenario would claim
/// more than it tried.
pub fn unsupported_by_run(plan: &Plan) -> Vec<String> {
    let mut beyond = Vec::new();
    let processes = plan.nodes.len();
    if processes > PROCESSES_MAX {
        beyond.push(format!("start {processes} processes: it starts {PROCESSES_MAX} at most"));
    }
    for timed in &plan.faults {
        if let Some(why) = timed.fault.run_lacks() {
            let line = format!("the fault `{}` {why}", timed.fault.kind());
            if !beyond.contains(&line) {
                beyond.push(line);
            }
        }
    }
    for timed in &plan.faults {
        if let (Fault::WrongPassword(_), Target::Link(link)) = (&timed.fault, timed.fault.target())
            && plan.node(plan.links[link].server).program.is_some()
        {
            let line = format!(
                "the fault `wrong_password` needs a server that is a node of Samestate: that of \
                 `{}` is a program",
                plan.links[link].name
            );
            if !beyond.contains(&line) {
                beyond.push(line);
            }
        }
    }
    let mut before = &plan.topology;
    for event in &plan.events {
        beyond.extend(unsupported_event(plan, before, event));
        before = &event.topology;
    }
    beyond
}

/// Refuses the events that the library refuses: a client that moves, and a loop.
fn unsupported_event(plan: &Plan, before: &Topology, event: &TimedEvent) -> Option<String> {
    let Event::CreateClient { client, link } = &event.event;
    let name = &plan.node(*client).name;
    if plan.node(*client).program.is_some() {
        return Some(format!("the event makes `{name}` a client, and it is a program"));
    }
    let stores = &plan.links[*link].stores;
    let moves = |store: &&String| {
        let member = before.replica(store, *client).map(|(_, member)| member.upstream);
        // Of a node in a loop only this is known: it has a server.
        member.is_none_or(|upstream| matches!(upstream, Some(Upstream::Server { .. })))
    };
    if let Some(store) = stores.iter().find(moves) {
        return Some(format!(
            "the event moves `{name}` from one server of the store `{store}` to another, and a \
             running store stays with its first"
        ));
    }
    let looped = stores.iter().find(|store| event.topology.replica(store, *client).is_none())?;
    Some(format!("the event closes a loop in the store `{looped}` at `{name}`"))
}
