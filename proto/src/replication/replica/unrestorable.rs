//! A state that cannot be restored from its encoding.
//!
//! Such a state would be lost with its process, and a node that joins would never get it. So no
//! snapshot of it is sent, a sequencer stops, and the reason is reported once.

use super::Replica;
use crate::Version;
use crate::mutant::mutant;
use crate::replication::{Report, StateMachine};

impl<M: StateMachine> Replica<M> {
    /// Stops this sequencer: its state cannot be restored.
    pub(super) fn stop_for(&mut self, version: Version, why: String) {
        self.note_unrestorable(version, why);
        let why = self.stopped().map(str::to_owned);
        self.abandon_deferred(why.as_deref());
    }

    /// Notes that the state at `version` cannot be restored from its encoding. Reports this, unless
    /// such a report was made since the last state that could be restored.
    pub(super) fn note_unrestorable(&mut self, version: Version, why: String) {
        let text = format!("the state at version {version} cannot be restored: {why}");
        if self.integrity.restore_check.fail(version, text) {
            self.report(Report::Unrestorable { version, why });
        }
        self.wake_wanting();
    }

    /// Returns the reason why the state of the current version must not be sent, if there is one.
    pub(super) fn unsendable(&self) -> Option<&str> {
        let (version, text) = self.integrity.restore_check.failed()?;
        let still = version == self.position.version || mutant!(UnsendableForEver);
        (self.is_sequencer() || still).then_some(text)
    }
}
