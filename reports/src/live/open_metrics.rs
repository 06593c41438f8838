//! A run in the OpenMetrics text format 1.0
//! (<https://prometheus.io/docs/specs/om/open_metrics_spec/>), for Prometheus.
//!
//! Names follow <https://prometheus.io/docs/practices/naming/>: seconds, bytes and ratios. No label
//! names a process id, so that a process that is started again continues its series.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeMetric, LabelSetEncoder, MetricEncoder,
};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::line::{CaseStart, Event, Line, LiveProcess, LiveQuantiles, LiveStore, Sample};

/// The newest state of the runs of a program.
#[derive(Clone, Debug, Default)]
pub struct RunMetrics {
    scenario: String,
    case: usize,
    start: CaseStart,
    phase: String,
    at_seconds: f64,
    running: bool,
    sample: Option<Sample>,
    /// The number of cases by their verdict.
    judged: BTreeMap<String, u64>,
}

impl RunMetrics {
    /// Takes the next line.
    pub fn take(&mut self, line: &Line) {
        self.at_seconds = line.at_seconds.unwrap_or(self.at_seconds).max(self.at_seconds);
        match &line.event {
            Event::Start(start) => {
                self.start = start.clone();
                (self.scenario, self.case) = (line.scenario.clone(), line.case);
                (self.running, self.sample, self.at_seconds) = (true, None, 0.0);
            }
            Event::Phase(phase) => self.phase.clone_from(&phase.name),
            Event::Sample(sample) => self.sample = Some(sample.clone()),
            Event::Verdict(verdict) => {
                *self.judged.entry(verdict.verdict.to_string()).or_default() += 1;
                self.running = false;
            }
            Event::Fault(_) | Event::Process(_) | Event::End(_) => {}
        }
    }

    /// Renders the metrics as text.
    pub fn text(&self) -> String {
        let mut registry = Registry::with_prefix("samestate_run");
        registry.register_collector(Box::new(Scrape(self.clone())));
        let mut text = String::new();
        encode(&mut text, &registry).expect("a string takes all text");
        text
    }
}

#[derive(Debug)]
struct Scrape(RunMetrics);

type Labels = Vec<(&'static str, String)>;

/// The values of a family, with their labels.
type Values = Vec<(Labels, f64)>;

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let run = &self.0;
        let to = &mut encoder;
        run.standing(to)?;
        let Some(sample) = &run.sample else { return Ok(()) };
        replicas(to, sample)?;
        stores(to, sample)?;
        latency(to, sample)?;
        processes(to, sample)
    }
}

impl RunMetrics {
    fn standing(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let scenario = ("scenario", self.scenario.clone());
        let about = vec![
            scenario,
            ("file", self.start.file.clone()),
            ("phase", self.phase.clone()),
            ("samestate", self.start.samestate.clone()),
        ];
        gauge(to, "state", "1 with what is run now, or was run last", vec![(about, 1.0)])?;
        gauge(to, "active", "1 while a case goes on", alone(f64::from(u8::from(self.running))))?;
        gauge(to, "case", "The number of the case within the run", alone(self.case as f64))?;
        gauge(to, "cases", "The number of cases of the run", alone(self.start.cases as f64))?;
        let help = "The time since the load of the case began";
        seconds(to, "load", help, alone(self.at_seconds))?;
        let help = "The planned length of the load";
        seconds(to, "load_planned", help, alone(self.start.planned_seconds))?;
        let judged = self.judged.iter();
        let judged = judged.map(|(verdict, count)| (of("verdict", verdict), *count as f64));
        counter(to, "cases_judged", "Cases by their verdict", None, judged.collect())
    }
}

fn replicas(to: &mut DescriptorEncoder<'_>, sample: &Sample) -> fmt::Result {
    gauge(to, "replicas", "Replicas of all stores", alone(sample.replicas as f64))?;
    let in_sync = alone(sample.replicas_in_sync as f64);
    gauge(to, "replicas_in_sync", "Replicas that are in sync with their sequencer", in_sync)?;
    let help = "Faults of the case that were injected";
    counter(to, "faults_injected", help, None, alone(sample.faults_injected as f64))?;
    let help = "Faults whose effect goes on";
    gauge(to, "faults_active", help, alone(sample.faults_active as f64))
}

