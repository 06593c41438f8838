//! Shrinking against predicates whose smallest scenarios are known.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::faults::{Fault, Slip};
use crate::scenario::{Overrides, ScenarioFile, Span};
use crate::virtual_time::draw::draw;

/// A chain of four nodes, a branch with workers, two stores, and plenty of everything.
const WIDE: &str = r#"
version: 1
seed: 9
logins: { app: "1" }
stores:
  s:
    { reducer: probe, size: 2KB, mode: action, resync: { verify: 7 },
      backup: { every_actions: 10 } }
  t: { reducer: counter, mode: action, log_bytes: 1KB }
clusters: { a: {}, b: { modes: { s: snapshot } }, c: {}, d: {}, w: { workers: 3 } }
links:
  - { store: [s, t], server: a.master, tcp: 1, client: [b.master, w.master], login: app }
  - { store: [s, t], server: b.master, tcp: 2, client: c.master }
  - { name: last, store: [s, t], server: c.master, tcp: 3, client: d.master, backoff_max: 50ms }
  - { store: [s, t], server: d.master, tcp: 4, client: [] }
phases:
  - name: one
    duration: 1s
    load:
      - { at: d.master, store: s, arrival: { poisson: 40/s }, payload: 20B }
      - { at: "w.worker[3]", store: s, arrival: { at: [10ms, 777777us, 900ms] } }
      - at: a.master
        store: t
        arrival: { burst: { of: 5, every: 200ms } }
        poison: { panic_every: 3 }
  - name: two
    duration: 1s
    load: [ { at: c.master, store: s, arrival: { rate: 30/s } } ]
faults:
  - cut: { times: 4, for: 20ms }
  - kill: { node: a.master, at: 1s, restart_after: 10ms, silent: true }
  - pause: { node: "w.worker[2]", every: 300ms, for: 20ms }
  - blackhole: { link: last, at: 123456us, for: 30ms, direction: up }
  - slip: { node: d.master, store: s, at: 1234567us }
events:
  - { at: 500ms, create_client: { client: c.master, link: 3 } }
  - { at: 700ms, create_client: { client: c.master, link: 1 } }
  - { at: 900ms, create_client: { client: w.master, link: last } }
mirrors: []
observe: [ { store: s, every: 50ms } ]
expect: [ { metric: dispatches.lost, max: 0, store: s } ]
virtual_time:
  { latency: 1234us, jitter: 1ms, clock_drift_ppm: 20, window: 4, slow_subscribers: [b.master] }
"#;

fn wide() -> Scenario {
    let file = ScenarioFile::parse("wide", "wide.yaml", WIDE, &Overrides::default());
    file.unwrap_or_else(|invalid| panic!("{invalid}")).scenario
}

fn planned(candidate: &Scenario) -> Plan {
    candidate.plan("offered").unwrap_or_else(|invalid| panic!("not valid: {invalid}"))
}

/// Shrinks, and asserts that all that is offered validates and that what comes out still fails.
fn shrunk(scenario: &Scenario, fails: impl Fn(&Plan) -> bool) -> Shrunk {
    let shrunk = shrink(scenario, |candidate| fails(&planned(candidate)), |_| {});
    assert!(shrunk.reproduced && !shrunk.is_exhausted, "{shrunk:#?}");
    let plan = planned(&shrunk.scenario);
    assert!(fails(&plan));
    assert_eq!(shrunk.after, Counts::of(&plan));
    shrunk
}

fn instants(plan: &Plan, store: &str) -> usize {
    let loads = plan.phases.iter().flat_map(|phase| phase.load.iter().map(move |l| (phase, l)));
    let of_store = loads.filter(|(_, load)| load.store == store);
    let counts = of_store.map(|(phase, load)| {
        Arrivals::new(&load.arrival, phase.duration, plan.seed, load.stream).count()
    });
    counts.sum()
}

fn kinds(plan: &Plan) -> BTreeSet<&'static str> {
    plan.faults.iter().map(|timed| timed.fault.kind()).collect()
}

#[test]
fn a_node_a_fault_and_three_dispatches_are_all_that_is_left() {
    let shrunk = shrunk(&wide(), |plan| {
        plan.node_named("d.master").is_some()
            && plan.links.iter().any(|link| !link.clients.is_empty())
            && kinds(plan).contains("blackhole")
            && instants(plan, "s") >= 3
    });
    let left = Counts { nodes: 2, stores: 1, links: 1, actions: 3, faults: 1, events: 0 };
    assert_eq!(shrunk.after, left, "{}", shrunk.scenario.to_yaml().unwrap());
    let scenario = &shrunk.scenario;
    assert_eq!((scenario.phases.len(), scenario.phases[0].load.len()), (1, 1));
    assert_eq!(scenario.virtual_time, None);
    assert!(
        scenario.logins.is_empty() && scenario.observe.is_empty() && scenario.expect.is_empty()
    );
    let store = &scenario.stores["s"];
    assert_eq!((store.size, store.backup, store.mode), (None, None, None));
}

