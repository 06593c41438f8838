//! Traces, as lines and as a diagram.

use samestate_report::spacetime::{
    self, Lane, Mark, MarkKind, Message, MessageKind, SpaceTime, Span, SpanKind, VersionPoint,
};

use super::super::exit::ExitCode;
use super::{Wanted, show};
use crate::streams::note;
use crate::virtual_time::{Flight, Outcome, Trace, What};

/// Prints the trace, and draws it, where that was asked for.
pub(super) fn hand_out(outcome: &Outcome, name: &str, wanted: &Wanted) -> Result<(), String> {
    let Some(trace) = &outcome.trace else { return Ok(()) };
    if wanted.trace.is_some() {
        let text: String = trace.lines(&outcome.slots).map(|line| line + "\n").collect();
        // A reader that closes the pipe early is no failure.
        show(&text, ExitCode::Pass);
    }
    if let Some(path) = &wanted.trace_html {
        let html = spacetime::html(&diagram(outcome, trace, name));
        std::fs::write(path, html)
            .map_err(|error| format!("failed to write {}: {error}", path.display()))?;
        note!("drawn in {}", path.display());
    }
    Ok(())
}

fn us(at: std::time::Duration) -> u64 {
    at.as_micros() as u64
}

fn diagram(outcome: &Outcome, trace: &Trace, name: &str) -> SpaceTime {
    let lanes = outcome.slots.iter().map(|slot| {
        let (name, detail) = slot.split_once('/').unwrap_or((slot, ""));
        Lane { name: name.to_owned(), detail: detail.to_owned() }
    });
    let mut drawn = SpaceTime {
        title: name.to_owned(),
        subtitle: match &outcome.violation {
            Some((_, violation)) => violation.to_string(),
            None => format!("{:.3} s of virtual time", outcome.virtual_time.as_secs_f64()),
        },
        lanes: lanes.collect(),
        messages: trace
            .flights()
            .filter(|flight| flight.name != "Heartbeat")
            .map(message)
            .collect(),
        marks: Vec::new(),
        versions: Vec::new(),
        spans: Vec::new(),
    };
    let mut open: Vec<(usize, SpanKind, u64)> = Vec::new();
    for stamped in trace.moments() {
        let at_us = us(stamped.at);
        let lane = stamped.slot.unwrap_or(0);
        if let Some(version) = &stamped.moment.version {
            drawn.versions.push(VersionPoint { lane, at_us, version: version.clone() });
        }
        if let Some((kind, begins)) = span_of(stamped.moment.what) {
            let found = open.iter().position(|one| one.0 == lane && one.1 == kind);
            match (begins, found) {
                (true, None) => open.push((lane, kind, at_us)),
                (false, Some(at)) => {
                    let (lane, kind, from_us) = open.remove(at);
                    let label = String::new();
                    drawn.spans.push(Span { lane, from_us, to_us: at_us, kind, label });
                }
                _ => {}
            }
        }
        if let Some(kind) = mark_of(stamped.moment.what) {
            drawn.marks.push(Mark { lane, at_us, kind, label: stamped.moment.text.clone() });
        }
    }
    let end = us(outcome.virtual_time);
    for (lane, kind, from_us) in open {
        drawn.spans.push(Span { lane, from_us, to_us: end, kind, label: String::new() });
    }
    drawn
}

fn message(flight: &Flight) -> Message {
    let kind = match flight.name.as_str() {
        "Dispatch" => MessageKind::Dispatch,
        "Entries" => MessageKind::Entries,
        "SnapshotHead" | "SnapshotPart" => MessageKind::Snapshot,
        "Answers" => MessageKind::Answer,
        "Attach" | "Status" | "SessionOpen" | "SessionOpened" | "Lineage" => MessageKind::Handshake,
        "Heal" | "Digest" => MessageKind::Heal,
        _ => MessageKind::Other,
    };
    Message {
        from: flight.from,
        to: flight.to,
        sent_us: us(flight.sent),
        arrived_us: flight.arrived.map(us),
        kind,
        label: flight.text.clone(),
    }
}

fn span_of(what: What) -> Option<(SpanKind, bool)> {
    match what {
        What::Up(up) => Some((SpanKind::Down, !up)),
        What::Paused(paused) => Some((SpanKind::Paused, paused)),
        What::InSync(in_sync) => Some((SpanKind::NotInSync, !in_sync)),
        _ => None,
    }
}

fn mark_of(what: What) -> Option<MarkKind> {
    Some(match what {
        What::Dispatch => MarkKind::Dispatch,
        What::Applied => MarkKind::Applied,
        What::Jumped => MarkKind::Jumped,
        What::Resolved => MarkKind::Resolved,
        What::Fault => MarkKind::Fault,
        What::Report => MarkKind::Report,
        What::Violation => MarkKind::Violation,
        What::Link | What::InSync(_) | What::Up(_) | What::Paused(_) => return None,
    })
}
