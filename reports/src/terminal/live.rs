//! A run that goes on, as sparklines on the terminal, or as a line for each second.

use std::collections::{BTreeMap, VecDeque};

use super::style::{Style, Tone};
use crate::live::{CaseStart, Event, Line, LiveProcess, LiveStore, Sample};
use crate::{printable_line, units};

/// The most samples that are kept: as many as a wide terminal has columns.
const SAMPLES_MAX: usize = 400;

/// The most stores that are drawn, and the most processes.
const STORES_MAX: usize = 4;
const PROCESSES_MAX: usize = 3;

/// The columns of a name, of a measure, of a value, and of the narrowest sparkline.
const NAME_MAX: usize = 18;
const MEASURE: usize = 9;
const VALUE: usize = 12;
const SPARKS_MIN: usize = 6;
const SPARKS_MAX: usize = 120;

const SPARKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The newest state of a run, for the terminal.
#[derive(Clone, Debug, Default)]
pub struct LiveView {
    scenario: String,
    case: usize,
    start: CaseStart,
    phase: String,
    at_seconds: Option<f64>,
    samples: VecDeque<Sample>,
}

impl LiveView {
    /// Takes the next line.
    pub fn take(&mut self, line: &Line) {
        match &line.event {
            Event::Start(start) => {
                let (scenario, case) = (line.scenario.clone(), line.case);
                *self = Self { scenario, case, start: start.clone(), ..Self::default() };
            }
            Event::Phase(phase) => self.phase.clone_from(&phase.name),
            Event::Sample(sample) => {
                self.at_seconds = line.at_seconds;
                if self.samples.len() == SAMPLES_MAX {
                    self.samples.pop_front();
                }
                self.samples.push_back(sample.clone());
            }
            _ => {}
        }
    }

    /// Draws the state: each line is narrower than the terminal.
    pub fn draw(&self, style: &Style) -> String {
        let width = style.width.saturating_sub(1).max(1);
        let cut = |text: &str| text.chars().take(width).collect::<String>();
        let mut lines = vec![style.paint(&cut(&self.title()), Tone::Strong)];
        let Some(last) = self.samples.back() else { return lines.remove(0) };
        let names = last
            .stores
            .keys()
            .take(STORES_MAX)
            .chain(top(last).into_iter().map(|process| &process.name));
        let longest = names.map(|name| name.chars().count()).max().unwrap_or(0).max(3);
        let name_width = longest.min(NAME_MAX);
        let used = name_width + MEASURE + VALUE + 3;
        let sparks = width.saturating_sub(used).clamp(SPARKS_MIN, SPARKS_MAX);
        let mut row = |name: &str,
                       measure: &str,
                       points: Vec<Option<f64>>,
                       most: Option<f64>,
                       value: &str,
                       tone| {
            let name: String = printable_line(name).chars().take(name_width).collect();
            let drawn = sparkline(&points, sparks, most);
            let before = format!("{name:name_width$} {measure:MEASURE$} ");
            let line = cut(&format!("{before}{drawn} {value:>VALUE$}"));
            // The value alone is coloured, where the line has room for it.
            let start = before.chars().count() + sparks + 1;
            let plain: String = line.chars().take(start).collect();
            let value: String = line.chars().skip(start).collect();
            lines.push(plain + &style.paint(&value, tone));
        };
        for name in last.stores.keys().take(STORES_MAX) {
            let of = |read: fn(&LiveStore) -> Option<f64>| -> Vec<Option<f64>> {
                self.samples.iter().map(|one| read(one.stores.get(name)?)).collect()
            };
            let store = &last.stores[name];
            let (identical, tone) = (store.identical_percent, identity_tone(store));
            let shown = identical.map_or_else(|| "–".to_owned(), units::percent);
            row(name, "identity", of(|one| one.identical_percent), Some(100.0), &shown, tone);
            let rates = of(|one| one.achieved_per_s);
            // A store that mirrors alone dispatch into has no rate of its own.
            if rates.iter().flatten().any(|rate| *rate > 0.0) || store.issued_per_s > Some(0.0) {
                let shown = per_second(store.achieved_per_s);
                row("", "rate", rates, None, &shown, Tone::Plain);
            }
            let behind = store.versions_behind_max.unwrap_or(0);
            let tone = if behind > 0 { Tone::Plain } else { Tone::Dim };
            let points = of(|one| one.versions_behind_max.map(|versions| versions as f64));
            row("", "lag", points, None, &format!("{} behind", units::count(behind as f64)), tone);
        }
        let total = |one: &Sample| one.processes.iter().filter_map(|one| one.cpu_percent).sum();
        let all: Vec<_> = self.samples.iter().map(|one| Some(total(one))).collect();
        row("all", "CPU", all, None, &units::percent(total(last)), Tone::Plain);
        for process in top(last) {
            let of = |one: &Sample| {
                let same = |other: &&LiveProcess| other.name == process.name;
                one.processes.iter().find(same)?.cpu_percent
            };
            let points = self.samples.iter().map(of).collect();
            let shown = process.cpu_percent.map_or_else(|| "–".to_owned(), units::percent);
            row(&process.name, "CPU", points, None, &shown, Tone::Dim);
        }
        let more = last.stores.len().saturating_sub(STORES_MAX);
        if more > 0 {
            lines.push(style.paint(&cut(&format!("and {more} more stores")), Tone::Dim));
        }
        lines.push(style.paint(&cut(&standing(last, self.start.faults_planned)), Tone::Dim));
        lines.join("\n")
    }

