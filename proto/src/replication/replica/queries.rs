//! Questions about a replica. None of them changes it.

use std::time::Duration;

use super::{Place, Replica};
use crate::replication::{Config, Counters, StateMachine};
use crate::{Lineage, NodeId, Version};

impl<M: StateMachine> Replica<M> {
    /// Returns the version of this replica.
    pub fn version(&self) -> Version {
        self.position.version
    }

    /// The lineage that its version lies on.
    pub fn lineage(&self) -> &Lineage {
        &self.position.lineage
    }

    /// The rolling hash of its history: equal at equal versions.
    pub fn history(&self) -> u64 {
        self.position.history
    }

    /// In sync with the sequencer; dispatches are taken exactly while this holds.
    pub fn is_connected(&self) -> bool {
        self.condition.is_connected()
    }

    /// Returns whether this node is the sequencer.
    pub fn is_sequencer(&self) -> bool {
        matches!(self.place, Place::Sequencer { .. })
    }

    /// Returns the number of this node's own dispatches that are under way.
    pub fn under_way(&self) -> usize {
        self.origin.len() + self.locals_deferred()
    }

    /// The bytes of these that were not applied here yet.
    pub fn bytes_under_way(&self) -> usize {
        self.origin.bytes()
    }

    /// Returns when [`Replica::tick`] is to be called next: before that, it changes nothing.
    /// [`Duration::MAX`] if nothing is due before the next input. Any input may change it.
    pub fn due(&self) -> Duration {
        self.due
    }

    /// Returns the counters since the beginning.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The channel of this store on its links.
    pub fn channel(&self) -> u32 {
        self.channel
    }

    /// The state and its reducer.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the number of changes so far, which is the number of the newest.
    pub fn changes_pushed(&self) -> u64 {
        self.changes.pushed()
    }

    /// The number of the newest change that was taken.
    pub fn changes_taken(&self) -> u64 {
        self.changes.taken()
    }

    /// Returns whether there are changes to take.
    pub fn has_changes(&self) -> bool {
        self.changes.is_due(self.told_until())
    }

    /// Returns whether there are requests to the driver.
    pub fn has_outputs(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// This node's id.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Returns whether there is room for another dispatch.
    pub fn has_room(&self) -> bool {
        self.under_way() < self.config.window && self.origin.bytes() < self.config.window_bytes
    }

    /// Returns the version of the newest snapshot that this replica got; `None` before the first.
    pub fn fetched(&self) -> Option<Version> {
        self.fetching.fetched()
    }

    /// Returns whether there are records to take.
    pub fn has_records(&self) -> bool {
        self.keeping.as_ref().is_some_and(|keeping| !keeping.is_empty())
    }

    /// The seq up to which all is committed, and others may see: behind the state only in a durable
    /// store.
    pub fn shown(&self) -> u64 {
        let gate = self.keeping.as_ref().and_then(|keeping| keeping.gate.as_ref());
        gate.map_or(self.position.version.seq, |gate| gate.committed)
    }

    /// Returns the reason why a sequencer has stopped: its state cannot be restored from its
    /// encoding.
    pub fn stopped(&self) -> Option<&str> {
        self.unsendable().filter(|_| self.is_sequencer())
    }

    /// Returns whether it takes no dispatch any more, now or later.
    pub fn takes_none(&self) -> bool {
        self.condition.is_closed() || self.condition.is_poisoned()
    }
}