#[test]
fn a_dispatch_that_alone_fails_is_found_among_all() {
    let at = Span(std::time::Duration::from_micros(777_777)).get();
    let has_it = |plan: &Plan| {
        plan.phases.iter().any(|phase| {
            phase.load.iter().any(|load| {
                Arrivals::new(&load.arrival, phase.duration, plan.seed, load.stream)
                    .any(|instant| phase.start + instant == at)
            })
        })
    };
    let shrunk = shrunk(&wide(), has_it);
    let left = Counts { nodes: 1, stores: 1, links: 0, actions: 1, faults: 0, events: 0 };
    assert_eq!(shrunk.after, left);
}

#[test]
fn a_depth_is_kept_by_taking_nodes_out_of_the_middle() {
    // Something two hops below the root slips.
    let slips_deep = |plan: &Plan| {
        plan.faults.iter().any(|timed| match &timed.fault {
            Fault::Slip(Slip { node, store }) => {
                plan.topology.replica(store, *node).is_some_and(|(_, member)| member.depth >= 2)
            }
            _ => false,
        })
    };
    let shrunk = shrunk(&wide(), slips_deep);
    let resync = shrunk.scenario.stores["s"].resync;
    assert_eq!(resync, wide().stores["s"].resync, "who slips is checked as before");
    let left = Counts { nodes: 3, stores: 1, links: 2, actions: 0, faults: 1, events: 0 };
    assert_eq!(shrunk.after, left);
}

#[test]
fn a_worker_and_a_move_are_kept_where_they_matter() {
    let matters = |plan: &Plan| {
        let worker = plan.nodes.iter().any(|node| node.worker.is_some());
        let moves = plan.events.iter().any(|event| {
            let crate::scenario::Event::CreateClient { client, .. } = event.event;
            plan.node(client).cluster == "w"
        });
        worker && moves && kinds(plan).contains("pause")
    };
    let shrunk = shrunk(&wide(), matters);
    let left = Counts { nodes: 3, stores: 1, links: 1, actions: 0, faults: 1, events: 1 };
    assert_eq!(shrunk.after, left, "{}", shrunk.scenario.to_yaml().unwrap());
}

/// Loads, faults and observations at each worker of a cluster, and workers that come and go.
fn at_all_workers() -> Scenario {
    let text = "
version: 1
seed: 5
stores: { s: { reducer: probe }, t: { reducer: probe } }
clusters: { a: { workers: 3 } }
phases:
  - name: only
    duration: 1s
    load:
      - { at: 'a.worker[*]', store: s, arrival: { rate: 20/s } }
      - { at: a.master, store: t, arrival: { rate: 20/s } }
faults:
  - pause: { node: 'a.worker[*]', at: 100ms, for: 50ms }
  - churn: { cluster: a, times: 3, restart_after: 20ms }
observe: [ { at: 'a.worker[*]', compare: [s, t], every: 50ms } ]
";
    let file = ScenarioFile::parse("workers", "workers.yaml", text, &Overrides::default());
    let file = file.unwrap_or_else(|invalid| panic!("{invalid}"));
    let plan = &file.cases[0].plan;
    assert_eq!((plan.phases[0].load.len(), plan.observe.len(), plan.faults.len()), (4, 3, 6));
    file.scenario
}

#[test]
fn writing_everything_out_changes_nothing_of_what_happens() {
    for scenario in (0..300).map(draw).chain([wide(), at_all_workers()]) {
        let (before, after) = (planned(&scenario), planned(&explicit::written_out(&scenario)));
        assert_eq!(before.faults, after.faults);
        let dispatches = |plan: &Plan| -> Vec<_> {
            let loads = plan.phases.iter().flat_map(|p| p.load.iter().map(move |l| (p, l)));
            let made = loads.map(|(phase, load)| {
                let made = Arrivals::new(&load.arrival, phase.duration, plan.seed, load.stream);
                (load.stream, load.at, load.store.clone(), made.collect::<Vec<_>>())
            });
            made.collect()
        };
        assert_eq!(dispatches(&before), dispatches(&after));
        assert_eq!(Counts::of(&before), Counts::of(&after));
    }
}

#[test]
fn what_the_swarm_draws_shrinks_to_what_matters() {
    let mut looked_at = 0;
    for seed in 0..120 {
        let scenario = draw(seed);
        let fails = |plan: &Plan| {
            plan.nodes.len() >= 2
                && kinds(plan).iter().any(|kind| ["kill", "cut", "half_open"].contains(kind))
                && Counts::of(plan).actions >= 3
        };
        if !fails(&planned(&scenario)) {
            continue;
        }
        looked_at += 1;
        let shrunk = shrunk(&scenario, fails);
        let Counts { nodes, stores, actions, faults, events, .. } = shrunk.after;
        let left = (nodes, stores, actions, faults, events);
        assert_eq!(left, (2, 1, 3, 1, 0), "seed {seed}: {}", shrunk.scenario.to_yaml().unwrap());
    }
    assert!(looked_at > 40, "{looked_at}");
}

