//! Checks of each replica's messages to the nodes below it.

use std::collections::BTreeMap;
use std::time::Duration;

use samestate_proto::wire::{Entries, Message, Status};
use samestate_proto::{Mode, Version};

use super::canon::Broken;
use super::commit::View;
use super::sync::Sync;
use crate::invariants::Invariant;
use crate::virtual_time::network::EndId;

/// The most bytes of dispatches that a link may send ahead.
const CREDIT_BYTES_MAX: u64 = 256 << 10;

/// A link to a node below.
#[derive(Debug, Default)]
struct Downward {
    slot: usize,
    /// The version of the replica when the node below attached.
    attached_at: Option<Version>,
    /// The last status that went over the link.
    told: Option<Status>,
    /// It went in the last write.
    told_now: bool,
    /// The hop that was told, and after how many attachments of the replica itself.
    hop: Option<(u32, u32)>,
    /// The last seq that went over the link.
    cursor: u64,
    /// The version that the node below asked to resume from.
    resumes: Option<u64>,
    /// The snapshot on its way: its seq, and the bytes that are left of it.
    snapshot: (u64, u64),
    /// The length of that snapshot.
    length: u64,
    /// Something of the history went over it.
    begun: bool,
    /// The position at which it rested at the last tick, and the number of committed actions.
    rested: Option<(u64, u64)>,
    granted: u64,
    received: u64,
    sent_at: Duration,
}

/// All links to nodes below.
#[derive(Debug, Default)]
pub(super) struct Links(BTreeMap<EndId, Downward>);

fn broken<T>(invariant: Invariant, detail: String) -> Result<T, Broken> {
    Err((invariant, detail))
}

impl Links {
    pub(super) fn up(&mut self, end: EndId, slot: usize, now: Duration) {
        self.0.insert(end, Downward { slot, sent_at: now, ..Downward::default() });
    }

    /// Returns the last time at which a message was sent over a link whose node has attached.
    pub(super) fn sent_at(&self, end: EndId) -> Option<Duration> {
        let link = self.0.get(&end).filter(|link| link.attached_at.is_some());
        link.map(|link| link.sent_at)
    }

    pub(super) fn down(&mut self, end: EndId) {
        self.0.remove(&end);
    }

    /// Returns whether any node below is connected to a slot.
    pub(super) fn any_at(&self, slot: usize) -> bool {
        self.0.values().any(|link| link.slot == slot)
    }

    /// Takes a message that a node below sent, before its upstream does.
    pub(super) fn heard(&mut self, end: EndId, message: &Message, view: &View<'_>) {
        let Some(link) = self.0.get_mut(&end) else { return };
        match message {
            Message::Attach(attach) => {
                link.resumes = attach.resume.map(|version| version.seq);
                let version = view.replica.version();
                link.attached_at = Some(Version { seq: view.committed(), ..version });
            }
            Message::Dispatch { entries, .. } => link.received += entries.len() as u64,
            _ => {}
        }
    }

    /// Checks a message that goes to a node below.
    pub(super) fn sent(
        &mut self,
        end: EndId,
        message: &Message,
        now: Duration,
    ) -> Result<(), Broken> {
        let Some(link) = self.0.get_mut(&end) else { return Ok(()) };
        link.sent_at = now;
        match message {
            Message::Status(status) => {
                (link.told, link.told_now) = (Some(status.clone()), true);
            }
            Message::Refused(_) => link.attached_at = None,
            Message::Credit { bytes } => {
                let ahead = bytes.saturating_sub(link.received);
                if *bytes < link.granted || ahead > CREDIT_BYTES_MAX {
                    return broken(Invariant::I8, format!("grants {ahead} bytes of dispatches"));
                }
                link.granted = *bytes;
            }
            _ => {}
        }
        link.carries(message);
        Ok(())
    }

    /// Checks what is said of the lag of a link that carries nothing now, and that it does not
    /// rest while there is something to carry. `may_wait`: for a snapshot that cannot be cut yet.
    pub(super) fn lags(
        &mut self,
        end: EndId,
        view: &View<'_>,
        may_wait: bool,
    ) -> Result<(), Broken> {
        let sends = |link: &Downward| link.slot == view.slot && link.snapshot.1 > 0;
        let may_wait = may_wait || self.0.values().any(sends);
        let Some(link) = self.0.get_mut(&end).filter(|link| link.attached_at.is_some()) else {
            return Ok(());
        };
        let gauges = view.replica.gauges();
        let gauge = gauges.downstream.iter().find(|gauge| gauge.link == end.link());
        let (lag, is) = (gauge.and_then(|gauge| gauge.lag), view.committed());
        let is = is.saturating_sub(link.cursor);
        if lag != Some(is) {
            return broken(Invariant::I7, format!("a link lags by {is}, gauged: {lag:?}"));
        }
        let rested = link.rested.replace((link.cursor, view.committed()));
        if rested == link.rested && is > 0 && !may_wait && link.begun {
            return broken(Invariant::I7, format!("a link rests, and lags by {is}"));
        }
        Ok(())
    }

