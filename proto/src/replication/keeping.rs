//! The records that a sequencer writes to disk between two backups, as the protocol sees them:
//! their content, how far they are written, and the outputs that wait for them.
//!
//! Records stand one after another in the order in which they happened:
//!
//! ```text
//! 1  an action, by a dispatch of a session       the entry's bytes
//! 2  an action of the sequencer's own node       the entry's bytes
//! 3  a dispatch that was rejected                session u64, counter u64, length u16, reason
//! 4  a session that was issued                   session u64, length u16, MessagePack
//! ```
//!
//! Not recorded, since they cannot be known: the outcome of a dispatch that its origin had given
//! up, and the sessions that were forgotten for want of room.

use std::collections::VecDeque;
use std::time::Duration;

use thiserror::Error;

use super::log::rolled;
use super::{Image, LinkId, Resolution, StateMachine};
use crate::mutant::mutant;
use crate::wire::{Answer, Entries, Entry, Outcome, WireError};
use crate::{Claim, Version};

/// With more bytes of records than this not on disk, dispatches wait until there are less.
pub(super) const UNSAVED_BYTES_MAX: usize = 8 << 20;

/// With more answers than this waiting for the disk, dispatches wait too.
pub(super) const DEFERRED_MAX: usize = 64 << 10;

const DISPATCHED: u8 = 1;
const OWN: u8 = 2;
const REJECTED: u8 = 3;
const SESSION: u8 = 4;

/// The range of actions that some records cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The seq before the first action.
    pub before: u64,
    /// The seq of the last one; as `before` if there is none.
    pub last: u64,
}

/// An output that waits until the state that it rests on is on disk.
#[derive(Debug)]
pub(super) enum Deferred {
    Local { ticket: u64, resolution: Resolution, deadline: Option<Duration> },
    Answers { link: LinkId, claim: Claim, answers: Vec<Answer> },
    Digest { seq: u64, digest: u64 },
}

/// The gate of a durable store.
#[derive(Debug)]
pub(super) struct CommitGate {
    /// All up to here is on disk.
    pub(super) committed: u64,
    /// The disk takes nothing.
    pub(super) stalled: bool,
    /// The outputs that wait, each with the seq that it waits for, in rising order.
    pub(super) deferred: VecDeque<(u64, Deferred)>,
    /// The number of these that are dispatches of this node.
    pub(super) locals: usize,
}

/// The records not handed over yet.
#[derive(Debug)]
pub(super) struct Keeping {
    records: Vec<u8>,
    /// The seq up to which records were handed over.
    handed: u64,
    /// Bytes of records that are not on disk.
    pub(super) unsaved: usize,
    pub(super) gate: Option<CommitGate>,
}

impl Keeping {
    pub(super) fn new(seq: u64, durable: bool) -> Self {
        let gate =
            CommitGate { committed: seq, stalled: false, deferred: VecDeque::new(), locals: 0 };
        Keeping { records: Vec::new(), handed: seq, unsaved: 0, gate: durable.then_some(gate) }
    }

    pub(super) fn entry(&mut self, entry: &Entry<'_>, own: bool) {
        self.records.push(if own { OWN } else { DISPATCHED });
        self.records.extend_from_slice(entry.bytes());
    }

    pub(super) fn rejected(&mut self, session: u64, counter: u64, reason: &str) {
        self.records.push(REJECTED);
        self.records.extend_from_slice(&session.to_le_bytes());
        self.records.extend_from_slice(&counter.to_le_bytes());
        self.text(reason.as_bytes());
    }

    pub(super) fn session(&mut self, session: u64, row: &[u8]) {
        self.records.push(SESSION);
        self.records.extend_from_slice(&session.to_le_bytes());
        self.text(row);
    }

