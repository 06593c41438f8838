//! Outputs: reports, notes, and links to be filled.

use std::time::Duration;

use super::Replica;
use crate::replication::downstream::Downstream;
use crate::replication::{LinkId, Note, Output, Report, StateMachine};

impl<M: StateMachine> Replica<M> {
    pub(super) fn report(&mut self, report: Report) {
        self.outputs.push(Output::Report(report));
    }

    pub(super) fn note(&mut self, note: Note) {
        self.outputs.push(Output::Note(note));
    }

    /// Wakes every downstream link: there is something new in the log.
    pub(super) fn wake_all(&mut self) {
        if !std::mem::take(&mut self.sleepers) {
            return;
        }
        for (link, downstream) in &mut self.downstreams {
            if downstream.attached() {
                wake(&mut self.outputs, *link, downstream, self.now);
            }
        }
    }

    pub(super) fn wake_upstream(&mut self) {
        if let Some(upstream) = &mut self.upstream
            && !std::mem::replace(&mut upstream.awake, true)
        {
            self.outputs.push(Output::Wake(upstream.link));
        }
    }
}

/// Has the driver fill this link, unless it does already.
pub(super) fn wake<M: StateMachine>(
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
