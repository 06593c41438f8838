//! Everything that a scenario leaves to its seed, written out: every instant, link and fault by
//! itself. What happens stays the same.

use crate::load::Arrivals;
use crate::scenario::{Arrival, LinkRef, Plan, Scenario, Span};

/// The scenario with explicit instants; as it was, if it does not validate.
///
/// A closed loop has no instants, and stays.
pub(super) fn written_out(scenario: &Scenario) -> Scenario {
    let mut explicit = scenario.clone();
    name_links(&mut explicit);
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