    fn text(&mut self, text: &[u8]) {
        let text = &text[..text.len().min(usize::from(u16::MAX))];
        self.records.extend_from_slice(&(text.len() as u16).to_le_bytes());
        self.records.extend_from_slice(text);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Moves the records to the end of `out`; `seq` is where the replica stands.
    pub(super) fn hand_over(&mut self, seq: u64, out: &mut Vec<u8>) -> Span {
        self.unsaved += self.records.len();
        match out.is_empty() {
            true => std::mem::swap(out, &mut self.records),
            false => out.append(&mut self.records),
        }
        self.records.clear();
        if mutant!(SpanFromTheStart) {
            return Span { before: self.handed, last: seq };
        }
        Span { before: std::mem::replace(&mut self.handed, seq), last: seq }
    }
}

/// An error of records that cannot be replayed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReplayFault {
    /// The records make no sense.
    #[error("a record is malformed")]
    Malformed(#[from] WireError),
    /// They do not follow what was restored.
    #[error("its actions begin at {got}, but the state restored so far is at {at}")]
    Gap {
        /// The version of the image.
        at: u64,
        /// The beginning of the records.
        got: u64,
    },
    /// The reducer refused what it once took.
    #[error("the reducer refuses action {seq}, which it took before: {why}")]
    Refused {
        /// The number of the action.
        seq: u64,
        /// The message of the reducer.
        why: String,
    },
}

impl Image {
    /// Goes on by these records, which begin after action `before`. `machine` is in the state of
    /// the image. Actions that it has already are passed over.
    ///
    /// # Errors
    ///
    /// If records are missing between the image and `before`, if one is damaged, or if the reducer
    /// does not take an action that it took when it was written.
    pub fn replay<M: StateMachine>(
        &mut self,
        machine: &mut M,
        before: u64,
        records: &[u8],
    ) -> Result<(), ReplayFault> {
        if before > self.version.seq {
            return Err(ReplayFault::Gap { at: self.version.seq, got: before.saturating_add(1) });
        }
        let mut seq = before;
        for record in Records(records) {
            match record? {
                Record::Action { entry, own } => {
                    seq += 1;
                    if seq > self.version.seq {
                        self.replay_entry(machine, &entry, own)?;
                    }
                }
                Record::Rejected { session, counter, reason } => {
                    let counter = counter + u64::from(mutant!(RejectedReplayedLate));
                    let reason = String::from_utf8_lossy(reason).into_owned();
                    self.sessions.replayed(session, counter, Outcome::Rejected(reason));
                }
                Record::Session { session, row } => self.sessions.reissued(session, row),
            }
        }
        Ok(())
    }

    fn replay_entry<M: StateMachine>(
        &mut self,
        machine: &mut M,
        entry: &Entry<'_>,
        own: bool,
    ) -> Result<(), ReplayFault> {
        let seq = self.version.seq + 1;
        let applied = machine.apply(entry.payload);
        applied.map_err(|fault| ReplayFault::Refused { seq, why: fault.to_string() })?;
        self.version = Version { epoch: self.lineage.head().unwrap_or_default(), seq };
        self.history = rolled(self.history, entry);
        if !own {
            let outcome = Outcome::Applied(self.version);
            self.sessions.replayed(entry.session, entry.counter, outcome);
        }
        Ok(())
    }
}

/// A record, read.
enum Record<'a> {
    Action { entry: Entry<'a>, own: bool },
    Rejected { session: u64, counter: u64, reason: &'a [u8] },
    Session { session: u64, row: &'a [u8] },
}

/// Reads records one after another; ends after an error.
struct Records<'a>(&'a [u8]);

impl<'a> Records<'a> {
    fn first(kind: u8, after: &'a [u8]) -> Result<(Record<'a>, &'a [u8]), WireError> {
        Ok(match kind {
            DISPATCHED | OWN => {
                let (entry, after) = Entries::first(after)?;
                (Record::Action { entry, own: kind == OWN }, after)
            }
            REJECTED => {
                let (session, after) = take_u64(after)?;
                let (counter, after) = take_u64(after)?;
                let (reason, after) = take_text(after)?;
                (Record::Rejected { session, counter, reason }, after)
            }
            SESSION => {
                let (session, after) = take_u64(after)?;
                let (row, after) = take_text(after)?;
                (Record::Session { session, row }, after)
            }
            _ => return Err(WireError::Malformed("kind of record")),
        })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (kind, after) = std::mem::take(&mut self.0).split_first()?;
        let read = Records::first(*kind, after);
        Some(read.map(|(record, rest)| {
            self.0 = rest;
            record
        }))
    }
}

/// Returns the number of the last action of some records, which begin after action `before`.
///
/// # Errors
///
/// If a record is damaged.
pub fn last_action_of(before: u64, records: &[u8]) -> Result<u64, ReplayFault> {
    let mut seq = before;
    for record in Records(records) {
        seq += u64::from(matches!(record?, Record::Action { .. }));
    }
    Ok(seq)
}

fn take_u64(bytes: &[u8]) -> Result<(u64, &[u8]), WireError> {
    let (head, rest) =
        bytes.split_first_chunk::<8>().ok_or(WireError::Truncated("record's number"))?;
    Ok((u64::from_le_bytes(*head), rest))
}

fn take_text(bytes: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    let (len, rest) =
        bytes.split_first_chunk::<2>().ok_or(WireError::Truncated("record's length"))?;
    let len = usize::from(u16::from_le_bytes(*len));
    rest.split_at_checked(len).ok_or(WireError::Truncated("record's text"))
}
