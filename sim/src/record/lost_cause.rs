//! Why a case cannot pass any more, as far as that is known while it goes on.
//!
//! Only what never gets better is looked at: invariants that are violated, and counts that may not
//! go past a bound.

use std::collections::BTreeSet;

use super::expect::demanded;
use super::gather::{Gathered, StoreLife};
use crate::invariants::Violation;
use crate::measure::Counts;
use crate::scenario::{Expectation, MetricBound, Plan};

/// Why the case cannot pass any more; `None` as long as it may.
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
    if bound.node.is_some() {
        return None;
    }
    let streams = bound.phase.map(|phase| {
        plan.phases[phase].load.iter().map(|load| load.stream).collect::<BTreeSet<u64>>()
    });
    let all = || stores(gathered, bound.store.as_deref());
    let counts = counts(all(), streams.as_ref());
    let so_far = match bound.metric.as_str() {
        "dispatches.intended" => counts.intended,
        "dispatches.ok" => counts.ok,
        "dispatches.refused" => counts.refused(),
        "dispatches.rejected" => counts.rejected,
        "dispatches.unknown" => counts.unknown,
        "dispatches.duplicated" if streams.is_none() => {
            all().filter_map(|store| Some(store.ledger.as_ref()?.duplicated())).sum()
        }
        "cost.snapshots_forced" => all().map(|store| store.counters.snapshots_forced).sum(),
        "cost.entries_skipped" => all().map(|store| store.counters.entries_skipped).sum(),
        "violations" => violations(gathered).count() as u64,
        _ => return None,
    };
    let metric = &bound.metric;
    (so_far as f64 > most)
        .then(|| format!("{metric} may be {most} at most, and is {so_far} by now"))
}

/// Returns the numbers of dispatches that have an outcome: of these loads, or of all and of
/// mirrors.
fn counts<'a>(
    stores: impl Iterator<Item = &'a StoreLife>,
    streams: Option<&BTreeSet<u64>>,
) -> Counts {
    let mut counts = Counts::default();
    for store in stores {
        for (stream, load) in &store.loads {
            if streams.is_none_or(|streams| streams.contains(stream)) {
                counts.merge(load.log.counts());
            }
        }
        if streams.is_none() {
            counts.merge(store.mirrors.log.counts());
        }
    }
    counts
}

fn stores<'a>(
    gathered: &'a Gathered,
    name: Option<&'a str>,
) -> impl Iterator<Item = &'a StoreLife> {
    let lives = gathered.nodes.values().flatten();
    let stores = lives.flat_map(|life| &life.stores);
    stores.filter(move |(store, _)| name.is_none_or(|name| name == *store)).map(|(_, store)| store)
}
