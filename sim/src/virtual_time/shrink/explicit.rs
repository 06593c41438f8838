//! Everything that a scenario leaves to its seed, written out: every instant, link and fault by
//! itself. What happens stays the same.

use crate::load::Arrivals;
use crate::scenario::{
    Arrival, BlackholeSpec, CorruptSpec, CutSpec, Direction, DiskSpec, FailSpec, Fault, FaultSpec,
    HalfOpenSpec, KillSpec, LinkRef, OneWay, PauseSpec, Plan, Scenario, SlipSpec, Span,
};

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
        plan.faults.iter().map(|timed| fault(&plan, Span(timed.at), &timed.fault)).collect();
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

/// A fault that strikes once, at its instant.
fn fault(plan: &Plan, at: Span, fault: &Fault) -> FaultSpec {
    let (at, every, times) = (Some(at), None, None);
    let link = |link: usize| Some(LinkRef::Name(plan.links[link].name.clone()));
    let name = |node| plan.node(node).name.clone();
    match fault {
        Fault::Cut { link: cut, lasts } => {
            FaultSpec::Cut(CutSpec { link: link(*cut), at, every, times, lasts: Span(*lasts) })
        }
        Fault::Kill { node, restart_after, silent, moment } => FaultSpec::Kill(KillSpec {
            node: name(*node),
            at,
            every,
            times,
            restart_after: restart_after.map(Span),
            silent: *silent,
            moment: *moment,
        }),
        Fault::Pause { node, lasts } => {
            FaultSpec::Pause(PauseSpec { node: name(*node), at, every, times, lasts: Span(*lasts) })
        }
        Fault::Blackhole { link: hole, up, down, lasts } => FaultSpec::Blackhole(BlackholeSpec {
            link: link(*hole),
            at,
            every,
            times,
            lasts: Span(*lasts),
            direction: match (up, down) {
                (true, false) => Direction::Up,
                (false, true) => Direction::Down,
                _ => Direction::Both,
            },
        }),
        Fault::HalfOpen { link: half } => {
            FaultSpec::HalfOpen(HalfOpenSpec { link: link(*half), at, every, times })
        }
        Fault::Corrupt { link: garbled, up } => FaultSpec::Corrupt(CorruptSpec {
            link: link(*garbled),
            at,
            every,
            times,
            direction: if *up { OneWay::Up } else { OneWay::Down },
        }),
        Fault::Slip { node, store } => {
            FaultSpec::Slip(SlipSpec { node: name(*node), store: store.clone(), at, every, times })
        }
        Fault::Fail { node, store } => {
            FaultSpec::Fail(FailSpec { node: name(*node), store: store.clone(), at, every, times })
        }
        Fault::Disk { node, lasts, hangs } => FaultSpec::Disk(DiskSpec {
            node: name(*node),
            at,
            every,
            times,
            lasts: Span(*lasts),
            hangs: *hangs,
        }),
    }
}
