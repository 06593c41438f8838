//! One store at one node, and all that can be handed to it or taken from it.
//!
//! # The contract
//!
//! A driver calls a replica from one place at a time. It hands in **inputs** as they happen, and
//! after each of them drains the **outputs**. `now` is the time since any fixed moment; it never
//! goes back.
//!
//! | input | allowed |
//! |---|---|
//! | [`Replica::upstream_up`] | below the root, while there is no other link to an upstream |
//! | [`Replica::downstream_up`] | for a link with a new id |
//! | [`Replica::receive`], [`Replica::heard`] | while the link is up. After [`Received::Decode`], nothing of this link until `install` |
//! | [`Replica::install`] | once for each [`Received::Decode`], with the decoded snapshot |
//! | [`Replica::link_down`] | once for each link, when it has ended or after an error of `receive` or `install` |
//! | [`Replica::dispatch`], [`Replica::fetch`] | always; a replica that cannot take it now says so |
//! | [`Replica::finish`] | once for each [`Output::Run`], with the product of the job |
//! | [`Replica::committed`], [`Replica::set_stalled`] | after [`Replica::keep`] |
//! | [`Replica::tick`] | at the time that [`Replica::due`] names, or up to an eighth of a `heartbeat` later |
//! | [`Replica::follow`] | at the sequencer, which becomes a client |
//! | [`Replica::promote`] | at a client, which leaves its upstream and becomes the sequencer |
//! | [`Replica::orphan`], [`Replica::fail`], [`Replica::stop_unrestorable`], [`Replica::close`] | always, any number of times |
//!
//! | output | to be drained |
//! |---|---|
//! | [`Replica::take_outputs`] | after each input: jobs to run, links to cut or wake, resolutions, reports |
//! | [`Replica::fill`] | for a link that was just up or that [`Output::Wake`] names, again and again until it writes nothing |
//! | [`Replica::take_changes`], [`Replica::pop_change`] | after each input, once [`Replica::set_changes_wanted`] said so |
//! | [`Replica::due`] | after each input: the time of the next tick |
//! | [`Replica::take_records`] | after each input, once [`Replica::keep`] was called |
//!
//! Every input ends in `settle`, which says what it changed about this node to those concerned.
//!
//! # Modules
//!
//! - `life`: the beginning of a replica, its change to a client or a sequencer, and its end
//! - `sync_status`: being in sync, and telling the nodes below
//! - `session_requests`: requests for sessions, of this node and of nodes below
//! - `order`: the sequencer: judging dispatches and putting them in order
//! - `follow`: messages from upstream
//! - `serve`: messages from downstream, and the cursors
//! - `dispatch`: actions of this process, and messages to the upstream
//! - `copies`: snapshots in transit, and the log behind them
//! - `jobs`: work on a frozen state: snapshots and digests
//! - `heal`: digests compared, and a copy that differs renewed
//! - `install`: a snapshot put in place of the state
//! - `durability`: records for the disk, and outputs that wait for them
//! - `unrestorable`: a state that does not survive its codec
//! - `timers`: time: heartbeats, dead peers, pressure
//! - `history`: versions, and actions taken into the history
//! - `outputs`: reports, notes, and links to wake
//! - `parts`: the fields that change together
//! - `queries`, `gauges`: questions that change nothing
//!
//! Each subject with state of its own has a type beside this folder, with private fields:
//! `snapshots`, `restore_check`, `verify`, `healing`, `fetching`, `condition`, `pressure`,
//! `routes`, `requests`, `origin`, `keeping`, `log`.

mod copies;
mod dispatch;
mod durability;
mod follow;
mod gauges;
mod heal;
mod history;
mod install;
mod jobs;
mod life;
mod order;
mod outputs;
mod parts;
mod queries;
mod serve;
mod session_requests;
mod sync_status;
#[cfg(test)]
mod tests;
mod timers;
mod unrestorable;

use std::collections::BTreeMap;
use std::time::Duration;

