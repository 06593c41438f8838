//! Failures, with the expected and the measured values.

use super::style::{Style, Tone, wrap};
use crate::record::{Case, FaultDone, Outcome, Violation};
use crate::units;

/// The number of violations, and of missed faults, of a case that are shown. The record has them
/// all.
const SHOWN_MAX: usize = 10;
const INDENT: &str = "    ";

/// The findings of a case: empty where everything held and nothing was expected.
pub(super) fn of_case(case: &Case, style: &Style) -> String {
    let mut text = String::new();
    for reason in &case.because {
        finding(&mut text, style, "because", Tone::Careful, reason);
    }
    for failed in case.failed_expectations() {
        finding(&mut text, style, "failed", Tone::Bad, &failed.in_a_line());
    }
    for one in case.unmeasured_expectations() {
        finding(&mut text, style, "not measured", Tone::Careful, &one.in_a_line());
    }
    for violation in one_of_each_first(&case.violations).into_iter().take(SHOWN_MAX) {
        finding(&mut text, style, "violated", Tone::Bad, &violated(violation));
    }
    more(&mut text, case.violations.len(), "violations");
    let missed = case.faults.list.iter().filter(|fault| fault.injected_at_seconds.is_none());
    for fault in missed.clone().take(SHOWN_MAX) {
        finding(&mut text, style, "not injected", Tone::Careful, &not_injected(fault));
    }
    more(&mut text, missed.count(), "faults that were not injected");
    if let Some(held) = held(case) {
        text.push_str(&format!("  {}\n", style.paint(&held, Tone::Dim)));
    }
    text
}

fn finding(text: &mut String, style: &Style, title: &str, tone: Tone, words: &str) {
    let room = style.columns().saturating_sub(INDENT.len());
    let mut painted = style.paint(title, tone);
    for (at, line) in wrap(&format!("{title} {words}"), room).into_iter().enumerate() {
        if at == 0 {
            let rest = line.strip_prefix(title).unwrap_or_default();
            text.push_str(&format!("  {painted}{rest}\n"));
            painted.clear();
        } else {
            text.push_str(&format!("{INDENT}{line}\n"));
        }
    }
}

fn violated(violation: &Violation) -> String {
    let when =
        violation.after_seconds.map(|seconds| format!(" after {seconds:.3} s")).unwrap_or_default();
    let again =
        violation.reproduce.as_ref().map(|how| format!("; again: {how}")).unwrap_or_default();
    format!("{} at {}{when}: {}{again}", violation.invariant, violation.at, violation.detail_text())
}

fn not_injected(fault: &FaultDone) -> String {
    let why = if fault.evidence.is_empty() { "no evidence" } else { &fault.evidence };
    let at = units::seconds(fault.planned_at_seconds);
    format!("{} at {} planned at {at}: {why}", fault.kind, fault.at)
}

fn more(text: &mut String, count: usize, of_what: &str) {
    if count > SHOWN_MAX {
        text.push_str(&format!("{INDENT}and {} more {of_what}\n", count - SHOWN_MAX));
    }
}

/// Returns the numbers of expectations that held and of those without a result.
fn held(case: &Case) -> Option<String> {
    let count = |outcome| case.expectations.iter().filter(|one| one.outcome == outcome).count();
    let all = case.expectations.len();
    let not_measured = match count(Outcome::NotMeasured) {
        0 => String::new(),
        count => format!(", {count} not measured"),
    };
    (all > 0).then(|| format!("{} of {all} expectations held{not_measured}", count(Outcome::Held)))
}

/// Orders violations so that the first of each invariant at each place come before the second ones.
fn one_of_each_first(violations: &[Violation]) -> Vec<&Violation> {
    let is_alike =
        |one: &Violation, other: &Violation| one.invariant == other.invariant && one.at == other.at;
    let before = |at: usize| {
        violations[..at].iter().filter(|other| is_alike(other, &violations[at])).count()
    };
    let mut order: Vec<usize> = (0..violations.len()).collect();
    order.sort_by_key(|at| before(*at));
    order.into_iter().map(|at| &violations[at]).collect()
}
