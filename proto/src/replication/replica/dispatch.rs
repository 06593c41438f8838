//! Dispatches of this process, and the traffic upstream.

use std::time::Duration;

use thiserror::Error;

use super::timers::FORWARDS_BYTES_MAX;
use super::{Place, Replica};
use crate::mutant::mutant;
use crate::replication::{Fault, LinkId, Resolution, StateMachine};
use crate::wire::{Entry, Message, begin_frame, finish_frame};

/// A `Dispatch` frame carries about this many bytes of entries at most.
const BATCH_BYTES: usize = 64 << 10;

/// The deadline of a dispatch is longer by the time that its bytes take over a line that carries
/// this many a second.
const SLOW_LINE_BYTES: usize = 64 << 10;

/// The reason why a dispatch was not accepted. It never applies.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// This node is not in sync with the sequencer.
    #[error("not connected: this replica is not in sync with the store's sequencer")]
    NotConnected,
    /// Too many dispatches are under way.
    #[error("busy: {0} dispatches are under way; wait for room with `ready()`")]
    Busy(usize),
    /// The action is too long.
    #[error("the encoded action has {len} bytes, more than the limit of {limit} bytes")]
    TooLong {
        /// Of the encoded action, in bytes.
        len: usize,
        /// `action_bytes_max`.
        limit: usize,
    },
    /// The action cannot be encoded.
    #[error("the action cannot be encoded: {0}")]
    Unencodable(String),
    /// The encoded action cannot be decoded.
    #[error("the action cannot be decoded from its encoding, so no node could apply it: {0}")]
    Undecodable(String),
    /// The store is durable, and its disk takes nothing.
    #[error(
        "stalled: the store is durable and its backup cannot be written now; it goes on by itself \
         when it can"
    )]
    Stalled,
    /// The reducer panicked earlier, and the state could not be put back.
    #[error("the store is poisoned: its reducer panicked, and the state may be half changed")]
    Poisoned,
    /// The store has stopped: its state cannot be restored from its encoding.
    #[error("the store has stopped: {0}")]
    Unrestorable(String),
}

/// A dispatch that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dispatched {
    /// This node is the sequencer and has ordered it.
    Now(Resolution),
    /// [`crate::replication::Output::Resolved`] will say.
    Later,
}

/// Returns the time that so many bytes take over a slow line.
fn carrying(bytes: usize) -> Duration {
    Duration::from_secs_f64(bytes as f64 / SLOW_LINE_BYTES as f64)
}

impl<M: StateMachine> Replica<M> {
    /// Takes an action of this process, or says why not.
    pub(super) fn take_dispatch(
        &mut self,
        ticket: u64,
        action: &M::Input,
    ) -> Result<Dispatched, Refused> {
        if self.condition.is_poisoned() {
            return Err(Refused::Poisoned);
        }
        if let Some(why) = self.stopped() {
            return Err(Refused::Unrestorable(why.to_owned()));
        }
        if self.is_stalled() {
            return Err(Refused::Stalled);
        }
        if !self.condition.is_connected() {
            return Err(Refused::NotConnected);
        }
        let mut payload = std::mem::take(&mut self.buffers.payload);
        payload.clear();
        let taken = self.take_action(ticket, action, &mut payload);
        self.buffers.payload = payload;
        taken
    }

    fn take_action(
        &mut self,
        ticket: u64,
        action: &M::Input,
        payload: &mut Vec<u8>,
    ) -> Result<Dispatched, Refused> {
        self.machine.encode_action(action, payload).map_err(Refused::Unencodable)?;
        let (len, limit) = (payload.len(), self.config.action_bytes_max);
        if len > limit {
            return Err(Refused::TooLong { len, limit });
        }
        let waiting = self.locals_deferred();
        if waiting >= self.config.window {
            return Err(Refused::Busy(waiting));
        }
        if self.is_sequencer() && !self.pressure.is_on() && self.origin.is_empty() {
            let first = self.position.version.seq + 1;
            let resolution = match self.reduce(payload) {
                Ok(action) => self.commit_local(payload, action),
                Err(Fault::Undecodable(why)) => {
                    let precise = self.machine.check_action(action, payload).err();
                    return Err(Refused::Undecodable(precise.unwrap_or(why)));
                }
                Err(fault) => Resolution::Rejected(self.refuse(fault)),
            };
            self.ordered(first);
            if self.condition.is_poisoned() {
                self.settle();
            }
            return Ok(self.answer_here(ticket, resolution));
        }
        if self.origin.len() >= self.config.window + usize::from(mutant!(WindowOneLonger))
            || self.origin.bytes() >= self.config.window_bytes
        {
            return Err(Refused::Busy(self.origin.len()));
        }
        self.machine.check_action(action, payload).map_err(Refused::Undecodable)?;
        let deadline = self.config.deadline(self.now);
        let deadline = deadline.map(|deadline| deadline.saturating_add(carrying(len)));
        self.origin.push(ticket, payload.clone(), deadline);
        self.due_by(deadline.unwrap_or(Duration::MAX));
        self.note_oldest();
        if self.has_upward() {
            self.wake_upstream();
        }
        Ok(Dispatched::Later)
    }

