//! The condition of a node: connected, closed, poisoned, about to be rebased.

use crate::wire::Status;

/// The condition of a node.
#[derive(Debug, Default)]
pub(super) struct Condition {
    connected: bool,
    /// The status that the nodes below were told last.
    announced: Option<Status>,
    closed: bool,
    poisoned: bool,
    failed: bool,
    rebasing: bool,
    said_fed_by_snapshots: bool,
}

impl Condition {
    /// Returns whether the node is in sync with the sequencer.
    pub(super) fn is_connected(&self) -> bool {
        self.connected
    }

    /// Notes whether the node is in sync. Returns whether that changed.
    pub(super) fn set_connected(&mut self, connected: bool) -> bool {
        std::mem::replace(&mut self.connected, connected) != connected
    }

    /// Returns what the nodes below were told last.
    pub(super) fn announced(&self) -> Option<&Status> {
        self.announced.as_ref()
    }

    /// Notes what the nodes below are told.
    pub(super) fn announce(&mut self, status: Status) {
        self.announced = Some(status);
    }

    /// Returns whether the node has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// The node ends.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// Returns whether the state may be half changed by a panic.
    pub(super) fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// A panic may have left the state half changed.
    pub(super) fn poison(&mut self) {
        self.poisoned = true;
    }

    /// A step or a task of the node panicked. Returns whether it is the first that did.
    pub(super) fn fail(&mut self) -> bool {
        self.poisoned = true;
        !std::mem::replace(&mut self.failed, true)
    }

    /// Returns whether the state was the node's own until it became a client.
    pub(super) fn is_rebasing(&self) -> bool {
        self.rebasing
    }

    /// The node becomes a client: the state that it gets replaces what it has. `has_state`: it has
    /// one of its own.
    pub(super) fn rebase(&mut self, has_state: bool) {
        self.rebasing |= has_state;
        self.poisoned = false;
    }

    /// The state is the upstream's. Returns whether it was the node's own before.
    pub(super) fn end_rebase(&mut self) -> bool {
        std::mem::take(&mut self.rebasing)
    }

    /// Returns true once: the operator is told that a relay gets no actions to pass on.
    pub(super) fn say_fed_by_snapshots(&mut self) -> bool {
        !std::mem::replace(&mut self.said_fed_by_snapshots, true)
    }
}
