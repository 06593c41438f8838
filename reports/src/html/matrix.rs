//! The cases of a matrix: side by side, over each axis that is a number, and the best of them.

use maud::{Markup, html};
use serde_json::Value;

use super::chart::{Axis, Chart, Line, Shape};
use super::scale::{Scale, Unit};
use super::tables::{Cell, table};
use crate::overview::{self, Shown};
use crate::record::{Case, Metric, Record, Verdict, plain};
use crate::winners::{Ranking, ranking};

/// The measures that are plotted and judged: all of them are better if they are less.
const MEASURES: [(&str, &str, Unit); 5] = [
    ("cost.cpu_us_per_action", "CPU per action", Unit::Microseconds),
    ("cost.wire_bytes_per_action", "Bytes sent per action", Unit::Bytes),
    ("latency_us.replica.p50", "Time until a replica has it, p50", Unit::Microseconds),
    ("latency_us.replica.p99", "Time until a replica has it, p99", Unit::Microseconds),
    ("cost.rss_bytes_max", "Memory of the largest process", Unit::Bytes),
];

/// Renders the table, the plots and the sentences. `id` begins the ids of all figures.
pub(super) fn matrix(record: &Record, id: &str) -> (Markup, Vec<Value>) {
    let cases = &record.cases;
    let axes = overview::axes(cases);
    let numeric: Vec<&str> = axes.iter().copied().filter(|axis| is_numeric(cases, axis)).collect();
    let mut charts = Vec::new();
    for (number, axis) in numeric.iter().enumerate() {
        charts.extend(over(cases, axis, &axes, &format!("{id}-axis-{number}")));
    }
    let data = charts.iter().map(|(_, chart)| chart.data()).collect();
    let markup = html! {
        h3 { "Which one wins where" }
        ul.winners {
            @for sentence in sentences(cases, &axes, &numeric) { li { (sentence) } }
        }
        p.note {
            (overview::repeats_note(cases)) " Cases that did not pass are left out."
        }
        @for axis in &numeric {
            h3 { "Over " code { (axis) } }
            div.side-by-side {
                @for (_, chart) in charts.iter().filter(|(of, _)| of == axis) { (chart.markup()) }
            }
        }
        (side_by_side(cases, &axes))
    };
    (markup, data)
}

/// A row for each measure, a column for each case; the best of a row is marked.
fn side_by_side(cases: &[Case], axes: &[&str]) -> Markup {
    let titles: Vec<String> = cases.iter().map(|case| short(case, axes)).collect();
    let mut heads = vec!["measure"];
    heads.extend(titles.iter().map(String::as_str));
    let cell = |shown: Shown| match shown {
        Shown::Nothing => Cell::words("–").classed("number"),
        Shown::Never => Cell::words("never").classed("number bad"),
        Shown::Value(text) => Cell::words(text).classed("number"),
        Shown::Best(text) => Cell::words(text).classed("number best"),
    };
    let verdict = |case: &Case| {
        let class = match case.verdict {
            Verdict::Pass => "number good",
            Verdict::Fail => "number bad",
            Verdict::Inconclusive | Verdict::Interrupted => "number careful",
        };
        Cell::words(case.verdict.to_string()).classed(class)
    };
    let mut rows = vec![
        std::iter::once(Cell::words("verdict"))
            .chain(cases.iter().map(verdict))
            .collect::<Vec<_>>(),
    ];
    rows.extend(overview::rows(cases).into_iter().map(|row| {
        let values = row.values.into_iter().map(cell);
        std::iter::once(Cell::words(row.label)).chain(values).collect::<Vec<_>>()
    }));
    table("The cases side by side; the best of a row in bold", &heads, &rows)
}

/// A case's values on the axes.
pub(super) fn short(case: &Case, axes: &[&str]) -> String {
    overview::title(case, axes).join(" · ")
}

/// Returns whether all cases have a number on an axis, and not always the same.
fn is_numeric(cases: &[Case], axis: &str) -> bool {
    let values: Option<Vec<f64>> = cases.iter().map(|case| Some(on_axis(case, axis)?.0)).collect();
    values.is_some_and(|values| values.iter().any(|value| *value != values[0]))
}

/// The value of a case on an axis, in base units, and the unit.
fn on_axis(case: &Case, axis: &str) -> Option<(f64, &'static str)> {
    quantity(&plain(case.with.get(axis)?))
}

