//! Figures in tables. The script sorts them by the numbers in `data-sort`.

use maud::{Markup, html};

use crate::record::{Case, Metric, Outcome};
use crate::units;

/// A cell: its text, and the number that it is sorted by.
pub(super) struct Cell {
    text: String,
    sort: Option<f64>,
    class: &'static str,
}

impl Cell {
    /// A cell of words.
    pub(super) fn words(text: impl Into<String>) -> Self {
        Self { text: text.into(), sort: None, class: "" }
    }

    /// A number, as it is shown and as it is.
    pub(super) fn number(value: Option<f64>, show: impl Fn(f64) -> String) -> Self {
        let text = value.map_or_else(|| "–".to_owned(), show);
        Self { text, sort: value, class: "number" }
    }

    /// The cell with a class.
    pub(super) fn classed(self, class: &'static str) -> Self {
        Self { class, ..self }
    }
}

/// A table with a caption. The first cell of each row is its heading.
pub(super) fn table(caption: &str, heads: &[&str], rows: &[Vec<Cell>]) -> Markup {
    let is_number =
        |at: usize| rows.iter().any(|row| row.get(at).is_some_and(|c| c.class == "number"));
    html! {
        div.scroll.table tabindex="0" role="region" aria-label=(caption) {
            table {
                caption { (caption) }
                thead { tr {
                    @for (at, head) in heads.iter().enumerate() {
                        th scope="col" class=[is_number(at).then_some("number")] { (head) }
                    }
                } }
                tbody {
                    @for row in rows { tr {
                        @for (at, cell) in row.iter().enumerate() {
                            @let class = Some(cell.class).filter(|class| !class.is_empty());
                            @if at == 0 {
                                th scope="row" data-sort=[cell.sort] class=[class] { (cell.text) }
                            } @else {
                                td data-sort=[cell.sort] class=[class] { (cell.text) }
                            }
                        }
                    } }
                }
            }
        }
    }
}

/// The scenario's expectations with what was measured.
pub(super) fn expectations(case: &Case) -> Markup {
    let rows: Vec<_> = case
        .expectations
        .iter()
        .map(|one| {
            let (word, class) = match one.outcome {
                Outcome::Held => ("✓ held", "good"),
                Outcome::Failed => ("✗ failed", "bad"),
                Outcome::NotMeasured if one.optional => ("not measured", ""),
                Outcome::NotMeasured => ("not measured", "careful"),
            };
            let line = one.line.map(|line| line.to_string()).unwrap_or_default();
            vec![
                Cell::words(&one.what),
                Cell::words(&one.expected),
                Cell::words(&one.measured),
                Cell::words(word).classed(class),
                Cell::words(line),
            ]
        })
        .collect();
    let heads = ["expectation", "expected", "measured", "outcome", "line"];
    html! { @if !rows.is_empty() { (table("What the scenario expects", &heads, &rows)) } }
}

/// The invariants that did not hold.
pub(super) fn violations(case: &Case) -> Markup {
    let rows: Vec<_> = case
        .violations
        .iter()
        .map(|one| {
            vec![
                Cell::words(&one.invariant),
                Cell::words(&one.at),
                Cell::number(one.after_seconds, |at| format!("{at:.3} s")),
                Cell::words(one.detail_text()).classed("long"),
                Cell::words(if one.demanded { "demanded" } else { "a bug" }),
            ]
        })
        .collect();
    let heads = ["invariant", "at", "after", "detail", ""];
    html! { @if !rows.is_empty() { (table("Invariants that were violated", &heads, &rows)) } }
}

/// Each fault with its time span.
pub(super) fn faults(case: &Case) -> Markup {
    let seconds = |at: f64| format!("{at:.3} s");
    let rows: Vec<_> = case
        .faults
        .list
        .iter()
        .enumerate()
        .map(|(at, one)| {
            let span = one.injected_at_seconds.zip(one.ended_at_seconds);
            vec![
                Cell::number(Some(at as f64 + 1.0), |at| at.to_string()),
                Cell::words(&one.kind),
                Cell::words(&one.at),
                Cell::number(one.injected_at_seconds, seconds),
                Cell::number(span.map(|(from, to)| to - from), units::seconds),
                Cell::number(one.converged_within_ms, units::milliseconds),
                Cell::words(&one.evidence).classed("long"),
            ]
        })
        .collect();
    let heads = ["fault", "kind", "at", "injected at", "lasted", "equal again after", "evidence"];
    html! { @if !rows.is_empty() { (table("Faults", &heads, &rows)) } }
}

/// The stores by their settings.
pub(super) fn stores(case: &Case) -> Markup {
    let words = |text: &Option<String>| Cell::words(text.clone().unwrap_or_else(|| "–".into()));
    let rows: Vec<_> = case
        .stores
        .iter()
        .map(|(name, store)| {
            vec![
                Cell::words(name),
                words(&store.mode),
                words(&store.transport),
                words(&store.resync),
                words(&store.reducer),
                Cell::number(store.replicas.map(|count| count as f64), units::count),
                Cell::number(store.state_bytes.map(|bytes| bytes as f64), units::bytes),
            ]
        })
        .collect();
    let heads = ["store", "mode", "transport", "resync", "reducer", "replicas", "state"];
    html! { @if !rows.is_empty() { (table("Stores", &heads, &rows)) } }
}

