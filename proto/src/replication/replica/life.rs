//! The life cycle of a replica: its beginning, its change to a client, and its end.

use std::collections::BTreeMap;
use std::time::Duration;

use thiserror::Error;

use super::parts::{Buffers, Integrity, Position, Relayed};
use super::{Place, Replica};
use crate::mutant::mutant;
use crate::replication::condition::Condition;
use crate::replication::fetching::Fetching;
use crate::replication::observer::Observed;
use crate::replication::origin::Origin;
use crate::replication::pressure::Pressure;
use crate::replication::requests::Requests;
use crate::replication::routes::Routes;
use crate::replication::sessions::{Holder, Sessions};
use crate::replication::snapshots::Snapshots;
use crate::replication::{Changes, Config, Counters, Image, Log, StateMachine};
use crate::wire::channel_of;
use crate::{Epoch, Lineage, NodeId, PROMOTION_SKIPS, TokenKey, Version};

/// The reason why a node cannot take the place of its sequencer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NotPromotable {
    /// It is the sequencer already.
    #[error("it is the sequencer already")]
    Sequencer,
    /// It is closed, or poisoned by a panic.
    #[error("it is closed, or a panic of its reducer may have left its state half changed")]
    Closed,
    /// It never had a state of its sequencer.
    #[error("it has no state of a sequencer yet, so there is nothing to continue")]
    NoState,
    /// Its state differs from the sequencer's, and is not replaced yet.
    #[error("its state was found to differ from the sequencer's, and is not replaced yet")]
    Differs,
    /// The sequencer can be reached and orders: two would make two histories.
    #[error(
        "its sequencer can be reached, and orders: make that one a client first, or end its process"
    )]
    Ordered,
    /// Its upstream was reached, and has not said yet whether it orders.
    #[error("its upstream was reached, and has not said yet whether it is in sync")]
    Unanswered,
    /// Its upstream is no sequencer any more, and has actions that this node has not yet.
    #[error("it is at action {seq} of {newest}, which its upstream has")]
    Behind {
        /// The newest action that is applied here.
        seq: u64,
        /// The newest action of the upstream.
        newest: u64,
    },
    /// Another node was promoted in place of this one, whose state it does not have.
    #[error(
        "another node was promoted in its place, and has actions that this one lacks: follow that \
         one first, or promote a node that has its state"
    )]
    Superseded,
    /// It has no reducer.
    #[error("it has no reducer, so it cannot order actions")]
    NoReducer,
}

impl<M: StateMachine> Replica<M> {
    /// A replica below a sequencer that it has not heard from yet.
    pub fn follower(config: Config, node: NodeId, machine: M, now: Duration) -> Self {
        Replica {
            channel: channel_of(&config.store),
            log: Log::new(0, config.log_bytes_max),
            changes: Changes::new(config.events_max, config.events_bytes_max),
            place: Place::follower(&config),
            config,
            node,
            machine,
            position: Position::default(),
            upstream: None,
            hop: 0,
            downstreams: BTreeMap::new(),
            sleepers: false,
            relayed: Relayed {
                routes: Routes::default(),
                requests: Requests::after(node.0 as u32),
            },
            origin: Origin::default(),
            keeping: None,
            snapshots: Snapshots::default(),
            integrity: Integrity::default(),
            fetching: Fetching::default(),
            condition: Condition::default(),
            pressure: Pressure::default(),
            outputs: Vec::new(),
            counters: Counters::default(),
            buffers: Buffers::default(),
            observed: Observed::default(),
            now,
            ticked_at: now,
            due: now,
        }
    }

    /// A sequencer, whose history begins with the state that `machine` has now. `epoch` and `key`
    /// were drawn for this start of the sequencer.
    pub fn sequencer(
        config: Config,
        node: NodeId,
        machine: M,
        epoch: Epoch,
        key: TokenKey,
        now: Duration,
    ) -> Self {
        let mut replica = Replica::follower(config, node, machine, now);
        replica.found(Lineage::founded(epoch), Sessions::new(0, 0), key);
        replica
    }

    /// Restores a sequencer from the backup of an earlier epoch. `machine` has the state of the
    /// image already.
    pub fn restored(
        config: Config,
        node: NodeId,
        machine: M,
        image: &Image,
        epoch: Epoch,
        key: TokenKey,
        now: Duration,
    ) -> Self {
        let mut replica = Replica::follower(config, node, machine, now);
        replica.position.history = image.history;
        replica.position.version = image.version;
        if !mutant!(RestoredLogFromZero) {
            replica.log.reset(image.version.seq);
        }
        let lineage = image.lineage.continued(epoch, image.version.seq);
        replica.found(lineage, image.sessions.clone(), key);
        replica
    }

