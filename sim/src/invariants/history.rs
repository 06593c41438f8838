//! The payloads of the ordered history, so that it can be put through the reducer alone and
//! every replica be compared with the outcome, from outside.

use samestate_proto::{Epoch, Version};
use serde::{Deserialize, Serialize};

/// The default limit of the bytes of kept payloads.
pub const KEPT_BYTES_MAX: usize = 256 << 20;

/// The payloads that a sequencer ordered, in order, on the lineage that continues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The seq after which this history, or this part of it, begins.
    base: u64,
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
    /// The end of each payload in `bytes`.
    ends: Vec<usize>,
    bytes_max: usize,
    epoch: Option<Epoch>,
    /// The reason why the history is not whole any more.
    broken: Option<NotReplayed>,
}

/// The reason why a history could not be put through its reducer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum NotReplayed {
    /// More payloads than the bound.
    #[error("not kept: the payloads were more than {bytes_max} bytes")]
    NotKept {
        /// The bound.
        bytes_max: u64,
    },
    /// Entries are missing.
    #[error("not kept: expected seq {expected}, found {found}")]
    Gap {
        /// The seq that was to come.
        expected: u64,
        /// The seq that came.
        found: u64,
    },
    /// An action that is in the history cannot be applied.
    #[error("seq {seq} is in the history, and the reducer alone does not take it: {why}")]
    Failed {
        /// The number of the action.
        seq: u64,
        /// It cannot be decoded, is rejected, or the reducer panics.
        why: String,
    },
}

impl Default for History {
    fn default() -> Self {
        History::bounded(KEPT_BYTES_MAX)
    }
}

impl History {
    /// A history that keeps at most `bytes_max` bytes of payloads; past that it keeps none.
    pub fn bounded(bytes_max: usize) -> Self {
        let (bytes, ends) = (Vec::new(), Vec::new());
        History { base: 0, bytes, ends, bytes_max, epoch: None, broken: None }
    }

    /// The root applied a batch: the payloads from `first_seq` to `last`.
    ///
    /// A new epoch may begin under the end of the one before: what came after is cut.
    pub fn ordered<'a>(
        &mut self,
        first_seq: u64,
        last: Version,
        payloads: impl IntoIterator<Item = &'a [u8]>,
    ) {
        self.reach(first_seq, last.epoch);
        for payload in payloads {
            if self.broken.is_some() {
                return;
            }
            self.keep(payload);
        }
    }

    /// An epoch of the sequencer began after `seq`: founded, or restored from what was saved.
    pub fn begins(&mut self, epoch: Epoch, seq: u64) {
        self.reach(seq + 1, epoch);
    }

    /// Takes out what was recorded since the last call, to be handed to [`History::absorb`].
    pub fn take(&mut self) -> History {
        let mut rest = History::bounded(self.bytes_max);
        (rest.base, rest.epoch) = (self.base + self.len(), self.epoch);
        rest.broken = self.broken.clone();
        std::mem::replace(self, rest)
    }

    /// Continues this history by a part.
    pub fn absorb(&mut self, part: History) {
        let Some(epoch) = part.epoch else { return };
        self.reach(part.base + 1, epoch);
        if let Some(why) = part.broken {
            self.give_up(why);
        }
        let mut start = 0;
        for end in part.ends {
            match part.bytes.get(start..end) {
                Some(payload) if self.broken.is_none() => self.keep(payload),
                _ => return,
            }
            start = end;
        }
    }

    fn keep(&mut self, payload: &[u8]) {
        if self.bytes.len() + payload.len() > self.bytes_max {
            self.give_up(NotReplayed::NotKept { bytes_max: self.bytes_max as u64 });
            return;
        }
        self.bytes.extend_from_slice(payload);
        self.ends.push(self.bytes.len());
    }

    fn reach(&mut self, next_seq: u64, epoch: Epoch) {
        if self.broken.is_some() {
            return;
        }
        if self.epoch.is_none() {
            self.base = next_seq.saturating_sub(1);
        }
        let expected = self.base + self.len() + 1;
        let new_life = self.epoch != Some(epoch);
        self.epoch = Some(epoch);
        if new_life && (self.base + 1..expected).contains(&next_seq) {
            self.ends.truncate((next_seq - 1 - self.base) as usize);
            self.bytes.truncate(self.ends.last().copied().unwrap_or(0));
        } else if next_seq != expected {
            self.give_up(NotReplayed::Gap { expected, found: next_seq });
        }
    }

    fn give_up(&mut self, why: NotReplayed) {
        self.broken = Some(why);
        self.bytes = Vec::new();
        self.ends = Vec::new();
    }

    /// Returns the number of kept payloads.
    pub fn len(&self) -> u64 {
        self.ends.len() as u64
    }

    /// Returns whether no payload is kept.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The seq after which it begins.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// Returns the reason why it is not whole, if it is not.
    pub(super) fn broken(&self) -> Option<&NotReplayed> {
        self.broken.as_ref()
    }

    /// Returns the number of bytes that kept payloads and their ends take.
    pub(super) fn bytes_kept(&self) -> usize {
        self.bytes.len() + size_of_val(&*self.ends)
    }

    /// Returns whether this is the beginning of another epoch than the last of `before`, of a
    /// sequencer that began with an empty store.
    pub(super) fn begins_anew(&self, before: &History) -> bool {
        self.base == 0 && self.epoch.is_some() && self.epoch != before.epoch
    }

    /// Takes out the oldest payloads, each with its seq, as long as there is `more` to take of so
    /// many bytes and payloads.
    pub(super) fn fold(
        &mut self,
        more: impl Fn(usize, usize) -> bool,
        mut each: impl FnMut(u64, &[u8]),
    ) {
        let (mut count, mut start) = (0, 0);
        let end_size = size_of::<usize>();
        while let Some(&end) = self.ends.get(count) {
            let left = self.ends.len() - count;
            if !more(self.bytes.len() - start + left * end_size, left) {
                break;
            }
            count += 1;
            each(self.base + count as u64, &self.bytes[start..end]);
            start = end;
        }
        self.bytes.drain(..start);
        self.ends.drain(..count);
        self.ends.iter_mut().for_each(|end| *end -= start);
        self.base += count as u64;
    }
}

