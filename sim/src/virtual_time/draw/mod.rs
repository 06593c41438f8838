//! Drawing of a seed of the swarm: a whole scenario file, within bounds.
//!
//! The output is the same type that a file is read into, so that a seed can be printed, changed by
//! hand, run again and made smaller like any other scenario. It always validates. One seed draws
//! the same file on every machine.
//!
//! | module | draws |
//! |---|---|
//! | `shape` | clusters, and the trees of links that they form |
//! | `settings` | stores, the network, clocks, the protocol's settings |
//! | `load` | phases and their loads |
//! | `faults` | faults |
//! | `events` | late clients, and clients that move |
//! | `corner` | rare cases that some seeds are led into |

mod corner;
mod events;
mod faults;
mod load;
mod settings;
mod shape;

use std::collections::BTreeMap;

use super::rng::SeededRng;
use crate::faults::outages::without_collisions;
use crate::scenario::{FORMAT_VERSION, Scenario};

/// The swarm's streams of chance; the simulator's own are smaller numbers.
const STREAM: u64 = 0x5741_524d_0000_0000;

/// Draws the scenario of this seed.
pub fn draw(seed: u64) -> Scenario {
    // A stream for each part, so that a change to one leaves the others as they were.
    let rng = |part: u64| SeededRng::new(seed, STREAM + part);
    let duration_us = rng(0).within(300_000, 4_000_000);
    let stores = settings::stores(&mut rng(1));
    let mut shape = shape::Shape::draw(&mut rng(2), &stores);
    let mix = faults::FaultMix::draw(&mut rng(3), &shape, &stores);
    let events = events::draw(&mut rng(4), &mut shape, mix.moves, duration_us);
    let faults = faults::draw(&mut rng(5), &mix, &shape, &stores, duration_us);
    let virtual_time = settings::virtual_time(&mut rng(6), &shape, &stores);
    let latency_us = virtual_time.latency.unwrap_or_default().get().as_micros() as u64;
    let phases = load::draw(&mut rng(7), &shape, &stores, duration_us, latency_us);
    let mirrors = settings::mirrors(&mut rng(8), &shape, &stores);
    let mut scenario = Scenario {
        version: FORMAT_VERSION,
        about: format!("What the swarm draws for seed {seed}."),
        seed,
        repeat: None,
        logins: BTreeMap::new(),
        clusters: shape.clusters(&mut rng(9), &stores),
        links: shape.links(&mut rng(10), &stores),
        stores: stores.into_iter().collect(),
        mirrors,
        phases,
        faults,
        events,
        observe: Vec::new(),
        expect: Vec::new(),
        virtual_time: Some(virtual_time),
        programs: BTreeMap::new(),
        program: None,
        matrix: BTreeMap::new(),
    };
    corner::lead(&mut rng(11), &shape.nodes[0].name, duration_us, &mut scenario);
    settings::durable(&mut rng(12), &mut scenario);
    corner::slow(&mut rng(14), duration_us, &mut scenario);
    faults::of_links(&mut rng(15), &shape, duration_us, &mut scenario);
    scenario.faults = without_collisions(scenario.faults);
    faults::of_disks(&mut rng(13), &shape, duration_us, &mut scenario);
    scenario
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::faults::{Fault, KINDS, Slip};
    use crate::load::Arrivals;
    use crate::scenario::{Arrival, Overrides, ScenarioFile, Upstream};

    /// So many seeds are looked at.
    const SEEDS: u64 = 3_000;

    #[test]
    fn what_a_seed_draws_validates_and_reads_back_as_it_was_written() {
        for seed in 0..SEEDS {
            let drawn = draw(seed);
            let yaml = drawn.to_yaml().expect("a scenario has a form in YAML");
            let file = ScenarioFile::parse("drawn", "drawn.yaml", &yaml, &Overrides::default())
                .unwrap_or_else(|invalid| panic!("seed {seed}: {invalid}\n{yaml}"));
            assert_eq!(file.scenario, drawn, "seed {seed}: {yaml}");
        }
    }

    #[test]
    fn a_seed_draws_the_same_again() {
        for seed in [0, 1, 77, u64::MAX] {
            assert_eq!(draw(seed), draw(seed));
        }
        assert_ne!(draw(0), draw(1));
    }

    #[test]
    fn what_is_drawn_is_within_bounds_and_as_wide_as_promised() {
        let mut seen: BTreeMap<&'static str, u32> = BTreeMap::new();
        for seed in 0..SEEDS {
            let scenario = draw(seed);
            let plan = scenario.plan("drawn").unwrap_or_else(|invalid| panic!("{invalid}"));
            let mut saw = |what: &'static str, is: bool| {
                *seen.entry(what).or_default() += u32::from(is);
            };
            assert!((1..=9).contains(&plan.nodes.len()) && (1..=3).contains(&plan.stores.len()));
            let members = || plan.topology.trees.values().flatten().flat_map(|tree| &tree.members);
            // The last that is drawn may be a worker below the deepest master.
            assert!(members().all(|member| member.depth <= 5), "seed {seed}");
            let millis = plan.duration().as_millis();
            assert!((300..=4_001).contains(&millis), "seed {seed}: {millis} ms");
            let loads =
                || plan.phases.iter().flat_map(|phase| phase.load.iter().map(move |l| (phase, l)));
            let open: usize = loads()
                .map(|(phase, load)| {
                    Arrivals::new(&load.arrival, phase.duration, plan.seed, load.stream).count()
                })
                .sum();
            assert!(open <= 400, "seed {seed}: {open} dispatches");
            assert!(plan.faults.len() <= 48, "seed {seed}");
            for (_, load) in loads() {
                saw(
                    match load.arrival {
                        Arrival::At(_) => "at",
                        Arrival::Every(_) | Arrival::Rate(_) => "even",
                        Arrival::Poisson(_) => "poisson",
                        Arrival::Burst(_) => "burst",
                        Arrival::Ramp(_) => "ramp",
                        Arrival::Closed(_) => "closed",
                    },
                    true,
                );
                saw("poison", load.poison.panic_every.is_some());
            }
            for fault in &plan.faults {
                saw(fault.fault.kind(), true);
            }
            let mut slipped = BTreeSet::new();
            for fault in &plan.faults {
                if let Fault::Slip(Slip { node, .. }) = fault.fault {
                    assert!(slipped.insert(node), "seed {seed}: {node} slips twice");
                }
            }
            saw("several stores", plan.stores.len() > 1);
            saw("one node", plan.nodes.len() == 1);
            saw("workers", plan.nodes.iter().any(|node| !node.is_master()));
            saw(
                "a client below a worker",
                members().any(|member| {
                    matches!(member.upstream, Some(Upstream::Server { node, .. })
                    if !plan.node(node).is_master())
                }),
            );
            saw("depth of four", members().any(|member| member.depth >= 4));
            saw("event", !plan.events.is_empty());
            saw(
                "loop",
                plan.events.iter().any(|event| {
                    event.topology.trees.values().any(|trees| {
                        trees.iter().map(|tree| tree.members.len()).sum::<usize>()
                            < plan.nodes.len()
                    })
                }),
            );
            saw("mirror", !plan.mirrors.is_empty());
            saw("backup", plan.stores.values().any(|store| store.backup_every.is_some()));
            saw("durable", plan.stores.values().any(|store| store.durable));
            saw("slow", !plan.virtual_time.slow_subscribers.is_empty());
            saw("quiet", plan.faults.is_empty() && plan.events.is_empty());
        }
        let rare: Vec<_> = seen.iter().filter(|(_, count)| **count < 20).collect();
        assert!(rare.is_empty(), "hardly ever drawn: {rare:?} of {seen:#?}");
        // `churn` is a kill, and `wrong_password` a cut, to the simulation.
        let kinds = KINDS.len() - 2;
        assert_eq!(seen.len(), 19 + kinds, "each kind of fault is drawn: {seen:#?}");
    }
}
