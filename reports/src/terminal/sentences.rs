//! The course of a run, in one sentence for each important event.

use std::collections::BTreeMap;

use super::style::{Style, Tone, wrap};
use crate::record::{Case, Dispatches, Metric, Observation, Quantiles, Verdict};
use crate::{stats, units};

/// One sentence: what it is about, what it says, and how it looks.
pub(crate) struct Sentence {
    pub(crate) about: &'static str,
    pub(crate) says: String,
    pub(crate) tone: Tone,
}

/// The largest width of a sentence's subject, the gap after it included.
const ABOUT_WIDTH: usize = 12;
const INDENT: &str = "  ";

/// The sentences of a case; none if nothing was measured.
pub(crate) fn sentences(case: &Case) -> impl Iterator<Item = Sentence> {
    let sentences = [
        identity(case),
        observed(&case.observations),
        converged(case),
        dispatches(&case.dispatches),
        rate(case),
        latency(case),
        staleness(case),
        cost(case),
        phases(case),
        skipped(case),
        faults(case),
        repeats(case),
    ];
    let was_run = !case.was_not_run();
    sentences.into_iter().flatten().filter(move |_| was_run)
}

/// The sentences of a case, each on lines of its own.
pub(super) fn of_case(case: &Case, style: &Style) -> String {
    let mut text = String::new();
    let room = style.columns().saturating_sub(INDENT.len() + ABOUT_WIDTH);
    for sentence in sentences(case) {
        let mut about = sentence.about;
        for line in wrap(&sentence.says, room) {
            let padded = format!("{about:ABOUT_WIDTH$}");
            let line = format!(
                "{INDENT}{}{}",
                style.paint(&padded, Tone::Dim),
                style.paint(&line, sentence.tone)
            );
            text.push_str(&line);
            text.push('\n');
            about = "";
        }
    }
    text
}

/// The measures whose intervals a sentence names.
const WITH_INTERVALS: &[(&str, &str)] = &[
    ("CPU per action", "cost.cpu_us_per_action"),
    ("answered p50", "latency_us.local.p50"),
    ("at replicas p50", "latency_us.replica.p50"),
    ("at replicas p99", "latency_us.replica.p99"),
];

/// The number of repeats, and the intervals of the medians.
fn repeats(case: &Case) -> Option<Sentence> {
    if case.repeats.is_empty() {
        return None;
    }
    let (all, counted) = (case.repeats.len(), case.conclusive_repeats().count());
    let mut text = format!("costs, times and rates are medians of {counted} repeats");
    if counted < all {
        text += &format!(" ({} of {all} left out)", all - counted);
    }
    let intervals = WITH_INTERVALS.iter().filter_map(|(label, name)| {
        let metric = Metric::named(name)?;
        let interval = case.interval(metric)?;
        let (low, high) = (metric.human(interval.low), metric.human(interval.high));
        Some(format!("{label} {low} to {high}"))
    });
    let intervals: Vec<String> = intervals.collect();
    text += &match intervals.is_empty() {
        true => format!("; an interval needs {} of them", stats::REPEATS_MIN),
        false => format!("; 95 % intervals: {}", intervals.join(", ")),
    };
    said("repeats", text, if counted < all { Tone::Careful } else { Tone::Plain })
}

fn said(about: &'static str, says: String, tone: Tone) -> Option<Sentence> {
    Some(Sentence { about, says, tone })
}

fn identity(case: &Case) -> Option<Sentence> {
    let identical = &case.identical;
    let mut parts = Vec::new();
    if let Some(percent) = identical.time_weighted_percent {
        let where_ = if case.stores.len() > 1 { ", in the worst store" } else { "" };
        parts.push(format!(
            "all replicas at one version {} of the time{where_}",
            units::percent(percent)
        ));
    }
    let mut tone = Tone::Plain;
    match identical.at_equal_version_percent {
        Some(100.0) => parts.push("at equal versions always the same".to_owned()),
        Some(percent) => {
            tone = Tone::Bad;
            parts.push(format!("at equal versions the same only {}", units::percent(percent)));
        }
        None => {}
    }
    if let Some(percent) = identical.sampled_percent {
        parts.push(format!(
            "identical in {} of {} samples",
            units::percent(percent),
            units::count(identical.samples as f64)
        ));
    }
    if parts.is_empty() { None } else { said("identity", parts.join("; "), tone) }
}

