//! The case of a record, from the data that a run left: measures, findings and verdict.

use std::collections::{BTreeMap, BTreeSet};

use samestate_report::{Case, Cost, Observation as Observed, Process, StoreMeasures, Violation};

use super::expect::{Held, demanded, narrowed};
use super::gather::Gathered;
use super::sums::Sums;
use super::taken::Taken;
use super::tree::{Instants, TreeSeen};
use super::verdict::judge;
use super::{costs, course, faults, series};
use crate::invariants::Violations;
use crate::measure::Samples;
use crate::scenario::{NodeId, Observation, Plan, Resync, StorePlan, Upstream};

/// Returns the case for the record, with its verdict.
pub(crate) fn assemble(plan: &Plan, mut taken: Taken) -> Case {
    let mut gathered = std::mem::take(&mut taken.gathered);
    let mut replays = std::mem::take(&mut gathered.replays);
    let instants = instants(plan, &taken);
    let topology = plan.topology_at(plan.duration());
    let trees: Vec<(&str, TreeSeen<'_>)> = topology
        .trees
        .iter()
        .flat_map(|(store, trees)| trees.iter().map(move |tree| (store.as_str(), tree)))
        .map(|(store, tree)| (store, TreeSeen::of(plan, store, tree, &gathered, &instants)))
        .collect();
    let mut stores: BTreeMap<&str, Sums> = BTreeMap::new();
    let mut violations = std::mem::take(&mut taken.violations);
    for (store, tree) in &trees {
        stores.entry(store).or_default().merge(&tree.sums());
        violations.merge(tree.violations());
        if let Some(replay) = replays.get_mut(&((*store).to_owned(), tree.root())) {
            violations.merge(replay.compare(store, &tree.final_states()));
        }
    }
    let mut total = Sums::default();
    stores.values().for_each(|sums| total.merge(sums));
    let observed = observed(plan, &gathered, &trees);
    if let Some(samples) = article_samples(plan, &observed) {
        total.samples = samples;
    }
    let processes = costs::processes(plan, &taken.incarnations, &gathered);
    let cpu_passes = costs::cpu_passes(&taken.incarnations, &gathered);
    let seconds = instants.load_ended_ns.saturating_sub(instants.start_ns) as f64 / 1e9;
    let mut case = Case {
        seconds: Some(seconds),
        cost: total_cost(plan, (&processes, cpu_passes), &total),
        violations: described(plan, &violations),
        observations: observed,
        stores: measures(plan, &gathered, &stores, seconds),
        ..measured(&total, seconds)
    };
    case.processes = processes;
    case.phases = course::phases(plan);
    let phase_cpu_ns = std::mem::take(&mut taken.phase_cpu_ns);
    case.topologies = course::topologies(plan);
    if taken.start_ns.is_some() {
        let incarnations = &taken.incarnations;
        case.series = series::series(plan, &gathered, incarnations, &trees, &instants);
    }
    let trees: Vec<TreeSeen<'_>> = trees.into_iter().map(|(_, tree)| tree).collect();
    case.faults = faults::healed(std::mem::take(&mut taken.faults), &trees, &instants);
    let of_phase = |phase: usize, store: Option<&str>| {
        let phase = &plan.phases[phase];
        let mut sums = Sums::default();
        for tree in trees.iter().filter(|tree| store.is_none_or(|store| store == tree.store())) {
            sums.merge(&tree.sums_of_phase(phase));
        }
        narrowed(measured(&sums, phase.duration.as_secs_f64()), store)
    };
    for (at, ns) in phase_cpu_ns.windows(2).enumerate().take(case.phases.len()) {
        let (seconds, ok) = (ns[1].saturating_sub(ns[0]) as f64 / 1e9, of_phase(at, None));
        let ok = ok.dispatches.ok;
        case.phases[at].cpu_seconds = Some(seconds);
        case.phases[at].cpu_us_per_action = (ok > 0).then(|| seconds * 1e6 / ok as f64);
    }
    let of_node = |node: NodeId| Case {
        cost: costs::cost(plan, &case.processes, Some(node), Cost::default()),
        ..Case::default()
    };
    let held = Held { plan, gathered: &gathered, of_phase: &of_phase, of_node: &of_node };
    case.expectations = held.against(&case);
    case.because.extend(taken.lost_cause);
    judge(&mut case, &total.pace, taken.trouble, taken.interrupted);
    case
}

/// Returns the violations for the record. Those that the scenario expects are marked as demanded.
fn described(plan: &Plan, violations: &Violations) -> Vec<Violation> {
    let demanded = demanded(plan);
    let described = violations.described().iter().cloned().map(|violation| {
        let violation = Violation::from(violation);
        Violation { demanded: demanded.contains(violation.invariant.as_str()), ..violation }
    });
    described.collect()
}

fn instants(plan: &Plan, taken: &Taken) -> Instants {
    let start_ns = taken.start_ns.unwrap_or(taken.stop_ns);
    let loaded = plan.phases.iter().rev().find(|phase| !phase.load.is_empty());
    let load_end = loaded.map_or(plan.duration(), |phase| phase.end());
    let load_ended_ns = (start_ns + load_end.as_nanos() as u64).min(taken.stop_ns);
    Instants {
        start_ns,
        load_ended_ns: load_ended_ns.max(start_ns),
        faults_ended_ns: faults::ended_ns(&taken.faults, start_ns),
        end_ns: taken.end_ns,
        carrying: taken.carrying,
        interrupted: taken.interrupted || taken.start_ns.is_none(),
    }
}

/// The measures that cases, stores and phases have in common.
fn measured(sums: &Sums, seconds: f64) -> Case {
    Case {
        identical: sums.identical(),
        dispatches: sums.dispatches(),
        rate: sums.rate(seconds),
        latency_us: sums.latency(),
        staleness: sums.staleness(),
        ..Case::default()
    }
}

fn total_cost(
    plan: &Plan,
    (processes, cpu_passes): (&[Process], Option<f64>),
    total: &Sums,
) -> Cost {
    let ordered = total.judged.map_or(0, |judged| judged.ordered);
    let relative = cpu_passes.filter(|_| ordered > 0).map(|passes| passes / ordered as f64);
    let cost = Cost { relative_cpu_per_action: relative, ..total.cost() };
    costs::cost(plan, processes, None, cost).per_action(ordered)
}

fn measures(
    plan: &Plan,
    gathered: &Gathered,
    stores: &BTreeMap<&str, Sums>,
    seconds: f64,
) -> BTreeMap<String, StoreMeasures> {
    let measures = stores.iter().map(|(name, sums)| {
        let of = plan.stores.get(*name);
        let trees = plan.topology_at(plan.duration()).trees_of(name);
        let replicas: usize = trees.iter().map(|tree| tree.members.len()).sum();
        let root = trees.first().and_then(|tree| gathered.at_end(tree.root));
        let state = root.and_then(|incarnation| incarnation.stores.get(*name)?.state.as_ref());
        let case = measured(sums, seconds);
        let measures = StoreMeasures {
            reducer: of.map(|of| of.reducer.clone()),
            mode: mode(plan, name),
            transport: None, // a run on real processes says it
            resync: of.map(resync),
            replicas: Some(replicas as u64),
            state_bytes: state.map(|state| state.bytes.len() as u64),
            identical: case.identical,
            dispatches: case.dispatches,
            rate: case.rate,
            latency_us: case.latency_us,
            staleness: case.staleness,
            cost: sums.cost(),
        };
        ((*name).to_owned(), measures)
    });
    measures.collect()
}

/// Returns the mode in which the nodes of a store send downstream, or `mixed` if they differ.
fn mode(plan: &Plan, store: &str) -> Option<String> {
    let trees = plan.topology_at(plan.duration()).trees_of(store).iter();
    let modes = trees.flat_map(|tree| {
        let feeds = move |node| tree.fed_by(node).next().is_some();
        tree.members.iter().filter(move |member| feeds(member.node)).map(|member| member.mode)
    });
    let modes: BTreeSet<_> = modes.collect();
    let first = modes.first()?;
    let mixed = modes.len() > 1;
    Some(if mixed { "mixed".to_owned() } else { format!("{first:?}").to_lowercase() })
}

/// Returns the transports of a store's links at the end: `ipc, tcp+tls`; `None` if it has only one
/// node.
pub(crate) fn transports(plan: &Plan, store: &str) -> Option<String> {
    let trees = plan.topology_at(plan.duration()).trees_of(store).iter();
    let upstreams = trees.flat_map(|tree| &tree.members).filter_map(|member| member.upstream);
    let transports: BTreeSet<_> = upstreams
        .map(|upstream| match upstream {
            Upstream::Master(_) => "ipc",
            Upstream::Server { link, .. } => plan.links[link].transport(),
        })
        .collect();
    let transports: Vec<_> = transports.into_iter().collect();
    (!transports.is_empty()).then(|| transports.join(", "))
}

fn resync(store: &StorePlan) -> String {
    match store.resync {
        Resync::Snapshot(every) => format!("snapshot {every}"),
        Resync::Verify(every) => format!("verify {every}"),
        Resync::Off => "off".to_owned(),
    }
}

/// Returns the findings of the plan's observations.
fn observed(plan: &Plan, gathered: &Gathered, trees: &[(&str, TreeSeen<'_>)]) -> Vec<Observed> {
    let observations = plan.observe.iter().enumerate().map(|(index, observation)| {
        let (at, stores, every, samples) = match observation {
            Observation::Pair { at, stores, every } => {
                let samples = gathered.samples.get(&index).copied().unwrap_or_default();
                (Some(plan.node(*at).name.clone()), stores.to_vec(), every, samples)
            }
            Observation::Replicas { store, every } => {
                let mut samples = Samples::default();
                for (_, tree) in trees.iter().filter(|(name, _)| name == store) {
                    samples.merge(&tree.sampled_by(index));
                }
                (None, vec![store.clone()], every, samples)
            }
        };
        let every_ms = every.as_secs_f64() * 1e3;
        Observed { at, stores, every_ms, samples: samples.total, identical: samples.ok }
    });
    observations.collect()
}

/// Returns the samples of the observations that compare two stores at one node, as the article
/// does. Returns `None` if the plan has none: the samples of a case are then those of its replicas.
fn article_samples(plan: &Plan, observed: &[Observed]) -> Option<Samples> {
    let pairs = plan.observe.iter().zip(observed);
    let pairs = pairs.filter(|(planned, _)| matches!(planned, Observation::Pair { .. }));
    let samples = pairs.map(|(_, seen)| Samples { ok: seen.identical, total: seen.samples });
    samples.reduce(|mut all, more| {
        all.merge(&more);
        all
    })
}