#[cfg(test)]
mod tests {
    use samestate_proto::wire::Codec;

    use super::super::Replay;
    use super::*;
    use crate::load::reducers::{Counter, CounterAction};
    use crate::measure::timeline::tests::v;

    fn payloads(actions: &[CounterAction]) -> Vec<Vec<u8>> {
        actions.iter().map(|action| serde_json::to_vec(action).expect("plain data")).collect()
    }

    fn history(bytes_max: usize, actions: &[CounterAction]) -> History {
        let mut history = History::bounded(bytes_max);
        let payloads = payloads(actions);
        let last = v(actions.len() as u64);
        history.ordered(1, last, payloads.iter().map(Vec::as_slice));
        history
    }

    fn replay(history: &History) -> Result<i64, NotReplayed> {
        let mut replay = Replay::<Counter>::new(Codec::Json);
        replay.absorb(history.clone());
        replay.state().map(|(_, state)| state.value)
    }

    #[test]
    fn a_history_gives_its_state() {
        let add = CounterAction::Add;
        assert_eq!(replay(&history(1_000, &[add(1), add(10), add(100)])), Ok(111));
        assert_eq!(replay(&History::default()), Ok(0));
    }

    #[test]
    fn a_life_that_begins_earlier_cuts_the_history() {
        let add = CounterAction::Add;
        let mut history = history(1_000, &[add(1), add(10), add(100)]);
        let epoch = Epoch { number: 2, id: 8 };
        history.begins(epoch, 1);
        let payloads = payloads(&[add(1000)]);
        history.ordered(2, Version { epoch, seq: 2 }, payloads.iter().map(Vec::as_slice));
        assert_eq!(replay(&history), Ok(1001));
    }

    #[test]
    fn parts_and_a_restarted_sequencer_add_up_to_the_whole() {
        let add = CounterAction::Add;
        let mut node = history(1_000, &[add(1), add(10), add(100)]);
        let mut runner = History::default();
        runner.absorb(node.take());
        let more = payloads(&[add(1000)]);
        node.ordered(4, v(4), more.iter().map(Vec::as_slice));
        let part = serde_json::to_string(&node.take()).expect("plain data");
        runner.absorb(serde_json::from_str(&part).expect("as it was written"));
        assert_eq!(replay(&runner), Ok(1111));

        let epoch = Epoch { number: 2, id: 8 };
        let mut restarted = History::default();
        restarted.begins(epoch, 2);
        restarted.ordered(3, Version { epoch, seq: 3 }, more.iter().map(Vec::as_slice));
        assert!(replay(&restarted).is_err(), "it does not know how it began");
        runner.absorb(restarted.take());
        assert_eq!(replay(&runner), Ok(1011));
    }

    #[test]
    fn what_is_not_whole_is_not_replayed() {
        let add = CounterAction::Add;
        let small = history(8, &[add(1), add(10)]);
        assert_eq!(replay(&small), Err(NotReplayed::NotKept { bytes_max: 8 }));
        let mut gap = history(1_000, &[add(1)]);
        gap.ordered(3, v(3), [&b"{}"[..]]);
        assert_eq!(replay(&gap), Err(NotReplayed::Gap { expected: 2, found: 3 }));
    }

    #[test]
    fn an_action_that_should_not_be_in_the_history_is_named() {
        let rejected = history(1_000, &[CounterAction::Add(1), CounterAction::Reject]);
        assert!(matches!(replay(&rejected), Err(NotReplayed::Failed { seq: 2, .. })));
        let panics = history(1_000, &[CounterAction::Panic]);
        assert!(matches!(replay(&panics), Err(NotReplayed::Failed { seq: 1, .. })));
        let mut garbled = History::default();
        garbled.ordered(1, v(1), [&b"\xff"[..]]);
        assert!(matches!(replay(&garbled), Err(NotReplayed::Failed { seq: 1, .. })));
    }
}