/// A quantity as scenarios write it: `10MB`, `100/s`, `5ms`, `3`.
fn quantity(text: &str) -> Option<(f64, &'static str)> {
    const UNITS: [(&str, f64, &str); 17] = [
        ("", 1.0, ""),
        ("B", 1.0, "bytes"),
        ("kB", 1e3, "bytes"),
        ("MB", 1e6, "bytes"),
        ("GB", 1e9, "bytes"),
        ("KiB", 1024.0, "bytes"),
        ("MiB", 1_048_576.0, "bytes"),
        ("GiB", 1_073_741_824.0, "bytes"),
        ("/s", 1.0, "a second"),
        ("k/s", 1e3, "a second"),
        ("/min", 1.0 / 60.0, "a second"),
        ("us", 1e-6, "seconds"),
        ("ms", 1e-3, "seconds"),
        ("s", 1.0, "seconds"),
        ("m", 60.0, "seconds"),
        ("min", 60.0, "seconds"),
        ("h", 3600.0, "seconds"),
    ];
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    let unit = text[end..].trim();
    let (_, times, name) = UNITS.iter().find(|(known, _, _)| *known == unit)?;
    Some((number * times, name))
}

/// The name of a case among those with the same number on an axis: its values on the other axes.
fn name_beside(case: &Case, axis: &str, axes: &[&str]) -> String {
    let others: Vec<&str> = axes.iter().copied().filter(|other| *other != axis).collect();
    let name = short(case, &others);
    if name.is_empty() { "all cases".to_owned() } else { name }
}

/// The names of cases beside an axis, in the order in which they come.
fn names<'a>(cases: &'a [Case], axis: &str, axes: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in cases.iter().map(|case: &'a Case| name_beside(case, axis, axes)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The plots over a numeric axis: one for each measure.
fn over<'a>(
    cases: &[Case],
    axis: &'a str,
    axes: &[&str],
    id: &str,
) -> Vec<(&'a str, Chart<'static>)> {
    let names = names(cases, axis, axes);
    let mut charts = Vec::new();
    for (number, (metric, title, unit)) in MEASURES.iter().enumerate() {
        let Some(metric) = Metric::named(metric) else { continue };
        let lines: Vec<Line> = names
            .iter()
            .enumerate()
            .map(|(colour, name)| {
                let of_line = cases.iter().filter(|case| name_beside(case, axis, axes) == *name);
                let mut points: Vec<(f64, Option<f64>)> = of_line
                    .filter_map(|case| Some((on_axis(case, axis)?.0, metric.of_case(case))))
                    .collect();
                points.sort_by(|a, b| a.0.total_cmp(&b.0));
                let (name, note) = (name.clone(), String::new());
                Line { name, colour, shape: Shape::Marked, points, note }
            })
            .collect();
        let values = lines.iter().flat_map(|line| &line.points).filter_map(|point| point.1);
        let values: Vec<f64> = values.filter(|value| *value > 0.0).collect();
        let (Some(least), Some(most)) = (
            values.iter().copied().min_by(f64::total_cmp),
            values.iter().copied().max_by(f64::total_cmp),
        ) else {
            continue;
        };
        charts.push((
            axis,
            Chart {
                id: format!("{id}-{number}"),
                figure: format!("{}-over-{}", metric.name(), last_part(axis)),
                title: (*title).to_owned(),
                about: metric.about().to_owned(),
                x: x_axis(cases, axis),
                y: Axis::new(Scale::decades(least, most), *unit, y_title(*unit)),
                lines,
                bands: &[],
                low: false,
            },
        ));
    }
    charts
}

/// The last part of a path: `size` of `stores.document.size`.
fn last_part(axis: &str) -> &str {
    axis.rsplit('.').next().unwrap_or(axis)
}

/// The plots over all axes that are numbers.
pub(super) fn charts(cases: &[Case]) -> Vec<Chart<'static>> {
    let axes = overview::axes(cases);
    let numeric = axes.iter().filter(|axis| is_numeric(cases, axis));
    numeric.flat_map(|axis| over(cases, axis, &axes, "m")).map(|(_, chart)| chart).collect()
}

fn y_title(unit: Unit) -> &'static str {
    if unit == Unit::Bytes { "bytes, logarithmic scale" } else { "time, logarithmic scale" }
}