fn observed(observations: &[Observation]) -> Option<Sentence> {
    let each = observations.iter().filter_map(|one| {
        let percent = units::percent(one.identical_percent()?);
        let samples = units::count(one.samples as f64);
        let what = match &one.at {
            Some(node) => format!("{} at {node}", one.stores.join(" = ")),
            None => format!("{} everywhere", one.stores.join(", ")),
        };
        Some(format!("{what} {percent} of {samples}"))
    });
    let parts: Vec<String> = each.collect();
    if parts.is_empty() { None } else { said("observed", parts.join("; "), Tone::Plain) }
}

fn converged(case: &Case) -> Option<Sentence> {
    match case.identical.converged_within_ms {
        Some(0.0) => {
            said("converged", "at once, when load and faults ended".to_owned(), Tone::Plain)
        }
        Some(ms) => said(
            "converged",
            format!("within {} of the end of load and faults", units::milliseconds(ms)),
            Tone::Plain,
        ),
        None if case.verdict == Verdict::Interrupted => None,
        None => said("converged", "never: the replicas did not become equal".to_owned(), Tone::Bad),
    }
}

fn dispatches(counts: &Dispatches) -> Option<Sentence> {
    let number = |count: u64| units::count(count as f64);
    let mut outcomes = vec![format!("{} ok", number(counts.ok))];
    let others =
        [(counts.refused, "refused"), (counts.rejected, "rejected"), (counts.unknown, "unknown")];
    outcomes.extend(
        others
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, name)| format!("{} {name}", number(*count))),
    );
    let mirrors = match counts.from_mirrors {
        0 => String::new(),
        count => format!(" ({} by mirrors)", number(count)),
    };
    let mut text = format!("{} made{mirrors}, {}", number(counts.intended), outcomes.join(", "));
    let mut bad = false;
    text += &match (counts.lost, counts.duplicated) {
        (None, None) => "; not held against the history".to_owned(),
        (lost, twice) => {
            bad = lost.is_some_and(|count| count > 0) || twice.is_some_and(|count| count > 0);
            format!(": {}, {}", faulty(lost, "lost"), faulty(twice, "twice"))
        }
    };
    if let Some(count) = counts.rolled_back.filter(|count| *count > 0) {
        text += &format!(", {} rolled back with a sequencer that died", number(count));
    }
    if !counts.balanced() {
        bad = true;
        text += "; these do not add up, which is a bug of the runner";
    }
    said("dispatches", text, if bad { Tone::Bad } else { Tone::Plain })
}

/// A count that has to be zero.
fn faulty(count: Option<u64>, name: &str) -> String {
    match count {
        Some(0) => format!("none {name}"),
        Some(count) => format!("{} {}", units::count(count as f64), name.to_uppercase()),
        None => format!("{name} not checked"),
    }
}

fn rate(case: &Case) -> Option<Sentence> {
    let rate = &case.rate;
    let mut text = format!("{} applied by every replica", units::per_second(rate.achieved_per_s?));
    if let Some(intended) = rate.intended_per_s {
        text += &format!(", {} intended", units::per_second(intended));
    }
    if let Some(lag) = rate.schedule_lag_ms_p99 {
        text += &format!("; load late by {} (p99)", units::milliseconds(lag));
    }
    if let Some(seconds) = rate.left_out_seconds.filter(|seconds| *seconds > 0.0) {
        text += &format!(", {} of planned standstill left out", units::seconds(seconds));
    }
    said("rate", text, Tone::Plain)
}

fn latency(case: &Case) -> Option<Sentence> {
    let spread = |what: &str, quantiles: &Quantiles| {
        format!(
            "{what} {}, p99 {}, max {}",
            units::microseconds(quantiles.p50),
            units::microseconds(quantiles.p99),
            units::microseconds(quantiles.max)
        )
    };
    let local = case.latency_us.local.as_ref().map(|local| spread("answered in", local));
    let replica =
        case.latency_us.replica.as_ref().map(|replica| spread("at each replica in", replica));
    let parts: Vec<String> = local.into_iter().chain(replica).collect();
    if parts.is_empty() { None } else { said("latency", parts.join("; "), Tone::Plain) }
}