fn stores(to: &mut DescriptorEncoder<'_>, sample: &Sample) -> fmt::Result {
    let each = |value: fn(&LiveStore) -> Option<f64>| -> Values {
        let stores = sample.stores.iter();
        stores.filter_map(|(name, store)| Some((of("store", name), value(store)?))).collect()
    };
    let help = "The share of the last half second in which all replicas were at one version";
    let identical = each(|store| store.identical_percent.map(|percent| percent / 100.0));
    write(to, Kind::Gauge, "identical", help, Some(&Unit::Other("ratio".to_owned())), identical)?;
    let help = "By how many versions the slowest replica was behind in the last half second";
    let behind = each(|store| store.versions_behind_max.map(|versions| versions as f64));
    gauge(to, "versions_behind", help, behind)?;
    let help = "The number of actions that the newest replica has applied";
    gauge(to, "version", help, each(|store| Some(store.version as f64)))?;
    let help = "Dispatches a second that the scenario asks for";
    gauge(to, "dispatches_intended_per_second", help, each(|store| store.intended_per_s))?;
    let help = "Dispatches a second that the load generator made";
    gauge(to, "dispatches_issued_per_second", help, each(|store| store.issued_per_s))?;
    let help = "Actions a second that every replica had applied";
    gauge(to, "actions_applied_per_second", help, each(|store| store.achieved_per_s))?;
    let outcomes = sample.stores.iter().flat_map(|(name, store)| {
        let counts = &store.dispatches;
        let outcomes = [
            ("ok", counts.ok),
            ("refused", counts.refused),
            ("rejected", counts.rejected),
            ("unknown", counts.unknown),
        ];
        outcomes.map(|(outcome, count)| {
            let labels = vec![("store", name.clone()), ("outcome", outcome.to_owned())];
            (labels, count as f64)
        })
    });
    counter(to, "dispatches", "Dispatches of the case by outcome", None, outcomes.collect())
}

fn latency(to: &mut DescriptorEncoder<'_>, sample: &Sample) -> fmt::Result {
    let mut values = Values::new();
    for (name, store) in &sample.stores {
        for (side, quantiles) in [("origin", store.local_us), ("replicas", store.replica_us)] {
            let Some(LiveQuantiles { p50, p99, max }) = quantiles else { continue };
            for (quantile, us) in [("0.5", p50), ("0.99", p99), ("1", max)] {
                let labels = vec![
                    ("store", name.clone()),
                    ("side", side.to_owned()),
                    ("q", quantile.to_owned()),
                ];
                values.push((labels, us / 1e6));
            }
        }
    }
    let help = "Latency of the dispatches of the last half second: until the answer at the \
                origin, and until each other replica had applied it, by quantile q";
    seconds(to, "latency", help, values)
}

fn processes(to: &mut DescriptorEncoder<'_>, sample: &Sample) -> fmt::Result {
    // The newest process speaks for its node.
    let newest: BTreeMap<&str, &LiveProcess> =
        sample.processes.iter().map(|process| (process.name.as_str(), process)).collect();
    let each = |value: fn(&LiveProcess) -> Option<f64>| -> Values {
        let processes = newest.iter();
        processes.filter_map(|(name, one)| Some((of("process", name), value(one)?))).collect()
    };
    let help = "User and system CPU of each process";
    let cpu = each(|process| process.cpu_seconds);
    counter(to, "process_cpu", help, Some(&Unit::Seconds), cpu)?;
    let help = "Resident memory of each process";
    let resident = each(|process| process.rss_bytes.map(|bytes| bytes as f64));
    write(to, Kind::Gauge, "process_resident_memory", help, Some(&Unit::Bytes), resident)?;
    let both = newest.iter().flat_map(|(name, process)| {
        let both = [("sent", process.sent_bytes), ("received", process.received_bytes)];
        both.into_iter().filter_map(move |(direction, bytes)| {
            let process = ("process", (*name).to_owned());
            Some((vec![process, ("direction", direction.to_owned())], bytes? as f64))
        })
    });
    let help = "Bytes of each process on its links";
    counter(to, "process_link", help, Some(&Unit::Bytes), both.collect())
}

fn alone(value: f64) -> Values {
    vec![(Vec::new(), value)]
}

fn of(label: &'static str, value: &str) -> Labels {
    vec![(label, value.to_owned())]
}

fn gauge(to: &mut DescriptorEncoder<'_>, name: &str, help: &str, values: Values) -> fmt::Result {
    write(to, Kind::Gauge, name, help, None, values)
}

fn seconds(to: &mut DescriptorEncoder<'_>, name: &str, help: &str, values: Values) -> fmt::Result {
    write(to, Kind::Gauge, name, help, Some(&Unit::Seconds), values)
}

fn counter(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    values: Values,
) -> fmt::Result {
    write(to, Kind::Counter, name, help, unit, values)
}

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

/// Writes a family that has any value.
fn write(
    to: &mut DescriptorEncoder<'_>,
    kind: Kind,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    values: Values,
) -> fmt::Result {
    if values.is_empty() {
        return Ok(());
    }
    let metric_type = match kind {
        Kind::Counter => ConstCounter::new(0.0).metric_type(),
        Kind::Gauge => ConstGauge::new(0.0).metric_type(),
    };
    let mut metric = to.encode_descriptor(name, help, unit, metric_type)?;
    for (labels, value) in values {
        let labels = Described(labels);
        // A value without labels stands alone in its family.
        let alone = labels.0.is_empty();
        if alone {
            return encode_value(kind, value, metric);
        }
        encode_value(kind, value, metric.encode_family(&labels)?)?;
    }
    Ok(())
}

