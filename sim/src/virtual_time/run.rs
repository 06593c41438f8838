//! A seed, run: an outcome, or a violation with what led to it.

use std::fmt;
use std::time::Duration;

use samestate::replication::Config;

use super::fault::Fault;
use super::machine::Ask;
use super::swarm::Plan;
use super::world::{Moments, World};
use crate::invariants::Violation;

/// How a seed is run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Changes what every node is told, after the seed has drawn it.
    pub adjust: Option<fn(&mut Config)>,
    /// How many lines of what happened last a failure carries.
    pub trace_lines_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { adjust: None, trace_lines_max: 150 }
    }
}

/// What a seed came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// A hash over all that happened: the same seed twice gives the same.
    pub history: u64,
    /// How long it took, in virtual time.
    pub virtual_time: Duration,
    /// What happened on the way.
    pub moments: Moments,
}

/// A seed that shows that something does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Failure {
    /// Run it again with [`run_seed`].
    pub seed: u64,
    /// What does not hold.
    pub violation: Violation,
    /// When, in virtual time.
    pub at: Duration,
    /// What happened before.
    pub trace: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { seed, violation, at, trace } = self;
        write!(f, "{trace}seed {seed}, after {at:?} of virtual time: {violation}")
    }
}

/// Runs what `seed` draws.
pub fn run_seed(seed: u64, options: &Options) -> Result<Outcome, Box<Failure>> {
    run_plan(&Plan::draw(seed), options)
}

/// Runs a plan. One that fails is run twice: the second time with a trace.
pub fn run_plan(plan: &Plan, options: &Options) -> Result<Outcome, Box<Failure>> {
    let quiet = execute(plan, options, None);
    if quiet.is_ok() {
        return quiet;
    }
    execute(plan, options, Some(options.trace_lines_max))
}

fn execute(
    plan: &Plan,
    options: &Options,
    trace_lines_max: Option<usize>,
) -> Result<Outcome, Box<Failure>> {
    let mut world = World::new(plan.seed, plan.weather);
    if let Some(lines_max) = trace_lines_max {
        world.set_traced(lines_max);
    }
    if plan.is_lenient() {
        world.set_lenient();
    }
    for node in &plan.nodes {
        let mut spec = node.spec.clone();
        if let Some(adjust) = options.adjust {
            adjust(&mut spec.config);
        }
        world.add(spec);
    }
    play(plan, &mut world);
    world.heal();
    for (node, plan) in plan.nodes.iter().enumerate() {
        if let Some(upstream) = plan.upstream_at_last {
            world.settle_under(node, upstream);
        }
    }
    nudge(plan, &mut world);
    match world.settle(plan.settle_max) {
        Ok(_) => Ok(Outcome {
            history: world.history(),
            virtual_time: world.now(),
            moments: world.moments(),
        }),
        Err(violation) => Err(Box::new(Failure {
            seed: plan.seed,
            violation: *violation,
            at: world.now(),
            trace: world.trace(),
        })),
    }
}

/// The load and the faults, in the order of time.
fn play(plan: &Plan, world: &mut World) {
    let mut faults: &[(Duration, Fault)] = &plan.faults;
    let mut strike = |until: Duration, world: &mut World| {
        while let Some(((at, fault), rest)) = faults.split_first()
            && *at <= until
        {
            world.run_until(*at);
            world.inject(*fault);
            faults = rest;
        }
        world.run_until(until);
    };
    for dispatch in &plan.dispatches {
        strike(dispatch.at, world);
        // What is refused is noted by the checker: it must never apply.
        let _ = world.dispatch(dispatch.node, dispatch.ask, dispatch.padding_bytes);
        if world.violation().is_some() {
            return;
        }
    }
    strike(plan.duration, world);
}

/// A copy that went wrong is found by the next check, which needs actions to come by.
fn nudge(plan: &Plan, world: &mut World) {
    if !plan.is_lenient() {
        return;
    }
    for _ in 0..60 {
        world.run_for(Duration::from_millis(20));
        let _ = world.dispatch(0, Ask::Add, 0);
    }
}
