//! All that was seen of one store, as the record shows it.

use std::collections::BTreeMap;

use samestate_report as report;

use super::histogram::Latencies;
use super::identity::{EqualVersion, Sameness, Samples, at_equal_version, time_weighted};
use super::latency::{Arrivals, Counts, DispatchLog};
use super::staleness::Staleness;
use super::timeline::Trace;

const NS_PER_MS: f64 = 1e6;
const NS_PER_S: f64 = 1e9;

/// The observations of one store during a case. Instants are on the shared clock.
#[derive(Clone, Debug)]
pub struct StoreSeen<'a> {
    /// Every replica, the root's included.
    pub replicas: &'a [Trace],
    /// The index of the root among them.
    pub root: usize,
    /// The dispatches of the loads, by the node that they ran at.
    pub loads: &'a BTreeMap<String, DispatchLog>,
    /// The dispatches of mirrors, by the node that they ran at.
    pub mirrors: &'a BTreeMap<String, DispatchLog>,
    /// Deep comparisons of replicas.
    pub samples: Samples,
    /// The time at which the load began.
    pub begun_ns: u64,
    /// The time at which the load ended.
    pub load_ended_ns: u64,
    /// The times at which faults ended, if there were any.
    pub faults_ended_ns: &'a [u64],
    /// The time at which watching ended, after the replicas had time to converge.
    pub watched_until_ns: u64,
    /// The times at which the replicas were at one version, until then.
    pub sameness: &'a Sameness,
}

impl StoreSeen<'_> {
    /// Returns the identity of the replicas, and the comparisons at equal versions behind it.
    pub fn identical(&self) -> (report::Identical, EqualVersion) {
        let equal = at_equal_version(self.replicas);
        let share = time_weighted(self.replicas, self.begun_ns, self.load_ended_ns);
        let identical = report::Identical {
            sampled_percent: self.samples.percent(),
            samples: self.samples.total,
            time_weighted_percent: share.percent(),
            at_equal_version_percent: equal.percent(),
            compared_at_equal_version: Some(equal.compared),
            converged_within_ms: self.converged_within_ns().map(|ns| ns as f64 / NS_PER_MS),
        };
        (identical, equal)
    }

    /// The longest the replicas took to be equal: for good once the load had ended, and for a
    /// first time after each fault. `None` if one of these never came.
    pub fn converged_within_ns(&self) -> Option<u64> {
        let until_ns = self.watched_until_ns;
        let mut longest_ns = self.sameness.convergence(self.load_ended_ns, until_ns).settled_ns?;
        for &ended_ns in self.faults_ended_ns {
            longest_ns = longest_ns.max(self.sameness.convergence(ended_ns, until_ns).first_ns?);
        }
        Some(longest_ns)
    }

    /// Returns the latency of dispatches, mirrors' included: to their answer, and to each other
    /// replica.
    pub fn latency(&self) -> report::Latency {
        let mut local = Latencies::default();
        let mut arrivals = Arrivals::default();
        for (origin, log) in self.loads.iter().chain(self.mirrors) {
            local.merge(log.local());
            for replica in self.replicas.iter().filter(|replica| replica.name != *origin) {
                arrivals.merge(&log.at_replica(replica));
            }
        }
        report::Latency { local: in_us(&local), replica: in_us(&arrivals.latencies) }
    }

    /// Returns the distance of the other replicas from the root, while there was load.
    pub fn staleness(&self) -> report::Staleness {
        let mut staleness = Staleness::default();
        if let Some(root) = self.replicas.get(self.root) {
            let others = self.replicas.iter().enumerate().filter(|other| other.0 != self.root);
            for (_, replica) in others {
                let (begun_ns, ended_ns) = (self.begun_ns, self.load_ended_ns);
                staleness.merge(&Staleness::of(root, replica, begun_ns, ended_ns));
            }
        }
        let ms = |ns: u64| ns as f64 / NS_PER_MS;
        report::Staleness {
            versions_p99: staleness.versions(0.99),
            versions_max: staleness.versions(1.0),
            ms_p99: staleness.ns(0.99).map(ms),
            ms_max: staleness.ns(1.0).map(ms),
        }
    }

    /// Returns the outcomes of the dispatches at their origins. What became of them in the history
    /// is for the judge to fill in.
    pub fn dispatches(&self) -> report::Dispatches {
        let mut counts = Counts::default();
        self.mirrors.values().for_each(|log| counts.merge(log.counts()));
        let from_mirrors = counts.intended;
        self.loads.values().for_each(|log| counts.merge(log.counts()));
        report::Dispatches {
            intended: counts.intended,
            ok: counts.ok,
            refused: counts.refused(),
            rejected: counts.rejected,
            unknown: counts.unknown,
            from_mirrors,
            ..report::Dispatches::default()
        }
    }

    /// Returns the rate of the loads. `intended_per_s` is the rate that the scenario asked for.
    ///
    /// An action is achieved once every replica has applied it. Those that arrive after the load
    /// ended count, over the time they took: a storm that leaves a backlog is not the faster
    /// for it.
    pub fn rate(&self, intended_per_s: Option<f64>) -> report::Rate {
        let seconds = self.load_ended_ns.saturating_sub(self.begun_ns) as f64 / NS_PER_S;
        let per_s = |count: u64| (seconds > 0.0).then(|| count as f64 / seconds);
        let mut lag = Latencies::default();
        self.loads.values().for_each(|log| lag.merge(log.lag()));
        let lag_ns = lag.quantile_ns(0.99);
        report::Rate {
            intended_per_s,
            issued_per_s: per_s(self.loads.values().map(|log| log.counts().intended).sum()),
            achieved_per_s: self.achieved_per_s(),
            schedule_lag_ms_p99: lag_ns.map(|ns| ns as f64 / NS_PER_MS),
            left_out_seconds: None,
        }
    }

    fn achieved_per_s(&self) -> Option<f64> {
        let slowest = |t_ns: u64| {
            let points = self.replicas.iter().filter_map(|replica| replica.at(t_ns));
            points.map(|point| point.version.seq).min()
        };
        let until_ns = self.watched_until_ns.saturating_sub(1);
        let applied = slowest(until_ns)?.saturating_sub(slowest(self.begun_ns).unwrap_or(0));
        let settled_ns = self.sameness.convergence(self.load_ended_ns, self.watched_until_ns);
        let end_ns = settled_ns.settled_ns.map_or(until_ns, |ns| self.load_ended_ns + ns);
        let seconds = end_ns.saturating_sub(self.begun_ns) as f64 / NS_PER_S;
        (seconds > 0.0).then(|| applied as f64 / seconds)
    }
}

