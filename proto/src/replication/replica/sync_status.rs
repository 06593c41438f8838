//! The sync status of this node, and the notices to others when it changes.

use super::Replica;
use super::outputs::wake;
use crate::Mode;
use crate::NodeId;
use crate::mutant::mutant;
use crate::replication::upstream::Upstream;
use crate::replication::{Output, StateMachine};
use crate::wire::{Message, Status};

impl<M: StateMachine> Replica<M> {
    /// Returns the mode of this node's downstream links: it cannot pass on actions that it does not
    /// get.
    pub(super) fn link_mode(&self) -> Mode {
        let above = self.upstream.as_ref().and_then(|upstream| upstream.status.as_ref());
        let mode = self.config.mode.towards(self.machine.takes_patches());
        mode.below(above.map(|status| status.mode))
    }

    pub(super) fn in_sync(&self) -> bool {
        if self.condition.is_closed() {
            return false;
        }
        if self.is_sequencer() {
            return !self.condition.is_poisoned() && !self.is_stalled() && self.stopped().is_none();
        }
        let Some(upstream) = &self.upstream else { return false };
        let attached = upstream.status.as_ref().is_some_and(|status| status.connected);
        let reached = upstream.target.is_some_and(|target| {
            self.position.lineage.contains(target) && self.position.version.seq >= target.seq
        });
        let reached = reached || mutant!(ConnectedTooEarly);
        attached && reached && (!self.integrity.healing.is_active() || mutant!(HealingInSync))
    }

    /// After the lineage changed: where the upstream was at the attach may have been lost.
    pub(super) fn retarget(&mut self) {
        if let Some(upstream) = &mut self.upstream
            && upstream.target.is_some_and(|target| !self.position.lineage.contains(target))
            && !mutant!(LostTargetKept)
        {
            upstream.target = Some(self.position.version);
        }
    }

    /// Ends every input: tells subscribers and links what changed.
    pub(super) fn settle(&mut self) {
        let connected = self.in_sync();
        if self.condition.set_connected(connected) {
            self.outputs.push(Output::Connected(connected));
            self.look_ahead();
        }
        // A client that came back to the history that it had is told of no other lineage, and gets
        // no state. Only a sequencer can prove that the state is its own: two nodes that follow
        // each other confirm each other's lineage, and are never in sync.
        if connected && self.upstream.as_ref().is_some_and(Upstream::continues) {
            self.condition.end_rebase();
        }
        self.announce();
        self.origin.reached(self.position.version.seq, &self.position.lineage);
        if self.origin.has_resolved() {
            for (ticket, resolution) in self.origin.take_resolved() {
                self.outputs.push(Output::Resolved { ticket, resolution });
            }
        }
        self.note_oldest();
        if self.has_upward() {
            self.wake_upstream();
        }
    }

    pub(super) fn status(&self) -> Status {
        let ahead = mutant!(StatusAheadOfDisk);
        let version = if ahead { self.position.version } else { self.shown_version() };
        let mut path = vec![self.node];
        let above = self.upstream.as_ref().and_then(|upstream| upstream.status.as_ref());
        path.extend(above.iter().flat_map(|status| status.path.iter().copied()));
        Status {
            hop: self.hop,
            connected: self.condition.is_connected(),
            mode: self.link_mode(),
            version: (!self.position.lineage.is_empty()).then_some(version),
            path,
        }
    }

    /// Tells the nodes below when this node's standing changed.
    pub(super) fn announce(&mut self) {
        let same = self.condition.announced().is_some_and(|told| {
            told.hop == self.hop
                && (told.connected == self.condition.is_connected() || mutant!(SyncUntold))
                && told.mode == self.link_mode()
                && told.path.len() == self.path_len()
        });
        if same && !self.path_changed() {
            return;
        }
        let status = self.status();
        for (link, downstream) in &mut self.downstreams {
            if downstream.attached() {
                downstream.mode = status.mode.towards(downstream.takes_patches);
                let status = Status { mode: downstream.mode, ..status.clone() };
                downstream.say(self.channel, &Message::Status(status));
                wake(&mut self.outputs, *link, downstream, self.now);
            }
        }
        self.condition.announce(status);
    }

    pub(super) fn path_len(&self) -> usize {
        1 + self.upper_path().len()
    }

    pub(super) fn path_changed(&self) -> bool {
        self.condition.announced().is_some_and(|told| told.path[1..] != *self.upper_path())
    }

    pub(super) fn upper_path(&self) -> &[NodeId] {
        let status = self.upstream.as_ref().and_then(|upstream| upstream.status.as_ref());
        status.map_or(&[], |status| &status.path)
    }
}
