//! The series of a case, from the data that its processes left.

use std::collections::BTreeMap;

use samestate_report::{Points, ProcessSeries, QuantileSeries, SERIES, Series, StoreSeries};

use super::axis::{Axis, percent, short};
use super::gather::Gathered;
use super::taken::IncarnationSeen;
use super::tree::{Instants, OverTime, TreeSeen};
use crate::measure::over_time::Spread;
use crate::scenario::Plan;

/// Fewer readings than these say nothing of the course between them.
const READINGS_MIN: usize = 3;

/// Returns the series of a case; `None` if it had no time.
pub(super) fn series(
    plan: &Plan,
    gathered: &Gathered,
    incarnations: &[IncarnationSeen],
    trees: &[(&str, TreeSeen<'_>)],
    instants: &Instants,
) -> Option<Series> {
    let start_ns = instants.start_ns;
    let moved_last = trees.iter().map(|(_, tree)| tree.moved_last_ns() + 1).max().unwrap_or(0);
    let end_ns = instants.load_ended_ns.max(moved_last.min(instants.end_ns));
    if end_ns <= start_ns {
        return None;
    }
    let bits = trees.iter().map(|(_, tree)| tree.bits()).max().unwrap_or(0);
    let axis = Axis::new(start_ns, end_ns, bits);
    let mut stores: BTreeMap<String, OverTime> = BTreeMap::new();
    for (store, tree) in trees {
        match stores.get_mut(*store) {
            Some(known) => known.merge(tree.over_time(&axis)),
            None => {
                stores.insert((*store).to_owned(), tree.over_time(&axis));
            }
        }
    }
    let stores = stores.into_iter().map(|(name, seen)| (name, of_store(&axis, &seen)));
    let processes = incarnations.iter().map(|seen| of_process(plan, gathered, seen, &axis));
    Some(Series {
        version: SERIES,
        begin_seconds: axis.begin_seconds(),
        bucket_seconds: axis.bucket_seconds(),
        buckets: axis.len(),
        stores: stores.collect(),
        processes: processes.collect(),
    })
}

fn of_store(axis: &Axis, seen: &OverTime) -> StoreSeries {
    let rate = |counts: &mut dyn Iterator<Item = f64>| -> Option<Points> {
        let rates = counts.enumerate().map(|(at, count)| Some(short(count / axis.seconds(at))));
        Some(rates.collect())
    };
    let same = seen
        .same
        .iter()
        .map(|(same, total)| (*total > 0).then(|| percent(*same as f64 * 100.0 / *total as f64)));
    let intended = rate(&mut seen.loads.iter().map(|loads| loads.0 as f64));
    StoreSeries {
        identical_percent: known(same.collect()),
        versions_behind_max: known(
            seen.behind.iter().map(|behind| behind.map(|versions| versions as f64)).collect(),
        ),
        intended_per_s: intended.filter(|_| !seen.has_closed),
        issued_per_s: rate(&mut seen.loads.iter().map(|loads| loads.1 as f64)),
        achieved_per_s: rate(&mut seen.achieved.iter().copied()),
        local_us: quantiles(seen.latency.iter().map(|latency| &latency.0)),
        replica_us: quantiles(seen.latency.iter().map(|latency| &latency.1)),
    }
}

fn quantiles<'a>(spreads: impl Iterator<Item = &'a Spread> + Clone) -> QuantileSeries {
    let us = |ns: Option<u64>| ns.map(|ns| short(ns as f64 / 1e3));
    let quantile = |q: f64| known(spreads.clone().map(|one| us(one.quantile_ns(q))).collect());
    QuantileSeries {
        p50: quantile(0.5),
        p99: quantile(0.99),
        max: known(spreads.clone().map(|one| us(one.max_ns())).collect()),
    }
}

fn of_process(
    plan: &Plan,
    gathered: &Gathered,
    seen: &IncarnationSeen,
    axis: &Axis,
) -> ProcessSeries {
    let node = plan.node(seen.node);
    let incarnations = gathered.incarnations(seen.node);
    let known_as = incarnations.iter().find(|one| one.connection == seen.connection);
    let traffic: Vec<_> = known_as.iter().flat_map(|one| one.traffic.readings()).collect();
    let counted = |count: fn(&crate::record::LinkFigures) -> Option<u64>| {
        let readings: Vec<_> =
            traffic.iter().filter_map(|(at_ns, links)| Some((*at_ns, count(links)?))).collect();
        (readings.len() >= READINGS_MIN).then(|| known(axis.growth(&readings))).flatten()
    };
    let cpu: Vec<_> = seen.course.iter().map(|usage| (usage.at_ns, usage.cpu_ns)).collect();
    let cpu_percent = axis.growth(&cpu).into_iter().map(|ns| ns.map(|ns| short(ns / 1e7)));
    let mut rss: Points = vec![None; axis.len()];
    for pair in seen.course.windows(2) {
        axis.split(pair[0].at_ns, pair[1].at_ns, |bucket, _, _| {
            let bytes = short(pair[1].rss_bytes as f64);
            rss[bucket] = Some(rss[bucket].map_or(bytes, |most| most.max(bytes)));
        });
    }
    ProcessSeries {
        name: node.name.clone(),
        pid: (seen.pid > 0).then_some(seen.pid),
        cpu_percent: known(cpu_percent.collect()),
        rss_bytes: known(rss),
        sent_bytes_per_s: counted(|links| Some(links.sent_bytes)),
        received_bytes_per_s: counted(|links| Some(links.received_bytes)),
        syscalls_per_s: counted(|links| links.syscalls),
    }
}

/// Points, if any bucket has one.
fn known(points: Points) -> Option<Points> {
    points.iter().any(Option::is_some).then_some(points)
}
