//! The page: for each record the verdict first, then what happened, then all figures.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;

use super::{commands, latency, matrix, over_time, tables, topology};
use crate::overview;
use crate::record::{Case, Kind, Metric, Record, Verdict};
use crate::terminal::{Tone, sentences};
use crate::units;

/// The rules of the page; those of drawings are in `drawing.css`.
const STYLE: &str = concat!(include_str!("drawing.css"), include_str!("style.css"));
const SCRIPT: &str = include_str!("script.js");

/// Nothing from elsewhere, whatever a record may contain.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                      img-src data:";

/// The measures of the first screen: what a person calls each, and its name.
const HEADLINES: &[(&str, &str)] = &[
    ("at one version", "identical.time_weighted_percent"),
    ("sampled identical", "identical.sampled_percent"),
    ("equal again within", "identical.converged_within_ms"),
    ("dispatches", "dispatches.intended"),
    ("lost", "dispatches.lost"),
    ("at replicas, p99", "latency_us.replica.p99"),
    ("CPU per action", "cost.cpu_us_per_action"),
    ("sent per action", "cost.wire_bytes_per_action"),
    ("faults injected", "faults.injected"),
];

/// Renders one page of these records.
///
/// ```
/// use samestate_report::{Case, Kind, Record, html};
///
/// let record = Record::new("one-cluster", 42, Kind::Processes, vec![Case::default()]);
/// let page = html::page(&[record]);
/// assert!(page.starts_with("<!DOCTYPE html>"));
/// assert!(page.contains("one-cluster"));
/// ```
pub fn page(records: &[Record]) -> String {
    let content = content(records);
    document(&content, POLICY, &html! {})
}

/// The content of a page.
pub(super) struct Content {
    pub(super) title: String,
    pub(super) body: Markup,
    /// The charts, for the script.
    pub(super) charts: Vec<Value>,
}

/// Renders what a page of records has to show.
pub(super) fn content(records: &[Record]) -> Content {
    let mut data = Vec::new();
    let sections: Vec<Markup> = records
        .iter()
        .enumerate()
        .map(|(at, record)| {
            let (markup, charts) = section(record, &format!("r{at}"));
            data.extend(charts);
            markup
        })
        .collect();
    let title = match records {
        [only] => format!("{}: {}", only.scenario, only.verdict),
        _ => format!("{} runs", records.len()),
    };
    let body = html! {
        @if records.len() > 1 { (contents(records)) }
        @for section in &sections { (section) }
    };
    Content { title, body, charts: data }
}

/// Renders a whole page, with more at the end of its body.
pub(super) fn document(content: &Content, policy: &str, more: &Markup) -> String {
    let Content { title, body, charts } = content;
    // `<` would end the script early in the middle of a name.
    let data = Value::Array(charts.clone()).to_string().replace('<', "\\u003c");
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="color-scheme" content="light dark";
                meta name="generator" content="samestate";
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (body)
                div #tip hidden {}
                script #data type="application/json" { (PreEscaped(data)) }
                script { (PreEscaped(SCRIPT)) }
                (more)
            }
        }
    };
    page.into_string()
}

/// Links to the records of a page that has several.
fn contents(records: &[Record]) -> Markup {
    html! {
        nav.contents aria-label="Runs" {
            ol {
                @for (at, record) in records.iter().enumerate() {
                    li {
                        (badge(record.verdict)) " "
                        a href=(format!("#r{at}")) { (record.scenario) }
                    }
                }
            }
        }
    }
}

