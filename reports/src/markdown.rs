//! A record as Markdown, for a page or a comment on a change.

use std::fmt::Write;

use crate::overview::{self, Shown};
use crate::record::{Case, Record, Seeds};
use crate::units;

/// The record as Markdown: a heading, a table with a column for each case, and what failed.
pub fn to_markdown(record: &Record) -> String {
    let shown = match &record.seeds {
        Some(seeds) => search(seeds),
        None => table(&record.cases),
    };
    let mut text = format!(
        "## {}: {}\n\n{}\n\n{shown}",
        inline(&record.scenario),
        record.verdict,
        about(record),
    );
    for case in record.cases.iter().filter(|_| record.seeds.is_none()) {
        text.push_str(&findings(case));
    }
    text
}

fn about(record: &Record) -> String {
    let took = units::duration(record.wall_seconds);
    let mut words = format!("Seed {}, {}, {took}", record.seed, record.kind);
    if record.machine.cores > 0 {
        let machine = &record.machine;
        let cores = if machine.cores == 1 { "core" } else { "cores" };
        let where_ = format!("{} {cores}, {}, {}", machine.cores, machine.cpu, machine.os);
        let version = inline(&machine.samestate);
        words += &format!("; {}; samestate {version}", inline(&where_));
    }
    words + "."
}

/// Renders the number of simulated seeds, and a row for each that failed.
fn search(seeds: &Seeds) -> String {
    let Seeds { simulated, first, end, failures, .. } = seeds;
    let mut text =
        format!("{simulated} seeds of {first}..{end} simulated, {} failed.\n", failures.len());
    if !failures.is_empty() {
        text += "\n| seed | why | scenario |\n| ---: | --- | --- |\n";
    }
    for one in failures {
        let scenario = one.scenario.as_deref().map(inline).unwrap_or_default();
        text += &line([one.seed.to_string(), inline(&one.why), scenario].into_iter());
    }
    text
}

/// A row for each measure, a column for each case; the best of a row in bold.
fn table(cases: &[Case]) -> String {
    if cases.is_empty() {
        return "No case was run.\n".to_owned();
    }
    let axes = overview::axes(cases);
    let corner = if axes.is_empty() { "measure".to_owned() } else { axes.join(", ") };
    let title = |case: &Case| match overview::title(case, &axes).join(", ") {
        title if title.is_empty() => "value".to_owned(),
        title => title,
    };
    let mut text = line(std::iter::once(corner).chain(cases.iter().map(title)));
    text += &format!("| --- |{}\n", " ---: |".repeat(cases.len()));
    for row in overview::rows(cases) {
        let values = row.values.into_iter().map(|value| match value {
            Shown::Nothing => "–".to_owned(),
            Shown::Never => "**never**".to_owned(),
            Shown::Value(text) => text,
            Shown::Best(text) => format!("**{text}**"),
        });
        text += &line(std::iter::once(row.label.to_owned()).chain(values));
    }
    let verdicts = cases.iter().map(|case| case.verdict.to_string());
    text += &line(std::iter::once("verdict".to_owned()).chain(verdicts));
    if cases.len() > 1 || cases.iter().any(|case| !case.repeats.is_empty()) {
        text += &format!("\n{}\n", overview::repeats_note(cases));
    }
    text
}

fn line(cells: impl Iterator<Item = String>) -> String {
    let cells: Vec<String> = cells.map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}

/// Renders the failures of a case as a list; empty if there are none.
fn findings(case: &Case) -> String {
    let mut list = String::new();
    for reason in &case.because {
        let _ = writeln!(list, "- {}", inline(reason));
    }
    for one in case.failed_expectations() {
        let what = inline(&one.what);
        let measured = inline(&one.measured);
        let _ =
            writeln!(list, "- {what}: expected {}, measured **{measured}**", inline(&one.expected));
    }
    for one in case.unmeasured_expectations() {
        let what = inline(&one.what);
        let expected = inline(&one.expected);
        let _ = writeln!(list, "- {what}: expected {expected}, **no sample**: inconclusive");
    }
    for one in &case.violations {
        let at = inline(&one.at);
        let _ = writeln!(list, "- **{}** at {at}: {}", one.invariant, inline(&one.detail_text()));
    }
    match (list.is_empty(), case.name()) {
        (true, _) => list,
        (false, name) if name.is_empty() => format!("\n{list}"),
        (false, name) => format!("\n### {}\n\n{list}", inline(&name)),
    }
}

/// Text that stays text: on one line, and without meaning to Markdown.
fn inline(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.split_whitespace().collect::<Vec<_>>().join(" ").chars() {
        if matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#') {
            plain.push('\\');
        }
        plain.push(c);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::sample;

    #[test]
    fn a_matrix_has_a_column_for_each_case() {
        insta::assert_snapshot!(to_markdown(&sample::big_store()));
    }

    #[test]
    fn what_failed_is_listed() {
        insta::assert_snapshot!(to_markdown(&sample::disconnect_failed()));
    }

    #[test]
    fn text_from_outside_stays_text() {
        let mut record = sample::two_clusters();
        record.scenario = "a_b|<i>\n# c".into();
        let text = to_markdown(&record);
        assert!(text.starts_with("## a\\_b\\|\\<i\\> \\# c: pass\n"), "{text}");
    }
}
