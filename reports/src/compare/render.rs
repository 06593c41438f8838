//! A comparison on a terminal.

use super::{CaseComparison, Comparison, Finding, Line, Refusal};
use crate::printable;
use crate::stats::REPEATS_MIN;
use crate::terminal::{Column, Grid, Style, Text, Tone, wrap};
use crate::units;

impl Comparison {
    /// The comparison as a person reads it: the verdict, each regression in a sentence, then a
    /// table for each case.
    pub fn render(&self, style: &Style) -> String {
        let (verdict, tone) = match (self.worse(), self.says_nothing()) {
            (true, _) => ("WORSE than the baseline", Tone::Bad),
            (false, true) => ("NOT COMPARED", Tone::Careful),
            (false, false) => ("NOT WORSE than the baseline", Tone::Good),
        };
        let tolerance = units::exactly(self.tolerance * 100.0);
        let mut parts = vec![format!(
            "{}: {}, with a tolerance of {tolerance} %\n",
            printable(&self.scenario),
            style.paint(verdict, tone),
        )];
        let mut notes = String::new();
        let mut note = |title: &str, tone: Tone, text: &str| {
            for (at, line) in wrap(&format!("{title} {text}"), style.columns().saturating_sub(2))
                .iter()
                .enumerate()
            {
                let rest = if at == 0 { line.strip_prefix(title).unwrap_or(line) } else { line };
                let title = if at == 0 { style.paint(title, tone) } else { "  ".to_owned() };
                notes.push_str(&format!("  {title}{rest}\n"));
            }
        };
        for line in self.sentences() {
            note("worse:", Tone::Bad, &line);
        }
        for name in &self.gone {
            note("gone:", Tone::Bad, &format!("the case {name}"));
        }
        for name in &self.added {
            note("new:", Tone::Plain, &format!("the case {name}"));
        }
        for difference in &self.machines {
            note("another machine:", Tone::Careful, difference);
        }
        if !self.machines.is_empty() {
            let text = "CPU and times are not compared as they are, but by their ratios between \
                        the cases of one run";
            note("so", Tone::Careful, text);
        }
        for doubt in &self.doubts {
            note("doubtful:", Tone::Careful, doubt);
        }
        let lines = || self.cases.iter().flat_map(|case| &case.lines);
        if lines().any(|line| line.finding == Finding::NotCompared(Refusal::FewRepeats)) {
            let text = format!(
                "costs and times need {REPEATS_MIN} repeats of both sides to be compared; run both \
                 with --repeat 5"
            );
            note("too few repeats:", Tone::Careful, &text);
        }
        parts.push(notes);
        parts.extend(self.cases.iter().map(|case| render_case(case, style)));
        parts.retain(|part| !part.is_empty());
        parts.join("\n")
    }

    /// Each regression as a sentence: the measure, its size and its certainty.
    pub fn sentences(&self) -> Vec<String> {
        let verdicts = self.cases.iter().filter(|case| case.verdict_worse());
        let verdicts = verdicts.map(|case| {
            let (base, new) = case.verdicts;
            format!("the verdict{} is {new}, and was {base}", of_case(&case.name))
        });
        verdicts.chain(self.regressions().map(|(case, line)| sentence(case, line))).collect()
    }
}

fn of_case(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!(" of {name}") }
}

fn sentence(case: &CaseComparison, line: &Line) -> String {
    let whose = of_case(&case.name);
    let beside = match (&case.beside, line.relative) {
        (Some(beside), true) => format!(" as a ratio to {beside}"),
        _ => String::new(),
    };
    let (from, to) = (value(line, line.base), value(line, line.new));
    let name = line.metric.name();
    match line.ratio {
        Some((ratio, (low, high))) => {
            let verb = if ratio >= 1.0 { "rose" } else { "fell" };
            let (small, large) = if ratio >= 1.0 { (low, high) } else { (high, low) };
            let share = |ratio: f64| format!("{:.1} %", (ratio - 1.0).abs() * 100.0);
            format!(
                "{name}{whose}{beside} {verb} by {} (95 % interval {} to {}), from {from} to {to}",
                share(ratio),
                share(small),
                share(large)
            )
        }
        None => format!("{name}{whose} went from {from} to {to}"),
    }
}

