//! The summary: verdict, sentences, tables, findings.

use super::style::{Style, Tone, wrap};
use super::{findings, matrix, seeds, sentences, tables};
use crate::record::{Case, Kind, Record, Verdict};
use crate::units;

const INDENT: &str = "  ";

/// Renders the summary of a record for a person, as lines that end in a newline.
pub fn summary(record: &Record, style: &Style) -> String {
    let mut parts = vec![title(record, style)];
    match (&record.seeds, &*record.cases) {
        (Some(search), _) => parts.push(seeds::of_search(search, style)),
        (None, []) => parts.push("  no case was run\n".to_owned()),
        (None, [case]) => parts.extend(one_case(case, style)),
        (None, cases) => {
            parts.push(matrix::side_by_side(record, style));
            parts.extend(cases.iter().map(|case| findings_of(case, style)));
        }
    }
    parts.push(machine(record, style));
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

fn title(record: &Record, style: &Style) -> String {
    let verdict = record.verdict.to_string().to_uppercase();
    let took = match (record.kind, record.virtual_seconds) {
        (Kind::Virtual, Some(seconds)) => format!(
            "{} of virtual time in {}",
            units::duration(seconds),
            units::duration(record.wall_seconds)
        ),
        _ => units::duration(record.wall_seconds),
    };
    let what = match (record.kind, &*record.cases) {
        _ if record.seeds.is_some() => "seeds".to_owned(),
        (_, [first, _, ..]) if first.repeats.len() > 1 => {
            format!("{} cases, {} repeats", record.cases.len(), first.repeats.len())
        }
        (_, [only]) if only.repeats.len() > 1 => format!("{} repeats", only.repeats.len()),
        (_, [_, _, ..]) => format!("{} cases", record.cases.len()),
        (Kind::Virtual, _) => "simulated".to_owned(),
        (Kind::Processes, [case]) if case.processes.len() > 1 => {
            format!("{} processes", case.processes.len())
        }
        (Kind::Processes, [case]) if case.was_not_run() => "nothing was measured".to_owned(),
        (Kind::Processes, _) => "one process".to_owned(),
    };
    let seed = match &record.seeds {
        Some(_) => String::new(),
        None => format!(", seed {}", record.seed),
    };
    let rest = format!("{what}, {took}{seed}");
    let length: usize =
        [&verdict, &record.scenario, &rest].iter().map(|part| part.chars().count() + 2).sum();
    let gap = if length - 2 > style.columns() { "\n" } else { "" };
    format!(
        "{}  {}{gap}{INDENT}{}\n",
        style.paint(&verdict, tone_of(record.verdict)),
        style.paint(&record.scenario, Tone::Strong),
        style.paint(&rest, Tone::Dim)
    )
}

fn one_case(case: &Case, style: &Style) -> [String; 4] {
    [
        sentences::of_case(case, style),
        tables::stores(case, style),
        tables::processes(case, style),
        findings::of_case(case, style),
    ]
}

/// The findings of one case of several, under its name.
fn findings_of(case: &Case, style: &Style) -> String {
    let findings = findings::of_case(case, style);
    if findings.is_empty() || case.verdict == Verdict::Pass {
        return String::new();
    }
    format!("  {}\n{findings}", style.paint(&case.name(), Tone::Strong))
}

/// Renders the machine, and a warning if the figures mean nothing.
fn machine(record: &Record, style: &Style) -> String {
    let machine = &record.machine;
    let mut text = String::new();
    if machine.debug_build {
        let warning = "an unoptimised build: costs and latencies say nothing";
        text.push_str(&format!("{INDENT}{}\n", style.paint(warning, Tone::Careful)));
    }
    let cores = if machine.cores == 1 { "core" } else { "cores" };
    let version = format!("samestate {}", machine.samestate);
    let known = [machine.cpu.as_str(), &machine.os, &version];
    if machine.cores > 0 {
        let words = format!("on {} {cores}, {}", machine.cores, known.join(", "));
        for line in wrap(&words, style.columns().saturating_sub(INDENT.len())) {
            text.push_str(&format!("{INDENT}{}\n", style.paint(&line, Tone::Dim)));
        }
    }
    text
}

/// Returns the look of a verdict.
pub(super) fn tone_of(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Pass => Tone::Good,
        Verdict::Fail => Tone::Bad,
        Verdict::Inconclusive | Verdict::Interrupted => Tone::Careful,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::sample;

    const NARROW: Style = Style { colour: false, width: 72 };

    #[test]
    fn a_run_that_passed_says_so_at_a_glance() {
        insta::assert_snapshot!(summary(&sample::two_clusters(), &Style::PLAIN));
    }

    #[test]
    fn a_run_that_failed_says_what_was_expected_and_what_was_measured() {
        insta::assert_snapshot!(summary(&sample::disconnect_failed(), &Style::PLAIN));
    }

    #[test]
    fn a_matrix_stands_side_by_side() {
        insta::assert_snapshot!(summary(&sample::big_store(), &Style::PLAIN));
    }

    #[test]
    fn medians_stand_with_their_intervals() {
        insta::assert_snapshot!(summary(&sample::big_store_repeated(), &Style::PLAIN));
        let mut single = sample::big_store_repeated();
        single.cases.truncate(1);
        insta::assert_snapshot!(summary(&single, &Style::PLAIN));
    }

    #[test]
    fn what_was_not_measured_is_not_told() {
        insta::assert_snapshot!(summary(&sample::virtual_inconclusive(), &Style::PLAIN));
    }

    #[test]
    fn a_narrow_terminal_gets_narrow_lines() {
        insta::assert_snapshot!(summary(&sample::disconnect_failed(), &NARROW));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_whatever_that_says_its_width_is() {
        let records = [
            sample::two_clusters(),
            sample::big_store(),
            sample::disconnect_failed(),
            sample::virtual_inconclusive(),
        ];
        for width in (60..160).step_by(7).chain([usize::from(u16::MAX) + 1]) {
            let style = Style { colour: false, width };
            for record in &records {
                let text = summary(record, &style);
                assert!(text.lines().all(|line| line.chars().count() <= width), "{width}\n{text}");
            }
        }
        for width in [0, 1, 40] {
            let text = summary(&records[2], &Style { colour: true, width });
            assert!(text.contains("disconnect"), "{text}");
        }
    }

    #[test]
    fn colour_adds_nothing_but_colour() {
        for record in [sample::two_clusters(), sample::big_store(), sample::disconnect_failed()] {
            let plain = summary(&record, &Style::PLAIN);
            assert!(!plain.contains('\u{1b}'), "{plain}");
            let coloured = summary(&record, &Style { colour: true, ..Style::PLAIN });
            assert!(coloured.contains('\u{1b}'), "{coloured}");
            assert_eq!(without_colour(&coloured), plain);
        }
    }

    /// `text` without escape sequences, and without the spaces that end a line only because a
    /// sequence stood after them.
    fn without_colour(text: &str) -> String {
        let mut pieces = text.split('\u{1b}');
        let mut plain = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            plain.push_str(piece.split_once('m').map_or("", |(_, rest)| rest));
        }
        plain.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
    }
}
