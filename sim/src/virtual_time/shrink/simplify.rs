//! One value made simpler at a time: dropped, or put back to its default.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::faults::FaultSpec;
use crate::scenario::{Arrival, LoadSpec, PhaseSpec, Resync, Scenario, Span, VirtualTimeSpec};

/// A closed loop is replaced by so many dispatches at most.
const OPENED_MAX: u32 = 20;

/// One change to a scenario.
pub(super) type Change = Box<dyn Fn(&mut Scenario)>;

/// A network and clocks without chance.
pub(super) fn without_chance(scenario: &mut Scenario) {
    if let Some(virtual_time) = &mut scenario.virtual_time {
        virtual_time.jitter = Some(Span::default());
        virtual_time.clock_drift_ppm = None;
    }
}

/// Lists the simplifications of a scenario, the coarsest first.
pub(super) fn changes(scenario: &Scenario) -> Vec<Change> {
    let mut changes: Vec<Change> = vec![
        Box::new(without_chance),
        Box::new(|scenario| scenario.virtual_time = None),
        Box::new(|scenario| {
            scenario.logins.clear();
            scenario.links.iter_mut().for_each(|link| link.login = None);
        }),
        Box::new(|scenario| scenario.links.iter_mut().for_each(|link| link.backoff_max = None)),
        Box::new(|scenario| {
            scenario.clusters.values_mut().for_each(|cluster| cluster.modes.clear());
        }),
        Box::new(|scenario| of_loads(scenario, |load| load.poison = None)),
        Box::new(|scenario| of_loads(scenario, |load| load.payload = None)),
        Box::new(|scenario| of_loads(scenario, opened)),
        Box::new(one_phase),
        Box::new(joined_loads),
        Box::new(short_phases),
    ];
    changes.extend(of_stores(scenario));
    changes.extend(of_clusters(scenario));
    changes.extend(of_settings());
    changes.extend(of_each_load(scenario));
    changes.extend(of_faults(scenario));
    changes
}

fn of_loads(scenario: &mut Scenario, mut change: impl FnMut(&mut LoadSpec)) {
    scenario.phases.iter_mut().flat_map(|phase| &mut phase.load).for_each(&mut change);
}

fn of_stores(scenario: &Scenario) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    for name in scenario.stores.keys() {
        let of = |change: fn(&mut crate::scenario::StoreSpec)| -> Change {
            let name = name.clone();
            Box::new(move |scenario| {
                if let Some(store) = scenario.stores.get_mut(&name) {
                    change(store);
                }
            })
        };
        changes.push(of(|store| store.size = None));
        changes.push(of(|store| store.backup = None));
        changes.push(of(|store| store.log_bytes = None));
        let checked = |resync: Option<Resync>| -> Change {
            let name = name.clone();
            Box::new(move |scenario| {
                // Without its checks, a copy that slips stays wrong: that would be another finding.
                let slips = scenario
                    .faults
                    .iter()
                    .any(|fault| fault.spoils_state() && fault.store() == Some(name.as_str()));
                if let Some(store) = scenario.stores.get_mut(&name).filter(|_| !slips) {
                    store.resync = resync;
                }
            })
        };
        changes.push(checked(Some(Resync::Off)));
        changes.push(checked(None));
        changes.push(of(|store| store.mode = None));
    }
    changes
}

fn of_clusters(scenario: &Scenario) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    for (name, cluster) in &scenario.clusters {
        for store in cluster.modes.keys() {
            let (name, store) = (name.clone(), store.clone());
            changes.push(Box::new(move |scenario| {
                if let Some(cluster) = scenario.clusters.get_mut(&name) {
                    cluster.modes.remove(&store);
                }
            }));
        }
    }
    changes
}

fn of_settings() -> Vec<Change> {
    let of = |change: fn(&mut VirtualTimeSpec)| -> Change {
        Box::new(move |scenario| {
            if let Some(virtual_time) = &mut scenario.virtual_time {
                change(virtual_time);
            }
        })
    };
    vec![
        of(|settings| settings.slow_subscribers.clear()),
        of(|settings| settings.bandwidth = None),
        of(|settings| settings.buffer = None),
        of(|settings| settings.clock_drift_ppm = None),
        of(|settings| (settings.heartbeat, settings.dead_after) = (None, None)),
        of(|settings| settings.stall_grace = None),
        of(|settings| settings.dispatch_deadline = None),
        of(|settings| settings.window = None),
        of(|settings| settings.window_bytes = None),
        of(|settings| settings.sessions = None),
        of(|settings| settings.events = None),
        of(|settings| settings.latency = None),
        of(|settings| settings.jitter = Some(Span::default())),
    ]
}