fn x_axis(cases: &[Case], axis: &str) -> Axis {
    let mut ticks: Vec<(f64, String)> = cases
        .iter()
        .filter_map(|case| Some((on_axis(case, axis)?.0, plain(case.with.get(axis)?))))
        .collect();
    ticks.sort_by(|a, b| a.0.total_cmp(&b.0));
    ticks.dedup_by(|a, b| a.0 == b.0);
    let (low, high) = (ticks[0].0, ticks[ticks.len() - 1].0);
    let unit = cases.first().and_then(|case| Some(on_axis(case, axis)?.1)).unwrap_or("");
    let wide = low > 0.0 && high / low >= 8.0;
    let scale = if wide { Scale::decades(low, high) } else { Scale::between(low, high) };
    let name = last_part(axis);
    let title = match (unit, wide) {
        ("", false) => name.to_owned(),
        ("", true) => format!("{name}, logarithmic scale"),
        (unit, false) => format!("{name}, in {unit}"),
        (unit, true) => format!("{name}, in {unit}, logarithmic scale"),
    };
    Axis { scale, unit: Unit::Count, title, ticks }
}

/// A sentence for each measure: which cases are the best, and by how much.
fn sentences(cases: &[Case], axes: &[&str], numeric: &[&str]) -> Vec<Markup> {
    let mut sentences = Vec::new();
    for (metric, title, _) in MEASURES {
        let Some(metric) = Metric::named(metric) else { continue };
        match numeric {
            [] => sentences.extend(over_no_axis(cases, axes, metric, title)),
            [axis, ..] => sentences.extend(over_axis(cases, axes, axis, metric, title)),
        }
    }
    sentences
}

/// The sentence of the measure that matters most; `None` if nothing can be compared.
pub(super) fn headline(cases: &[Case]) -> Option<Markup> {
    let axes = overview::axes(cases);
    let numeric: Vec<&str> = axes.iter().copied().filter(|axis| is_numeric(cases, axis)).collect();
    sentences(cases, &axes, &numeric).into_iter().next()
}

/// Single runs that differ by less than this share of the better one are called equal.
const EQUAL_ONCE: f64 = 0.10;

/// The number of cases that are as good as the best, as far as it is known.
fn equal(ranking: &Ranking<'_>) -> usize {
    let near = |least: f64| move |one: &&(&Case, f64)| one.1 <= least * (1.0 + EQUAL_ONCE);
    let guess = || {
        let least = ranking.cases.first().map_or(0.0, |(_, least)| *least);
        ranking.cases.iter().take_while(near(least)).count()
    };
    ranking.equal.unwrap_or_else(guess)
}

/// The names of those that are as good as the best.
fn best(ranking: &Ranking<'_>, name: &dyn Fn(&Case) -> String) -> Vec<String> {
    let equal = equal(ranking);
    let mut names: Vec<String> =
        ranking.cases.iter().take(equal).map(|(case, _)| name(case)).collect();
    names.sort();
    names
}

fn over_no_axis(cases: &[Case], axes: &[&str], metric: &Metric, title: &str) -> Option<Markup> {
    let ranking = ranking(cases.iter(), metric, MEASURES.len());
    let won = || won(&ranking, metric, &|case| short(case, axes));
    (ranking.cases.len() > 1).then(|| html! { b { (title) } ": " (won()) "." })
}

