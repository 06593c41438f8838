//! Instants and lengths of time in rounder numbers, and earlier.

use std::time::Duration;

use super::simplify::Change;
use crate::faults::{FaultSpec, TimesMut};
use crate::scenario::{Arrival, Scenario, Span};

/// The steps of rounding, the coarsest first.
const STEPS: [Duration; 5] = [
    Duration::from_millis(100),
    Duration::from_millis(10),
    Duration::from_millis(1),
    Duration::from_micros(100),
    Duration::from_micros(10),
];

/// The time of the first event in a scenario that begins without delay.
const BEGIN: Duration = Duration::from_millis(10);

/// All times at once, then each by itself, to each step.
pub(super) fn changes(scenario: &Scenario) -> Vec<Change> {
    let mut changes: Vec<Change> = vec![Box::new(earlier)];
    for step in STEPS {
        changes.push(Box::new(move |scenario| {
            times_of(scenario).into_iter().for_each(|time| round(time, step));
            in_order(scenario);
        }));
    }
    let count = times_of(&mut scenario.clone()).len();
    for index in 0..count {
        for step in STEPS {
            changes.push(Box::new(move |scenario| {
                if let Some(time) = times_of(scenario).get_mut(index) {
                    round(time, step);
                }
                in_order(scenario);
            }));
        }
    }
    changes
}

/// To the nearest multiple of `step`; what is shorter than a half of it stays as it is.
fn round(time: &mut Span, step: Duration) {
    let (nanos, step) = (time.get().as_nanos(), step.as_nanos());
    let rounded = (nanos + step / 2) / step * step;
    if rounded > 0 {
        *time = Span(Duration::from_nanos(u64::try_from(rounded).unwrap_or(u64::MAX)));
    }
}

/// Every time in a scenario whose value can be another.
fn times_of(scenario: &mut Scenario) -> Vec<&mut Span> {
    let mut times: Vec<&mut Span> = Vec::new();
    for phase in &mut scenario.phases {
        times.push(&mut phase.duration);
        for load in &mut phase.load {
            if let Arrival::At(instants) = &mut load.arrival {
                times.extend(instants);
            }
        }
    }
    for fault in &mut scenario.faults {
        let TimesMut { at, lasts } = fault.times_mut();
        times.extend(at);
        times.extend(lasts);
    }
    times.extend(scenario.events.iter_mut().map(|event| &mut event.at));
    times.extend(scenario.links.iter_mut().filter_map(|link| link.backoff_max.as_mut()));
    if let Some(settings) = &mut scenario.virtual_time {
        let spans = [
            &mut settings.latency,
            &mut settings.jitter,
            &mut settings.heartbeat,
            &mut settings.dead_after,
            &mut settings.stall_grace,
            &mut settings.dispatch_deadline,
        ];
        times.extend(spans.into_iter().filter_map(Option::as_mut));
    }
    times
}

/// Instants of a load, faults and events in order again.
fn in_order(scenario: &mut Scenario) {
    for load in scenario.phases.iter_mut().flat_map(|phase| &mut phase.load) {
        if let Arrival::At(instants) = &mut load.arrival {
            instants.sort_unstable();
        }
    }
    scenario.faults.sort_by_key(FaultSpec::first_at);
    scenario.events.sort_by_key(|event| event.at);
}

/// Everything earlier by as much as there is to wait at first, in a scenario of one phase.
fn earlier(scenario: &mut Scenario) {
    let [phase] = scenario.phases.as_mut_slice() else { return };
    let mut instants: Vec<&mut Span> = Vec::new();
    for load in &mut phase.load {
        match &mut load.arrival {
            Arrival::At(at) => instants.extend(at),
            _ => return,
        }
    }
    for fault in &mut scenario.faults {
        instants.extend(fault.times_mut().at);
    }
    instants.extend(scenario.events.iter_mut().map(|event| &mut event.at));
    let first = instants.iter().map(|at| at.get()).min().unwrap_or_default();
    let wait = first.saturating_sub(BEGIN);
    for at in instants {
        at.0 = at.0.saturating_sub(wait);
    }
    phase.duration.0 = phase.duration.0.saturating_sub(wait);
}
