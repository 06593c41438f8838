//! A store that is kept on disk: what it begins with, and what the writer of its backup asks of it.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use samestate_proto::replication::{Config, NotPromotable, Replica, StateMachine};
use samestate_proto::{Epoch, NodeId, Version};
use tokio::sync::oneshot::error::TryRecvError;

use crate::backup::{
    About, Backup, BackupError, BackupFiles, BackupWriter, Hang, Held, JournalQueue,
    PreparedBackup, Source,
};
use crate::event::EventKind;
use crate::link::LinkEndpoint;
use crate::store::driver::metrics::BackupMetrics;
use crate::store::driver::random;
use crate::store::driver::shared::{Inner, Shared};
use crate::store::driver::trace;
use crate::store::reducer::machine::{Action, ReducerMachine, State, encoded};
use crate::store::{Error, Result};
use crate::task::Panicked;

/// A backup that was begun for a store that is being opened.
pub(crate) struct Backing {
    pub(crate) inbox: Arc<JournalQueue>,
    beginning: PreparedBackup,
    torn: usize,
}

/// Opens a sequencer from its backup, or from an empty state.
pub(crate) fn open<S: State, A: Action>(
    backup: &Backup,
    durable: bool,
    config: Config,
    node: NodeId,
    mut machine: ReducerMachine<S, A>,
) -> Result<(Replica<ReducerMachine<S, A>>, Backing)> {
    let (desk, restored) = BackupFiles::open(backup, about(&config))?;
    let (now, id) = (Duration::ZERO, random::id()?);
    let key = random::token_key()?;
    let (mut replica, torn) = match restored {
        None => {
            let epoch = Epoch { number: 1, id };
            (Replica::sequencer(config, node, machine, epoch, key, now), 0)
        }
        Some(mut restored) => {
            machine.install(restored.decode::<ReducerMachine<S, A>>()?);
            let sessions = std::mem::take(&mut restored.image.sessions);
            restored.image.sessions = sessions.bounded(config.sessions_max, config.window);
            restored.replay(&mut machine)?;
            let number = restored.image.lineage.head().map_or(0, |head| head.number);
            let epoch = Epoch { number: number.saturating_add(1), id };
            let image = &restored.image;
            let replica = Replica::restored(config, node, machine, image, epoch, key, now);
            (replica, restored.torn)
        }
    };
    // Before it takes the place of what is on disk.
    let state = encoded(&replica.machine().freeze());
    let store = &replica.config().store;
    let state =
        state.map_err(|why| crate::store::Error::Unrestorable { store: store.clone(), why })?;
    let disk = desk.watch();
    let beginning = BackupWriter::begin(desk, backup, &replica.image(), &state)?;
    replica.keep(durable);
    let inbox = Arc::new(JournalQueue::new(backup.pace(), durable, disk));
    Ok((replica, Backing { inbox, beginning, torn }))
}

impl Backing {
    /// Starts to write what the store does.
    pub(crate) fn keep<S: State, A: Action>(self, shared: &Arc<Shared<S, A>>) -> Result<()> {
        if self.torn > 0 {
            trace::journal_torn(shared.name(), self.torn);
            Source::report(
                &**shared,
                EventKind::JournalTruncated { bytes: self.torn },
                &format!(
                    "the journal ended in the middle of a block, as after a crash: its last {} \
                     bytes are dropped",
                    self.torn
                ),
            );
        }
        let source: Weak<dyn Source> = Arc::downgrade(shared) as Weak<dyn Source>;
        Ok(self.beginning.keep(self.inbox, source)?)
    }
}

/// The time that a sequencer which hands over has to send its last actions.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(10);

/// A node that waits for them looks this often whether it waits in vain.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A backup that begins when its node is promoted.
pub(crate) struct Later {
    pub(crate) backup: Backup,
    pub(crate) durable: bool,
}

