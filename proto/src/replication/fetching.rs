//! States that a node gets from its upstream: the one it asked for, and one that came in part.

use super::upstream::Incoming;
use crate::Version;
use crate::wire::{PartialSnapshot, SnapshotHead};

/// The states that a node gets from its upstream, across the links to it.
#[derive(Debug, Default)]
pub(super) struct Fetching {
    /// A state was asked for, and has not come yet.
    asked: bool,
    /// The version of the newest snapshot that came.
    fetched: Option<Version>,
    /// The part of a snapshot that had arrived when its link ended.
    partial: Option<Incoming>,
}

impl Fetching {
    /// Notes that a state is asked for. Returns false if one is already.
    pub(super) fn ask(&mut self) -> bool {
        !std::mem::replace(&mut self.asked, true)
    }

    /// Returns whether a state was asked for that has not come yet.
    pub(super) fn is_asked(&self) -> bool {
        self.asked
    }

    /// Returns where the newest snapshot was cut, if one has come.
    pub(super) fn fetched(&self) -> Option<Version> {
        self.fetched
    }

    /// A snapshot was put in place.
    pub(super) fn came(&mut self, at: Version) {
        (self.fetched, self.asked, self.partial) = (Some(at), false, None);
    }

    /// Keeps what has come of a snapshot whose link ended.
    pub(super) fn keep(&mut self, incoming: Incoming) {
        self.partial = Some(incoming);
    }

    /// Keeps a snapshot that came whole, though its link ended, unless something newer is kept.
    pub(super) fn keep_whole(&mut self, whole: Incoming) {
        self.partial.get_or_insert(whole);
    }

    /// Drops the received part of a snapshot, because the upstream continues with entries.
    pub(super) fn drop_partial(&mut self) {
        self.partial = None;
    }

    /// Returns what had come, for the upstream to go on from there.
    pub(super) fn partial(&self) -> Option<PartialSnapshot> {
        self.partial.as_ref().map(Incoming::partial)
    }

    /// Takes the bytes that had come of the snapshot with this head. What had come of another is
    /// dropped.
    pub(super) fn take_part_of(&mut self, head: &SnapshotHead) -> Option<Vec<u8>> {
        let partial = self.partial.take().filter(|partial| partial.partial().is_of(head))?;
        Some(partial.bytes)
    }
}
