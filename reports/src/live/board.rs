//! The state of a run that goes on, as a case of a record: so it is shown by the same page.

use std::collections::BTreeMap;

use super::line::{CaseStart, Event, FaultNews, FaultState, Line, LiveQuantiles, Sample};
use crate::record::{
    Case, FaultDone, Points, Process, ProcessSeries, SERIES, Series, StoreMeasures, StoreSeries,
    Verdict,
};

/// The most buckets of a course. When there are more, neighbours are merged.
const BUCKETS_MAX: usize = 480;

/// The most processes of a course: those that came first.
const PROCESSES_MAX: usize = 1_000;

/// The newest state of the runs of a program.
#[derive(Clone, Debug, Default)]
pub struct Board {
    pub(crate) scenario: String,
    pub(crate) case_number: usize,
    pub(crate) start: CaseStart,
    pub(crate) phase: String,
    pub(crate) at_seconds: Option<f64>,
    pub(crate) sample: Sample,
    /// The verdict of the case, once it is judged.
    pub(crate) verdict: Option<Verdict>,
    /// The verdicts of the cases before this one, with what they ran with.
    pub(crate) judged: Vec<(String, Verdict)>,
    faults: BTreeMap<usize, FaultDone>,
    course: Course,
}

/// The samples of a case, in buckets of equal width.
#[derive(Clone, Debug, Default)]
struct Course {
    buckets: Vec<Bucket>,
    /// The number of samples of a full bucket.
    per_bucket: usize,
    /// The processes, in the order in which they came.
    processes: Vec<(String, u32)>,
}

/// Samples that were merged.
#[derive(Clone, Debug, Default)]
struct Bucket {
    samples: usize,
    stores: BTreeMap<String, Values<11>>,
    processes: BTreeMap<(String, u32), Values<5>>,
}

/// Measures of a bucket.
type Values<const N: usize> = [Value; N];

/// A measure of a bucket: the mean or the most of its samples.
#[derive(Clone, Copy, Debug, Default)]
struct Value {
    sum: f64,
    most: f64,
    count: u32,
}

impl Value {
    fn one(value: Option<f64>) -> Self {
        value.map_or(Self::default(), |value| Self { sum: value, most: value, count: 1 })
    }

    fn merge(&mut self, other: Self) {
        self.most = if self.count == 0 { other.most } else { self.most.max(other.most) };
        self.sum += other.sum;
        self.count += other.count;
    }

    fn mean(self) -> Option<f64> {
        let mean = self.sum / f64::from(self.count.max(1));
        (self.count > 0).then(|| (mean * 1e3).round() / 1e3)
    }

    fn most(self) -> Option<f64> {
        (self.count > 0).then_some(self.most)
    }
}

fn merge_all<const N: usize>(ours: &mut Values<N>, theirs: Values<N>) {
    ours.iter_mut().zip(theirs).for_each(|(ours, theirs)| ours.merge(theirs));
}

impl Course {
    fn push(&mut self, sample: &Sample) {
        self.per_bucket = self.per_bucket.max(1);
        let mut one = Bucket { samples: 1, ..Bucket::default() };
        for (name, store) in &sample.stores {
            let of = |quantiles: Option<LiveQuantiles>| {
                [quantiles.map(|q| q.p50), quantiles.map(|q| q.p99), quantiles.map(|q| q.max)]
            };
            let (local, replica) = (of(store.local_us), of(store.replica_us));
            let values = [
                store.identical_percent,
                store.versions_behind_max.map(|versions| versions as f64),
                store.intended_per_s,
                store.issued_per_s,
                store.achieved_per_s,
                local[0],
                local[1],
                local[2],
                replica[0],
                replica[1],
                replica[2],
            ];
            one.stores.insert(name.clone(), values.map(Value::one));
        }
        for process in &sample.processes {
            let key = (process.name.clone(), process.pid);
            if !self.processes.contains(&key) {
                if self.processes.len() == PROCESSES_MAX {
                    continue;
                }
                self.processes.push(key.clone());
            }
            let values = [
                process.cpu_percent,
                process.rss_bytes.map(|bytes| bytes as f64),
                process.sent_bytes_per_s,
                process.received_bytes_per_s,
                process.syscalls_per_s,
            ];
            one.processes.insert(key, values.map(Value::one));
        }
        match self.buckets.last_mut().filter(|last| last.samples < self.per_bucket) {
            Some(last) => last.merge(one),
            None => self.buckets.push(one),
        }
        if self.buckets.len() > BUCKETS_MAX {
            self.per_bucket *= 2;
            let mut pairs = Vec::with_capacity(self.buckets.len().div_ceil(2));
            for (at, bucket) in std::mem::take(&mut self.buckets).into_iter().enumerate() {
                match pairs.last_mut() {
                    Some(last) if at % 2 == 1 => Bucket::merge(last, bucket),
                    _ => pairs.push(bucket),
                }
            }
            self.buckets = pairs;
        }
    }