#[test]
fn another_seed_is_taken_where_it_fails_with_less() {
    let enough = |plan: &Plan| match plan.seed {
        5 => Counts::of(plan).actions >= 2,
        _ => Counts::of(plan).actions >= 20,
    };
    let shrunk = shrunk(&wide(), enough);
    assert_eq!((shrunk.scenario.seed, shrunk.after.actions), (5, 2));
}

#[test]
fn the_same_is_found_again() {
    let scenario = draw(12);
    let fails = |plan: &Plan| Counts::of(plan).actions >= 7 && plan.nodes.len() >= 2;
    let (one, other) = (shrunk(&scenario, fails), shrunk(&scenario, fails));
    assert_eq!(one, other);
}

#[test]
fn tries_are_bounded_and_told() {
    let (mut told, mut smallest) = (Vec::new(), Counts::default());
    let shrunk = shrink_within(
        &wide(),
        10,
        |_| true,
        |progress| {
            told.push(progress.tries);
            smallest = progress.smallest;
        },
    );
    assert_eq!(told, (1..=10).collect::<Vec<_>>());
    assert_eq!((shrunk.tries, shrunk.is_exhausted), (10, true));
    assert_eq!(shrunk.after, smallest);
}

#[test]
fn what_does_not_fail_comes_back_as_it_was() {
    let scenario = wide();
    let shrunk = shrink(&scenario, |_| false, |_| {});
    assert_eq!((shrunk.reproduced, shrunk.tries), (false, 1));
    assert_eq!(shrunk.scenario, scenario);
}

#[test]
fn what_is_found_is_written_as_a_file_that_says_how_to_run_it_again() {
    let shrunk = shrunk(&wide(), |plan| kinds(plan).contains("slip"));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("found").join("i2-slip.yaml");
    let found = Found {
        invariant: "I2".to_owned(),
        detail: "n1 and n2 differ\n  at version 3".to_owned(),
        origin: "seed 7 of the swarm".to_owned(),
        program: "shop".to_owned(),
    };
    write_found(&path, &shrunk, &found).expect("it can be written");
    let text = std::fs::read_to_string(&path).expect("it is there");
    let file = ScenarioFile::load(&path, &Overrides::default()).expect("it is valid");
    let command = format!("shop simulate {}", path.display());
    assert!(text.starts_with("# ") && text.contains(&command), "{text}");
    assert!(!text.contains("not fail each time"), "{text}");
    assert!(file.scenario.about.starts_with("Violated I2"), "{text}");
    assert!(file.scenario.about.contains("n1 and n2 differ at version 3."), "{text}");
    assert!(file.scenario.about.ends_with(&command), "{text}");
    let about = file.scenario.about.clone();
    assert_eq!(file.scenario, Scenario { about, ..shrunk.scenario.clone() });
    let error = write_found(Path::new("/proc/none/x.yaml"), &shrunk, &found);
    assert!(error.expect_err("there is no such folder").to_string().contains("/proc/none/x.yaml"));
}

/// Checks that what fails by chance once it is small is not made so small: the file that is written
/// fails when it is replayed.
#[test]
fn a_scenario_that_fails_each_time_is_preferred_to_a_smaller_one_that_fails_by_chance() {
    let large = wide();
    let actions = |scenario: &Scenario| Counts::of(&planned(scenario)).actions;
    let enough = actions(&large) / 2;
    let mut runs = 0_u32;
    let by_chance = |scenario: &Scenario| {
        runs += 1;
        actions(scenario) >= enough || !runs.is_multiple_of(5)
    };
    let shrunk = shrink_within(&large, 400, by_chance, |_| {});
    assert!(actions(&shrunk.scenario) >= enough, "{shrunk:#?}");
    assert_eq!(Counts::of(&planned(&shrunk.scenario)), shrunk.after);
    assert!(shrunk.is_certain);
}

#[test]
fn of_what_fails_by_chance_only_the_file_says_so() {
    let mut runs = 0_u32;
    let by_chance = |_: &Scenario| {
        runs += 1;
        !runs.is_multiple_of(7)
    };
    let shrunk = shrink_within(&wide(), 50, by_chance, |_| {});
    assert!(shrunk.reproduced && !shrunk.is_certain, "{shrunk:#?}");
    let found = Found {
        invariant: "I2".to_owned(),
        detail: "n1 and n2 differ".to_owned(),
        origin: "seed 7 of the swarm".to_owned(),
        program: "shop".to_owned(),
    };
    let text = found_text(&shrunk, &found, Path::new("found.yaml")).expect("it has a form");
    assert!(text.contains("# It does not fail each time"), "{text}");
}
