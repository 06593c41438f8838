//! Work on a state held still, away from the lock: a snapshot is cut, a digest is made.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::Replica;
use super::outputs::wake;
use crate::mutant::mutant;
use crate::replication::downstream::{Downstream, Feed, Snapshot};
use crate::replication::{Output, StateMachine, StateView};
use crate::wire::SnapshotHead;
use crate::{Lineage, Version};

/// Work on a state held still.
pub enum Job<F> {
    /// Encode it.
    Cut {
        /// Discards what comes of a state that was replaced since.
        stamp: u64,
        /// The version of the frozen state.
        version: Version,
        /// The rolling hash there.
        history: u64,
        /// The lineage there.
        lineage: Lineage,
        /// True if the job checks that the bytes decode to the same state.
        check: bool,
        /// The state.
        frozen: F,
    },
    /// Digest it.
    Digest {
        /// Discards what comes of a state that was replaced since.
        stamp: u64,
        /// The version of the frozen state.
        version: Version,
        /// The state.
        frozen: F,
    },
}

/// The result of a [`Job`].
pub struct JobDone {
    stamp: u64,
    version: Version,
    checked: bool,
    product: Product,
}

enum Product {
    Cut(Result<Snapshot, String>),
    Digest(Result<u64, String>),
}

impl<F: StateView> Job<F> {
    /// Does the work. A panic of the user's serialiser is an error like another.
    pub fn run(self) -> JobDone {
        match self {
            Job::Cut { stamp, version, history, lineage, check, frozen } => {
                let encoded = guarded(|| {
                    let bytes = frozen.encode()?;
                    if check {
                        frozen.check(&bytes)?;
                    }
                    Ok(bytes)
                });
                let snapshot = encoded.map(|bytes| {
                    let (len, crc) = (bytes.len() as u64, crc32fast::hash(&bytes));
                    let head = SnapshotHead { version, history, len, crc, lineage };
                    Snapshot { head, bytes }
                });
                JobDone { stamp, version, checked: check, product: Product::Cut(snapshot) }
            }
            Job::Digest { stamp, version, frozen } => {
                let digest = guarded(|| frozen.digest());
                JobDone { stamp, version, checked: false, product: Product::Digest(digest) }
            }
        }
    }

    /// Returns whether the job encodes the whole state. A digest may be kept up to date by the
    /// state.
    pub fn is_cut(&self) -> bool {
        matches!(self, Job::Cut { .. })
    }
}

fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("it panicked".into()))
}

impl<M: StateMachine> Replica<M> {
    /// Holds the state still for a snapshot, unless that is under way, or as many snapshots are
    /// being sent as memory is meant for.
    pub(super) fn cut(&mut self) {
        let sound = !self.condition.is_poisoned() && self.unsendable().is_none();
        let may = !self.integrity.healing.is_active() && sound && !self.position.lineage.is_empty();
        if self.snapshots.cutting().is_some() || !may || !self.has_room_for_snapshot() {
            return;
        }
        self.snapshots.begin(self.position.version);
        self.hold_log();
        let mut version = self.position.version;
        if mutant!(SnapshotOneLate) && version.seq > 1 {
            version = self.version_at(version.seq - 1);
        }
        self.outputs.push(Output::Run(Job::Cut {
            stamp: self.snapshots.stamp(),
            version,
            history: self.position.history,
            lineage: self.position.lineage.clone(),
            check: self.integrity.restore_check.is_due(self.now),
            frozen: self.machine.freeze(),
        }));
    }

    /// Holds the state still for its digest, unless one is under way.
    pub(super) fn start_digest(&mut self) {
        if self.machine.reduces() && self.integrity.digests.begin(self.position.version.seq) {
            self.outputs.push(Output::Run(Job::Digest {
                stamp: self.snapshots.stamp(),
                version: self.position.version,
                frozen: self.machine.freeze(),
            }));
        }
    }

    /// Takes the product of a job.
    pub(super) fn take_product(&mut self, done: JobDone, cost: Duration) {
        let fresh = self.snapshots.is_fresh(done.stamp);
        let digested = matches!(done.product, Product::Digest(_));
        if digested {
            self.integrity.digests.finish(cost, self.config.verify_budget, self.now);
        } else if fresh {
            self.snapshots.end();
        }
        if fresh && done.checked && matches!(done.product, Product::Cut(Ok(_))) {
            self.integrity.restore_check.pass(cost, self.config.verify_budget, self.now);
        }
        match done.product {
            Product::Cut(Err(why)) | Product::Digest(Err(why)) if fresh => {
                self.note_unrestorable(done.version, why);
                if self.stopped().is_some() {
                    // What waits for the disk may be on its way there.
                    self.abandon_deferred(None);
                }
            }
            Product::Cut(Ok(snapshot)) if fresh && !self.integrity.healing.is_active() => {
                self.on_cut(snapshot)
            }
            Product::Digest(Ok(digest)) if fresh => {
                let late = mutant!(DigestAtWrongVersion);
                let version = if late { self.position.version } else { done.version };
                self.on_own_digest(version.seq, digest);
            }
            Product::Cut(_) | Product::Digest(_) => {}
        }
        if digested {
            self.answer_doubts();
        }
    }

    /// A snapshot has left: there may be room for the next one.
    pub(super) fn wake_wanting(&mut self) {
        for (link, downstream) in &mut self.downstreams {
            if matches!(downstream.feed, Feed::Wanting { .. }) {
                wake(&mut self.outputs, *link, downstream, self.now);
            }
        }
    }

    /// Takes old snapshots back from links that do not move, when others wait for a new one.
    pub(super) fn take_back_snapshots(&mut self) {
        let wanting = |link: &Downstream| matches!(link.feed, Feed::Wanting { .. });
        if !self.downstreams.values().any(wanting) {
            return;
        }
        if self.sends_most_snapshots() {
            let (now, grace) = (self.now, self.config.dead_after);
            for downstream in self.downstreams.values_mut() {
                let stalled = now.saturating_sub(downstream.moved_at) >= grace;
                if stalled && downstream.sending().is_some() {
                    downstream.feed = Feed::Wanting { min: 0 };
                }
            }
        }
        self.wake_wanting();
    }

    pub(super) fn on_cut(&mut self, snapshot: Snapshot) {
        self.counters.snapshots_cut += 1;
        for (link, downstream) in &mut self.downstreams {
            if !matches!(downstream.feed, Feed::Silent | Feed::Undecided { .. }) {
                wake(&mut self.outputs, *link, downstream, self.now);
            }
        }
        self.snapshots.take(Arc::new(snapshot));
    }
}