    fn series(&self, sample_seconds: f64) -> Option<Series> {
        let stores = self.buckets.first()?.stores.keys();
        let stores = stores.map(|name| {
            let points = |at: usize, read: fn(Value) -> Option<f64>| -> Option<Points> {
                let values = self.buckets.iter().map(|one| one.stores.get(name));
                known(values.map(|values| values.and_then(|values| read(values[at]))))
            };
            let mut series = StoreSeries {
                identical_percent: points(0, Value::mean),
                versions_behind_max: points(1, Value::most),
                intended_per_s: points(2, Value::mean),
                issued_per_s: points(3, Value::mean),
                achieved_per_s: points(4, Value::mean),
                ..StoreSeries::default()
            };
            for (first, quantiles) in [(5, &mut series.local_us), (8, &mut series.replica_us)] {
                quantiles.p50 = points(first, Value::mean);
                quantiles.p99 = points(first + 1, Value::most);
                quantiles.max = points(first + 2, Value::most);
            }
            (name.clone(), series)
        });
        let processes = self.processes.iter().map(|key| {
            let points = |at: usize, read: fn(Value) -> Option<f64>| -> Option<Points> {
                let values = self.buckets.iter().map(|one| one.processes.get(key));
                known(values.map(|values| values.and_then(|values| read(values[at]))))
            };
            ProcessSeries {
                name: key.0.clone(),
                pid: Some(key.1),
                cpu_percent: points(0, Value::mean),
                rss_bytes: points(1, Value::most),
                sent_bytes_per_s: points(2, Value::mean),
                received_bytes_per_s: points(3, Value::mean),
                syscalls_per_s: points(4, Value::mean),
            }
        });
        Some(Series {
            version: SERIES,
            begin_seconds: 0.0,
            bucket_seconds: sample_seconds * self.per_bucket as f64,
            buckets: self.buckets.len(),
            stores: stores.collect(),
            processes: processes.collect(),
        })
    }
}

impl Bucket {
    fn merge(&mut self, other: Self) {
        self.samples += other.samples;
        for (name, values) in other.stores {
            merge_all(self.stores.entry(name).or_default(), values);
        }
        for (key, values) in other.processes {
            merge_all(self.processes.entry(key).or_default(), values);
        }
    }
}

/// Points, if any bucket has one.
fn known(points: impl Iterator<Item = Option<f64>>) -> Option<Points> {
    let points: Points = points.collect();
    points.iter().any(Option::is_some).then_some(points)
}

impl Board {
    /// Takes the next line.
    pub fn take(&mut self, line: &Line) {
        self.at_seconds = line.at_seconds.or(self.at_seconds);
        match &line.event {
            Event::Start(start) => {
                let mut judged = std::mem::take(&mut self.judged);
                if self.scenario != line.scenario {
                    judged.clear();
                } else if let Some(verdict) = self.verdict {
                    judged.push((self.with(), verdict));
                }
                let (scenario, case_number) = (line.scenario.clone(), line.case);
                *self = Self { scenario, case_number, judged, ..Self::default() };
                self.start = start.clone();
            }
            Event::Phase(phase) => self.phase.clone_from(&phase.name),
            Event::Fault(news) => self.fault(news, line.at_seconds),
            Event::Sample(sample) => {
                self.course.push(sample);
                self.sample.clone_from(sample);
            }
            Event::Verdict(verdict) => self.verdict = Some(verdict.verdict),
            Event::Process(_) | Event::End(_) => {}
        }
    }

    fn fault(&mut self, news: &FaultNews, at_seconds: Option<f64>) {
        let fault = self.faults.entry(news.fault).or_insert_with(|| FaultDone {
            kind: news.fault_kind.clone(),
            at: news.target.clone(),
            planned_at_seconds: at_seconds.unwrap_or_default(),
            ..FaultDone::default()
        });
        fault.evidence.clone_from(&news.evidence);
        match news.state {
            FaultState::Injected => fault.injected_at_seconds = at_seconds,
            FaultState::Ended => fault.ended_at_seconds = at_seconds,
            FaultState::NotInjected => {}
        }
    }

    /// The values of the matrix that the case runs with; empty without a matrix.
    pub(crate) fn with(&self) -> String {
        Case { with: self.start.with.clone(), ..Case::default() }.name()
    }

