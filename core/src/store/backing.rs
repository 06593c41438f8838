//! A store that is kept on disk: what it begins with, and what the writer of its backup asks of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::reduced::{Action, Reduced, State};
use super::shared::Shared;
use super::{Result, random, trace};
use crate::backup::{About, Backup, Beginning, Desk, Held, Inbox, Keeper, Source};
use crate::link::Port;
use crate::replication::{Config, Epoch, Frozen, Machine, NodeId, Replica};
use crate::task::Panicked;

/// A backup that was begun for a store that is being opened.
pub(super) struct Backing {
    pub(super) inbox: Arc<Inbox>,
    beginning: Beginning,
    torn: usize,
}

/// A sequencer that goes on from what is on disk, or begins there.
pub(super) fn open<S: State, A: Action>(
    backup: &Backup,
    durable: bool,
    config: Config,
    node: NodeId,
    mut machine: Reduced<S, A>,
) -> Result<(Replica<Reduced<S, A>>, Backing)> {
    let about = About {
        store: config.store.clone(),
        schema_version: config.schema_version,
        codec: config.codec,
    };
    let (desk, restored) = Desk::open(backup, about)?;
    let (now, id) = (Duration::ZERO, random::id()?);
    let key = random::token_key()?;
    let (mut replica, torn) = match restored {
        None => {
            let epoch = Epoch { number: 1, id };
            (Replica::sequencer(config, node, machine, epoch, key, now), 0)
        }
        Some(mut restored) => {
            machine.install(restored.decode::<Reduced<S, A>>()?);
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
    let state = replica.machine().freeze().encode();
    let store = &replica.config().store;
    let state = state.map_err(|why| super::Error::Unencodable { store: store.clone(), why })?;
    let beginning = Keeper::begin(desk, backup, &replica.image(), &state)?;
    replica.keep(durable);
    let inbox = Arc::new(Inbox::new(backup.pace(), durable));
    Ok((replica, Backing { inbox, beginning, torn }))
}

impl Backing {
    /// Starts to write what the store does.
    pub(super) fn keep<S: State, A: Action>(self, shared: &Arc<Shared<S, A>>) -> Result<()> {
        if self.torn > 0 {
            trace::journal_torn(shared.name(), self.torn);
            Source::report(
                &**shared,
                &format!(
                    "the journal ended in the middle of a block, as after a crash: its last {} bytes \
                 are dropped",
                    self.torn
                ),
            );
        }
        let source: Weak<dyn Source> = Arc::downgrade(shared) as Weak<dyn Source>;
        Ok(self.beginning.keep(self.inbox, source)?)
    }
}

impl<S: State, A: Action> Source for Shared<S, A> {
    fn hold(&self) -> Option<Held> {
        let (image, frozen) = self.with(|inner, _| inner.replica.hold())?;
        let encode = move || {
            let encoded = catch_unwind(AssertUnwindSafe(|| frozen.encode()));
            encoded.unwrap_or_else(|_| Err("it panicked".into()))
        };
        Some(Held { image, encode: Box::new(encode) })
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

    fn report(&self, text: &str) {
        Port::report(self, &format!("store `{}`: {text}", self.name()));
    }
}