impl<S: State, A: Action> Shared<S, A> {
    /// Takes the place of the sequencer, once the backup that the store was opened with has begun.
    /// Writes the whole state, so it may take a while. The store has no upstream meanwhile, so
    /// nothing changes.
    pub(crate) fn promote(self: &Arc<Self>) -> Result<Version> {
        let (id, key) = (random::id()?, random::token_key()?);
        self.end_earlier_backup()?;
        if let Some(later) = &self.later {
            self.begin_backup(later, id)?;
        }
        self.setback.send_replace(None);
        let promoted = self.with(|inner, now| {
            let version = inner.replica.promote(id, key, now)?;
            if let Some(later) = &self.later {
                inner.replica.keep(later.durable);
            }
            Ok(version)
        });
        let version = promoted.map_err(|why| self.not_promotable(why))?;
        *self.superseded_by.lock() = None;
        Ok(version)
    }

    /// Ends the backup that this node kept when it was the sequencer before. What it could not
    /// write then is lost with the epoch, as everyone was told.
    fn end_earlier_backup(&self) -> Result<()> {
        let Some(inbox) = self.inbox.lock().clone() else { return Ok(()) };
        if let Some(mut ended) = inbox.close() {
            while let Err(TryRecvError::Empty) = ended.try_recv() {
                if let Some(Hang { what, path, waited }) = inbox.disk().hang() {
                    return Err(BackupError::DiskHangs { what, path, waited }.into());
                }
                std::thread::sleep(LOOK_EVERY);
            }
        }
        *self.inbox.lock() = None;
        Ok(())
    }

    fn begin_backup(self: &Arc<Self>, later: &Later, epoch_id: u64) -> Result<()> {
        let desk = self.desk(later)?;
        let held = self.with(|inner, _| inner.replica.hold_to_promote(epoch_id));
        let (image, frozen) = held.map_err(|why| self.not_promotable(why))?;
        let store = self.name().to_owned();
        let state = encoded(&frozen).map_err(|why| Error::Unrestorable { store, why })?;
        drop(frozen);
        let disk = desk.watch();
        let beginning = BackupWriter::begin(desk, &later.backup, &image, &state)?;
        later.backup.unmark_superseded()?;
        let saved = BackupMetrics { saved_seq: image.version.seq, ..Default::default() };
        *self.backup.lock() = Some(saved);
        let inbox = Arc::new(JournalQueue::new(later.backup.pace(), later.durable, disk));
        Backing { inbox: Arc::clone(&inbox), beginning, torn: 0 }.keep(self)?;
        *self.inbox.lock() = Some(inbox);
        self.timers.wake();
        Ok(())
    }

    /// Waits for the last actions of a sequencer that hands over.
    pub(crate) async fn caught_up(&self) -> Result<()> {
        let mut newest = self.newest();
        let until = tokio::time::Instant::now() + CAUGHT_UP_WITHIN;
        loop {
            let found = self.promotable();
            let waits = matches!(
                &found,
                Err(Error::NotPromotable {
                    why: NotPromotable::Behind { .. } | NotPromotable::Unanswered,
                    ..
                })
            );
            if !waits || tokio::time::Instant::now() >= until {
                return found;
            }
            // A link that ends tells of no version.
            let _ = tokio::time::timeout(LOOK_EVERY, newest.changed()).await;
        }
    }

    /// Returns an error if this node cannot take the place of the sequencer.
    pub(crate) fn promotable(&self) -> Result<()> {
        self.with(|inner, _| inner.replica.promotable()).map_err(|why| self.not_promotable(why))
    }

    fn not_promotable(&self, why: NotPromotable) -> Error {
        Error::NotPromotable { store: self.name().to_owned(), why }
    }

    fn desk(&self, later: &Later) -> Result<BackupFiles> {
        let about = self.with(|inner, _| about(inner.replica.config()));
        let (desk, before) = BackupFiles::open(&later.backup, about)?;
        if let Some(before) = before {
            let at = |inner: &mut Inner<S, A>| {
                (inner.replica.lineage().clone(), inner.replica.version())
            };
            let (lineage, version) = self.with(|inner, _| at(inner));
            before.loses_nothing_to(&lineage, version)?;
        }
        Ok(desk)
    }
}