fn encode_value(kind: Kind, value: f64, metric: MetricEncoder<'_>) -> fmt::Result {
    match kind {
        Kind::Counter => ConstCounter::new(value).encode(metric),
        Kind::Gauge => ConstGauge::new(value).encode(metric),
    }
}

#[derive(Debug)]
struct Described(Labels);

impl EncodeLabelSet for Described {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        self.0.as_slice().encode(encoder)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::line::{CaseVerdict, LIVE, LiveDispatches};
    use super::*;
    use crate::record::Verdict;

    fn sample() -> Sample {
        let store = LiveStore {
            identical_percent: Some(99.5),
            versions_behind_max: Some(3),
            issued_per_s: Some(200.0),
            local_us: Some(LiveQuantiles { p50: 100.0, p99: 250.0, max: 1e6 }),
            version: 77,
            dispatches: LiveDispatches { ok: 70, unknown: 1, ..LiveDispatches::default() },
            ..LiveStore::default()
        };
        let process = LiveProcess {
            name: "alpha.worker[1]".to_owned(),
            cpu_seconds: Some(1.25),
            rss_bytes: Some(1 << 20),
            sent_bytes: Some(5),
            ..LiveProcess::default()
        };
        Sample {
            replicas: 4,
            stores: BTreeMap::from([("tasks".to_owned(), store)]),
            processes: vec![process.clone(), process],
            ..Sample::default()
        }
    }

    fn metrics(scenario: &str) -> RunMetrics {
        let mut metrics = RunMetrics::default();
        let start = CaseStart { cases: 2, file: "a\\b\n\"c\".yaml".into(), ..<_>::default() };
        let verdict = CaseVerdict { verdict: Verdict::Pass, ..CaseVerdict::default() };
        for event in [Event::Start(start), Event::Sample(sample()), Event::Verdict(verdict)] {
            let (scenario, at_seconds) = (scenario.to_owned(), Some(1.5));
            metrics.take(&Line {
                version: LIVE,
                scenario,
                case: 1,
                repeat: Some(1),
                at_seconds,
                event,
            });
        }
        metrics
    }

    /// Checks a text by the rules of the format, and returns its samples.
    fn checked(text: &str) -> Vec<(String, f64)> {
        assert!(text.ends_with("\n# EOF\n"), "{text}");
        assert!(!text.contains("\n\n"), "{text}");
        let (mut family, mut kind, mut unit) = (String::new(), String::new(), String::new());
        let mut families = BTreeSet::new();
        let mut samples = Vec::new();
        let mut series = BTreeSet::new();
        for line in text.lines().take_while(|line| *line != "# EOF") {
            if let Some(rest) = line.strip_prefix("# ") {
                let words: Vec<&str> = rest.splitn(3, ' ').collect();
                let [word, name, value] = words[..] else { panic!("{line}") };
                if family != name {
                    assert!(families.insert(name.to_owned()), "{name} comes twice");
                    family = name.to_owned();
                    (kind, unit) = (String::new(), String::new());
                }
                match word {
                    "TYPE" => value.clone_into(&mut kind),
                    "UNIT" => value.clone_into(&mut unit),
                    "HELP" => assert!(!value.is_empty(), "{line}"),
                    _ => panic!("{line}"),
                }
                assert!(unit.is_empty() || family.ends_with(&format!("_{unit}")), "{line}");
                continue;
            }
            let name_end = line.find(['{', ' ']).expect("a name");
            let suffix = line[..name_end].strip_prefix(family.as_str()).expect("of its family");
            assert_eq!(suffix, if kind == "counter" { "_total" } else { "" }, "{line}");
            let (labelled, value) = line.rsplit_once(' ').expect("a value");
            assert!(series.insert(labelled.to_owned()), "{labelled} comes twice");
            samples.push((labelled.to_owned(), value.parse().expect("a number")));
        }
        samples
    }

    #[test]
    fn the_text_keeps_the_rules_of_the_format() {
        let text = metrics("tasks").text();
        let samples = checked(&text);
        for (name, value) in [
            ("samestate_run_identical_ratio{store=\"tasks\"}", 0.995),
            ("samestate_run_dispatches_total{store=\"tasks\",outcome=\"ok\"}", 70.0),
            ("samestate_run_process_cpu_seconds_total{process=\"alpha.worker[1]\"}", 1.25),
            ("samestate_run_latency_seconds{store=\"tasks\",side=\"origin\",q=\"0.99\"}", 0.00025),
            ("samestate_run_cases_judged_total{verdict=\"pass\"}", 1.0),
            ("samestate_run_active", 0.0),
        ] {
            assert!(samples.contains(&(name.to_owned(), value)), "{name} {value}:\n{text}");
        }
        checked(&RunMetrics::default().text());
    }

    #[test]
    fn labels_are_escaped() {
        let text = metrics("say \"hi\"\\\n# EOF").text();
        checked(&text);
        assert!(text.contains(r#"scenario="say \"hi\"\\\n# EOF""#), "{text}");
        assert!(text.contains(r#"file="a\\b\n\"c\".yaml""#), "{text}");
    }
}
