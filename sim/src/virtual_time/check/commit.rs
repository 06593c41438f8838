//! Nothing that leaves a sequencer passes what is committed, and a commit never goes back.

use std::time::Duration;

use samestate_proto::replication::Replica;
use samestate_proto::wire::{Entries, Message, Outcome};

use super::canon::Broken;
use crate::invariants::Invariant;
use crate::virtual_time::machine::ErasedMachine;

/// A slot at one moment, as its checks see it.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    /// The slot's number.
    pub(crate) slot: usize,
    /// The time by the clock of its host.
    pub(crate) now: Duration,
    /// Its replica.
    pub(crate) replica: &'a Replica<ErasedMachine>,
    /// The seq up to which all is on disk, at a durable sequencer.
    pub(crate) on_disk: Option<u64>,
}

impl View<'_> {
    /// The seq up to which others may know of this replica.
    pub(super) fn committed(&self) -> u64 {
        self.on_disk.unwrap_or(self.replica.version().seq)
    }
}

/// Checks a message that a replica sends.
pub(super) fn sent(view: &View<'_>, message: &Message) -> Result<(), Broken> {
    let tells = if view.replica.is_sequencer() { tells_of(message) } else { None };
    match tells {
        Some((seq, what)) if seq > view.committed() => {
            let detail = format!("sends {what} {seq}, and {} is committed", view.committed());
            Err((Invariant::I3, detail))
        }
        _ => Ok(()),
    }
}

/// The newest seq that a message tells of.
fn tells_of(message: &Message) -> Option<(u64, &'static str)> {
    match message {
        Message::Status(status) => Some((status.version?.seq, "a status that names")),
        Message::Heartbeat { seq } => Some((*seq, "a heartbeat that names")),
        Message::SnapshotHead(head) => Some((head.version.seq, "a snapshot at")),
        Message::Digest { seq, .. } => Some((*seq, "the digest of")),
        Message::SessionOpened { at, .. } => Some((at.seq, "a session issued at")),
        Message::Entries { first, entries, .. } => {
            let count = Entries::new(entries).count() as u64;
            Some(((first + count).saturating_sub(1), "entries up to"))
        }
        Message::Answers { answers, .. } => {
            let applied = answers.iter().filter_map(|answer| match &answer.outcome {
                Outcome::Applied(version) => Some(version.seq),
                Outcome::Rejected(_) | Outcome::Unknown | Outcome::Expired => None,
            });
            applied.max().map(|seq| (seq, "an answer about"))
        }
        _ => None,
    }
}