    fn found(&mut self, lineage: Lineage, sessions: Sessions, key: TokenKey) {
        let mut sessions = sessions.bounded(self.config.sessions_max, self.config.window);
        let epoch_id = lineage.head().map_or(0, |epoch| epoch.id);
        let session = sessions.issue(epoch_id, Holder::default(), &key).session;
        self.place = Place::Sequencer { sessions, key, session, counter: 0 };
        self.position.lineage = lineage;
        self.position.version = self.version_at(self.position.version.seq);
        self.hop += 1;
        self.settle();
    }

    /// Returns the reason why this node cannot take the place of the sequencer, if there is one.
    pub(super) fn may_promote(&self) -> Result<(), NotPromotable> {
        if self.is_sequencer() {
            return Err(NotPromotable::Sequencer);
        }
        if self.condition.is_closed() || self.condition.is_poisoned() {
            return Err(NotPromotable::Closed);
        }
        if self.position.lineage.is_empty() {
            return Err(NotPromotable::NoState);
        }
        if self.integrity.healing.is_active() {
            return Err(NotPromotable::Differs);
        }
        if !self.machine.reduces() {
            return Err(NotPromotable::NoReducer);
        }
        let Some(upstream) = &self.upstream else { return Ok(()) };
        let Some(status) = &upstream.status else { return Err(NotPromotable::Unanswered) };
        if status.connected {
            return Err(NotPromotable::Ordered);
        }
        let (seq, newest) = (self.position.version.seq, upstream.newest.unwrap_or(0));
        if seq < newest { Err(NotPromotable::Behind { seq, newest }) } else { Ok(()) }
    }

    /// The lineage of this node as a sequencer, in an epoch with this id.
    fn lineage_to_be(&self, epoch_id: u64) -> Lineage {
        let number = self.position.lineage.head().map_or(0, |head| head.number);
        let epoch = Epoch { number: number.saturating_add(PROMOTION_SKIPS), id: epoch_id };
        self.position.lineage.continued(epoch, self.position.version.seq)
    }

    /// The content of the backup with which this node begins as a sequencer.
    pub(super) fn image_to_be(&self, epoch_id: u64) -> Image {
        let sessions = match &self.place {
            Place::Follower { sessions: Some(sessions) } => sessions.clone(),
            Place::Follower { sessions: None } | Place::Sequencer { .. } => Sessions::default(),
        };
        Image { lineage: self.lineage_to_be(epoch_id), sessions, ..self.image() }
    }

    /// Takes the place of the sequencer.
    pub(super) fn become_sequencer(
        &mut self,
        epoch_id: u64,
        key: TokenKey,
    ) -> Result<Version, NotPromotable> {
        self.may_promote()?;
        if let Some(link) = self.upstream.as_ref().map(|upstream| upstream.link) {
            self.end_link(link);
        }
        let begins_at = self.position.version;
        let lineage = self.lineage_to_be(epoch_id);
        let sessions = match &mut self.place {
            Place::Follower { sessions } => sessions.take(),
            Place::Sequencer { .. } => None,
        };
        self.origin.abandon();
        self.fetching = Fetching::default();
        // What was found of earlier states, and what the last sequencer said of its own, is over.
        self.integrity.restore_check.reset();
        self.integrity.digests.replaced(true);
        self.adopt(lineage.clone());
        self.found(lineage, sessions.unwrap_or_default(), key);
        Ok(begins_at)
    }

    /// Leaves the root.
    pub(super) fn become_client(&mut self) {
        self.condition.rebase(!self.position.lineage.is_empty());
        self.counters.rebased_in_flight += u64::from(!self.origin.is_empty());
        self.place = Place::follower(&self.config);
        self.upstream = None;
        self.integrity.restore_check.reset();
        self.hop += 1;
        if !mutant!(RebaseKeepsDispatches) {
            self.origin.abandon();
        }
        self.abandon_deferred(None);
        self.keeping = None;
    }

    /// Gives up what is under way.
    pub(super) fn lose_upstream(&mut self) {
        self.origin.abandon();
    }

    /// Gives up what is under way, for good.
    pub(super) fn end(&mut self) {
        self.condition.close();
        self.origin.abandon();
        self.abandon_deferred(None);
    }
}
