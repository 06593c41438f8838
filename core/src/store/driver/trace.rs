//! Log events of a store; `docs/observability.md` lists them. Events lie in the span of the link
//! that they are about, where there is one. Levels and what fields may hold: as in `link::trace`.

use std::process::ExitStatus;

use samestate_proto::Version;
use samestate_proto::replication::{Note, Report, Resume};
use tracing::{Span, debug, error, info, warn};

use crate::link::Side;

const STORE: &str = "samestate::store";
const BACKUP: &str = "samestate::backup";
const CLUSTER: &str = "samestate::cluster";

/// `connected` changed. `closed`: since the store was closed here.
pub(crate) fn in_sync(span: &Span, store: &str, in_sync: bool, version: Version, closed: bool) {
    match (in_sync, closed) {
        (true, _) => info!(target: STORE, parent: span, store, %version, "in sync"),
        (false, false) => warn!(target: STORE, parent: span, store, %version, "out of sync"),
        (false, true) => debug!(target: STORE, parent: span, store, %version, "closed"),
    }
}

/// Something happened to a copy or its links. `side`: of the link that it is about.
pub(crate) fn note(span: &Span, store: &str, side: Side, note: &Note) {
    match *note {
        Note::Attached { resume, version, bytes, .. } => {
            let resume = match resume {
                Resume::Entries => "entries",
                Resume::Snapshot => "snapshot",
            };
            match side {
                Side::Upstream => {
                    info!(target: STORE, parent: span, store, resume, %version, bytes, "attached");
                }
                Side::Downstream => {
                    debug!(target: STORE, parent: span, store, resume, %version, "attached");
                }
            }
        }
        Note::FellOff { skipped, .. } => {
            debug!(target: STORE, parent: span, store, skipped, "fell off the log");
        }
        Note::Healing(version) => {
            info!(target: STORE, parent: span, store, %version, "healing");
        }
        Note::Healed { version, bytes } => {
            info!(target: STORE, parent: span, store, %version, bytes, "healed");
        }
        Note::Rebased { from, to } => {
            info!(target: STORE, parent: span, store, %from, version = %to, "rebased");
        }
    }
}

/// Something grave. A reducer's and a serialiser's own words go to `on_error` alone: they may quote
/// an action or a state.
pub(crate) fn report(span: &Span, store: &str, report: &Report) {
    match report {
        Report::Diverged(version) => {
            warn!(target: STORE, parent: span, store, %version, "diverged");
        }
        Report::NonDeterministic(version) => {
            error!(target: STORE, parent: span, store, %version, "not deterministic");
        }
        Report::FailedHere { seq, .. } => {
            warn!(target: STORE, parent: span, store, seq, "action failed here only");
        }
        Report::PanicUndone(_) => error!(target: STORE, parent: span, store, "panic undone"),
        Report::Poisoned(_) => error!(target: STORE, parent: span, store, "poisoned"),
        Report::HistoryLost { from, to } => {
            // With their ids: after a start without a backup both may be of an epoch 1.
            warn!(target: STORE, parent: span, store, ?from, version = ?to, "rolled back");
        }
        Report::FedBySnapshots => {
            warn!(target: STORE, parent: span, store, "fed by snapshots");
        }
        Report::Refuses(refusal) => {
            warn!(target: STORE, parent: span, store, reason = refusal.text, "store refused");
        }
        Report::Unproved(node) => {
            let node = node.map(tracing::field::display);
            warn!(target: STORE, parent: span, store, node, "session claimed without its token");
        }
        Report::FellBehind { node, .. } => {
            let node = node.map(tracing::field::display);
            warn!(target: STORE, parent: span, store, node, "follower fell behind");
        }
        Report::FellOffAgain { node, log_bytes_max } => {
            let node = node.map(tracing::field::display);
            warn!(
                target: STORE, parent: span, store, node, log_bytes_max,
                "follower fell off again"
            );
        }
        Report::Unrestorable { version, .. } => {
            error!(target: STORE, parent: span, store, %version, "state cannot be restored");
        }
    }
}

/// A subscriber panicked.
pub(crate) fn subscriber_panicked(store: &str) {
    error!(target: STORE, parent: None, store, "subscriber panicked");
}

/// Logs that the disk of a store's backup stopped taking writes, or takes them again.
pub(crate) fn backup_stalled(store: &str, stalled: bool) {
    match stalled {
        true => warn!(target: BACKUP, parent: None, store, "stalled"),
        false => info!(target: BACKUP, parent: None, store, "goes on"),
    }
}

/// Logs that the disk of a store's backup stopped answering, or answers again.
pub(crate) fn disk_hangs(store: &str, hangs: bool) {
    match hangs {
        true => warn!(target: BACKUP, parent: None, store, "disk hangs"),
        false => info!(target: BACKUP, parent: None, store, "disk answers"),
    }
}

/// The last block of a journal was half written, as after a crash, and is dropped.
pub(crate) fn journal_torn(store: &str, bytes: usize) {
    warn!(target: BACKUP, parent: None, store, bytes, "journal truncated");
}

/// The master started a worker.
pub(crate) fn worker_started(worker: usize, pid: u32) {
    info!(target: CLUSTER, parent: None, worker, pid, "worker started");
}

/// A worker's process has ended.
pub(crate) fn worker_ended(worker: usize, pid: u32, status: Option<ExitStatus>) {
    let status = status.map_or_else(|| "unknown".to_owned(), |status| status.to_string());
    info!(target: CLUSTER, parent: None, worker, pid, status, "worker ended");
}

/// The store is open.
pub(crate) fn opened(store: &str, version: Version, sequencer: bool) {
    info!(target: STORE, parent: None, store, %version, sequencer, "opened");
}
