//! The reasons why a case cannot pass any more, as far as they are known while it runs.
//!
//! Only what never gets better is looked at: invariants that are violated, and counts that may not
//! go past a bound.

use std::collections::BTreeSet;

use samestate_report::{Case, Metric};

use super::expect::demanded;
use super::gather::{Gathered, StoreIncarnation};
use super::sums::Sums;
use crate::invariants::Violation;
use crate::scenario::{Expectation, MetricBound, Plan};

/// Returns the reason why the case cannot pass any more; `None` as long as it may.
pub(crate) fn lost_cause(plan: &Plan, gathered: &Gathered) -> Option<String> {
    violated(plan, gathered).or_else(|| {
        let bounds = plan.expect.iter().filter_map(|expected| match &expected.what {
            Expectation::Metric(bound) => Some(bound),
            _ => None,
        });
        bounds.filter_map(|bound| exceeded(plan, gathered, bound)).next()
    })
}

fn violated(plan: &Plan, gathered: &Gathered) -> Option<String> {
    let demanded = demanded(plan);
    let found = violations(gathered).find(|one| !demanded.contains(&*one.invariant.to_string()));
    found.map(|violation| violation.to_string())
}

fn violations(gathered: &Gathered) -> impl Iterator<Item = &Violation> {
    let of_claims = gathered.claims.values().map(|claims| claims.violations());
    let of_stores = stores(gathered, None).flat_map(|store| {
        let of_ledger = store.ledger.as_ref().map(|ledger| ledger.violations());
        of_ledger.into_iter().chain([&store.violations])
    });
    of_claims.chain(of_stores).flat_map(|violations| violations.described())
}

/// Describes the value that goes past a bound, if one does.
fn exceeded(plan: &Plan, gathered: &Gathered, bound: &MetricBound) -> Option<String> {
    let most = bound.max.or(bound.equals)?;
    let metric = Metric::named(&bound.metric).filter(|metric| metric.is_growing())?;
    if bound.node.is_some() {
        return None;
    }
    let streams = bound.phase.map(|phase| {
        plan.phases[phase].load.iter().map(|load| load.stream).collect::<BTreeSet<u64>>()
    });
    let so_far = metric.of_case(&counted(gathered, bound.store.as_deref(), streams.as_ref()))?;
    let name = metric.name();
    (so_far > most).then(|| format!("{name} may be {most} at most, and is {so_far} by now"))
}

/// The counts so far that only grow: of a store or of all, and of these loads alone if they are
/// given.
fn counted(gathered: &Gathered, store: Option<&str>, streams: Option<&BTreeSet<u64>>) -> Case {
    let mut sums = Sums::default();
    for store in stores(gathered, store) {
        for (stream, load) in &store.loads {
            if streams.is_none_or(|streams| streams.contains(stream)) {
                sums.counts.merge(load.log.counts());
            }
        }
        if streams.is_none() {
            sums.counts.merge(store.mirrors.log.counts());
            let judged = sums.judged.get_or_insert_default();
            judged.duplicated += store.ledger.as_ref().map_or(0, |ledger| ledger.duplicated());
        }
        sums.count(store.counters);
    }
    let violations = violations(gathered).cloned().map(samestate_report::Violation::from);
    Case {
        dispatches: sums.dispatches(),
        cost: sums.cost(),
        violations: violations.collect(),
        ..Case::default()
    }
}

fn stores<'a>(
    gathered: &'a Gathered,
    name: Option<&'a str>,
) -> impl Iterator<Item = &'a StoreIncarnation> {
    let incarnations = gathered.nodes.values().flatten();
    let stores = incarnations.flat_map(|incarnation| &incarnation.stores);
    stores.filter(move |(store, _)| name.is_none_or(|name| name == *store)).map(|(_, store)| store)
}