    fn commit_local(&mut self, payload: &[u8], action: M::Action) -> Resolution {
        let flags = self.flags_of_next();
        let Place::Sequencer { session, counter, .. } = &mut self.place else {
            return Resolution::OutcomeUnknown;
        };
        *counter += 1;
        let (session, counter) = (*session, *counter);
        let mut bytes = std::mem::take(&mut self.buffers.entry);
        bytes.clear();
        let entry = Entry::write(&mut bytes, session, counter, flags, payload);
        self.commit_reduced(&entry, flags, action);
        self.buffers.entry = bytes;
        Resolution::Ok(self.position.version)
    }

    /// Orders the dispatches of this node that waited for the pressure to fall.
    pub(super) fn drain_local(&mut self) {
        while self.is_sequencer() && !self.pressure.is_on() {
            let Some((ticket, payload)) = self.origin.pop_local() else { return };
            let first = self.position.version.seq + 1;
            let resolution = match self.taking_none() {
                Some(why) => Resolution::Rejected(why),
                None => match self.reduce(&payload) {
                    Ok(action) => self.commit_local(&payload, action),
                    Err(fault) => Resolution::Rejected(self.refuse(fault)),
                },
            };
            self.ordered(first);
            if let Dispatched::Now(resolution) = self.answer_here(ticket, resolution) {
                self.outputs.push(crate::replication::Output::Resolved { ticket, resolution });
            }
        }
    }

    /// Returns whether there is a message to send upstream, and permission to send it.
    pub(super) fn has_upward(&self) -> bool {
        let Some(upstream) = &self.upstream else { return false };
        if !upstream.control.is_empty() {
            return true;
        }
        upstream.status.is_some()
            && (self.origin.wants_session()
                || (upstream.room() > 0
                    && (self.origin.has_unsent() || !upstream.forwards.is_empty())))
    }

    /// Writes what goes upstream.
    pub(super) fn fill_upstream(&mut self, link: LinkId, out: &mut Vec<u8>, budget: usize) {
        if self.origin.wants_session() && self.upstream_answered() {
            let before = self.origin.request();
            let request = before.unwrap_or_else(|| u64::from(self.relayed.requests.number()));
            self.origin.session_requested(request);
            self.say_upstream(|hop| Message::SessionOpen { hop, request });
        }
        let start = out.len();
        let Some(upstream) = self.upstream.as_mut().filter(|upstream| upstream.link == link) else {
            return;
        };
        out.append(&mut upstream.control);
        let was_full = upstream.forwards_bytes >= FORWARDS_BYTES_MAX;
        let Some(hop) = upstream.status.as_ref().map(|status| status.hop) else {
            upstream.awake = out.len() > start;
            let idle_at = upstream.sent_at.saturating_add(self.config.heartbeat);
            self.due_by(idle_at);
            return;
        };
        while out.len() - start < budget && upstream.room() > 0 {
            let Some(forward) = upstream.forwards.pop_front() else { break };
            let len = forward.entries.len();
            upstream.forwards_bytes -= len;
            upstream.spent += if mutant!(ForwardsAreFree) { 0 } else { len as u64 };
            let (claim, oldest) = (forward.claim, forward.oldest);
            Message::Dispatch { hop, claim, oldest, entries: forward.entries }
                .write(out, self.channel);
        }
        while out.len() - start < budget && upstream.room() > 0 && self.origin.has_unsent() {
            let Some((claim, oldest)) = self.origin.awaits() else { break };
            let frame = begin_frame(out, self.channel, Message::DISPATCH);
            Message::begin_dispatch(out, hop, claim, oldest);
            let room = upstream.room().min(BATCH_BYTES);
            upstream.spent += self.origin.write_unsent(out, room) as u64;
            finish_frame(out, frame);
            self.counters.resent += self.origin.take_resent();
        }
        upstream.awake = out.len() > start;
        if upstream.awake {
            upstream.sent_at = self.now;
        }
        // Links below may be let send more.
        let has_room = was_full && upstream.forwards_bytes < FORWARDS_BYTES_MAX;
        let idle_at = upstream.sent_at.saturating_add(self.config.heartbeat);
        self.due_by(if has_room { self.now } else { idle_at });
        self.note_oldest();
    }

    fn upstream_answered(&self) -> bool {
        self.upstream.as_ref().is_some_and(|upstream| upstream.status.is_some())
    }

    /// Queues a message for the upstream, which is told its own hop number.
    pub(super) fn say_upstream(&mut self, message: impl FnOnce(u32) -> Message) {
        let Some(upstream) = &mut self.upstream else { return };
        let hop = upstream.status.as_ref().map_or(0, |status| status.hop);
        message(hop).write(&mut upstream.control, self.channel);
        self.wake_upstream();
    }
}
