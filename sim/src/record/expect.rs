//! The scenario's expectations, held against what was measured.

use std::collections::BTreeSet;

use samestate_report::{Case, Expectation, StoreMeasures};

use super::gather::Gathered;
use crate::scenario::{self, MetricBound, NodeId, Plan, Role};

/// The measures that expectations are checked against, besides the case itself.
pub(super) struct Held<'a> {
    pub(super) plan: &'a Plan,
    pub(super) gathered: &'a Gathered,
    /// Returns the measures of one phase, of one store or of all, as a case of its own.
    pub(super) of_phase: &'a dyn Fn(usize, Option<&str>) -> Case,
    /// Returns the measures of one node, as a case of its own.
    pub(super) of_node: &'a dyn Fn(NodeId) -> Case,
}

impl Held<'_> {
    /// Every expectation of the plan, in its order.
    pub(super) fn against(&self, case: &Case) -> Vec<Expectation> {
        let mut all = Vec::new();
        for expected in &self.plan.expect {
            let found = match &expected.what {
                scenario::Expectation::Metric(bound) => {
                    self.metric(case, bound).into_iter().collect()
                }
                scenario::Expectation::Node { at, store, connected, roles } => {
                    self.node(*at, store, *connected, roles.as_deref())
                }
                scenario::Expectation::Violates(wanted) => {
                    vec![violates(wanted, expected.optional, case)]
                }
            };
            let (optional, line) = (expected.optional, expected.line);
            all.extend(found.into_iter().map(|one| Expectation { optional, line, ..one }));
        }
        all
    }

    fn metric(&self, case: &Case, bound: &MetricBound) -> Option<Expectation> {
        let min = bound.equals.or(bound.min);
        let max = bound.equals.or(bound.max);
        let store = bound.store.as_deref();
        let held =
            |case: &Case, store| Expectation::of_metric(case, store, &bound.metric, min, max);
        let (found, whose) = if let Some(phase) = bound.phase {
            let name = &self.plan.phases.get(phase)?.name;
            (held(&(self.of_phase)(phase, store), store), format!(" in phase {name}"))
        } else if let Some(node) = bound.node {
            let name = &self.plan.node(node).name;
            (held(&(self.of_node)(node), None), format!(" at {name}"))
        } else {
            (held(case, store), String::new())
        };
        found.map(|found| Expectation { what: found.what + &whose, ..found })
    }

    fn node(
        &self,
        at: NodeId,
        store: &str,
        connected: Option<bool>,
        roles: Option<&[Role]>,
    ) -> Vec<Expectation> {
        let name = &self.plan.node(at).name;
        let incarnation = self.gathered.at_end(at);
        let standing = incarnation
            .and_then(|incarnation| incarnation.stores.get(store))
            .map(|store| &store.standing);
        let mut all = Vec::new();
        if let Some(wanted) = connected {
            let found = standing.map(|standing| standing.connected);
            let measured = found.map_or("not there", in_sync);
            let what = format!("{store} at {name}");
            let held = found == Some(wanted);
            all.push(Expectation::in_words(what, in_sync(wanted), measured, held));
        }
        if let Some(wanted) = roles {
            let found = standing.map(|standing| in_words(&standing.roles));
            let held = found.as_ref() == Some(&in_words(wanted));
            let measured = found.unwrap_or_else(|| "not there".to_owned());
            let what = format!("roles of {store} at {name}");
            all.push(Expectation::in_words(what, in_words(wanted), measured, held));
        }
        all
    }
}

fn in_sync(connected: bool) -> &'static str {
    if connected { "connected" } else { "not connected" }
}

fn in_words(roles: &[Role]) -> String {
    let names: Vec<String> = roles.iter().map(|role| format!("{role:?}").to_lowercase()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Holds a violation that the scenario wants to see, or allows if it is `optional`.
fn violates(wanted: &[String], optional: bool, case: &Case) -> Expectation {
    let found: BTreeSet<&str> =
        case.violations.iter().map(|violation| violation.invariant.as_str()).collect();
    let held = optional || wanted.iter().all(|invariant| found.contains(invariant.as_str()));
    let measured = found.into_iter().collect::<Vec<_>>().join(", ");
    let measured = if measured.is_empty() { "none".to_owned() } else { measured };
    let wanted = wanted.join(", ");
    let wanted = if optional { format!("{wanted} or none") } else { wanted };
    Expectation::in_words("violated invariants", wanted, measured, held)
}

/// The invariants that the plan wants to see violated.
pub(super) fn demanded(plan: &Plan) -> BTreeSet<&str> {
    let wanted = plan.expect.iter().filter_map(|expected| match &expected.what {
        scenario::Expectation::Violates(wanted) => Some(wanted),
        _ => None,
    });
    wanted.flatten().map(String::as_str).collect()
}

/// A case that holds a store's measures too, for an expectation that names the store.
pub(super) fn narrowed(mut case: Case, store: Option<&str>) -> Case {
    if let Some(store) = store {
        let measures = StoreMeasures {
            identical: case.identical.clone(),
            dispatches: case.dispatches.clone(),
            rate: case.rate.clone(),
            latency_us: case.latency_us.clone(),
            staleness: case.staleness.clone(),
            ..StoreMeasures::default()
        };
        case.stores.insert(store.to_owned(), measures);
    }
    case
}
