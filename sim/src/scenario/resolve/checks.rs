//! Resolution of observations and expectations.

use std::time::Duration;

use samestate_report::Metric;

use super::Resolver;
use crate::scenario::model::ExpectSpec;
use crate::scenario::near::{quoted, suggest};
use crate::scenario::plan::{Expectation, Expected, MetricBound, Observation};

/// The numbered invariants of the library's contract.
const INVARIANTS: &[&str] = &["I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10"];

impl Resolver<'_> {
    pub(super) fn observations(&mut self, end: Duration) -> Vec<Observation> {
        let scenario = self.scenario;
        let mut observations = Vec::new();
        for (index, spec) in scenario.observe.iter().enumerate() {
            let path = format!("observe.{index}");
            self.samples(&format!("{path}.every"), spec.every, end);
            let every = spec.every.get();
            match (&spec.at, &spec.compare, &spec.store) {
                (Some(at), Some(compare), None) => {
                    let nodes = self.nodes_named(&format!("{path}.at"), at);
                    let at = nodes.first().copied();
                    let compare_path = format!("{path}.compare");
                    for (index, store) in compare.iter().enumerate() {
                        self.store_at(&format!("{compare_path}.{index}"), store, at);
                    }
                    match (at, compare.as_slice()) {
                        (_, [left, right]) if left == right => {
                            let message = "a store is always the same as itself";
                            self.complain(&compare_path, message, "name two stores");
                        }
                        (_, [left, right]) => {
                            let stores = [left.clone(), right.clone()];
                            observations.extend(nodes.into_iter().map(|at| Observation::Pair {
                                at,
                                stores: stores.clone(),
                                every,
                            }));
                        }
                        (_, other) => {
                            let message = format!("two stores are compared, not {}", other.len());
                            self.complain(&compare_path, message, "write `compare: [one, other]`");
                        }
                    }
                }
                (None, None, Some(store)) => {
                    if self.store(&format!("{path}.store"), store) {
                        observations.push(Observation::Replicas { store: store.clone(), every });
                    }
                }
                _ => self.complain(
                    &path,
                    "the observation is of no known kind",
                    "write `{ at: NODE, compare: [STORE, STORE], every: 1s }` or \
                     `{ store: STORE, every: 50ms }`",
                ),
            }
        }
        observations
    }

    pub(super) fn expectations(&mut self) -> Vec<Expected> {
        let scenario = self.scenario;
        let mut expectations = Vec::new();
        for (index, spec) in scenario.expect.iter().enumerate() {
            let path = format!("expect.{index}");
            let expectation = match (&spec.metric, &spec.at, &spec.violates) {
                (Some(metric), None, None) => self.bound(&path, metric, spec),
                (None, Some(at), None) => self.node_state(&path, at, spec),
                (None, None, Some(violated)) => self.violation(&path, violated, spec),
                _ => {
                    let message = "an expectation has exactly one of `metric`, `at` and `violates`";
                    let help = "write for example `{ metric: dispatches.lost, max: 0 }`";
                    self.complain(&path, message, help);
                    None
                }
            };
            let expect = self.tree.and_then(|tree| tree.child("expect"));
            let place = expect.and_then(|expect| expect.child(&index.to_string())?.place);
            let line = place.and_then(|place| u32::try_from(place.line).ok());
            let optional = spec.optional;
            expectations.extend(expectation.map(|what| Expected { what, optional, line }));
        }
        expectations
    }

    fn bound(&mut self, path: &str, name: &str, spec: &ExpectSpec) -> Option<Expectation> {
        self.refuse_keys(
            path,
            "a bound on a metric",
            &[("connected", spec.connected.is_some()), ("roles", spec.roles.is_some())],
        );
        let metric = self.metric(&format!("{path}.metric"), name);
        match (spec.min, spec.max, spec.equals) {
            (None, None, None) => {
                let message = "the expectation has no bound";
                self.complain(path, message, "add `min`, `max` or `equals`");
            }
            (Some(min), Some(max), _) if min > max => {
                let message = format!("nothing is at least {min} and at most {max}");
                self.complain(&format!("{path}.min"), message, "swap the two");
            }
            (min, max, Some(_)) if min.is_some() || max.is_some() => {
                let message = "`equals` leaves nothing for `min` and `max` to say";
                self.complain(&format!("{path}.equals"), message, "keep one or the other");
            }
            _ => {}
        }
        let bounds = [("min", spec.min), ("max", spec.max), ("equals", spec.equals)];
        self.possible(path, name, bounds);
        if let Some(metric) = metric {
            for (key, narrowed, possible) in [
                ("store", spec.store.is_some(), metric.per_store()),
                ("node", spec.node.is_some(), metric.per_node()),
                ("phase", spec.phase.is_some(), metric.per_phase()),
            ] {
                if narrowed && !possible {
                    let message = format!("`{name}` is not measured for each {key}");
                    let help = "`samestate explain --metrics` says what each is measured for";
                    self.complain_of_key(&format!("{path}.{key}"), message, help);
                }
            }
        }
        if let Some(store) = &spec.store {
            self.store(&format!("{path}.store"), store);
        }
        let node = spec.node.as_ref().map(|node| self.node(&format!("{path}.node"), node));
        let phase = spec.phase.as_ref().map(|phase| self.phase(&format!("{path}.phase"), phase));
        Some(Expectation::Metric(MetricBound {
            metric: metric?.name().to_owned(),
            min: spec.min,
            max: spec.max,
            equals: spec.equals,
            store: spec.store.clone(),
            node: node.flatten(),
            phase: phase.flatten(),
        }))
    }

    fn metric(&mut self, path: &str, name: &str) -> Option<&'static Metric> {
        let metric = Metric::named(name);
        if metric.is_none() {
            let names: Vec<&str> = Metric::all().iter().map(Metric::name).collect();
            let near = crate::scenario::near::nearest(name, names.iter().copied());
            let near = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
            let help = format!("{near}`samestate explain --metrics` lists them all");
            self.complain(path, format!("there is no metric `{name}`"), help);
        }
        metric
    }

    fn phase(&mut self, path: &str, name: &str) -> Option<usize> {
        let found = self.scenario.phases.iter().position(|phase| phase.name == name);
        if found.is_none() {
            let names: Vec<&str> =
                self.scenario.phases.iter().map(|phase| phase.name.as_str()).collect();
            let help = suggest(name, &names);
            self.complain(path, format!("there is no phase `{name}`"), help);
        }
        found
    }

    fn node_state(&mut self, path: &str, at: &str, spec: &ExpectSpec) -> Option<Expectation> {
        self.refuse_keys(
            path,
            "what a store says of itself",
            &[
                ("min", spec.min.is_some()),
                ("max", spec.max.is_some()),
                ("equals", spec.equals.is_some()),
                ("node", spec.node.is_some()),
                ("phase", spec.phase.is_some()),
                ("optional", spec.optional),
            ],
        );
        let at = self.node(&format!("{path}.at"), at);
        let Some(store) = &spec.store else {
            self.complain(path, "the expectation does not say of which store", "add `store`");
            return None;
        };
        self.store_at(&format!("{path}.store"), store, at);
        if spec.connected.is_none() && spec.roles.is_none() {
            let help = "add `connected: true` or `roles: [master, server]`";
            self.complain(path, "the expectation does not say what is expected", help);
        }
        let roles = spec.roles.clone().map(|mut roles| {
            roles.sort();
            roles.dedup();
            roles
        });
        Some(Expectation::Node { at: at?, store: store.clone(), connected: spec.connected, roles })
    }

    fn violation(
        &mut self,
        path: &str,
        violated: &[String],
        spec: &ExpectSpec,
    ) -> Option<Expectation> {
        self.refuse_keys(
            path,
            "a violation",
            &[
                ("min", spec.min.is_some()),
                ("max", spec.max.is_some()),
                ("equals", spec.equals.is_some()),
                ("store", spec.store.is_some()),
                ("node", spec.node.is_some()),
                ("phase", spec.phase.is_some()),
                ("connected", spec.connected.is_some()),
                ("roles", spec.roles.is_some()),
            ],
        );
        if violated.is_empty() {
            let help = "write for example `violates: [I2]`";
            self.complain(&format!("{path}.violates"), "names no invariant", help);
        }
        for (index, name) in violated.iter().enumerate() {
            if !INVARIANTS.contains(&name.as_str()) {
                let message = format!("there is no invariant `{name}`");
                let help = format!("known: {}", quoted(INVARIANTS));
                self.complain(&format!("{path}.violates.{index}"), message, help);
            }
        }
        Some(Expectation::Violates(violated.to_vec()))
    }

    /// Complains of keys that have no meaning in this kind of expectation.
    fn refuse_keys(&mut self, path: &str, kind: &str, keys: &[(&str, bool)]) {
        for (key, present) in keys {
            if *present {
                let message = format!("`{key}` has no meaning for {kind}");
                self.complain_of_key(&format!("{path}.{key}"), message, "remove it");
            }
        }
    }
}
