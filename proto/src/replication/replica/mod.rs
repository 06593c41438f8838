//! One store at one node: what comes in, what goes out.
//!
//! The loop of whoever drives it: hand in an input ([`Replica::receive`], [`Replica::dispatch`],
//! [`Replica::link_up`], [`Replica::tick`], ...), carry out what [`Replica::take_outputs`] says,
//! and for every link that is awake call [`Replica::fill`] and send what it writes, until it
//! writes nothing. Call [`Replica::tick`] a few times a heartbeat.
//!
//! - `life`: how it begins, becomes a client, and ends
//! - `standing`: whether it is in sync, and who is told
//! - `asking`: sessions that are asked for, here and through this node
//! - `order`: the sequencer: judging dispatches and putting them in order
//! - `follow`: what comes from upstream
//! - `serve`: what comes from downstream, and the cursors
//! - `dispatch`: what this process asks for, and what goes upstream
//! - `copies`: full copies on their way, and the log behind them
//! - `jobs`: work on a state held still: snapshots and digests
//! - `heal`: digests compared, and a copy that differs renewed
//! - `install`: a snapshot put in place of the state
//! - `keep`: what goes to disk, and what waits for it
//! - `gauges`: where it stands, for those who watch it
//! - `unrestorable`: a state that does not survive its codec
//! - `pulse`: time: heartbeats, dead peers, pressure

mod asking;
mod copies;
mod dispatch;
mod follow;
mod gauges;
mod heal;
mod install;
mod jobs;
mod keep;
mod life;
mod order;
mod pulse;
mod serve;
mod standing;
#[cfg(test)]
mod tests;
mod unrestorable;

use std::collections::BTreeMap;
use std::time::Duration;

use super::condition::Condition;
use super::downstream::Downstream;
use super::fetching::Fetching;
use super::healing::Healing;
use super::keeping::Keeping;
use super::log::rolled;
use super::observer::Observed;
use super::origin::Origin;
use super::pressure::Pressure;
use super::requests::Requests;
use super::restore_check::RestoreCheck;
use super::routes::Routes;
use super::sessions::Sessions;
use super::snapshots::Snapshots;
use super::upstream::Upstream;
use super::verify::Verify;
use super::{
    Change, Changes, Config, Counters, Image, LinkId, Log, Machine, Mode, Note, Observer, Output,
    Report,
};
use crate::mutant::mutant;
use crate::wire::Entry;
use crate::{Epoch, Lineage, NodeId, TokenKey, Version};

pub use dispatch::{Dispatched, Refused};
pub use follow::{Decode, Decoded, Received};
pub use gauges::{Gauges, Holdings, LinkGauge, Standing};
pub use jobs::{Job, JobDone};

/// The place of this node in the store's tree.
#[derive(Debug)]
enum Place {
    /// At the root.
    Sequencer { sessions: Sessions, key: TokenKey, session: u64, counter: u64 },
    /// Below it.
    Follower,
}

/// One store at one node.
pub struct Replica<M: Machine> {
    config: Config,
    channel: u32,
    node: NodeId,
    machine: M,
    place: Place,
    lineage: Lineage,
    version: Version,
    history: u64,
    log: Log,
    upstream: Option<Upstream>,
    /// Numbers this node's own attachments to its upstream.
    hop: u32,
    downstreams: BTreeMap<LinkId, Downstream>,
    /// Some downstream link is asleep.
    sleepers: bool,
    routes: Routes,
    requests: Requests,
    origin: Origin,
    /// The records for the disk.
    keeping: Option<Keeping>,
    /// The snapshots held in memory.
    snapshots: Snapshots,
    /// The check that they can be restored.
    restore_check: RestoreCheck,
    verify: Verify,
    /// The healing of a copy that differs.
    healing: Healing,
    /// The states that come from the upstream.
    fetching: Fetching,
    /// Connected, closed, poisoned, about to be rebased.
    condition: Condition,
    /// The pressure on those who dispatch.
    pressure: Pressure,
    changes: Changes<M::Action>,
    observed: Observed,
    outputs: Vec<Output<M>>,
    counters: Counters,
    scratch: Vec<u8>,
    /// The newest entry made here, as bytes.
    local_entry: Vec<u8>,
    now: Duration,
    ticked_at: Duration,
}

impl<M: Machine> Replica<M> {
    /// Returns the content of a backup, without the state itself.
    pub fn image(&self) -> Image {
        let sessions = match &self.place {
            Place::Sequencer { sessions, .. } => sessions.clone(),
            Place::Follower => Sessions::default(),
        };
        Image {
            lineage: self.lineage.clone(),
            version: self.version,
            history: self.history,
            sessions,
        }
    }

