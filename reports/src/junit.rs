//! A record as JUnit XML, for a CI that lists tests.
//!
//! A case is a suite. Its tests are its expectations, its invariants (one test), and its verdict
//! (one more, with reasons that no other test gives: that faults were not injected, or that the
//! measurement cannot be trusted). So a suite succeeds exactly where its case passed, and what is
//! wrong once is told once. An expectation has the file and the line on which it stands.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use crate::record::{Case, Expectation, Outcome, Record, Verdict, Violation};

/// The records as one JUnit XML document.
pub fn to_xml(records: &[Record]) -> String {
    let name = match records {
        [only] => &*only.scenario,
        _ => "samestate",
    };
    let mut report = Report::new(name);
    if let Ok(time) = Duration::try_from_secs_f64(records.iter().map(|one| one.wall_seconds).sum())
    {
        report.set_time(time);
    }
    for record in records {
        report.add_test_suites(record.cases.iter().map(|case| suite(record, case)));
    }
    report.to_string().expect("writing to memory does not fail, and text is cleaned on its way in")
}

fn suite(record: &Record, case: &Case) -> TestSuite {
    let name = suite_name(record, case);
    let mut suite = TestSuite::new(&*name);
    if let Some(time) = case.seconds.and_then(|time| Duration::try_from_secs_f64(time).ok()) {
        suite.set_time(time);
    }
    suite.add_properties([
        Property::new("seed", record.seed.to_string()),
        Property::new("kind", record.kind.to_string()),
        Property::new("samestate", &*record.machine.samestate),
    ]);
    let mut tests = vec![test("invariants hold", invariants(case)), test("verdict", verdict(case))];
    tests.extend(case.expectations.iter().map(|one| {
        let mut test = test(&format!("{} is {}", one.what, one.expected), expectation(one));
        if let (Some(file), Some(line)) = (&record.file, one.line) {
            test.extra.insert("file".into(), file.as_str().into());
            test.extra.insert("line".into(), line.to_string().into());
        }
        test
    }));
    for test in &mut tests {
        test.set_classname(&*name);
    }
    suite.add_test_cases(tests);
    suite
}

/// The scenario's name, with the case's where there is a matrix.
fn suite_name(record: &Record, case: &Case) -> String {
    match case.name() {
        name if name.is_empty() => record.scenario.clone(),
        name => format!("{} [{name}]", record.scenario),
    }
}

fn test(name: &str, status: TestCaseStatus) -> TestCase {
    TestCase::new(name, status)
}

fn expectation(one: &Expectation) -> TestCaseStatus {
    match one.outcome {
        Outcome::Held => TestCaseStatus::success(),
        Outcome::NotMeasured if one.optional => {
            let mut status = TestCaseStatus::skipped();
            status.set_message("no sample; the expectation is optional");
            status
        }
        Outcome::NotMeasured => {
            let message = format!("expected {}, and there is no sample", one.expected);
            non_success(NonSuccessKind::Error, "inconclusive", &message, &message)
        }
        Outcome::Failed => {
            let message = format!("expected {}, measured {}", one.expected, one.measured);
            non_success(NonSuccessKind::Failure, "expectation", &message, &message)
        }
    }
}

/// Violations that the scenario demanded fail nothing.
fn invariants(case: &Case) -> TestCaseStatus {
    let line = |one: &Violation| format!("{} at {}: {}", one.invariant, one.at, one.detail_text());
    let lines: Vec<String> = case.unwanted_violations().map(line).collect();
    let message = match &*lines {
        [] => return TestCaseStatus::success(),
        [only] => only.clone(),
        all => format!("{} violations, the first: {}", all.len(), all[0]),
    };
    non_success(NonSuccessKind::Failure, "invariant", &message, &lines.join("\n"))
}

/// Returns the status of the verdict's own test, which holds all that no other test of the case
/// reports.
fn verdict(case: &Case) -> TestCaseStatus {
    let told = case.failed_expectations().next().is_some()
        || case.unmeasured_expectations().next().is_some()
        || case.unwanted_violations().next().is_some();
    if told && case.because.is_empty() && case.verdict != Verdict::Interrupted {
        return TestCaseStatus::success();
    }
    let kind = match case.verdict {
        Verdict::Pass => return TestCaseStatus::success(),
        Verdict::Fail => NonSuccessKind::Failure,
        Verdict::Inconclusive | Verdict::Interrupted => NonSuccessKind::Error,
    };
    let verdict = case.verdict.to_string();
    let message = match &*case.because {
        [] => verdict.clone(),
        reasons => format!("{verdict}: {}", reasons.join("; ")),
    };
    non_success(kind, &verdict, &message, &message)
}

fn non_success(
    kind: NonSuccessKind,
    type_: &str,
    message: &str,
    description: &str,
) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(type_).set_message(message).set_description(description);
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::sample;

    #[test]
    fn each_expectation_of_each_case_is_a_test() {
        insta::assert_snapshot!(to_xml(&[sample::disconnect_failed()]));
    }

    #[test]
    fn a_suite_succeeds_exactly_where_its_case_passed() {
        for (record, succeeds) in [
            (sample::two_clusters(), true),
            (sample::big_store(), true),
            (sample::disconnect_failed(), false),
            (sample::virtual_inconclusive(), false),
        ] {
            let xml = to_xml(std::slice::from_ref(&record));
            let succeeded = !xml.contains("<failure") && !xml.contains("<error");
            assert_eq!(succeeded, succeeds, "{xml}");
        }
    }

    #[test]
    fn markup_in_a_detail_stays_text() {
        let mut record = sample::disconnect_failed();
        record.cases[0].violations[0].detail = "<a> & \u{1b}[31m".into();
        let xml = to_xml(std::slice::from_ref(&record));
        assert!(xml.contains("&lt;a&gt; &amp; "), "{xml}");
        assert!(!xml.contains('\u{1b}'), "{xml}");
    }
}