fn staleness(case: &Case) -> Option<Sentence> {
    let versions = case.staleness.versions_p99.map(|versions| match versions {
        1 => "1 version".to_owned(),
        _ => format!("{} versions", units::count(versions as f64)),
    });
    let time = case.staleness.ms_p99.map(units::milliseconds);
    let parts: Vec<String> = versions.into_iter().chain(time).collect();
    if parts.is_empty() {
        return None;
    }
    said("behind", format!("replicas by {} (p99)", parts.join(" or ")), Tone::Plain)
}

fn cost(case: &Case) -> Option<Sentence> {
    let cost = &case.cost;
    let amount = |total: Option<f64>, human: fn(f64) -> String, each: Option<f64>, name: &str| {
        let each = each.map(|each| format!(" ({} an action)", human(each))).unwrap_or_default();
        total.map(|total| format!("{}{name}{each}", human(total)))
    };
    let whole = |count: Option<u64>| count.map(|count| count as f64);
    let cpu = cost.cpu_seconds.map(|seconds| {
        let each = cost.cpu_us_per_action.map(units::microseconds);
        let null = cost.null_cpu_us_per_action.map(units::microseconds);
        let each = each.map(|each| format!("{each} an action")).into_iter();
        let null = null.map(|null| format!("{null} in a null case"));
        let parts: Vec<String> = each.chain(null).collect();
        let parts =
            if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) };
        format!("{} CPU{parts}", units::seconds(seconds))
    });
    let parts: Vec<String> = [
        cpu,
        amount(whole(cost.wire_bytes), units::bytes, cost.wire_bytes_per_action, " sent"),
        amount(whole(cost.syscalls), units::count, cost.syscalls_per_action, " system calls"),
        amount(whole(cost.rss_bytes_max), units::bytes, None, " in the largest process"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if parts.is_empty() {
        return None;
    }
    said("cost", parts.join(", "), Tone::Plain)
}

/// The CPU of each phase, if there are several.
fn phases(case: &Case) -> Option<Sentence> {
    let each = case.phases.iter().filter_map(|phase| {
        let cpu = units::seconds(phase.cpu_seconds?);
        let each = phase.cpu_us_per_action.map(units::microseconds);
        let each = each.map(|each| format!(" ({each} an action)")).unwrap_or_default();
        Some(format!("{} {cpu} CPU{each}", phase.name))
    });
    let each: Vec<String> = each.collect();
    if each.len() < 2 { None } else { said("phases", each.join("; "), Tone::Plain) }
}

/// Only where entries were skipped: a figure for action mode has none.
fn skipped(case: &Case) -> Option<Sentence> {
    let forced = case.cost.snapshots_forced.unwrap_or(0);
    let entries = case.cost.entries_skipped.unwrap_or(0);
    if forced == 0 && entries == 0 {
        return None;
    }
    let text = format!(
        "{} entries, by {} snapshots given to consumers that fell off the log",
        units::count(entries as f64),
        units::count(forced as f64)
    );
    said("skipped", text, Tone::Careful)
}

fn faults(case: &Case) -> Option<Sentence> {
    let faults = &case.faults;
    if faults.planned == 0 && faults.injected == 0 {
        return None;
    }
    let mut kinds = BTreeMap::<&str, u64>::new();
    for fault in faults.list.iter().filter(|fault| fault.injected_at_seconds.is_some()) {
        *kinds.entry(&fault.kind).or_default() += 1;
    }
    let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{kind} ×{count}")).collect();
    let which = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
    let healed = faults.list.iter().filter_map(|fault| fault.converged_within_ms);
    let slowest = healed
        .max_by(f64::total_cmp)
        .map(|ms| format!("; equal again within {}", units::milliseconds(ms)))
        .unwrap_or_default();
    let tone = if faults.injected < faults.planned { Tone::Careful } else { Tone::Plain };
    let text = format!("{} of {} injected{which}{slowest}", faults.injected, faults.planned);
    said("faults", text, tone)
}
