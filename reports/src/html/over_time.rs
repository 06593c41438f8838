//! The charts of a case over time, one under the other over the same axis.

use maud::{Markup, html};
use serde_json::Value;

use super::chart::{Axis, Band, BandKind, Chart, Line, Shape};
use super::scale::{Scale, Unit};
use crate::record::{Case, Points, ProcessSeries, QuantileSeries, Series, StoreSeries};
use crate::units;

/// The most processes that are plotted: those with the most CPU.
const PROCESSES_MAX: usize = 16;

/// The most stores that are plotted.
const STORES_MAX: usize = 12;

/// Latencies are dots if fewer than one bucket in so many has any.
const SPARSE: usize = 2;

/// A point of a rate stands for so many dispatches at least, unless that leaves too few points.
const EVENTS_PER_POINT: f64 = 12.0;

/// The least number of points of a rate.
const RATE_POINTS_MIN: usize = 40;

/// The charts of a case, and the data of them for the script.
pub(super) struct OverTime {
    pub(super) markup: Markup,
    pub(super) data: Vec<Value>,
}

/// Draws the charts of a case; `None` if the record has no series, or none that can be read.
/// `id` begins the ids of all figures.
pub(super) fn charts(case: &Case, id: &str) -> Option<OverTime> {
    let series = case.series.as_ref().filter(|series| series.is_known())?;
    let drawn = Drawn { case, series, id, bands: bands(case, series) };
    let of_stores = drawn.stores();
    let of_processes = drawn.processes();
    let data = of_stores.iter().chain(&of_processes).map(Chart::data).collect();
    let left_out = series.stores.len().saturating_sub(STORES_MAX);
    let markup = html! {
        (drawn.course())
        @for chart in &of_stores { (chart.markup()) }
        @if left_out > 0 {
            p.note { (left_out) " more stores are in the record and are not drawn." }
        }
        @if !of_processes.is_empty() {
            h3 { "Cost of each process" }
            @if series.processes.len() > PROCESSES_MAX {
                p.note {
                    "The " (PROCESSES_MAX) " processes with the most CPU of "
                    (series.processes.len()) "."
                }
            }
            div.side-by-side {
                @for chart in &of_processes { (chart.markup()) }
            }
        }
    };
    Some(OverTime { markup, data })
}

