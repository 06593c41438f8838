//! The life cycle of a replica: its beginning, its change to a client, and its end.

use std::collections::BTreeMap;
use std::time::Duration;

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
use crate::{Epoch, Lineage, NodeId, TokenKey};

impl<M: StateMachine> Replica<M> {
    /// A replica below a sequencer that it has not heard from yet.
    pub fn follower(config: Config, node: NodeId, machine: M, now: Duration) -> Self {
        Replica {
            channel: channel_of(&config.store),
            log: Log::new(0, config.log_bytes_max),
            changes: Changes::new(config.events_max, config.events_bytes_max),
            config,
            node,
            machine,
            place: Place::Follower,
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

    /// Leaves the root.
    pub(super) fn become_client(&mut self) {
        self.condition.rebase(!self.position.lineage.is_empty());
        self.counters.rebased_in_flight += u64::from(!self.origin.is_empty());
        self.place = Place::Follower;
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