use super::condition::Condition;
use super::downstream::Downstream;
use super::fetching::Fetching;
use super::keeping::Keeping;
use super::observer::Observed;
use super::origin::Origin;
use super::pressure::Pressure;
use super::sessions::Sessions;
use super::snapshots::Snapshots;
use super::upstream::Upstream;
use super::{
    Change, Changes, Config, Counters, Image, LinkFault, LinkId, Log, Observer, Output, Report,
    Span, StateMachine,
};
use crate::wire::Frame;
use crate::{NodeId, TokenKey, Version};

use parts::{Buffers, Integrity, Position, Relayed};

pub use dispatch::{Dispatched, Refused};
pub use follow::{Decode, Decoded, Received};
pub use gauges::{Gauges, Holdings, LinkGauge, Standing};
pub use jobs::{Job, JobDone};
pub use life::NotPromotable;

/// The place of this node in the store's tree.
#[derive(Debug)]
enum Place {
    /// At the root.
    Sequencer { sessions: Sessions, key: TokenKey, session: u64, counter: u64 },
    /// Below it. A standby keeps the sessions whose entries it has applied.
    Follower { sessions: Option<Sessions> },
}

impl Place {
    /// Below the root, at the beginning of a state.
    fn follower(config: &Config) -> Self {
        let sessions = Sessions::new(config.sessions_max, config.window);
        Place::Follower { sessions: config.standby.then_some(sessions) }
    }
}

/// One store at one node.
pub struct Replica<M: StateMachine> {
    config: Config,
    channel: u32,
    node: NodeId,
    machine: M,
    place: Place,
    position: Position,
    log: Log,
    upstream: Option<Upstream>,
    /// Numbers this node's own attachments to its upstream.
    hop: u32,
    downstreams: BTreeMap<LinkId, Downstream>,
    /// Some downstream link is asleep.
    sleepers: bool,
    relayed: Relayed,
    origin: Origin,
    /// The records for the disk.
    keeping: Option<Keeping>,
    /// The snapshots held in memory.
    snapshots: Snapshots,
    integrity: Integrity,
    /// The states that come from the upstream.
    fetching: Fetching,
    /// Connected, closed, poisoned, about to be rebased.
    condition: Condition,
    /// The pressure on dispatches.
    pressure: Pressure,
    changes: Changes<M::Action>,
    observed: Observed,
    outputs: Vec<Output<M>>,
    counters: Counters,
    buffers: Buffers,
    now: Duration,
    ticked_at: Duration,
    /// Before this, a tick changes nothing.
    due: Duration,
}

impl<M: StateMachine> Replica<M> {
    /// Returns the content of a backup, without the state itself.
    pub fn image(&self) -> Image {
        let sessions = match &self.place {
            Place::Sequencer { sessions, .. } => sessions.clone(),
            Place::Follower { .. } => Sessions::default(),
        };
        Image {
            lineage: self.position.lineage.clone(),
            version: self.position.version,
            history: self.position.history,
            sessions,
        }
    }

    /// Tells `observer` of all that happens from now on.
    pub fn set_observer(&mut self, observer: Box<dyn Observer>) {
        self.observed.by(observer);
    }

    /// Sets whether changes are kept for [`Replica::take_changes`].
    pub fn set_changes_wanted(&mut self, wanted: bool) {
        self.changes.set_wanted(wanted, self.position.version);
    }

    /// Makes records from here on; what was before is on disk. Only at a sequencer. `durable`:
    /// nothing leaves this node before [`Replica::committed`] says so.
    pub fn keep(&mut self, durable: bool) {
        self.keeping =
            self.is_sequencer().then(|| Keeping::new(self.position.version.seq, durable));
    }

    /// Moves the records since this was last called to the end of `out`, and says which actions
    /// they are about; `None` if there are none.
    pub fn take_records(&mut self, out: &mut Vec<u8>) -> Option<Span> {
        let seq = self.position.version.seq;
        let keeping = self.keeping.as_mut().filter(|keeping| !keeping.is_empty())?;
        Some(keeping.hand_over(seq, out))
    }