fn section(record: &Record, id: &str) -> (Markup, Vec<Value>) {
    let mut data = Vec::new();
    let body = match (&record.seeds, &*record.cases) {
        (Some(seeds), _) => self::seeds(record, seeds),
        (None, []) => html! { p { "No case was run." } },
        (None, [only]) => self::case(record, only, id, &mut data),
        (None, cases) => {
            let (markup, charts) = matrix::matrix(record, id);
            data.extend(charts);
            let axes = overview::axes(cases);
            html! {
                section { h2 { (cases.len()) " cases" } (markup) }
                section {
                    h2 { "Each case" }
                    @for (at, case) in cases.iter().enumerate() {
                        details.case #(format!("{id}-case-{at}")) {
                            summary {
                                (badge(case.verdict)) " "
                                b { (matrix::short(case, &axes)) }
                            }
                            (reasons(case))
                            (self::case(record, case, &format!("{id}-c{at}"), &mut data))
                        }
                    }
                }
            }
        }
    };
    let markup = html! {
        main #(id) {
            (head(record))
            (body)
            section {
                h2 { "Commands" }
                (commands::commands(record))
            }
            (foot(record))
        }
    };
    (markup, data)
}

pub(super) fn badge(verdict: Verdict) -> Markup {
    let word = verdict.to_string();
    html! { span.badge.(word) { (word) } }
}

/// The first screen: the verdict, its reason, and the figures that matter most.
fn head(record: &Record) -> Markup {
    let took = match (record.kind, record.virtual_seconds) {
        (Kind::Virtual, Some(seconds)) => format!(
            "{} of virtual time, simulated in {}",
            units::duration(seconds),
            units::duration(record.wall_seconds)
        ),
        _ => format!("{} on real processes", units::duration(record.wall_seconds)),
    };
    html! {
        header {
            h1 { (badge(record.verdict)) " " (record.scenario) }
            @if !record.about.is_empty() { p.about { (record.about) } }
            @match &*record.cases {
                [only] => { (reasons(only)) }
                cases => {
                    (reasons_of_all(cases))
                    @if let Some(winner) = matrix::headline(cases) { p { (winner) } }
                }
            }
            p.meta {
                (took) ", seed " (record.seed)
                @if let Some(started) = &record.started { ", started " time { (started) } }
            }
            @if let ([only], None) = (&*record.cases, &record.seeds) { (headlines(only)) }
            @if record.machine.debug_build {
                p.warning { "An unoptimised build: its costs and latencies say nothing." }
            }
        }
    }
}

pub(super) fn headlines(case: &Case) -> Markup {
    let tiles: Vec<_> = HEADLINES
        .iter()
        .filter_map(|(label, name)| {
            let metric = Metric::named(name)?;
            let value = metric.of_case(case);
            match *name {
                "faults.injected" if case.faults.planned == 0 => None,
                "faults.injected" => Some((
                    *label,
                    *name,
                    format!("{} of {}", case.faults.injected, case.faults.planned),
                )),
                _ => Some((*label, *name, metric.human(value?))),
            }
        })
        .collect();
    html! {
        @if !tiles.is_empty() {
            dl.tiles {
                @for (label, name, value) in tiles {
                    div {
                        dt { (label) }
                        dd data-metric=(name) { (value) }
                        @if let Some(interval) = interval(case, name) { dd.interval { (interval) } }
                    }
                }
            }
        }
    }
}

/// The 95 % interval of a measure, in words.
fn interval(case: &Case, name: &str) -> Option<String> {
    let metric = Metric::named(name)?;
    let interval = case.interval(metric)?;
    let (low, high) = (metric.human(interval.low), metric.human(interval.high));
    (low != high).then(|| format!("95 %: {low} to {high}"))
}

