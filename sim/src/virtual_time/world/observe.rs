//! The state of a world, as its driver sees it.

use std::time::Duration;

use samestate_proto::replication::Replica;

use super::{Moments, Notice, World};
use crate::invariants::{Clock, Violation, Witness};
use crate::virtual_time::check::Fate;
use crate::virtual_time::machine::ErasedMachine;
use crate::virtual_time::trace::Trace;

impl World {
    /// Returns the fate of a dispatch.
    pub fn fate(&self, id: u64) -> Option<Fate> {
        self.checker.fate(id)
    }

    /// Returns the current time.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// The replica at a slot, if there is one.
    pub fn replica(&self, slot: usize) -> Option<&Replica<ErasedMachine>> {
        self.slots[slot].running.as_ref().map(|running| &running.replica)
    }

    /// The slots of a host.
    pub fn seats_of(&self, host: usize) -> &[usize] {
        &self.hosts[host].slots
    }

    /// Returns the time until which a host stands still, if it does.
    pub fn paused_until(&self, host: usize) -> Option<Duration> {
        self.hosts[host].paused_until
    }

    /// Returns whether a host has a process.
    pub fn is_alive(&self, host: usize) -> bool {
        self.hosts[host].alive
    }

    /// The bytes that the processes of a host sent and received.
    pub fn carried(&self, host: usize) -> (u64, u64) {
        (self.hosts[host].sent_bytes, self.hosts[host].received_bytes)
    }

    /// Returns the number of slots.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns whether there is no slot.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Returns the time of the first violation.
    pub fn violated_at(&self) -> Option<Duration> {
        self.violation.as_ref().map(|found| found.0)
    }

    /// Notes a violation that the driver of the world has found.
    pub fn fails(&mut self, violation: Violation) {
        self.broken(Box::new(violation));
    }

    /// The first violation.
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref().map(|found| &*found.1)
    }

    /// Takes the notices since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        self.notices.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Returns whether there are notices.
    pub fn has_notices(&self) -> bool {
        self.notices.as_ref().is_some_and(|notices| !notices.is_empty())
    }

    /// Returns the witness of a slot's replica, if the world is witnessed.
    pub fn witness(&self, slot: usize) -> Option<&Witness> {
        self.slots[slot].witness.as_ref()
    }

    /// Returns the moments so far.
    pub fn moments(&self) -> Moments {
        let mut moments = self.moments;
        for running in self.slots.iter().filter_map(|slot| slot.running.as_ref()) {
            moments.replicas.add(&running.replica.counters());
        }
        moments
    }

    /// A hash over all that happened to states and dispatches, and when.
    pub fn history(&self) -> u64 {
        self.history
    }

    /// Takes out what happened last, if that is kept.
    pub fn take_trace(&mut self) -> Option<Trace> {
        self.trace.take()
    }

    /// Returns the last events, if a trace is kept.
    pub fn trace(&self) -> Option<&Trace> {
        self.trace.as_ref()
    }

    /// Returns the time, for recorders.
    pub(super) fn clock(&self) -> Clock {
        let clock = self.clock.clone();
        std::sync::Arc::new(move || {
            clock.as_ref().map_or(0, |clock| clock.0.load(std::sync::atomic::Ordering::Relaxed))
        })
    }
}