    /// Tells `observer` of all that happens from now on.
    pub fn set_observer(&mut self, observer: Box<dyn Observer>) {
        self.observed.by(observer);
    }

    /// Sets whether changes are kept for [`Replica::take_changes`].
    pub fn set_changes_wanted(&mut self, wanted: bool) {
        self.changes.set_wanted(wanted, self.version);
    }

    /// The changes since this was last called.
    pub fn take_changes(&mut self) -> std::collections::VecDeque<Change<M::Action>> {
        self.changes.take(self.told_until())
    }

    /// The oldest of the changes that were not taken yet, and how many bytes its action has.
    pub fn pop_change(&mut self) -> Option<(Change<M::Action>, usize)> {
        self.changes.pop(self.told_until())
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

    /// Takes the requests to the driver, in order.
    pub fn take_outputs(&mut self) -> Vec<Output<M>> {
        std::mem::take(&mut self.outputs)
    }

    /// Returns whether there are requests to the driver.
    pub fn has_outputs(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// Returns the version of this replica.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The lineage that its version lies on.
    pub fn lineage(&self) -> &Lineage {
        &self.lineage
    }

    /// The rolling hash of its history: equal at equal versions.
    pub fn history(&self) -> u64 {
        self.history
    }

    /// In sync with the sequencer; dispatches are taken exactly while this holds.
    pub fn connected(&self) -> bool {
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

    /// A version on this lineage.
    fn version_at(&self, seq: u64) -> Version {
        match self.lineage.lives().last() {
            Some((epoch, began)) if seq > *began => Version { epoch: *epoch, seq },
            _ => Version { epoch: self.lineage.epoch_of(seq).unwrap_or_default(), seq },
        }
    }

    /// Takes an applied action into the history.
    fn commit(&mut self, entry: &Entry<'_>, flags: u8, action: M::Action) {
        let seq = self.version.seq + 1;
        self.version = self.version_at(seq);
        self.history = rolled(self.history, entry);
        if !self.log.is_wanted() {
            self.log.pass();
        } else if flags == entry.flags || mutant!(MarkNotPassedOn) {
            self.log.append(|out| out.extend_from_slice(entry.bytes()));
        } else {
            self.log.append(|out| entry.write_flagged(out, flags));
        }
        self.observed.entry(entry);
        if let (Some(keeping), Place::Sequencer { session, .. }) = (&mut self.keeping, &self.place)
        {
            keeping.entry(entry, entry.session == *session);
        }
        let change = Change::Applied { version: self.version, action };
        self.changes.push(change, entry.payload.len());
        if flags & crate::wire::FLAG_DIGEST != 0 {
            self.start_digest();
        }
        self.resync_by_snapshot(seq);
    }

    fn report(&mut self, report: Report) {
        self.outputs.push(Output::Report(report));
    }

    fn note(&mut self, note: Note) {
        self.outputs.push(Output::Note(note));
    }

    /// Returns whether `version` lies on `lineage`.
    fn lies_on(&self, lineage: &Lineage, version: Version) -> bool {
        #[cfg(samestate_mutants)]
        if mutant!(LineageByNumber) {
            return lineage.contains_number(version);
        }
        lineage.contains(version)
    }

    /// Counts a change of the lineage under dispatches of this node.
    fn count_lives(&mut self, before: &Lineage) {
        if self.origin.is_empty() || before.is_empty() || before.head() == self.lineage.head() {
            return;
        }
        let known = |life: &(Epoch, u64)| before.lives().contains(life);
        self.counters.epochs_changed_in_flight += 1;
        self.counters.rebased_in_flight += u64::from(!self.lineage.lives().iter().any(known));
    }

    /// Wakes every downstream link: there is something new in the log.
    fn wake_all(&mut self) {
        if !std::mem::take(&mut self.sleepers) {
            return;
        }
        for (link, downstream) in &mut self.downstreams {
            if downstream.attached() {
                wake(&mut self.outputs, *link, downstream, self.now);
            }
        }
    }

    fn wake_upstream(&mut self) {
        if let Some(upstream) = &mut self.upstream
            && !std::mem::replace(&mut upstream.awake, true)
        {
            self.outputs.push(Output::Wake(upstream.link));
        }
    }
}

fn wake<M: Machine>(
    outputs: &mut Vec<Output<M>>,
    link: LinkId,
    downstream: &mut Downstream,
    now: Duration,
) {
    if !std::mem::replace(&mut downstream.awake, true) {
        downstream.moved_at = now;
        outputs.push(Output::Wake(link));
    }
}