fn over_axis(
    cases: &[Case],
    axes: &[&str],
    axis: &str,
    metric: &Metric,
    title: &str,
) -> Option<Markup> {
    if names(cases, axis, axes).len() < 2 {
        return None;
    }
    let places = x_axis(cases, axis).ticks;
    let judgements = MEASURES.len() * places.len();
    let name = |case: &Case| name_beside(case, axis, axes);
    let rankings: Vec<(String, Ranking<'_>)> = places
        .into_iter()
        .map(|(place, label)| {
            let here =
                cases.iter().filter(|case| on_axis(case, axis).is_some_and(|at| at.0 == place));
            (label, ranking(here, metric, judgements))
        })
        .filter(|(_, ranking)| ranking.cases.len() > 1)
        .collect();
    // Neighbours with the same winners are one stretch.
    let stretches: Vec<&[(String, Ranking<'_>)]> =
        rankings.chunk_by(|one, next| best(&one.1, &name) == best(&next.1, &name)).collect();
    (!stretches.is_empty()).then(|| {
        html! {
            b { (title) } ": "
            @for (at, places) in stretches.iter().enumerate() {
                @if at > 0 { "; " }
                @let (first, last) = (&places[0], &places[places.len() - 1]);
                @if places.len() > 1 { "from " (first.0) " to " (last.0) ", " }
                @else { "at " (first.0) ", " }
                (won(&last.1, metric, &name))
                @if places.len() > 1 { " (at " (last.0) ")" }
            }
            "."
        }
    })
}

/// `action and delta win with 120 µs against 46 ms of snapshot, 383 times less`.
fn won(ranking: &Ranking<'_>, metric: &Metric, name: &dyn Fn(&Case) -> String) -> Markup {
    let best = best(ranking, name);
    let (least, most) = (ranking.cases[0].1, ranking.cases[ranking.cases.len() - 1].1);
    let worst = name(ranking.cases[ranking.cases.len() - 1].0);
    let times = if least > 0.0 { most / least } else { f64::INFINITY };
    let list = |names: &[String]| {
        html! {
            @for (at, name) in names.iter().enumerate() {
                @if at > 0 { @if at + 1 == names.len() { " and " } @else { ", " } }
                code { (name) }
            }
        }
    };
    let verb = match (ranking.equal, best.len()) {
        (None, _) => " measured least",
        (_, 1) => " wins",
        _ => " win",
    };
    html! {
        @if best.len() == ranking.cases.len() {
            "no proven difference between " (list(&best)) ": " (metric.human(least))
            @if metric.human(least) != metric.human(most) { " to " (metric.human(most)) }
        } @else {
            (list(&best)) (verb)
            " with " (metric.human(least)) " against " (metric.human(most)) " of " code { (worst) }
            @if times.is_finite() && times >= 1.95 {
                ", " (format!("{times:.0}")) " times less"
            } @else if times.is_finite() {
                ", " (format!("{:.0}", (1.0 - least / most) * 100.0)) " % less"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::record::{Kind, Repeat, sample};

    /// Two modes over a size: action costs 100 µs everywhere, snapshot 1 µs for each kB.
    fn crossing(repeats: usize) -> Record {
        let mut cases = Vec::new();
        for mode in ["snapshot", "action"] {
            for (size, kb) in [("1kB", 1.0), ("100kB", 100.0), ("10MB", 10_000.0)] {
                let mut case = sample::two_clusters().cases.remove(0);
                case.with.insert("stores.d.mode".into(), json!(mode));
                case.with.insert("stores.d.size".into(), json!(size));
                let us = if mode == "snapshot" { kb } else { 100.0 };
                let runs = [1.0, 1.01, 0.99, 1.0, 1.0].map(|noise| {
                    let mut run = case.clone();
                    run.cost.cpu_us_per_action = Some(us * noise);
                    (Repeat::of(&run), run)
                });
                cases.push(Case::of_repeats(runs.into_iter().take(repeats).collect()));
            }
        }
        Record::new("crossing", 1, Kind::Processes, cases)
    }

    fn text(markup: &Markup) -> String {
        let mut text = String::new();
        let mut inside = false;
        for c in markup.0.chars() {
            match c {
                '<' => inside = true,
                '>' => inside = false,
                _ if !inside => text.push(c),
                _ => {}
            }
        }
        text
    }

    #[test]
    fn the_sentence_says_which_mode_wins_where() {
        let (markup, charts) = matrix(&crossing(5), "m");
        let text = text(&markup);
        assert!(
            text.contains(
                "CPU per action: at 1kB, snapshot wins with 1 µs against 100 µs of action, 100 \
                 times less; at 100kB, no proven difference between action and snapshot: 100 µs; \
                 at 10MB, action wins with 100 µs against 10 ms of snapshot, 100 times less."
            ),
            "{text}"
        );
        assert_eq!(charts[0]["lines"].as_array().map(Vec::len), Some(2), "a line for each mode");
    }

    #[test]
    fn single_runs_win_nothing() {
        let text = text(&matrix(&crossing(1), "m").0);
        assert!(!text.contains(" wins with") && !text.contains(" win with"), "{text}");
        assert!(text.contains("at 1kB, snapshot measured least with 1 µs"), "{text}");
        assert!(text.contains("at 100kB, no proven difference between action and"), "{text}");
        assert!(text.contains("Each case was run once"), "{text}");
    }

    #[test]
    fn a_case_that_failed_wins_nothing() {
        let mut record = crossing(5);
        for case in record.cases.iter_mut().take(3) {
            case.verdict = Verdict::Fail;
        }
        let text = text(&matrix(&record, "m").0);
        assert!(!text.contains(" wins with "), "{text}");
    }

    #[test]
    fn quantities_are_numbers_and_words_are_not() {
        assert_eq!(quantity("10MB"), Some((1e7, "bytes")));
        assert_eq!(quantity("100/s"), Some((100.0, "a second")));
        assert_eq!(quantity("5 ms"), Some((0.005, "seconds")));
        assert_eq!(quantity("3"), Some((3.0, "")));
        assert_eq!(quantity("action"), None);
        assert_eq!(quantity("10parsecs"), None);
        assert_eq!(quantity(""), None);
    }
}
