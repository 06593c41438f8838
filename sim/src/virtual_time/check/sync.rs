//! Sync status of a replica, by the messages that it sent and received: `connected`, the attachment
//! to its upstream, and the messages that it has to send there.

use std::time::Duration;

use samestate_proto::wire::{Entries, FLAG_VOID, Message, PATH_MAX, Status};
use samestate_proto::{Lineage, NodeId, Version};

use super::canon::{Broken, origin_of};
use super::commit::View;
use super::origins::{Origins, number_of};
use crate::invariants::Invariant;
use crate::virtual_time::machine::parts;
use crate::virtual_time::network::EndId;

/// The attachment of a replica to its upstream.
#[derive(Debug)]
struct Upward {
    end: EndId,
    /// The last status of the upstream.
    status: Option<Status>,
    /// The version of the upstream at the attach, or when it came into sync again.
    target: Option<Version>,
    credit: u64,
    spent: u64,
    /// The request for a session of this node's own that has no answer.
    request: Option<u64>,
    /// The first and the last dispatch of this node that was sent over this attachment.
    sent: Option<(usize, usize)>,
    sent_at: Duration,
}

/// The facts about one incarnation of one replica.
#[derive(Debug, Default)]
pub(super) struct Sync {
    upward: Option<Upward>,
    lineage: Lineage,
    /// Its copy is wrong, and it asked for another.
    pub(super) healing: bool,
    /// Its reducer panicked, and the state may be half changed.
    pub(super) poisoned: bool,
    /// Its disk takes nothing.
    pub(super) stalled: bool,
    /// The number of times that its upstream link was made anew.
    pub(super) attachments: u32,
    connected: bool,
    /// The version at which it came into sync last.
    pub(super) since: Version,
    committed: u64,
}

fn broken<T>(invariant: Invariant, detail: String) -> Result<T, Broken> {
    Err((invariant, detail))
}

impl Sync {
    /// The connection to its upstream is up.
    pub(super) fn up(&mut self, end: EndId, now: Duration) {
        self.upward = Some(Upward {
            end,
            status: None,
            target: None,
            credit: 0,
            spent: 0,
            request: None,
            sent: None,
            sent_at: now,
        });
    }

    /// Returns the last time at which a message was sent over a connection to its upstream.
    pub(super) fn sent_at(&self, end: EndId) -> Option<Duration> {
        let upward = self.upward.as_ref().filter(|upward| upward.end == end);
        upward.map(|upward| upward.sent_at)
    }

    /// Returns whether the lineage of the replica is another than it was at the last step.
    pub(super) fn adopted(&self, view: &View<'_>) -> bool {
        *view.replica.lineage() != self.lineage
    }

    /// A connection ended.
    pub(super) fn down(&mut self, end: EndId) {
        self.upward.take_if(|upward| upward.end == end);
    }

    /// The path of its upstream to the sequencer.
    pub(super) fn upper_path(&self) -> &[NodeId] {
        self.upper().map_or(&[], |status| &status.path)
    }

    /// The last status of its upstream.
    pub(super) fn upper(&self) -> Option<&Status> {
        self.upward.as_ref()?.status.as_ref()
    }

    /// Takes a message that its upstream sent.
    pub(super) fn heard(&mut self, message: &Message, node: NodeId) {
        let Some(upward) = &mut self.upward else { return };
        match message {
            Message::Status(status) if is_a_way_up(status, node) => {
                let before = upward.status.replace(status.clone());
                let renewed = before.as_ref().is_none_or(|before| before.hop != status.hop);
                let was_connected = before.is_some_and(|before| before.connected);
                if status.connected && (renewed || !was_connected) {
                    upward.target = status.version;
                }
                if renewed {
                    (upward.request, upward.sent) = (None, None);
                    self.attachments += 1;
                }
            }
            Message::Credit { bytes } => upward.credit = upward.credit.max(*bytes),
            Message::SessionOpened { request, .. } if upward.request == Some(*request) => {
                upward.request = None;
            }
            _ => {}
        }
    }