/// The reasons of a verdict, in sentences.
fn reasons(case: &Case) -> Markup {
    let failed: Vec<_> = case.failed_expectations().collect();
    let violated: Vec<_> = case.unwanted_violations().collect();
    let unmeasured: Vec<_> = case.unmeasured_expectations().collect();
    let (lead, class) = match case.verdict {
        Verdict::Pass => (passed(case), "pass"),
        Verdict::Fail => ("It failed because:".to_owned(), "fail"),
        Verdict::Inconclusive => (
            "It says nothing about the scenario, because the measurement cannot be trusted:"
                .to_owned(),
            "inconclusive",
        ),
        Verdict::Interrupted => (interrupted(case), "interrupted"),
    };
    let expectations = failed.iter().chain(&unmeasured).take(REASONS_MAX);
    let more = (failed.len() + unmeasured.len() + violated.len()).saturating_sub(2 * REASONS_MAX);
    html! {
        div.reason.(class) {
            p { (lead) }
            @if !(failed.is_empty() && violated.is_empty() && unmeasured.is_empty()
                && case.because.is_empty()) {
                ul {
                    @for why in &case.because { li { (why) } }
                    @for one in expectations { li { (one.in_a_line()) } }
                    @for one in violated.iter().take(REASONS_MAX) {
                        li {
                            b { (one.invariant) } " was violated at " (one.at) ": "
                            (one.detail_text())
                        }
                    }
                    @if more > 0 { li { "and more, in the tables below" } }
                }
            }
        }
    }
}

/// The time at which a case was stopped.
fn interrupted(case: &Case) -> String {
    let planned = case.phases.last().map(|phase| phase.end_seconds);
    let when = match (case.seconds, planned) {
        (Some(seconds), Some(planned)) => {
            format!("{} into a load of {}", units::seconds(seconds), units::duration(planned))
        }
        _ => "before its end".to_owned(),
    };
    format!("It was stopped {when}. What was measured until then is kept, and not judged.")
}

/// The most reasons of each kind on the first screen.
const REASONS_MAX: usize = 8;

/// The reasons why a case passed.
fn passed(case: &Case) -> String {
    let held = case.expectations.len();
    let demanded = case.violations.len();
    let mut reasons = vec![match held {
        0 => "it expects nothing in particular".to_owned(),
        1 => "its only expectation was met".to_owned(),
        _ => format!("all {held} expectations were met"),
    }];
    reasons.push(match demanded {
        0 => "no invariant was violated".to_owned(),
        _ => "only the violations were found that it demands".to_owned(),
    });
    if case.dispatches.lost == Some(0) && case.dispatches.duplicated == Some(0) {
        reasons.push(format!(
            "none of {} dispatches was lost or applied twice",
            units::count(case.dispatches.intended as f64)
        ));
    }
    if case.faults.planned > 0 {
        let faults = &case.faults;
        reasons.push(format!("{} of {} faults were injected", faults.injected, faults.planned));
    }
    let (last, first) = reasons.split_last().expect("there are always two");
    format!("It passed: {}, and {last}.", first.join(", "))
}

fn reasons_of_all(cases: &[Case]) -> Markup {
    let axes = overview::axes(cases);
    let bad: Vec<&Case> = cases.iter().filter(|case| case.verdict != Verdict::Pass).collect();
    html! {
        @if cases.is_empty() {
        } @else if bad.is_empty() {
            div.reason.pass { p { "All " (cases.len()) " cases passed." } }
        } @else {
            p { (cases.len() - bad.len()) " of " (cases.len()) " cases passed." }
            @for case in bad.iter().take(REASONS_MAX) {
                h3 { (badge(case.verdict)) " " (matrix::short(case, &axes)) }
                (reasons(case))
            }
        }
    }
}