    /// The case so far. What is known only at its end is left out.
    pub fn case(&self) -> Case {
        let mut case = Case {
            with: self.start.with.clone(),
            seconds: self.at_seconds,
            phases: self.start.phases.clone(),
            topologies: self.start.topologies.clone(),
            series: self.course.series(self.start.sample_seconds),
            ..Case::default()
        };
        let share = |points: &Option<Points>| {
            let known: Vec<f64> = points.iter().flatten().flatten().copied().collect();
            let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
            (!known.is_empty()).then(|| (mean * 100.0).floor() / 100.0)
        };
        for (name, store) in case.series.iter().flat_map(|series| &series.stores) {
            let mut measures = StoreMeasures::default();
            let percent = share(&store.identical_percent);
            measures.identical.time_weighted_percent = percent;
            let least = case.identical.time_weighted_percent;
            case.identical.time_weighted_percent =
                percent.map(|percent| least.map_or(percent, |least| least.min(percent))).or(least);
            case.stores.insert(name.clone(), measures);
        }
        for store in self.sample.stores.values() {
            let (all, counts) = (&mut case.dispatches, &store.dispatches);
            all.ok += counts.ok;
            all.refused += counts.refused;
            all.rejected += counts.rejected;
            all.unknown += counts.unknown;
            all.intended += counts.ok + counts.refused + counts.rejected + counts.unknown;
        }
        let processes = self.course.processes.iter();
        let process = |(name, pid): &(String, u32)| Process {
            name: name.clone(),
            pid: Some(*pid),
            ..Process::default()
        };
        case.processes = processes.map(process).collect();
        case.faults.planned = self.start.faults_planned;
        case.faults.list = self.faults.values().cloned().collect();
        let injected = case.faults.list.iter().filter(|one| one.injected_at_seconds.is_some());
        case.faults.injected = injected.count() as u64;
        case
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::{LIVE, LiveProcess, LiveStore};
    use super::*;

    fn line(at_seconds: f64, event: Event) -> Line {
        let at_seconds = Some(at_seconds);
        Line {
            version: LIVE,
            scenario: "tasks".to_owned(),
            case: 1,
            repeat: Some(1),
            at_seconds,
            event,
        }
    }

    fn sample(percent: f64, behind: u64) -> Event {
        let store = LiveStore {
            identical_percent: Some(percent),
            versions_behind_max: Some(behind),
            ..LiveStore::default()
        };
        let process = LiveProcess { name: "a.master".into(), pid: 7, ..LiveProcess::default() };
        Event::Sample(Sample {
            seconds: 0.5,
            stores: BTreeMap::from([("tasks".to_owned(), store)]),
            processes: vec![process],
            ..Sample::default()
        })
    }

    #[test]
    fn a_course_stays_bounded_and_keeps_means_and_peaks() {
        let mut board = Board::default();
        let start = CaseStart { sample_seconds: 0.5, ..CaseStart::default() };
        board.take(&line(0.0, Event::Start(start)));
        for at in 0..10_000_u64 {
            let peak = if at == 5_000 { 99 } else { at % 2 };
            board
                .take(&line(at as f64 / 2.0, sample(if at % 2 == 0 { 100.0 } else { 50.0 }, peak)));
        }
        let case = board.case();
        let series = case.series.as_ref().expect("there are samples");
        assert!(series.is_known() && (240..=480).contains(&series.buckets), "{}", series.buckets);
        let covered = series.bucket_seconds * series.buckets as f64;
        assert!((5_000.0..5_000.0 + series.bucket_seconds).contains(&covered), "{covered}");
        let tasks = &series.stores["tasks"];
        assert_eq!(tasks.identical_percent.as_ref().map(|points| points[0]), Some(Some(75.0)));
        let most = tasks.versions_behind_max.iter().flatten().flatten().copied();
        assert_eq!(most.fold(0.0, f64::max), 99.0);
        assert_eq!(case.identical.time_weighted_percent, Some(75.0));
        assert_eq!(series.processes.len(), 1);
    }

    #[test]
    fn a_new_case_begins_with_nothing_and_remembers_the_verdicts() {
        let mut board = Board::default();
        board.take(&line(0.0, Event::Start(CaseStart::default())));
        board.take(&line(0.5, sample(100.0, 0)));
        let news = FaultNews { fault: 2, state: FaultState::Injected, ..FaultNews::default() };
        board.take(&line(0.7, Event::Fault(news.clone())));
        let news = FaultNews { state: FaultState::Ended, ..news };
        board.take(&line(0.9, Event::Fault(news)));
        let fault = board.case().faults.list.remove(0);
        assert_eq!((fault.injected_at_seconds, fault.ended_at_seconds), (Some(0.7), Some(0.9)));
        let verdict = super::super::line::CaseVerdict { verdict: Verdict::Pass, ..<_>::default() };
        board.take(&line(1.0, Event::Verdict(verdict)));
        board.take(&Line { case: 2, ..line(0.0, Event::Start(CaseStart::default())) });
        assert_eq!(board.judged.len(), 1);
        assert_eq!((board.case().series, board.case().faults.list.len()), (None, 0));
    }
}