/// Hands the charts of a case over, without the strip of phases; none if it has no series.
pub(super) fn with_charts<R>(case: &Case, id: &str, draw: impl FnOnce(&[Chart<'_>]) -> R) -> R {
    let Some(series) = case.series.as_ref().filter(|series| series.is_known()) else {
        return draw(&[]);
    };
    let drawn = Drawn { case, series, id, bands: bands(case, series) };
    let mut charts = drawn.stores();
    charts.extend(drawn.processes());
    draw(&charts)
}

struct Drawn<'a> {
    case: &'a Case,
    series: &'a Series,
    id: &'a str,
    bands: Vec<Band>,
}

/// Phases and faults, as stretches of the axis.
fn bands(case: &Case, series: &Series) -> Vec<Band> {
    let several = case.phases.len() > 1;
    let phases = case.phases.iter().enumerate().filter(|(at, _)| several && at % 2 == 1);
    let phases = phases.map(|(_, phase)| Band {
        from: phase.begin_seconds,
        to: phase.end_seconds,
        title: format!("phase {}", phase.name),
        kind: BandKind::Phase,
    });
    let faults = case.faults.list.iter().filter_map(|fault| {
        let from = fault.injected_at_seconds?;
        let to = fault.ended_at_seconds.unwrap_or(series.end_seconds());
        let span = match fault.ended_at_seconds {
            Some(_) => format!("{:.3} s to {to:.3} s", from),
            None => format!("{from:.3} s, and it did not end"),
        };
        let title = format!("{} at {}: {span}", fault.kind, fault.at);
        Some(Band { from, to, title, kind: BandKind::Fault })
    });
    phases.chain(faults).collect()
}

impl Drawn<'_> {
    fn x(&self) -> Axis {
        let scale = Scale::between(0.0, self.series.end_seconds());
        let seconds = self.series.end_seconds();
        let mut axis = Axis::new(scale, Unit::Seconds, "time since the load began, in seconds");
        if seconds >= 300.0 {
            axis.title = "time since the load began, in minutes".to_owned();
            let minutes = Scale::between(0.0, seconds / 60.0).ticks(8);
            let ticks = minutes.into_iter().map(|at| (at * 60.0, format!("{at} min")));
            axis.ticks = ticks.collect();
        } else {
            let ticks = scale.ticks(8).into_iter();
            axis.ticks = ticks.map(|at| (at, format!("{} s", units::exactly(at)))).collect();
        }
        axis
    }

    /// The phases as a strip, and what the bands mean.
    fn course(&self) -> Markup {
        let end = self.series.end_seconds().max(f64::MIN_POSITIVE);
        let faults = self.bands.iter().filter(|band| band.kind == BandKind::Fault).count();
        let share = |at: f64| (100.0 * at / end).clamp(0.0, 100.0);
        let last = self.case.phases.last().map_or(end, |phase| phase.end_seconds);
        html! {
            @if !self.case.phases.is_empty() {
                div.phases aria-hidden="true" {
                    @for phase in &self.case.phases {
                        @let (from, to) = (share(phase.begin_seconds), share(phase.end_seconds));
                        @if to > from {
                            span style=(format!("left:{from:.2}%;width:{:.2}%", to - from)) {
                                (phase.name)
                            }
                        }
                    }
                    @if share(last) < 99.0 {
                        span.settling style=(format!(
                            "left:{:.2}%;width:{:.2}%", share(last), 100.0 - share(last)
                        )) { "settling" }
                    }
                }
            }
            @if faults > 0 {
                p.note { span.swatch.fault aria-hidden="true" {} " "
                    (faults) @if faults == 1 { " fault" } @else { " faults" }
                    ", each from its injection to its end. "
                }
            }
        }
    }

    fn chart(
        &self,
        name: &str,
        title: String,
        about: &str,
        y: Axis,
        lines: Vec<Line>,
    ) -> Chart<'_> {
        Chart {
            id: format!("{}-{name}", self.id),
            figure: name.trim_end_matches(|c: char| c == '-' || c.is_ascii_digit()).to_owned(),
            title,
            about: about.to_owned(),
            x: self.x(),
            y,
            lines,
            bands: &self.bands,
            low: false,
        }
    }

    fn points(&self, points: &Points) -> Vec<(f64, Option<f64>)> {
        let Series { begin_seconds, bucket_seconds, .. } = self.series;
        let at = |bucket: usize| (begin_seconds + bucket as f64 * bucket_seconds).max(0.0);
        points.iter().enumerate().map(|(bucket, point)| (at(bucket), *point)).collect()
    }

    /// Points of which each is the mean of some: so many that each stands for enough events.
    fn means(&self, points: &Points, per_point: usize) -> Vec<(f64, Option<f64>)> {
        let points = self.points(points);
        let mean = |chunk: &[(f64, Option<f64>)]| {
            let known: Vec<f64> = chunk.iter().filter_map(|point| point.1).collect();
            let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
            (chunk[0].0, (!known.is_empty()).then(|| (mean * 100.0).round() / 100.0))
        };
        points.chunks(per_point.max(1)).map(mean).collect()
    }

    fn stores(&self) -> Vec<Chart<'_>> {
        let mut charts = Vec::new();
        let stores = || self.series.stores.iter().take(STORES_MAX).enumerate();
        let of_one = self.series.stores.len() == 1;
        let named = |what: &str, store: &str| {
            if of_one { what.to_owned() } else { format!("{what}: {store}") }
        };
        for (at, (name, store)) in stores() {
            charts.extend(self.identity(at, named("Identity", name), name, store));
        }
        charts.extend(self.behind());
        for (at, (name, store)) in stores() {
            charts.extend(self.latency(at, named("Latency", name), store));
        }
        for (at, (name, store)) in stores() {
            charts.extend(self.rate(at, named("Rate", name), store));
        }
        charts
    }

    fn identity(
        &self,
        at: usize,
        title: String,
        name: &str,
        store: &StoreSeries,
    ) -> Option<Chart<'_>> {
        let points = store.identical_percent.as_ref()?;
        let measures = self.case.stores.get(name);
        let share = measures.and_then(|store| store.identical.time_weighted_percent);
        let least = points.iter().flatten().copied().min_by(f64::total_cmp)?;
        let mut note = format!("lowest {}", units::percent(least));
        if let Some(share) = share {
            note = format!("{} of the load's time, {note}", units::percent(share));
        }
        let line = Line {
            name: "all replicas at one version".to_owned(),
            colour: at,
            shape: Shape::Filled,
            points: self.points(points),
            note,
        };
        let y = Axis::new(Scale::between(0.0, 100.0), Unit::Percent, "share of time, in percent");
        let about = "The share of each moment in which all replicas were at the same version.";
        let chart = self.chart(&format!("identity-{at}"), title, about, y, vec![line]);
        Some(Chart { low: self.series.stores.len() > 1, ..chart })
    }

    fn behind(&self) -> Option<Chart<'_>> {
        let mut lines = Vec::new();
        for (at, (name, store)) in self.series.stores.iter().take(STORES_MAX).enumerate() {
            let Some(points) = &store.versions_behind_max else { continue };
            let most = points.iter().flatten().copied().fold(0.0, f64::max);
            lines.push(Line {
                name: name.clone(),
                colour: at,
                shape: Shape::Line,
                points: self.points(points),
                note: format!("at most {}", units::count(most)),
            });
        }
        let scale = Scale::from_zero(most_of(&lines).max(4.0));
        let y = Axis::new(scale, Unit::Count, "versions behind");
        let about = "By how many versions the slowest replica was behind the sequencer, at most.";
        let chart = self.chart("behind", "Versions behind".to_owned(), about, y, lines);
        (!chart.lines.is_empty()).then_some(chart)
    }

    fn latency(&self, at: usize, title: String, store: &StoreSeries) -> Option<Chart<'_>> {
        let mut lines = Vec::new();
        let QuantileSeries { p50, p99, max } = &store.replica_us;
        // p50 and p99 differ in colour; a maximum is a thin line of p99's.
        let shown = [
            ("at replicas p50", p50, 0, Shape::Line),
            ("at replicas p99", p99, 1, Shape::Line),
            ("at replicas max", max, 1, Shape::Thin),
            ("answered p50", &store.local_us.p50, 2, Shape::Line),
            ("answered p99", &store.local_us.p99, 3, Shape::Line),
        ];
        for (name, points, colour, shape) in shown {
            let Some(points) = points else { continue };
            let known = points.iter().flatten().count();
            let sparse = known * SPARSE < points.len();
            if sparse && shape == Shape::Thin {
                continue; // the maximum of one or two dispatches is their p99
            }
            let shape = if sparse { Shape::Dots } else { shape };
            let points = self.points(points);
            lines.push(Line { name: name.to_owned(), colour, shape, points, note: String::new() });
        }
        let values = || lines.iter().flat_map(|line| &line.points).filter_map(|point| point.1);
        let least = values().filter(|value| *value > 0.0).min_by(f64::total_cmp)?;
        let scale = Scale::decades(least, most_of(&lines));
        let y = Axis::new(scale, Unit::Microseconds, "latency, logarithmic scale");
        let about = "The time from the intended dispatch until its answer, and until each other \
                     replica had applied it, by the time of the dispatch.";
        Some(self.chart(&format!("latency-{at}"), title, about, y, lines))
    }

    fn rate(&self, at: usize, title: String, store: &StoreSeries) -> Option<Chart<'_>> {
        let issued = store.issued_per_s.as_ref()?;
        let total: f64 = issued.iter().flatten().sum::<f64>() * self.series.bucket_seconds;
        let intended = store.intended_per_s.iter().flatten().flatten();
        // A store that mirrors alone dispatch into has no load.
        if total == 0.0 && intended.sum::<f64>() == 0.0 {
            return None;
        }
        let wanted = (total / EVENTS_PER_POINT).max(RATE_POINTS_MIN as f64);
        let per_point = (issued.len() as f64 / wanted).ceil() as usize;
        let given = [
            ("applied by every replica", &store.achieved_per_s, 0, Shape::Filled),
            ("made", &store.issued_per_s, 1, Shape::Line),
            ("intended", &store.intended_per_s, 3, Shape::Thin),
        ];
        let mut lines = Vec::new();
        for (name, points, colour, shape) in given {
            let Some(points) = points else { continue };
            let points = self.means(points, per_point);
            lines.push(Line { name: name.to_owned(), colour, shape, points, note: String::new() });
        }
        let scale = Scale::from_zero(most_of(&lines));
        let y = Axis::new(scale, Unit::PerSecond, "dispatches a second");
        let about = "The load that the scenario asks for, that the generator made, and that every \
                     replica had applied.";
        Some(self.chart(&format!("rate-{at}"), title, about, y, lines))
    }

    fn processes(&self) -> Vec<Chart<'_>> {
        let sum = |process: &ProcessSeries| -> f64 {
            process.cpu_percent.iter().flatten().flatten().sum()
        };
        let mut shown: Vec<usize> = (0..self.series.processes.len()).collect();
        if shown.len() > PROCESSES_MAX {
            let cost = |at: &usize| sum(&self.series.processes[*at]);
            shown.sort_by(|a, b| cost(b).total_cmp(&cost(a)));
            shown.truncate(PROCESSES_MAX);
            shown.sort_unstable();
        }
        type Read = fn(&ProcessSeries) -> &Option<Points>;
        let kinds: [(&str, &str, Unit, &str, &str, Read); 5] = [
            (
                "cpu",
                "CPU",
                Unit::Percent,
                "CPU, in percent of one core",
                "User and system time of each process.",
                |p| &p.cpu_percent,
            ),
            (
                "memory",
                "Memory",
                Unit::Bytes,
                "resident memory, in bytes",
                "Memory of each process that is resident.",
                |p| &p.rss_bytes,
            ),
            (
                "sent",
                "Bytes sent",
                Unit::BytesPerSecond,
                "bytes a second",
                "Bytes that each process sent on its links.",
                |p| &p.sent_bytes_per_s,
            ),
            (
                "received",
                "Bytes received",
                Unit::BytesPerSecond,
                "bytes a second",
                "Bytes that each process received on its links.",
                |p| &p.received_bytes_per_s,
            ),
            (
                "syscalls",
                "System calls",
                Unit::PerSecond,
                "system calls a second",
                "System calls that each process made to send and receive.",
                |p| &p.syscalls_per_s,
            ),
        ];
        let mut charts = Vec::new();
        for (name, title, unit, axis, about, read) in kinds {
            let mut lines = Vec::new();
            for (colour, at) in shown.iter().enumerate() {
                let process = &self.series.processes[*at];
                let Some(points) = read(process) else { continue };
                // Links are read ten times a second, CPU twice: finer points say nothing.
                let per_point = (0.5 / self.series.bucket_seconds).round().clamp(1.0, 8.0) as usize;
                let points = self.means(points, per_point);
                let most = points.iter().filter_map(|point| point.1).fold(0.0, f64::max);
                let name = process.name.clone();
                let note = format!("at most {}", unit.show(most));
                lines.push(Line { name, colour, shape: Shape::Line, points, note });
            }
            if !lines.is_empty() {
                let y = Axis::new(Scale::from_zero(most_of(&lines)), unit, axis);
                charts.push(self.chart(name, title.to_owned(), about, y, lines));
            }
        }
        charts
    }
}

fn most_of(lines: &[Line]) -> f64 {
    let values = lines.iter().flat_map(|line| &line.points).filter_map(|point| point.1);
    values.fold(0.0, f64::max)
}