    /// Checks that what was told over a link that carries nothing now is how its replica stands.
    pub(super) fn idle(&mut self, end: EndId, view: &View<'_>, sync: &Sync) -> Result<(), Broken> {
        let Some(link) = self.0.get_mut(&end) else { return Ok(()) };
        let Some(told) = &link.told else { return Ok(()) };
        let replica = view.replica;
        if told.connected != replica.is_connected() {
            let word = if told.connected { "in sync" } else { "not in sync" };
            return broken(Invariant::I4, format!("told a node below that it is {word}"));
        }
        if told.mode != link_mode(view, sync) {
            return broken(Invariant::I4, format!("told a node below of mode {:?}", told.mode));
        }
        let upper = sync.upper_path();
        if !told.path.iter().eq([replica.node()].iter().chain(upper)) {
            return broken(Invariant::I4, format!("told a node below of path {:?}", told.path));
        }
        if std::mem::take(&mut link.told_now) {
            link.names_what_it_has(view, sync)?;
        }
        link.numbers(sync.attachments)
    }
}

/// Returns the mode in which a replica sends: it cannot pass on actions that it does not get.
fn link_mode(view: &View<'_>, sync: &Sync) -> Mode {
    let fed = sync.upper().is_some_and(|status| status.mode == Mode::Snapshot);
    match view.replica.config().mode {
        mode if !fed => mode,
        _ => Mode::Snapshot,
    }
}

impl Downward {
    /// Follows the cursor of the link.
    fn carries(&mut self, message: &Message) {
        match message {
            Message::Entries { first, entries, .. } => {
                self.cursor = first + Entries::new(entries).count() as u64 - 1;
                self.resumes = None;
            }
            // It goes on from where the node below is.
            Message::Lineage(_) => {
                self.begun = true;
                self.cursor = self.resumes.take().unwrap_or(self.cursor);
            }
            Message::SnapshotHead(head) => {
                self.begun = true;
                (self.snapshot, self.resumes) = ((head.version.seq, head.len), None);
                self.length = head.len;
            }
            Message::SnapshotChunk(bytes) => {
                self.snapshot_goes(self.snapshot.1.saturating_sub(bytes.len() as u64));
            }
            Message::SnapshotPart { offset, bytes } => {
                let have = offset + bytes.len() as u64;
                self.snapshot_goes(self.length.saturating_sub(have));
            }
            _ => {}
        }
    }

    /// A part of a snapshot goes over the link, after which so many bytes are left.
    fn snapshot_goes(&mut self, left: u64) {
        self.snapshot.1 = left;
        if left == 0 {
            self.cursor = self.snapshot.0;
        }
    }

    /// A status that says "in sync" names at least what its sender had at the attach, and when it
    /// came into sync: the node below is in sync once it has reached that.
    fn names_what_it_has(&self, view: &View<'_>, sync: &Sync) -> Result<(), Broken> {
        let Some(told) = self.told.as_ref().filter(|told| told.connected) else { return Ok(()) };
        let since = [Some(sync.since), self.attached_at].into_iter().flatten();
        let due = since.max_by_key(|version| version.seq).unwrap_or_default();
        let named = told.version.unwrap_or_default();
        // A copy that was replaced may have gone back.
        if named.epoch == due.epoch && named.seq < due.seq.min(view.committed()) {
            return broken(Invariant::I4, format!("told a node below {named:?}, had {due:?}"));
        }
        Ok(())
    }

    /// The hop that is told rises when the way up was made anew, and only then.
    fn numbers(&mut self, attachments: u32) -> Result<(), Broken> {
        let Some(told) = &self.told else { return Ok(()) };
        let right = match self.hop {
            Some((hop, before)) if before == attachments => told.hop == hop,
            Some((hop, _)) => told.hop > hop,
            None => true,
        };
        if !right {
            let detail = format!("tells hop {}, told {:?} before", told.hop, self.hop);
            return broken(Invariant::I7, detail);
        }
        self.hop = Some((told.hop, attachments));
        Ok(())
    }
}
