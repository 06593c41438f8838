//! A run in GitHub Actions: annotations at the lines of the scenario, and a summary of the job.
//!
//! The commands of a workflow are lines on standard error, so that they do not mix with a record on
//! standard output.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use samestate_report::compare::Comparison;
use samestate_report::{Record, Verdict, markdown};

use crate::streams::note;

/// The most annotations of a record: GitHub shows ten of a step.
const ANNOTATIONS_MAX: usize = 10;

/// Annotates the run and adds to the summary of the job, if this is a job of GitHub Actions.
pub(super) fn announce(record: &Record) {
    if std::env::var_os("GITHUB_ACTIONS").is_none_or(|value| value != "true") {
        return;
    }
    for line in annotations(record) {
        note!("{line}");
    }
    if let Some(summary) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) {
        append(record, &summary);
    }
}

/// Annotates what became worse than its baseline, if this is a job of GitHub Actions.
pub(super) fn announce_regressions(comparison: &Comparison) {
    if std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true") {
        regressions(comparison).iter().for_each(|line| note!("{line}"));
    }
}

fn regressions(comparison: &Comparison) -> Vec<String> {
    let title = property(&format!("{}: worse than the baseline", comparison.scenario));
    let gone = comparison.gone.iter().map(|name| format!("the case {name} is gone"));
    let texts = comparison.sentences().into_iter().chain(gone).take(ANNOTATIONS_MAX);
    texts.map(|text| format!("::error title={title}::{}", message(&text))).collect()
}

/// Adds the record to the summary. A summary that cannot be written changes no result.
fn append(record: &Record, summary: &OsString) {
    let text = markdown::to_markdown(record) + "\n";
    let file = OpenOptions::new().create(true).append(true).open(Path::new(summary));
    if let Err(error) = file.and_then(|mut file| file.write_all(text.as_bytes())) {
        let summary = Path::new(summary).display();
        note!("note: failed to add to the summary of the job, {summary}: {error}");
    }
}

/// One workflow command for each reason why a record did not pass.
fn annotations(record: &Record) -> Vec<String> {
    let file = record.file.as_deref().filter(|file| *file != "-");
    let mut lines = Vec::new();
    for case in record.cases.iter().filter(|case| case.verdict != Verdict::Pass) {
        let title = match case.name() {
            with if with.is_empty() => format!("{}: {}", record.scenario, case.verdict),
            with => format!("{} with {with}: {}", record.scenario, case.verdict),
        };
        let level = if case.verdict == Verdict::Fail { "error" } else { "warning" };
        let mut annotate = |level: &str, line: Option<u32>, text: &str| {
            let mut properties = Vec::new();
            properties.extend(file.map(|file| format!("file={}", property(file))));
            properties.extend(line.filter(|_| file.is_some()).map(|line| format!("line={line}")));
            properties.push(format!("title={}", property(&title)));
            lines.push(format!("::{level} {}::{}", properties.join(","), message(text)));
        };
        for one in case.failed_expectations() {
            annotate("error", one.line, &one.in_a_line());
        }
        for one in case.unwanted_violations() {
            let text = format!("{} violated at {}: {}", one.invariant, one.at, one.detail_text());
            annotate("error", None, &text);
        }
        for one in case.unmeasured_expectations() {
            annotate("warning", one.line, &one.in_a_line());
        }
        for why in &case.because {
            annotate(level, None, why);
        }
    }
    lines.truncate(ANNOTATIONS_MAX);
    lines
}

/// A text as the message of a command: on one line.
fn message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A text as a property of a command.
fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use samestate_report::{Case, Expectation, Kind, Violation};

    use super::*;

    #[test]
    fn each_reason_is_a_command_at_its_line_that_nothing_can_break_out_of() {
        let mut failed = Expectation::in_words("connected", "true", "false\n::error::x", false);
        failed.line = Some(12);
        let case = Case {
            verdict: Verdict::Fail,
            because: vec!["it ended early".into()],
            expectations: vec![failed, Expectation::in_words("fine", "1", "1", true)],
            violations: vec![Violation::new("I2", "a.master", "100 % wrong")],
            ..Case::default()
        };
        let mut record = Record::new("short", 1, Kind::Virtual, vec![case, Case::default()]);
        record.file = Some("a,b:c.yaml".into());
        record.cases[1].verdict = Verdict::Pass;
        assert_eq!(
            annotations(&record),
            [
                "::error file=a%2Cb%3Ac.yaml,line=12,title=short%3A fail::connected: expected \
                 true, measured false%0A::error::x",
                "::error file=a%2Cb%3Ac.yaml,title=short%3A fail::I2 violated at a.master: 100 %25 \
                 wrong",
                "::error file=a%2Cb%3Ac.yaml,title=short%3A fail::it ended early",
            ]
        );
    }

    #[test]
    fn each_regression_is_an_error_that_nothing_can_break_out_of() {
        let case = Case { verdict: Verdict::Pass, ..Case::default() };
        let base = Record::new("a,b", 1, Kind::Virtual, vec![case]);
        let mut new = base.clone();
        new.cases[0].violations = vec![Violation::new("I2", "a.master", "wrong")];
        let compared = samestate_report::compare::compare(&[(vec![&base], vec![&new])], 0.02);
        assert_eq!(
            regressions(&compared[0]),
            ["::error title=a%2Cb%3A worse than the baseline::violations went from 0 to 1"]
        );
    }
}