fn value(line: &Line, value: Option<f64>) -> String {
    match value {
        Some(value) if line.relative => format!("{}×", units::significant(value)),
        Some(value) => line.metric.human(value),
        None if line.metric.is_null_never() => "never".to_owned(),
        None => String::new(),
    }
}

fn render_case(case: &CaseComparison, style: &Style) -> String {
    let mut grid = Grid::new(vec![
        Column::words("measure", 0),
        Column::numbers("baseline", 0),
        Column::numbers("new", 0),
        Column::numbers("repeats", 2),
        Column::numbers("ratio", 0),
        Column::numbers("95 % interval", 1),
        Column::words("", 0),
    ]);
    let (base, new) = case.verdicts;
    let (word, tone) = if case.verdict_worse() { ("worse", Tone::Bad) } else { ("", Tone::Plain) };
    grid.row(vec![
        Text::from("verdict".to_owned()),
        Text::from(base.to_string()),
        Text::toned(new.to_string(), tone),
        Text::toned(" ", Tone::Plain),
        Text::toned(" ", Tone::Plain),
        Text::toned(" ", Tone::Plain),
        Text::toned(word, tone),
    ]);
    for line in case.lines.iter().filter(|line| line.base.or(line.new).is_some()) {
        grid.row(row(line));
    }
    let name = match (&*case.name, &case.beside) {
        ("", _) => String::new(),
        (name, Some(beside)) => {
            format!("  {}, × is to {}\n", style.paint(name, Tone::Strong), printable(beside))
        }
        (name, None) => format!("  {}\n", style.paint(name, Tone::Strong)),
    };
    name + &grid.render(style)
}

fn row(line: &Line) -> Vec<Text> {
    let (word, tone) = match line.finding {
        Finding::Worse => ("worse", Tone::Bad),
        Finding::Better => ("better", Tone::Good),
        Finding::Same => ("same", Tone::Dim),
        Finding::Unclear => ("unclear", Tone::Dim),
        Finding::NotCompared(Refusal::NotMeasured) => ("not measured", Tone::Dim),
        Finding::NotCompared(Refusal::OtherMachine) => ("another machine", Tone::Careful),
        Finding::NotCompared(Refusal::FewRepeats) => ("too few repeats", Tone::Careful),
    };
    let (base, new) = line.repeats;
    let repeats = if base == new { base.to_string() } else { format!("{base}, {new}") };
    let interval = line.ratio.map(|(_, (low, high))| format!("{low:.3} to {high:.3}"));
    vec![
        Text::from(line.metric.name().to_owned()),
        Text::from(value(line, line.base)),
        Text::from(value(line, line.new)),
        Text::from(repeats),
        Text::from(line.ratio.map(|(ratio, _)| format!("{ratio:.3}"))),
        Text::from(interval),
        Text::toned(word, tone),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::compare;
    use super::*;
    use crate::record::{Case, Repeat, sample};

    #[test]
    fn a_comparison_names_each_regression_with_its_size_and_certainty() {
        let base = sample::big_store_repeated();
        let mut new = base.clone();
        let noise = [0.995, 1.0, 1.01, 0.99, 1.005];
        let runs = noise.map(|noise| {
            let mut case = sample::big_store().cases.remove(1);
            case.cost.cpu_us_per_action = case.cost.cpu_us_per_action.map(|us| us * 1.1 * noise);
            (Repeat::of(&case), case)
        });
        new.cases[1] = Case::of_repeats(runs.into());
        insta::assert_snapshot!(
            compare(&[(vec![&base], vec![&new])], 0.02)[0].render(&Style::PLAIN)
        );
        new.machine.cores = 8;
        insta::assert_snapshot!(
            compare(&[(vec![&base], vec![&new])], 0.02)[0].render(&Style::PLAIN)
        );
    }

    #[test]
    fn single_runs_are_not_compared() {
        let base = sample::two_clusters();
        let mut new = sample::disconnect_failed();
        new.scenario.clone_from(&base.scenario);
        insta::assert_snapshot!(
            compare(&[(vec![&base], vec![&new])], 0.02)[0].render(&Style::PLAIN)
        );
    }
}