    /// The newest sample in a line.
    pub fn in_a_line(&self) -> Option<String> {
        let last = self.samples.back()?;
        let mut parts = vec![self.title()];
        for (name, store) in last.stores.iter().take(STORES_MAX) {
            parts.push(format!(
                "{name}: {} identical, {}, {} behind",
                store.identical_percent.map_or_else(|| "–".to_owned(), units::percent),
                per_second(store.achieved_per_s),
                units::count(store.versions_behind_max.unwrap_or(0) as f64),
            ));
        }
        let cpu: f64 = last.processes.iter().filter_map(|one| one.cpu_percent).sum();
        parts.push(format!("CPU {}", units::percent(cpu)));
        parts.push(standing(last, self.start.faults_planned));
        Some(printable_line(&parts.join("; ")).into_owned())
    }

    fn title(&self) -> String {
        let mut title = self.scenario.clone();
        if self.start.cases > 1 {
            title += &format!(" {}/{}", self.case, self.start.cases);
        }
        if self.start.repeats > 1 {
            title += &format!(", repeat {}/{}", self.start.repeat, self.start.repeats);
        }
        title += &format!("  {}", self.phase);
        if let Some(at) = self.at_seconds {
            title += &format!("  {at:.1}/{} s", units::exactly(self.start.planned_seconds));
        }
        title
    }
}

fn per_second(rate: Option<f64>) -> String {
    rate.map_or_else(|| "–".to_owned(), |rate| format!("{}/s", units::count(rate)))
}

fn standing(last: &Sample, planned: u64) -> String {
    let mut text = format!("{}/{} in sync", last.replicas_in_sync, last.replicas);
    if planned > 0 {
        text += &format!(", faults {}/{planned}", last.faults_injected);
        if last.faults_active > 0 {
            text += &format!(", {} now", last.faults_active);
        }
    }
    text
}

fn identity_tone(store: &LiveStore) -> Tone {
    match store.identical_percent {
        Some(percent) if percent < 50.0 => Tone::Bad,
        Some(percent) if percent < 90.0 => Tone::Careful,
        Some(_) => Tone::Good,
        None => Tone::Dim,
    }
}

