//! The cases of a matrix side by side: one column each, one row a measure.

use std::ops::Range;

use super::grid::{Column, Grid, Text};
use super::style::{Style, Tone, wrap};
use super::summary::tone_of;
use crate::overview::{self, Shown};
use crate::record::Record;

/// The mark of the best value of a row. It is shown without colour too.
const BEST: &str = " *";
/// The text in place of the mark elsewhere, so that the numbers of a column stay aligned.
const NOT_BEST: &str = "  ";
/// The space around a column, see [`Grid`].
const GAP: usize = 2;

/// One row as it is shown.
type Row = (&'static str, Vec<Text>);

/// The table, in as many parts as the width asks for.
pub(super) fn side_by_side(record: &Record, style: &Style) -> String {
    let axes = overview::axes(&record.cases);
    let rows = rows(record);
    let titles: Vec<String> = record
        .cases
        .iter()
        .map(|case| {
            let values = overview::title(case, &axes);
            values.iter().map(|value| format!("{value}{NOT_BEST}")).collect::<Vec<_>>().join("\n")
        })
        .collect();
    let labels = axes.iter().copied().chain(rows.iter().map(|(label, _)| *label));
    let label_width = labels.map(|label| label.chars().count()).max().unwrap_or(0) + GAP;
    let width_of = |at: usize| {
        let title = Text::from(titles[at].clone());
        let texts = rows.iter().map(|(_, texts)| &texts[at]).chain([&title]);
        texts.map(Text::width).max().unwrap_or(0) + GAP
    };
    let widths: Vec<usize> = (0..titles.len()).map(width_of).collect();
    let room = style.columns().saturating_sub(label_width + 1);
    let tables: Vec<String> = parts(&widths, room)
        .into_iter()
        .map(|part| table(&axes, &titles, &rows, part).render(style))
        .collect();
    let marked = rows.iter().flat_map(|(_, texts)| texts).any(|text| text.text.ends_with(BEST));
    let mut legend = overview::repeats_note(&record.cases);
    if marked {
        legend += " * is the best of the cases that passed.";
    }
    let lines = wrap(&legend, style.columns().saturating_sub(GAP)).into_iter();
    let legend = lines.map(|line| format!("  {}\n", style.paint(&line, Tone::Dim)));
    tables.join("\n") + &legend.collect::<String>()
}

/// The table of some of the cases.
fn table(axes: &[&str], titles: &[String], rows: &[Row], part: Range<usize>) -> Grid {
    let mut columns = vec![Column::words(axes.join("\n"), 0)];
    columns.extend(titles[part.clone()].iter().map(|title| Column::numbers(title, 0)));
    let mut grid = Grid::new(columns);
    for (label, texts) in rows {
        let mut row = vec![Text::toned(*label, Tone::Dim)];
        row.extend_from_slice(&texts[part.clone()]);
        grid.row(row);
    }
    grid
}

/// The rows of the overview, and the verdicts.
fn rows(record: &Record) -> Vec<Row> {
    let plain = |text: &str, tone: Tone| Text::toned(format!("{text}{NOT_BEST}"), tone);
    let shown = |value: Shown| match value {
        Shown::Nothing => plain("–", Tone::Dim),
        Shown::Never => plain("never", Tone::Bad),
        Shown::Value(text) => plain(&text, Tone::Plain),
        Shown::Best(text) => Text::toned(text + BEST, Tone::Good),
    };
    let measures = overview::rows(&record.cases)
        .into_iter()
        .map(|row| (row.label, row.values.into_iter().map(shown).collect()));
    let verdicts = record
        .cases
        .iter()
        .map(|case| plain(&case.verdict.to_string(), tone_of(case.verdict)))
        .collect();
    measures.chain([("verdict", verdicts)]).collect()
}

/// Consecutive columns that fit into `room` together, at least one each.
fn parts(widths: &[usize], room: usize) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let (mut from, mut used) = (0, 0);
    for (at, width) in widths.iter().enumerate() {
        if used + width > room && at > from {
            parts.push(from..at);
            (from, used) = (at, 0);
        }
        used += width;
    }
    if from < widths.len() {
        parts.push(from..widths.len());
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::sample;

    #[test]
    fn many_cases_are_shown_in_parts_that_fit() {
        assert_eq!(parts(&[10, 10, 10], 20), [0..2, 2..3]);
        assert_eq!(parts(&[50, 10, 10], 20), [0..1, 1..3]);
        assert_eq!(parts(&[], 20), []);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_no_case_is_left_out() {
        let mut record = sample::big_store();
        let pair = record.cases.clone();
        record.cases.extend(pair.iter().cloned().chain(pair.clone()));
        let style = Style { colour: false, width: 60 };
        let text = side_by_side(&record, &style);
        assert!(text.lines().all(|line| line.chars().count() <= style.width), "{text}");
        assert_eq!(text.matches(" snapshot ").count(), 3, "{text}");
    }
}