/// All that is known of one case.
fn case(record: &Record, case: &Case, id: &str, data: &mut Vec<Value>) -> Markup {
    let over_time = over_time::charts(case, id).map(|charts| {
        data.extend(charts.data);
        charts.markup
    });
    let distribution = latency::chart(case, id);
    data.extend(distribution.iter().map(super::chart::Chart::data));
    if case.was_not_run() {
        return html! { p { "Nothing was measured." } };
    }
    html! {
        section {
            h2 { "What happened" }
            (happened(case))
            (tables::expectations(case))
            (tables::violations(case))
        }
        section {
            h2 { "Over time" }
            @match over_time {
                Some(charts) => { (charts) }
                None => p.note {
                    "The record has no series over time: it was made by another version of "
                    "samestate, or the load never began."
                }
            }
        }
        @if let Some(chart) = &distribution {
            section { h2 { "Latency" } (chart.markup()) }
        }
        @if !case.topologies.is_empty() {
            section {
                h2 { "Topology" }
                p.note {
                    "Each node gets its copy from the node to its left. The colour is the cluster."
                }
                (topology::drawings(&case.topologies, id))
            }
        }
        section {
            h2 { "Figures" }
            (tables::repeats(case))
            (tables::faults(case))
            (tables::stores(case))
            (tables::processes(case))
            (tables::measures(case))
        }
        @if let Some(line) = commands::of_case(record, case) {
            (commands::command("This case alone", &line))
        }
    }
}

/// The phases with their loads, and a sentence for each side of the result.
fn happened(case: &Case) -> Markup {
    let sentences: Vec<_> = sentences(case).collect();
    html! {
        @if case.phases.iter().any(|phase| !phase.loads.is_empty()) {
            ol.course {
                @for phase in &case.phases {
                    li {
                        b { (phase.name) } ", "
                        (units::exactly(phase.begin_seconds)) " s to "
                        (units::exactly(phase.end_seconds)) " s"
                        @if let Some(cpu) = phase.cpu_seconds { ", " (units::seconds(cpu)) " CPU" }
                        @if let Some(each) = phase.cpu_us_per_action {
                            " (" (units::microseconds(each)) " an action)"
                        }
                        @if phase.loads.is_empty() { ": rest" }
                        @else { ul { @for load in &phase.loads { li { (load) } } } }
                    }
                }
            }
        }
        @if !sentences.is_empty() {
            dl.sentences {
                @for sentence in sentences {
                    @let class = match sentence.tone {
                        Tone::Bad => Some("bad"),
                        Tone::Careful => Some("careful"),
                        _ => None,
                    };
                    div { dt { (sentence.about) } dd class=[class] { (sentence.says) } }
                }
            }
        }
    }
}

/// A search over seeds.
fn seeds(record: &Record, seeds: &crate::record::Seeds) -> Markup {
    use tables::Cell;
    let moments: Vec<_> = seeds
        .moments
        .iter()
        .map(|(moment, times)| {
            vec![Cell::words(moment), Cell::number(Some(*times as f64), units::count)]
        })
        .collect();
    let failures: Vec<_> = seeds
        .failures
        .iter()
        .map(|one| {
            let scenario = one.scenario.clone().unwrap_or_default();
            let seed = one.seed.to_string();
            vec![Cell::words(seed), Cell::words(&one.why), Cell::words(scenario)]
        })
        .collect();
    html! {
        section {
            h2 { "Seeds" }
            p {
                (seeds.simulated) " seeds of " (seeds.first) ".." (seeds.end) " were simulated, "
                (seeds.twice) " of them twice with the same histories. "
                (seeds.failures.len()) " failed, " (seeds.inconclusive) " came to no verdict. "
                "All histories as one number: " code { (seeds.history) }
            }
            @for case in &record.cases { (tables::violations(case)) }
            @if !failures.is_empty() {
                (tables::table("Seeds that failed", &["seed", "why", "scenario"], &failures))
            }
            @if !moments.is_empty() {
                (tables::table("What occurred", &["moment", "times"], &moments))
            }
        }
    }
}

/// The machine and the version.
fn foot(record: &Record) -> Markup {
    let machine = &record.machine;
    let cores = if machine.cores == 1 { "core" } else { "cores" };
    html! {
        footer {
            @if machine.cores > 0 {
                (machine.cores) " " (cores) ", " (machine.cpu) ", " (machine.os) ". "
            }
            "Made by samestate " (machine.samestate) ", record of schema " (record.schema) "."
        }
    }
}