    /// Checks a message that it sends to its upstream.
    pub(super) fn sent(
        &mut self,
        message: &Message,
        origin: u64,
        now: Duration,
        origins: &mut Origins,
    ) -> Result<(), Broken> {
        let Some(upward) = &mut self.upward else { return Ok(()) };
        upward.sent_at = now;
        match message {
            Message::SessionOpen { request, .. } if *request >> 32 == 0 => {
                upward.request = Some(*request);
            }
            Message::Dispatch { hop, claim, entries, .. } => {
                if upward.status.as_ref().is_none_or(|status| status.hop != *hop) {
                    return broken(Invariant::I7, format!("dispatches under {hop}, no hop of now"));
                }
                if upward.spent >= upward.credit {
                    return broken(Invariant::I8, "dispatches beyond its credit".to_owned());
                }
                upward.spent += entries.len() as u64;
                for entry in Entries::new(entries).map_while(Result::ok) {
                    let id = parts(entry.payload).map(|(_, id)| id);
                    let ours = id.filter(|id| origin_of(*id) == origin);
                    if let Some(id) = ours.filter(|_| entry.flags & FLAG_VOID == 0) {
                        let number = number_of(id);
                        let (first, _) = upward.sent.unwrap_or((number, number));
                        upward.sent = Some((first.min(number), number));
                        origins.sent(id, claim.session);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Checks that a link to its upstream that carries nothing has nothing to carry: what was under
    /// way when the way up was made anew is sent again at once.
    pub(super) fn idle(&self, end: EndId, origin: u64, origins: &Origins) -> Result<(), Broken> {
        let Some(upward) = self.upward.as_ref().filter(|upward| upward.end == end) else {
            return Ok(());
        };
        if upward.status.is_none() || upward.request.is_some() || upward.spent >= upward.credit {
            return Ok(());
        }
        match origins.open_outside(origin, upward.sent) {
            Some(id) => broken(Invariant::I7, format!("{id:x} could be sent, and is not")),
            None => Ok(()),
        }
    }

    /// Checks where it stands after a step.
    pub(super) fn stepped(&mut self, view: &View<'_>) -> Result<(), Broken> {
        let replica = view.replica;
        self.follow_lineage(view);
        self.commits(view)?;
        let in_sync = match &self.upward {
            _ if replica.is_sequencer() => !self.poisoned && !self.stalled,
            Some(upward) => !self.healing && upward.in_sync(view),
            None => false,
        };
        if in_sync != replica.is_connected() {
            let word = if in_sync { "in sync" } else { "not in sync" };
            return broken(Invariant::I4, format!("is {word}, and says otherwise"));
        }
        if in_sync && !self.connected {
            self.since = Version { seq: view.committed(), ..replica.version() };
        }
        self.connected = in_sync;
        Ok(())
    }

    fn follow_lineage(&mut self, view: &View<'_>) {
        if *view.replica.lineage() == self.lineage {
            return;
        }
        self.lineage = view.replica.lineage().clone();
        if let Some(upward) = &mut self.upward
            && upward.target.is_some_and(|target| !self.lineage.contains(target))
        {
            // What the upstream had at the attach is lost.
            upward.target = Some(view.replica.version());
        }
    }

    fn commits(&mut self, view: &View<'_>) -> Result<(), Broken> {
        if !view.replica.is_sequencer() {
            return Ok(());
        }
        let (before, now) = (self.committed, view.replica.shown());
        self.committed = now;
        if now < before {
            return broken(Invariant::I3, format!("a commit goes back from {before} to {now}"));
        }
        if now > view.committed() {
            let detail = format!("{now} is committed, and {} on disk", view.committed());
            return broken(Invariant::I3, detail);
        }
        Ok(())
    }
}

impl Upward {
    fn in_sync(&self, view: &View<'_>) -> bool {
        let (lineage, seq) = (view.replica.lineage(), view.replica.version().seq);
        self.status.as_ref().is_some_and(|status| status.connected)
            && self.target.is_some_and(|target| lineage.contains(target) && seq >= target.seq)
    }
}

/// Returns whether a replica accepts this status: the path to the sequencer does not lead through
/// itself.
fn is_a_way_up(status: &Status, node: NodeId) -> bool {
    !status.path.contains(&node) && status.path.len() < PATH_MAX
}