    /// Freezes the content of a backup. Returns `None` if the state is not this node's to keep, or
    /// may be half changed.
    pub fn hold(&self) -> Option<(Image, M::StateView)> {
        let whole =
            self.is_sequencer() && !self.condition.is_poisoned() && self.stopped().is_none();
        whole.then(|| (self.image(), self.machine.freeze()))
    }
}

/// Inputs.
impl<M: StateMachine> Replica<M> {
    /// A link to the upstream is up and logged in, and `protocol` is the version that was agreed
    /// on, or the newest where nothing was: asks for the store there.
    pub fn upstream_up(&mut self, link: LinkId, protocol: u16, now: Duration) {
        self.now = now;
        self.attach_to(link, protocol);
        self.settle();
        self.look_ahead();
    }

    /// A link to a node further from the sequencer is up and logged in; it will ask.
    pub fn downstream_up(&mut self, link: LinkId, now: Duration) {
        self.now = now;
        self.expect_attach(link);
        self.look_ahead();
    }

    /// A link ended.
    pub fn link_down(&mut self, link: LinkId, now: Duration) {
        self.now = now;
        self.end_link(link);
        self.settle();
        self.look_ahead();
    }

    /// Bytes came over `link`, though not a whole frame yet: its peer lives.
    pub fn heard(&mut self, link: LinkId, now: Duration) {
        self.now = now;
        self.note_heard(link);
    }

    /// Takes a frame that came over `link`. An error means: cut the link.
    ///
    /// # Errors
    ///
    /// An error if the link is to be cut: the frame is invalid, or the peer cannot be served.
    pub fn receive(
        &mut self,
        link: LinkId,
        frame: &Frame,
        now: Duration,
    ) -> Result<Received, LinkFault> {
        self.now = now;
        let received = self.hear(link, frame);
        self.settle();
        received
    }

    /// Puts a decoded snapshot in the place of the state. An error means: cut the link.
    ///
    /// # Errors
    ///
    /// The fault of a snapshot that could not be decoded.
    pub fn install(
        &mut self,
        link: LinkId,
        decoded: Result<Decoded<M::State>, LinkFault>,
        now: Duration,
    ) -> Result<(), LinkFault> {
        self.now = now;
        let installed = self.put_in_place(link, decoded);
        self.settle();
        self.look_ahead();
        installed
    }

    /// Hands an action over. Never waits: it resolves now, later under `ticket`, or is refused.
    ///
    /// # Errors
    ///
    /// If this node may not dispatch now, has no room, or the action cannot be encoded or decoded:
    /// it never applies.
    pub fn dispatch(
        &mut self,
        ticket: u64,
        action: &M::Input,
        now: Duration,
    ) -> Result<Dispatched, Refused> {
        self.now = now;
        self.take_dispatch(ticket, action)
    }

    /// Asks the upstream for its state, which [`Replica::fetched`] will be at. For a machine whose
    /// reducer is elsewhere; asking again before the answer has come changes nothing.
    pub fn fetch(&mut self, now: Duration) {
        self.now = now;
        self.ask_for_state();
        self.settle();
    }

    /// Takes what a job came to. `cost` is the CPU time that it took.
    pub fn finish(&mut self, done: JobDone, cost: Duration, now: Duration) {
        self.now = now;
        self.take_product(done, cost);
        self.settle();
        self.look_ahead();
    }

    /// Time has passed. It is called when [`Replica::due`] is over, or soon after: a driver may
    /// wait for a part of a heartbeat, so that it wakes up once for several timers.
    pub fn tick(&mut self, now: Duration) {
        self.now = now;
        let (early, outputs) = (now < self.due, self.outputs.len());
        debug_assert!(self.due <= self.next_due(), "an input brought forward what is due, unsaid");
        self.pass_time();
        self.settle();
        debug_assert!(!early || self.outputs.len() == outputs, "a tick did something before due");
    }

    /// All actions up to `seq` are on disk, and `bytes` more bytes of records.
    pub fn committed(&mut self, seq: u64, bytes: usize, now: Duration) {
        self.now = now;
        self.commit_on_disk(seq, bytes);
        self.settle();
        self.look_ahead();
    }

