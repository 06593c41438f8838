//! Phases and their dispatches: some five to two hundred dispatches in all.

use std::num::NonZeroU32;
use std::time::Duration;

use super::settings::at_times;
use super::shape::{NamedStore, Shape};
use crate::load::{Registry as _, Shipped};
use crate::scenario::{
    Arrival, Burst, Closed, LoadSpec, PhaseSpec, PoisonSpec, Ramp, Rate, Size, Span,
};
use crate::virtual_time::rng::SeededRng;

/// The share of the run that a closed loop has at most.
const RUSH_MAX: u64 = 4;

/// The properties that the loads of a seed have in common.
struct Habits {
    busiest: usize,
    payload_bytes: u64,
    poison: Option<PoisonSpec>,
}

pub(super) fn draw(
    rng: &mut SeededRng,
    shape: &Shape,
    stores: &[NamedStore],
    duration_us: u64,
    latency_us: u64,
) -> Vec<PhaseSpec> {
    let habits = Habits {
        busiest: rng.pick(shape.nodes.len()),
        payload_bytes: rng.one_of(&[0, 0, 20, 300]),
        poison: poison(rng),
    };
    let mut left_us = duration_us;
    let mut phases = Vec::new();
    if rng.percent(15)
        && let Some(rush) = rush(rng, shape, stores, &habits, duration_us, latency_us)
    {
        left_us -= rush.duration.get().as_micros() as u64;
        phases.push(rush);
    }
    let lulls = rng.percent(20);
    let steady_us = if lulls { left_us / 2 } else { left_us };
    phases.push(steady(rng, shape, stores, &habits, "steady", steady_us));
    if lulls {
        phases.push(steady(rng, shape, stores, &habits, "again", left_us - steady_us));
    }
    if phases.len() > 1 && rng.percent(30) {
        phases.rotate_left(1);
    }
    phases
}

fn poison(rng: &mut SeededRng) -> Option<PoisonSpec> {
    let reject_every = at_times(rng, 15, 2, 30);
    let panic_every = at_times(rng, 30, 5, 40);
    let poison = PoisonSpec { reject_every, panic_every };
    (poison != PoisonSpec::default()).then_some(poison)
}

fn steady(
    rng: &mut SeededRng,
    shape: &Shape,
    stores: &[NamedStore],
    habits: &Habits,
    name: &str,
    length_us: u64,
) -> PhaseSpec {
    let total = rng.within(5, 200);
    let count = rng.within(1, 5).max(stores.len() as u64);
    let load = (0..count)
        .map(|index| {
            let store =
                if index < stores.len() as u64 { index as usize } else { rng.pick(stores.len()) };
            let arrival = arrival(rng, (total / count).max(1), length_us);
            habits.load(rng, shape, &stores[store], arrival)
        })
        .collect();
    PhaseSpec { name: name.to_owned(), duration: span_us(length_us), fixed: false, load }
}

/// A closed loop, at a node that is never a root: there an answer takes at least two latencies,
/// which bounds how many dispatches fit into the phase.
fn rush(
    rng: &mut SeededRng,
    shape: &Shape,
    stores: &[NamedStore],
    habits: &Habits,
    duration_us: u64,
    latency_us: u64,
) -> Option<PhaseSpec> {
    let store = rng.pick(stores.len());
    let below = shape.fed_nodes(store);
    if below.is_empty() {
        return None;
    }
    let at = rng.one_of(&below);
    let in_flight = rng.within(1, 8);
    let rounds = rng.within(1, 60 / in_flight);
    let length_us = (rounds * 2 * latency_us).clamp(100, duration_us / RUSH_MAX);
    let arrival = Arrival::Closed(Closed { in_flight: nonzero(in_flight) });
    let mut load = habits.load(rng, shape, &stores[store], arrival);
    load.at.clone_from(&shape.nodes[at].name);
    Some(PhaseSpec {
        name: "rush".to_owned(),
        duration: span_us(length_us),
        fixed: false,
        load: vec![load],
    })
}

impl Habits {
    fn load(
        &self,
        rng: &mut SeededRng,
        shape: &Shape,
        (name, store): &NamedStore,
        arrival: Arrival,
    ) -> LoadSpec {
        let node = if rng.percent(40) { self.busiest } else { rng.pick(shape.nodes.len()) };
        let reducer = Shipped::find(&store.reducer);
        let payload = reducer.filter(|reducer| reducer.payload && self.payload_bytes > 0);
        LoadSpec {
            at: shape.nodes[node].name.clone(),
            store: name.clone(),
            arrival,
            payload: payload.map(|_| Size(rng.within(1, self.payload_bytes))),
            poison: self.poison.filter(|_| reducer.is_some_and(|reducer| reducer.poisonable)),
        }
    }
}

/// About so many dispatches over the length.
fn arrival(rng: &mut SeededRng, count: u64, length_us: u64) -> Arrival {
    let per_second = count as f64 * 1e6 / length_us as f64;
    let every_us = (length_us / count).max(1);
    match rng.below(10) {
        0..3 => at(rng, count, length_us),
        3 => Arrival::Every(span_us(every_us)),
        5 | 6 => Arrival::Poisson(rate(per_second)),
        7 => {
            let to = per_second * 2.0 - per_second / 10.0;
            let (from, to) = (rate(per_second / 10.0), rate(to));
            Arrival::Ramp(if rng.percent(50) {
                Ramp { from, to }
            } else {
                Ramp { from: to, to: from }
            })
        }
        8 | 9 => {
            let of = rng.within(2, 20).min(count);
            Arrival::Burst(Burst { of: nonzero(of), every: span_us(every_us * of) })
        }
        _ => Arrival::Rate(rate(per_second)),
    }
}

/// Instants of their own, a third of them together with others.
fn at(rng: &mut SeededRng, count: u64, length_us: u64) -> Arrival {
    let mut instants: Vec<u64> = (0..count).map(|_| rng.below(length_us)).collect();
    for index in 1..instants.len() {
        if rng.percent(35) {
            instants[index] = instants[index - 1];
        }
    }
    instants.sort_unstable();
    Arrival::At(instants.into_iter().map(span_us).collect())
}

fn span_us(micros: u64) -> Span {
    Span(Duration::from_micros(micros))
}

fn nonzero(number: u64) -> NonZeroU32 {
    u32::try_from(number).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN)
}

/// A rate of which no draw gives a zero.
fn rate(per_second: f64) -> Rate {
    Rate::per_second(per_second).unwrap_or(Rate::ONE_PER_SECOND)
}