fn of_each_load(scenario: &Scenario) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    for (phase, spec) in scenario.phases.iter().enumerate() {
        for load in 0..spec.load.len() {
            let of = |change: fn(&mut LoadSpec)| -> Change {
                Box::new(move |scenario| {
                    let phase = scenario.phases.get_mut(phase);
                    if let Some(load) = phase.and_then(|phase| phase.load.get_mut(load)) {
                        change(load);
                    }
                })
            };
            changes.push(of(|load| load.poison = None));
            changes.push(of(|load| {
                load.poison.iter_mut().for_each(|poison| poison.reject_every = None);
            }));
            changes.push(of(|load| {
                load.poison.iter_mut().for_each(|poison| poison.panic_every = None);
            }));
            changes.push(of(|load| load.payload = None));
            changes.push(of(opened));
        }
    }
    changes
}

fn of_faults(scenario: &Scenario) -> Vec<Change> {
    let simpler = |index: usize| -> Change {
        Box::new(move |scenario| {
            if let Some(fault) = scenario.faults.get_mut(index) {
                fault.spec_mut().simplify();
            }
        })
    };
    (0..scenario.faults.len()).map(simpler).collect()
}

/// A few dispatches at instants, in place of a closed loop.
fn opened(load: &mut LoadSpec) {
    if let Arrival::Closed(closed) = load.arrival {
        let count = closed.in_flight.get().min(OPENED_MAX);
        load.arrival = Arrival::At(vec![Span::default(); count as usize]);
    }
}

/// One phase with all loads, in place of several: the instants of the run stay.
fn one_phase(scenario: &mut Scenario) {
    let has_instants = |load: &LoadSpec| matches!(load.arrival, Arrival::At(_));
    let several = scenario.phases.len() > 1;
    if !several || !scenario.phases.iter().flat_map(|phase| &phase.load).all(has_instants) {
        return;
    }
    let duration = scenario.duration();
    let (mut start, mut load) = (Duration::ZERO, Vec::new());
    for mut phase in std::mem::take(&mut scenario.phases) {
        for spec in &mut phase.load {
            if let Arrival::At(instants) = &mut spec.arrival {
                instants.iter_mut().for_each(|at| at.0 += start);
            }
        }
        load.append(&mut phase.load);
        start += phase.duration.get();
    }
    scenario.phases = vec![PhaseSpec { name: "all".to_owned(), duration, fixed: false, load }];
}

/// One load in place of several that differ in nothing but their instants.
fn joined_loads(scenario: &mut Scenario) {
    for phase in &mut scenario.phases {
        let mut joined: Vec<LoadSpec> = Vec::new();
        let mut by_kind: BTreeMap<String, usize> = BTreeMap::new();
        for load in std::mem::take(&mut phase.load) {
            let kind = format!("{} {} {:?} {:?}", load.at, load.store, load.payload, load.poison);
            let first = by_kind.get(&kind).copied();
            match (first.and_then(|first| joined.get_mut(first)), load.arrival) {
                (Some(LoadSpec { arrival: Arrival::At(instants), .. }), Arrival::At(mut more)) => {
                    instants.append(&mut more);
                    instants.sort_unstable();
                }
                (_, arrival) => {
                    if matches!(arrival, Arrival::At(_)) {
                        by_kind.insert(kind, joined.len());
                    }
                    joined.push(LoadSpec { arrival, ..load });
                }
            }
        }
        phase.load = joined;
    }
}

/// The last phase ends soon after the last that happens in it.
fn short_phases(scenario: &mut Scenario) {
    let before = scenario.phases.len().saturating_sub(1);
    let start: Duration =
        scenario.phases.iter().take(before).map(|phase| phase.duration.get()).sum();
    let faults = scenario.faults.iter().filter_map(FaultSpec::first_at);
    let events = scenario.events.iter().map(|event| event.at);
    let elsewhere = faults.chain(events).max().unwrap_or_default().get();
    let Some(phase) = scenario.phases.last_mut() else { return };
    let mut last = elsewhere.saturating_sub(start);
    for load in &phase.load {
        match &load.arrival {
            Arrival::At(instants) => {
                last = last.max(instants.last().copied().unwrap_or_default().get());
            }
            _ => return,
        }
    }
    let millis = last.as_millis() as u64 + 1;
    if Span::from_millis(millis) < phase.duration {
        phase.duration = Span::from_millis(millis);
    }
}
