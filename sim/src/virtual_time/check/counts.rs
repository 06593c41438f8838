//! Checks of counters and memory: a replica's counters against the events that were seen, and its
//! memory against its bounds.

use samestate_proto::replication::{Config, Note, Report, Resume};

use super::canon::Broken;
use super::commit::View;
use crate::invariants::Invariant;

/// The events that were seen in one incarnation of one replica.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) applied: u64,
    pub(super) replaced: u64,
    cut: u64,
    divergences: u64,
    healed: u64,
    resumed: u64,
    fell_off: u64,
    skipped: u64,
}

impl Seen {
    /// A snapshot is cut, begun when the state had been replaced so often: it is of use unless
    /// that has happened since, or is to.
    pub(super) fn cut(&mut self, replaced: u64, healing: bool) {
        self.cut += u64::from(replaced == self.replaced && !healing);
    }

    /// Takes a report of the replica.
    pub(super) fn reported(&mut self, report: &Report) {
        let diverged = matches!(report, Report::Diverged(_) | Report::NonDeterministic(_));
        self.divergences += u64::from(diverged);
    }

    /// Takes a note of the replica. `below`: it is about a link to a node below.
    pub(super) fn noted(&mut self, note: &Note, below: bool) {
        match note {
            Note::Attached { resume: Resume::Entries, .. } if below => self.resumed += 1,
            Note::FellOff { skipped, .. } => {
                self.fell_off += 1;
                self.skipped += skipped;
            }
            Note::Healed { .. } => self.healed += 1,
            Note::Attached { .. } | Note::Healing(_) | Note::Rebased { .. } => {}
        }
    }

    /// Holds the counters of the replica against what was seen.
    pub(super) fn counted(&self, view: &View<'_>) -> Result<(), Broken> {
        let counters = view.replica.counters();
        let pairs = [
            ("applied", counters.applied, self.applied),
            ("snapshots_installed", counters.snapshots_installed, self.replaced),
            ("snapshots_cut", counters.snapshots_cut, self.cut),
            ("divergences", counters.divergences, self.divergences),
            ("healed", counters.healed, self.healed),
            ("resumed", counters.resumed, self.resumed),
            ("snapshots_forced", counters.snapshots_forced, self.fell_off),
            ("entries_skipped", counters.entries_skipped, self.skipped),
        ];
        for (name, counted, seen) in pairs {
            if counted != seen {
                return Err((Invariant::I7, format!("counts {counted} {name}, seen: {seen}")));
            }
        }
        Ok(())
    }
}

/// Holds the memory of a replica against its bounds (I8). `entry_bytes_max`: the longest entry that
/// was seen.
pub(super) fn held(view: &View<'_>, entry_bytes_max: usize) -> Result<(), Broken> {
    let held = view.replica.holdings();
    let Config { log_bytes_max, window, sessions_max, events_max, .. } = *view.replica.config();
    let segment = log_bytes_max / 8 + entry_bytes_max;
    let bounds = [
        ("bytes of log", held.log_bytes, log_bytes_max + segment + held.log_held),
        ("dispatches under way", held.under_way, window),
        ("sessions", held.sessions, sessions_max.max(1)),
        ("changes for its subscriber", held.changes, events_max.max(1)),
        ("snapshots", held.snapshots, 4),
    ];
    for (what, held, most) in bounds {
        if held > most {
            return Err((Invariant::I8, format!("holds {held} {what}, at most {most}")));
        }
    }
    Ok(())
}