/// Every measure of the case and of each store.
pub(super) fn measures(case: &Case) -> Markup {
    let of_stores = case.stores.len() > 1;
    let mut heads = vec!["measure", "whole run"];
    if of_stores {
        heads.extend(case.stores.keys().map(String::as_str));
    }
    let repeated = !case.intervals.is_empty();
    if repeated {
        heads.insert(2, "95 % interval");
    }
    heads.push("meaning");
    let rows = Metric::all().iter().filter_map(|metric| {
        let stores = case.stores.values().map(|store| metric.of_store(store));
        let values: Vec<_> =
            std::iter::once(metric.of_case(case)).chain(stores.filter(|_| of_stores)).collect();
        if values.iter().all(Option::is_none) {
            return None;
        }
        let mut row = vec![Cell::words(metric.name())];
        row.extend(values.into_iter().map(|value| Cell::number(value, |v| metric.human(v))));
        if repeated {
            row.insert(2, interval(case, metric));
        }
        row.push(Cell::words(metric.about()).classed("about"));
        Some(row)
    });
    let rows: Vec<_> = rows.collect();
    table("All measures", &heads, &rows)
}

/// The interval of a median, sorted by its relative width.
fn interval(case: &Case, metric: &Metric) -> Cell {
    let Some(interval) = case.interval(metric) else { return Cell::words("–").classed("number") };
    let text = format!("{} to {}", metric.human(interval.low), metric.human(interval.high));
    let width = metric.of_case(case).and_then(|median| interval.share(median));
    Cell { text, sort: width, class: "number" }
}

/// The measures of each repeat that are shown side by side.
const OF_A_REPEAT: &[(&str, &str)] = &[
    ("CPU per action", "cost.cpu_us_per_action"),
    ("answered p50", "latency_us.local.p50"),
    ("at replicas p50", "latency_us.replica.p50"),
    ("at replicas p99", "latency_us.replica.p99"),
    ("applied everywhere", "rate.achieved_per_s"),
    ("largest process", "cost.rss_bytes_max"),
];

/// The repeats of the case, a row each.
pub(super) fn repeats(case: &Case) -> Markup {
    let mut heads = vec!["repeat", "started", "seed", "verdict"];
    heads.extend(OF_A_REPEAT.iter().map(|(label, _)| *label));
    let rows: Vec<_> = case
        .repeats
        .iter()
        .zip(1..)
        .map(|(repeat, number)| {
            let mut row = vec![
                Cell::number(Some(f64::from(number)), |number| number.to_string()),
                Cell::words(repeat.started.clone().unwrap_or_else(|| "–".into())),
                Cell::words(repeat.seed.map_or_else(|| "–".into(), |seed| seed.to_string())),
                Cell::words(repeat.verdict.to_string()),
            ];
            row.extend(OF_A_REPEAT.iter().map(|(_, name)| {
                let metric = Metric::named(name);
                let value = metric.and_then(|metric| repeat.figure(metric));
                Cell::number(value, |v| metric.map_or_else(String::new, |m| m.human(v)))
            }));
            row
        })
        .collect();
    html! {
        @if !rows.is_empty() {
            p.note {
                "Costs, times and rates on this page are the medians of the repeats, with their "
                "95 % intervals. Charts, processes and faults are those of repeat "
                (case.shown_repeat.unwrap_or(1)) "."
            }
            (table("Repeats", &heads, &rows))
        }
    }
}

/// The resources that each process used.
pub(super) fn processes(case: &Case) -> Markup {
    let seconds = case.seconds.filter(|seconds| *seconds > 0.0);
    let whole = |count: Option<u64>| count.map(|count| count as f64);
    let rows: Vec<_> = case
        .processes
        .iter()
        .map(|one| {
            let of_a_core = one.cpu_seconds().zip(seconds).map(|(cpu, s)| 100.0 * cpu / s);
            let pid = one.pid.filter(|pid| *pid > 0).map(f64::from);
            vec![
                Cell::words(&one.name),
                Cell::number(pid, |pid| pid.to_string()),
                Cell::number(one.cpu_seconds(), units::seconds),
                Cell::number(of_a_core, units::percent),
                Cell::number(one.cpu_user_seconds, units::seconds),
                Cell::number(one.cpu_system_seconds, units::seconds),
                Cell::number(whole(one.rss_bytes_max), units::bytes),
                Cell::number(whole(one.wire_bytes), units::bytes),
                Cell::number(whole(one.wire_bytes_received), units::bytes),
                Cell::number(whole(one.syscalls), units::count),
                Cell::words(one.ended.clone().unwrap_or_default()),
            ]
        })
        .collect();
    let heads = [
        "process",
        "pid",
        "CPU",
        "of a core",
        "user",
        "system",
        "memory",
        "sent",
        "received",
        "system calls",
        "ended",
    ];
    html! { @if !rows.is_empty() { (table("Processes", &heads, &rows)) } }
}
