//! The ordered history, put through its reducer while it comes in.
//!
//! A run may last for hours: what has been applied is not kept. Only a tail is, since a sequencer
//! that is restored from what was saved may cut off what it ordered last.

use std::fmt;
use std::sync::Arc;

use samestate::{ReducerMachine, UndoPanics};
use samestate_proto::replication::StateMachine;
use samestate_proto::wire::Codec;

use super::history::{History, NotReplayed};
use crate::load::Reducer;

/// So much of the history is kept back, unless that is fewer than [`TAIL_PAYLOADS_MIN`] payloads.
const TAIL_BYTES: usize = 4 << 20;

/// So many of the last payloads are kept back, unless they are more than [`TAIL_BYTES_MAX`].
const TAIL_PAYLOADS_MIN: usize = 10_000;

/// No more than this is ever kept back.
const TAIL_BYTES_MAX: usize = 128 << 20;

/// The tail grows by this before it is cut: not with each part.
const SLACK_BYTES: usize = 1 << 19;

/// A history on its way through the reducer `R`.
pub struct Replay<R: Reducer> {
    codec: Codec,
    machine: ReducerMachine<R::State, R::Action>,
    /// The number of actions that the machine has applied.
    applied: u64,
    /// The part of the history that it has not applied yet.
    tail: History,
    /// The reason why it could not continue.
    failed: Option<NotReplayed>,
}

impl<R: Reducer> fmt::Debug for Replay<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a replay of {} actions, and {} more to come", self.applied, self.tail.len())
    }
}

impl<R: Reducer> Replay<R> {
    /// A replay from the empty store, with the codec that the store uses.
    pub fn new(codec: Codec) -> Self {
        let machine = ReducerMachine::new(R::State::default(), R::reduce, codec);
        let machine = machine.undo_panics(UndoPanics::Never);
        Replay { codec, machine, applied: 0, tail: History::default(), failed: None }
    }

    /// Continues by a part of the sequencer's history, which [`History::take`] took out.
    pub fn absorb(&mut self, part: History) {
        if part.begins_anew(&self.tail) {
            *self = Self::new(self.codec);
        }
        self.tail.absorb(part);
        if self.tail.bytes_kept() > TAIL_BYTES + SLACK_BYTES {
            self.apply(|bytes, payloads| {
                bytes > TAIL_BYTES_MAX || (bytes > TAIL_BYTES && payloads > TAIL_PAYLOADS_MIN)
            });
        }
    }

    /// The state after all of the history, and how many actions led there.
    ///
    /// # Errors
    ///
    /// Returns why there is none: the history is not whole, or the reducer does not take it.
    pub fn state(&mut self) -> Result<(u64, Arc<R::State>), NotReplayed> {
        self.apply(|_, _| true);
        match (&self.failed, self.tail.broken()) {
            (Some(why), _) | (None, Some(why)) => Err(why.clone()),
            (None, None) => Ok((self.applied, self.machine.state())),
        }
    }

    /// Applies the oldest of the tail, as long as there is `more` to do with so many bytes and
    /// payloads.
    fn apply(&mut self, more: impl Fn(usize, usize) -> bool) {
        if self.applied != self.tail.base() && self.tail.broken().is_none() {
            let (expected, found) = (self.applied + 1, self.tail.base() + 1);
            self.failed.get_or_insert(NotReplayed::Gap { expected, found });
        }
        let Replay { machine, applied, failed, .. } = self;
        self.tail.fold(more, |seq, payload| {
            if failed.is_none() {
                let result = machine.apply(payload);
                *failed =
                    result.err().map(|fault| NotReplayed::Failed { seq, why: fault.to_string() });
            }
            *applied = seq;
        });
    }
}

#[cfg(test)]
mod tests {
    use samestate_proto::{Epoch, Version};

    use super::*;
    use crate::load::reducers::{Counter, CounterAction};
    use crate::measure::timeline::tests::v;

    /// Orders `Add(1)` so many times, in parts, and continues in a second epoch after `kept` of
    /// them.
    fn restarted(total: u64, kept: u64, more: u64) -> Result<i64, NotReplayed> {
        let one = serde_json::to_vec(&CounterAction::Add(1)).expect("plain data");
        let mut replay = Replay::<Counter>::new(Codec::Json);
        let mut node = History::default();
        node.begins(v(0).epoch, 0);
        for first in (1..=total).step_by(1_000) {
            let last = (first + 999).min(total);
            node.ordered(first, v(last), (first..=last).map(|_| &*one));
            replay.absorb(node.take());
        }
        let epoch = Epoch { number: 2, id: 8 };
        let mut node = History::default();
        node.begins(epoch, kept);
        let last = Version { epoch, seq: kept + more };
        node.ordered(kept + 1, last, (0..more).map(|_| &*one));
        replay.absorb(node.take());
        assert!(replay.tail.bytes_kept() <= TAIL_BYTES + 2 * SLACK_BYTES);
        replay.state().map(|(_, state)| state.value)
    }

    /// More than the tail holds.
    const LONG: u64 = 400_000;

    #[test]
    fn a_long_history_gives_its_state_and_its_tail_alone_is_kept() {
        assert_eq!(restarted(LONG, LONG, 5), Ok(LONG as i64 + 5));
    }

    #[test]
    fn a_sequencer_that_lost_its_newest_actions_is_followed() {
        assert_eq!(restarted(LONG, LONG - 10_000, 5), Ok(LONG as i64 - 10_000 + 5));
        assert_eq!(restarted(LONG, 0, 5), Ok(5), "it began anew");
    }

    #[test]
    fn nothing_is_claimed_where_more_was_cut_off_than_was_kept_back() {
        assert!(matches!(restarted(LONG, 7, 5), Err(NotReplayed::Gap { .. })));
    }
}
