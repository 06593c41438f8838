//! Everything that a scenario leaves to its seed, written out: every instant, link and fault by
//! itself. What happens stays the same.

use crate::load::Arrivals;
use crate::scenario::{ALL_WORKERS, Arrival, LinkRef, LoadSpec, ObserveSpec, Plan, Scenario, Span};

/// The scenario with explicit instants; as it was, if it does not validate.
///
/// A closed loop has no instants, and stays.
pub(super) fn written_out(scenario: &Scenario) -> Scenario {
    let mut explicit = scenario.clone();
    name_links(&mut explicit);
    name_workers(&mut explicit);
    let Ok(plan) = explicit.plan("explicit") else { return scenario.clone() };
    for (spec, phase) in explicit.phases.iter_mut().zip(&plan.phases) {
        for (spec, load) in spec.load.iter_mut().zip(&phase.load) {
            let seed = plan.seed;
            let instants = Arrivals::new(&load.arrival, phase.duration, seed, load.stream);
            let instants: Vec<Span> = instants.map(Span).collect();
            // What never dispatches stays for now: without it, later loads would draw otherwise.
            if !instants.is_empty() {
                spec.arrival = Arrival::At(instants);
            }
        }
    }
    explicit.faults =
        plan.faults.iter().map(|timed| timed.fault.written_out(&plan, Span(timed.at))).collect();
    for event in &mut explicit.events {
        if let Some(create) = &mut event.create_client {
            by_name(&mut create.link, &plan);
        }
    }
    explicit.matrix.clear();
    explicit
}

/// Writes what is for all workers of a cluster once for each of them.
fn name_workers(scenario: &mut Scenario) {
    let clusters = scenario.clusters.clone();
    let names = |at: &String| -> Vec<String> {
        let Some(cluster) = at.strip_suffix(ALL_WORKERS) else { return vec![at.clone()] };
        let workers = clusters.get(cluster).map_or(0, |cluster| cluster.workers);
        (1..=workers).map(|worker| format!("{cluster}.worker[{worker}]")).collect()
    };
    for phase in &mut scenario.phases {
        let loads = std::mem::take(&mut phase.load).into_iter();
        let each = loads.flat_map(|load| {
            names(&load.at).into_iter().map(move |at| LoadSpec { at, ..load.clone() })
        });
        phase.load = each.collect();
    }
    let observations = std::mem::take(&mut scenario.observe).into_iter();
    let each = observations.flat_map(|observe| {
        let at = observe.at.as_ref().map(names);
        let at = at.map_or(vec![None], |at| at.into_iter().map(Some).collect());
        at.into_iter().map(move |at| ObserveSpec { at, ..observe.clone() })
    });
    scenario.observe = each.collect();
}

/// Gives every link a name, so that it can be told when others are gone.
fn name_links(scenario: &mut Scenario) {
    let taken: Vec<String> = scenario.links.iter().filter_map(|link| link.name.clone()).collect();
    for (index, link) in scenario.links.iter_mut().enumerate() {
        if link.name.is_none() {
            let mut name = format!("link{index}");
            while taken.contains(&name) {
                name.push('x');
            }
            link.name = Some(name);
        }
    }
}

fn by_name(link: &mut LinkRef, plan: &Plan) {
    if let LinkRef::Index(index) = link
        && let Some(planned) = plan.links.get(*index)
    {
        *link = LinkRef::Name(planned.name.clone());
    }
}