fn about(config: &Config) -> About {
    let (store, schema_version, codec) =
        (config.store.clone(), config.schema_version, config.codec);
    About { store, schema_version, codec }
}

/// The times at which the state that a backup's records lead to is checked.
///
/// A small state is checked before each write, so that all that is on disk can be restored. Checks
/// of a bigger one have a budget, like digests, and so an interval.
#[derive(Debug)]
pub(crate) struct Checks {
    /// The share of one core that they may take.
    budget: f64,
    not_before: Option<Instant>,
}

impl Checks {
    /// A state is small whose encoding has at most this many bytes.
    const SMALL_BYTES: usize = 256 << 10;

    /// Checks with this share of one core.
    pub(crate) fn new(budget: f64) -> Self {
        Checks { budget: budget.clamp(1e-6, 1.0), not_before: None }
    }

    /// Returns when the next check may be made, if that is later than now.
    fn put_off(&self) -> Option<Instant> {
        self.not_before.filter(|at| Instant::now() < *at)
    }

    fn done(&mut self, bytes: usize, cost: Duration) {
        let small = bytes <= Checks::SMALL_BYTES;
        self.not_before = (!small).then(|| Instant::now() + cost.div_f64(self.budget));
    }
}

impl<S: State, A: Action> Source for Shared<S, A> {
    fn hold(&self) -> Option<Held> {
        let (image, frozen) = self.with(|inner, _| inner.replica.hold())?;
        let (version, me) = (image.version, self.me());
        let encode = move || {
            encoded(&frozen).inspect_err(|why| {
                if let Some(me) = me.upgrade() {
                    me.stop_unrestorable(version, why);
                }
            })
        };
        Some(Held { image, encode: Box::new(encode) })
    }

    fn check(&self) -> Result<Option<Instant>, String> {
        if let Some(why) = self.with(|inner, _| inner.replica.stopped().map(str::to_owned)) {
            return Err(why);
        }
        if let Some(later) = self.checks.lock().put_off() {
            return Ok(Some(later));
        }
        let Some((image, frozen)) = self.with(|inner, _| inner.replica.hold()) else {
            return Ok(None);
        };
        let begun = Instant::now();
        let checked = encoded(&frozen).map(|bytes| bytes.len());
        drop(frozen);
        let bytes = checked.inspect_err(|why| self.stop_unrestorable(image.version, why))?;
        self.checks.lock().done(bytes, begun.elapsed());
        Ok(None)
    }

    fn committed(&self, seq: u64, bytes: usize) {
        self.backup.lock().iter_mut().for_each(|backup| backup.committed(seq));
        self.with(|inner, now| inner.replica.committed(seq, bytes, now));
    }

    fn stalled(&self, stalled: bool) {
        trace::backup_stalled(self.name(), stalled);
        self.backup.lock().iter_mut().for_each(|backup| backup.stalled = stalled);
        self.with(|inner, now| inner.replica.set_stalled(stalled, now));
    }

    fn failed(&self, panic: &Panicked) {
        self.fail(panic);
    }

    fn report(&self, kind: EventKind, text: &str) {
        LinkEndpoint::report(self, kind, &format!("store `{}`: {text}", self.name()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_state_is_checked_each_time_and_a_bigger_one_within_its_budget() {
        let (mut checks, cost) = (Checks::new(0.01), Duration::from_secs(10));
        for (bytes, later) in [
            (Checks::SMALL_BYTES, false),
            (Checks::SMALL_BYTES + 1, true),
            (Checks::SMALL_BYTES, false),
        ] {
            checks.done(bytes, cost);
            assert_eq!(checks.put_off().is_some(), later, "{bytes}");
        }
    }
}
