//! A state that cannot be restored from its encoding.
//!
//! Such a state would be lost with its process, and a node that joins would never get it. So no
//! snapshot of it is sent, a sequencer stops, and everyone concerned is told the reason once.

use std::time::Duration;

use super::Replica;
use crate::Version;
use crate::replication::{Machine, Report};

impl<M: Machine> Replica<M> {
    /// Stops a sequencer: its state at `version` cannot be restored from its encoding. No action
    /// after the ones that are on disk gets there any more, so dispatches that wait for that
    /// resolve as `Rejected`.
    pub fn stop_unrestorable(&mut self, version: Version, why: String, now: Duration) {
        self.now = now;
        self.note_unrestorable(version, why);
        let why = self.stopped().map(str::to_owned);
        self.abandon_deferred(why.as_deref());
        self.settle();
    }

    /// Notes that the state at `version` cannot be restored from its encoding. Reports it, unless
    /// an earlier one was reported since a state last could.
    pub(super) fn note_unrestorable(&mut self, version: Version, why: String) {
        let text = format!("the state at version {version} cannot be restored: {why}");
        if self.restore_check.fail(version, text) {
            self.report(Report::Unrestorable { version, why });
        }
        self.wake_wanting();
    }

    /// Why a sequencer has stopped: its state cannot be restored from its encoding.
    pub fn stopped(&self) -> Option<&str> {
        self.unsendable().filter(|_| self.is_sequencer())
    }

    /// Why the state of just this version is not to be sent.
    pub(super) fn unsendable(&self) -> Option<&str> {
        let (version, text) = self.restore_check.failed()?;
        (self.is_sequencer() || version == self.version).then_some(text)
    }
}