/// A distribution in microseconds, as the record shows it: `None` of nothing.
pub fn in_us(latencies: &Latencies) -> Option<report::Quantiles> {
    let quantiles = latencies.quantiles()?;
    let us = |ns: u64| ns as f64 / 1e3;
    Some(report::Quantiles {
        p50: us(quantiles.p50_ns),
        p90: us(quantiles.p90_ns),
        p99: us(quantiles.p99_ns),
        p999: us(quantiles.p999_ns),
        max: us(quantiles.max_ns),
        count: Some(latencies.len()),
        histogram: latencies.encoded(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::latency::{Dispatched, Outcome};
    use super::super::timeline::tests::{trace, v};
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_store_is_summed_up_as_computed_by_hand() {
        let replicas = [
            trace("root", &[(0, 0), (100 * MS, 1), (500 * MS, 2)]),
            trace("leaf", &[(0, 0), (150 * MS, 1), (1_020 * MS, 2)]),
        ];
        let mut log = DispatchLog::default();
        for (intended_ms, answered_ms, seq) in [(90, 101, 1), (490, 500, 2)] {
            log.record(Dispatched {
                intended_ns: intended_ms * MS,
                issued_ns: intended_ms * MS + MS,
                answered_ns: answered_ms * MS,
                outcome: Outcome::Ok(v(seq)),
            });
        }
        let loads = BTreeMap::from([("root".to_owned(), log.clone())]);
        let mirrors = BTreeMap::from([("leaf".to_owned(), log)]);
        let seen = StoreSeen {
            replicas: &replicas,
            root: 0,
            loads: &loads,
            mirrors: &mirrors,
            samples: Samples { ok: 3, total: 4 },
            begun_ns: 0,
            load_ended_ns: 1_000 * MS,
            faults_ended_ns: &[510 * MS],
            watched_until_ns: 2_000 * MS,
            sameness: &Sameness::of(&replicas, 2_000 * MS),
        };
        let (identical, _) = seen.identical();
        // Apart during [100, 150) and [500, 1000) of 1000 ms.
        assert_eq!(identical.time_weighted_percent, Some(45.0));
        assert_eq!(identical.sampled_percent, Some(75.0));
        assert_eq!(identical.converged_within_ms, Some(510.0), "after the fault");
        assert_eq!(identical.at_equal_version_percent, Some(100.0));

        let dispatches = seen.dispatches();
        assert_eq!((dispatches.intended, dispatches.from_mirrors), (4, 2));
        assert!(dispatches.balanced());

        let rate = seen.rate(Some(2.0));
        assert_eq!(rate.issued_per_s, Some(2.0), "without the mirrors");
        let achieved = rate.achieved_per_s.expect("it took time");
        assert!((achieved - 2.0 / 1.02).abs() < 1e-9, "{achieved}");

        let latency = seen.latency();
        // The load at the leaf: 60 and 530 ms; the mirror at the root: 10 and 10 ms.
        let replica = latency.replica.expect("there are other replicas");
        assert_eq!(replica.count, Some(4));
        assert!((replica.max - 530_000.0).abs() < 1_000.0, "{replica:?}");
        assert!((latency.local.expect("answered").max - 11_000.0).abs() < 20.0);

        let staleness = seen.staleness();
        assert_eq!(staleness.versions_max, Some(1));
        assert_eq!(staleness.ms_max, Some(500.0));
    }
}
