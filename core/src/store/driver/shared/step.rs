//! One step of a replica, under its lock, and what follows from it.
//!
//! Each call of a store is a step with a closure of its own, in each type of store. All that does
//! not depend on the closure is in [`Shared::begin`] and [`Shared::finish`], which are compiled
//! once for a type of store.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::MutexGuard;
use samestate_proto::replication::{Output, Resolution};

use super::{Inner, Shared};
use crate::store::dispatch::future::Waiter;
use crate::store::observe::reading::Stepping;
use crate::store::reducer::machine::{Action, ReducerMachine, State};
use crate::task::words_of;

/// A step writes to so many links itself; the tasks of the others do it for them.
const DIRECT_LINKS_MAX: usize = 8;

/// The pause after a step that wrote to links itself, as a multiple of the time that the step took.
/// During the pause the tasks of the links write: in a storm they gather more into one write.
const DIRECT_PAUSE: u32 = 4;

/// A step that has begun.
struct Step<'a, S: State, A: Action> {
    // Dropped in this order: the lock is released first.
    inner: MutexGuard<'a, Inner<S, A>>,
    _stepping: Stepping,
    now: Duration,
    /// The number of dispatches that were under way before it.
    under_way: usize,
}

impl<S: State, A: Action> Shared<S, A> {
    /// Runs one step: takes the lock, calls `step`, releases the lock, and carries out the outputs.
    pub(crate) fn with<R>(&self, step: impl FnOnce(&mut Inner<S, A>, Duration) -> R) -> R {
        let mut begun = self.begin();
        let now = begun.now;
        match catch_unwind(AssertUnwindSafe(|| step(&mut begun.inner, now))) {
            Ok(result) => {
                self.finish(begun, None);
                result
            }
            Err(panic) => {
                self.finish(begun, Some(&words_of(&*panic)));
                resume_unwind(panic)
            }
        }
    }

    fn begin(&self) -> Step<'_, S, A> {
        let stepping = Stepping::begin(&self.name);
        let now = self.now();
        let inner = self.inner.lock();
        let under_way = inner.replica.under_way();
        Step { inner, _stepping: stepping, now, under_way }
    }

    /// `panic`: the words of the panic with which it ended.
    fn finish(&self, step: Step<'_, S, A>, panic: Option<&str>) {
        let Step { mut inner, _stepping: stepping, now, under_way } = step;
        if let Some(words) = panic {
            let why = format!("a step of it panicked: {words}");
            // The replica may be half changed, and panic again.
            let _ = catch_unwind(AssertUnwindSafe(|| inner.replica.fail(&why, now)));
        }
        let room = inner.replica.under_way() < under_way;
        let outputs = match inner.replica.has_outputs() {
            true => inner.replica.take_outputs(),
            false => Vec::new(),
        };
        let resolved = inner.resolved(&outputs);
        if inner.replica.has_records()
            && let Some(inbox) = &*self.inbox.lock()
        {
            inbox.leave(|out| inner.replica.take_records(out));
        }
        self.publish(&mut inner);
        let told = inner.replica.has_changes();
        let due = inner.replica.due();
        let replanned = inner.planned != Some(due) && self.timers.plan(due);
        inner.planned = Some(due);
        drop(inner);
        drop(stepping);
        if replanned {
            self.timers.wake();
        }
        if told {
            self.subscribers.wake();
        }
        resolved.into_iter().for_each(|(waiter, resolution)| waiter.resolve(resolution));
        if room {
            self.room.notify_waiters();
        }
        let mut jobs = Vec::new();
        let direct_after = Duration::from_nanos(self.direct_after_ns.load(Ordering::Relaxed));
        // After a panic, whose connection ends is known first.
        let direct_links = match panic.is_none() && now >= direct_after {
            true => DIRECT_LINKS_MAX,
            false => 0,
        };
        let mut woken = 0;
        for output in outputs {
            match output {
                Output::Run(job) => jobs.push(job),
                Output::Wake(link) => {
                    self.wake(link, woken < direct_links);
                    woken += 1;
                }
                output => self.carry_out(output),
            }
        }
        if woken > 0 && direct_links > 0 {
            let done = self.now();
            let pause = done.saturating_sub(now) * DIRECT_PAUSE;
            self.direct_after_ns.store((done + pause).as_nanos() as u64, Ordering::Relaxed);
        }
        jobs.into_iter().for_each(|job| self.run(job));
    }
}

impl<S: State, A: Action> Inner<S, A> {
    /// Counts the dispatches that are resolved. Returns those that somebody waits for.
    fn resolved(&mut self, outputs: &[Output<ReducerMachine<S, A>>]) -> Vec<(Waiter, Resolution)> {
        let mut resolved = Vec::new();
        for output in outputs {
            let Output::Resolved { ticket, resolution } = output else { continue };
            self.settled += 1;
            self.dispatches.resolved(resolution);
            if let Some(waiter) = self.waiters.remove(ticket) {
                resolved.push((waiter, resolution.clone()));
            }
        }
        resolved
    }
}