    /// Sets whether the disk is stalled. While it is, a durable store is not connected; what
    /// waits for the disk resolves as `OutcomeUnknown`, since it may yet get there.
    pub fn set_stalled(&mut self, stalled: bool, now: Duration) {
        self.now = now;
        self.stall(stalled);
        self.settle();
        self.look_ahead();
    }

    /// Leaves the root, to become a client: stops ordering at once. What is under way resolves as
    /// `OutcomeUnknown`; the first state from the new upstream is told as `Rebased`.
    pub fn follow(&mut self, now: Duration) {
        self.now = now;
        self.become_client();
        self.settle();
        self.look_ahead();
    }

    /// Takes the place of the sequencer: goes on with the history that this node has, in an epoch
    /// with this random id. `key` was drawn for it, too. Dispatches under way at this node resolve
    /// as `OutcomeUnknown`; those of others continue, as far as this node was a standby. Returns
    /// the version at which the epoch begins.
    ///
    /// # Errors
    ///
    /// If the node has no state that it could order from. Nothing changes then.
    pub fn promote(
        &mut self,
        epoch_id: u64,
        key: TokenKey,
        now: Duration,
    ) -> Result<Version, NotPromotable> {
        self.now = now;
        let promoted = self.become_sequencer(epoch_id, key);
        self.look_ahead();
        promoted
    }

    /// Freezes the content of the backup with which this node would begin after
    /// [`Replica::promote`] with this id, if nothing changes before.
    ///
    /// # Errors
    ///
    /// The reason why it would fail.
    pub fn hold_to_promote(&self, epoch_id: u64) -> Result<(Image, M::StateView), NotPromotable> {
        self.may_promote()?;
        Ok((self.image_to_be(epoch_id), self.machine.freeze()))
    }

    /// Returns the reason why [`Replica::promote`] would fail.
    ///
    /// # Errors
    ///
    /// That reason.
    pub fn promotable(&self) -> Result<(), NotPromotable> {
        self.may_promote()
    }

    /// Notes that the upstream is gone and will not return: dispatches under way resolve as
    /// `OutcomeUnknown`.
    pub fn orphan(&mut self, now: Duration) {
        self.now = now;
        self.lose_upstream();
        self.settle();
    }

    /// Ends after a panic, which may have left this replica half changed: what is under way
    /// resolves as `OutcomeUnknown`, and nothing more is dispatched here. Says so once.
    pub fn fail(&mut self, why: &str, now: Duration) {
        if self.condition.fail() {
            self.report(Report::Poisoned(why.to_owned()));
            self.close(now);
        }
    }

    /// Stops a sequencer: its state at `version` cannot be restored from its encoding. No action
    /// after the ones that are on disk gets there any more, so dispatches that wait for that
    /// resolve as `Rejected`.
    pub fn stop_unrestorable(&mut self, version: Version, why: String, now: Duration) {
        self.now = now;
        self.stop_for(version, why);
        self.settle();
    }

    /// Ends: what is under way resolves as `OutcomeUnknown`, and nothing more is dispatched here.
    pub fn close(&mut self, now: Duration) {
        self.now = now;
        self.end();
        self.settle();
    }
}

/// Outputs.
impl<M: StateMachine> Replica<M> {
    /// Takes the requests to the driver, in order.
    pub fn take_outputs(&mut self) -> Vec<Output<M>> {
        std::mem::take(&mut self.outputs)
    }

    /// The oldest of the changes that were not taken yet, and how many bytes its action has.
    pub fn pop_change(&mut self) -> Option<(Change<M::Action>, usize)> {
        self.changes.pop(self.told_until())
    }

    /// The changes since this was last called.
    pub fn take_changes(&mut self) -> std::collections::VecDeque<Change<M::Action>> {
        self.changes.take(self.told_until())
    }

    /// Writes to `out` what goes over `link` next, about `budget` bytes at most. Writes nothing
    /// when there is nothing; the link then sleeps until [`crate::replication::Output::Wake`].
    pub fn fill(&mut self, link: LinkId, out: &mut Vec<u8>, budget: usize, now: Duration) {
        self.now = now;
        self.write_next(link, out, budget);
    }
}
