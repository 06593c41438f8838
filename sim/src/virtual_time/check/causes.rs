//! The causes of unknown outcomes, and the excuses for a copy that differs: the events of each
//! store that the simulation knows.

use std::collections::BTreeMap;
use std::time::Duration;

use samestate_proto::replication::Config;

/// A reason for `OutcomeUnknown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The dispatch was not resolved before its deadline.
    Deadline,
    /// Its node left the root of its tree, and became a client.
    Rebased,
    /// A replica of the store moved to another tree, whose sequencer does not know the session.
    Moved,
    /// A sequencer that is not durable died, and its session may have died with it.
    SequencerLost,
    /// The sequencer has seen more sessions than it may remember.
    SessionEvicted,
    /// The disk of a durable sequencer failed.
    DiskFailed,
    /// Its node may have more under way than the sequencer keeps outcomes of.
    OutcomeEvicted,
    /// A durable sequencer died before the session was on disk.
    SessionNotKept,
}

/// A dispatch whose outcome is unknown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unknown {
    /// The time at which the dispatch was made.
    pub(super) at: Duration,
    /// The session in which it left its node, if it did.
    pub(super) session: Option<u64>,
    /// Its deadline has passed.
    pub(super) late: bool,
    /// The last time at which its node left the root.
    pub(super) rebased: Option<Duration>,
    /// The number of dispatches that its node may have under way.
    pub(super) window: usize,
}

/// A session that a sequencer issued.
#[derive(Clone, Copy, Debug)]
struct Session {
    issued: Duration,
    /// Its sequencer died before it was on disk.
    lost: bool,
}

/// The facts about one store.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    sessions: BTreeMap<u64, Session>,
    /// The number of sessions that its sequencers were asked for, or issued to themselves.
    asked: usize,
    /// The number of sessions that a sequencer remembers.
    capacity: usize,
    /// The number of outcomes of a session that it keeps.
    window: usize,
    lost_at: Option<Duration>,
    moved_at: Option<Duration>,
    failed_at: Option<Duration>,
    /// A copy went wrong, or failed, on purpose.
    pub(crate) mishap: bool,
    /// A copy goes wrong at every action.
    pub(crate) never_deterministic: bool,
    /// All of its sequencers are durable.
    pub(crate) durable: bool,
}

impl Facts {
    /// A sequencer begins an epoch. `again`: not its first, and without all that the last one had.
    pub(crate) fn begins(&mut self, config: &Config, again: Option<Duration>) {
        self.asked += 1;
        (self.capacity, self.window) = (config.sessions_max.max(1), config.window);
        self.lost_at = again.or(self.lost_at);
    }

    /// A sequencer is asked for a session.
    pub(crate) fn asks(&mut self) {
        self.asked += 1;
    }

    /// A sequencer says that it issued a session.
    pub(crate) fn issues(&mut self, session: u64, now: Duration) {
        self.sessions.entry(session).or_insert(Session { issued: now, lost: false });
    }

    /// A session was not on disk when its sequencer died.
    pub(crate) fn loses(&mut self, session: u64) {
        if let Some(found) = self.sessions.get_mut(&session) {
            found.lost = true;
        }
    }

    /// A replica moves to another tree.
    pub(crate) fn moves(&mut self, now: Duration) {
        self.moved_at = Some(now);
    }

    /// Returns whether a replica ever moved to another tree.
    pub(crate) fn moved(&self) -> bool {
        self.moved_at.is_some()
    }

    /// The disk of a sequencer fails.
    pub(crate) fn fails(&mut self, now: Duration) {
        self.failed_at = Some(now);
    }

    /// Returns whether a sequencer may have forgotten a session for want of room.
    pub(crate) fn evicts(&self) -> bool {
        self.asked > self.capacity
    }

    /// Returns the cause of the unknown outcome of a dispatch; `None` if there is none.
    pub(super) fn cause(&self, unknown: &Unknown) -> Option<Cause> {
        let session = unknown.session.and_then(|session| self.sessions.get(&session));
        let since = session.map_or(unknown.at, |session| session.issued.min(unknown.at));
        let after = |at: Option<Duration>| at.is_some_and(|at| at >= since);
        if unknown.late {
            Some(Cause::Deadline)
        } else if unknown.rebased.is_some_and(|at| at >= unknown.at) {
            Some(Cause::Rebased)
        } else if after(self.failed_at) {
            Some(Cause::DiskFailed)
        } else if unknown.session.is_none() {
            // It never left its node.
            None
        } else if after(self.moved_at) {
            Some(Cause::Moved)
        } else if after(self.lost_at) {
            Some(Cause::SequencerLost)
        } else if self.evicts() {
            Some(Cause::SessionEvicted)
        } else if unknown.window > self.window {
            Some(Cause::OutcomeEvicted)
        } else if session.is_none_or(|session| session.lost) {
            Some(Cause::SessionNotKept)
        } else {
            None
        }
    }
}
