//! A comparison on a terminal.

use super::{CaseComparison, Change, Comparison, Line};
use crate::printable;
use crate::terminal::{Column, Grid, Style, Text, Tone};
use crate::units;

impl Comparison {
    /// The comparison as a person reads it: the verdict, then a table for each case.
    pub fn render(&self, style: &Style) -> String {
        let (verdict, tone) =
            if self.worse() { ("WORSE", Tone::Bad) } else { ("NOT WORSE", Tone::Good) };
        let tolerance = units::exactly(self.tolerance * 100.0);
        let mut parts = vec![format!(
            "{} than the baseline, with a tolerance of {tolerance} %\n",
            style.paint(verdict, tone)
        )];
        let warnings: String = self
            .doubts
            .iter()
            .map(|doubt| {
                let title = style.paint("doubtful:", Tone::Careful);
                format!("  {title} {}\n", printable(doubt))
            })
            .chain(self.gone.iter().map(|name| {
                let title = style.paint("gone:", Tone::Bad);
                format!("  {title} the case {}\n", printable(name))
            }))
            .chain(self.added.iter().map(|name| format!("  new: the case {}\n", printable(name))))
            .collect();
        parts.push(warnings);
        parts.extend(self.cases.iter().map(|case| render_case(case, style)));
        parts.retain(|part| !part.is_empty());
        parts.join("\n")
    }
}

fn render_case(case: &CaseComparison, style: &Style) -> String {
    let mut grid = Grid::new(vec![
        Column::words("measure", 0),
        Column::numbers("baseline", 0),
        Column::numbers("new", 0),
        Column::numbers("ratio", 0),
        Column::words("", 0),
    ]);
    let (base, new) = case.verdicts;
    let (word, tone) = if case.verdict_worse() { ("worse", Tone::Bad) } else { ("", Tone::Plain) };
    grid.row(vec![
        Text::from("verdict".to_owned()),
        Text::from(base.to_string()),
        Text::toned(new.to_string(), tone),
        Text::toned(" ", Tone::Plain),
        Text::toned(word, tone),
    ]);
    for line in case.lines.iter().filter(|line| line.base.or(line.new).is_some()) {
        grid.row(row(line));
    }
    let name = match &*case.name {
        "" => String::new(),
        name => format!("  {}\n", style.paint(name, Tone::Strong)),
    };
    name + &grid.render(style)
}

fn row(line: &Line) -> Vec<Text> {
    let value = |value: Option<f64>| match value {
        Some(value) => line.metric.human(value),
        None if line.metric.is_null_never() => "never".to_owned(),
        None => String::new(),
    };
    let (word, tone) = match line.change {
        Change::Worse => ("worse", Tone::Bad),
        Change::Better => ("better", Tone::Good),
        Change::Same => ("same", Tone::Dim),
        Change::NotCompared => ("not compared", Tone::Dim),
    };
    vec![
        Text::from(line.metric.name().to_owned()),
        Text::from(value(line.base)),
        Text::from(value(line.new)),
        Text::from(line.ratio().map(|ratio| format!("{ratio:.2}"))),
        Text::toned(word, tone),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::compare;
    use super::*;
    use crate::record::sample;

    #[test]
    fn a_comparison_says_what_became_worse() {
        let base = sample::two_clusters();
        let mut new = sample::disconnect_failed();
        new.scenario.clone_from(&base.scenario);
        new.machine.cores = 8;
        new.cases[0].cost.cpu_us_per_action = Some(90.0);
        insta::assert_snapshot!(compare(&base, &new, 0.1).render(&Style::PLAIN));
    }
}