/// The processes with the most CPU now.
fn top(sample: &Sample) -> Vec<&LiveProcess> {
    let newest: BTreeMap<&str, &LiveProcess> =
        sample.processes.iter().map(|process| (process.name.as_str(), process)).collect();
    let mut all: Vec<_> = newest.into_values().collect();
    let cpu = |process: &LiveProcess| process.cpu_percent.unwrap_or(0.0);
    all.sort_by(|a, b| cpu(b).total_cmp(&cpu(a)));
    all.truncate(PROCESSES_MAX);
    // A fixed order: rows that change places cannot be read.
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// The newest points as `width` characters, from zero to `most`, or to the largest of them.
fn sparkline(points: &[Option<f64>], width: usize, most: Option<f64>) -> String {
    let shown = &points[points.len().saturating_sub(width)..];
    let largest = shown.iter().flatten().copied().fold(0.0, f64::max);
    let most = most.unwrap_or(largest);
    let spark = |point: &Option<f64>| {
        let Some(value) = point else { return ' ' };
        let share = if most > 0.0 { (value / most).clamp(0.0, 1.0) } else { 0.0 };
        SPARKS[((share * SPARKS.len() as f64) as usize).min(SPARKS.len() - 1)]
    };
    let drawn: String = shown.iter().map(spark).collect();
    format!("{drawn:width$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::LIVE;

    fn view() -> LiveView {
        let mut view = LiveView::default();
        let start = CaseStart { planned_seconds: 30.0, faults_planned: 4, ..CaseStart::default() };
        let line = |at_seconds, event| {
            let scenario = "disconnect".to_owned();
            Line { version: LIVE, scenario, case: 1, repeat: Some(1), at_seconds, event }
        };
        view.take(&line(None, Event::Start(start)));
        let phase = crate::live::PhaseBegin { name: "storm".into(), of_scenario: true };
        view.take(&line(Some(0.0), Event::Phase(phase)));
        for (at, percent) in [100.0, 0.0, 50.0, 99.5].into_iter().enumerate() {
            let store = LiveStore {
                identical_percent: Some(percent),
                versions_behind_max: Some(12 * (at as u64 % 2)),
                achieved_per_s: Some(200.0),
                ..LiveStore::default()
            };
            let process = LiveProcess {
                name: "one.master".into(),
                cpu_percent: Some(12.5),
                ..LiveProcess::default()
            };
            let sample = Sample {
                replicas_in_sync: 7,
                replicas: 8,
                faults_injected: 2,
                faults_active: 1,
                stores: BTreeMap::from([("tasks".to_owned(), store)]),
                processes: vec![process],
                ..Sample::default()
            };
            view.take(&line(Some(0.5 * (at + 1) as f64), Event::Sample(sample)));
        }
        view
    }

    #[test]
    fn a_run_is_drawn_as_sparklines() {
        let drawn = view().draw(&Style { colour: false, width: 60 });
        insta::assert_snapshot!(drawn);
    }

    #[test]
    fn a_line_is_never_wider_than_the_terminal() {
        for width in [1, 10, 25, 40, 79, 80, 200, 1_000] {
            let drawn = view().draw(&Style { colour: false, width });
            let widest = drawn.lines().map(|line| line.chars().count()).max();
            assert!(widest < Some(width.max(2)), "{width}: {widest:?}\n{drawn}");
        }
        let coloured = view().draw(&Style { colour: true, width: 80 });
        assert!(coloured.contains("\u{1b}["));
        assert!(!view().draw(&Style { colour: false, width: 80 }).contains('\u{1b}'));
    }

    #[test]
    fn without_a_terminal_a_sample_is_a_line() {
        let line = view().in_a_line().expect("there are samples");
        assert_eq!(
            line,
            "disconnect  storm  2.0/30 s; tasks: 99.5 % identical, 200/s, 12 behind; CPU 12.5 %; \
             7/8 in sync, faults 2/4, 1 now"
        );
        assert_eq!(LiveView::default().in_a_line(), None);
    }
}
