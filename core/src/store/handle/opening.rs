//! The opening of a store: it asks its standbys, is put on its links, and waits for its upstream,
//! unless the upstream refuses it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use samestate_proto::replication::{Config, Standing};
use thiserror::Error;
use tokio::time::Instant;

use crate::backup::Backup;
use crate::event::EventKind;
use crate::link::{ClientConfig, LinkEndpoint, RefusalReason, Setback};
use crate::store::dispatch::middleware::Chain;
use crate::store::driver::shared::Shared;
use crate::store::handle::store::Store;
use crate::store::reducer::machine::{Action, State};
use crate::store::serve::attachments::{Attachments, Placement};
use crate::store::serve::standbys::{ASKED_WITHIN, Standbys};
use crate::store::{Error, Result};

/// A server that starts may serve a store of its own a little before the next one. A store that it
/// does not serve is refused once it was not served for this long.
const UNSERVED_FOR: Duration = Duration::from_secs(1);

/// The reason why a store was not in sync in time.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NotInSync {
    /// The upstream was not reached, or the connection to it was lost.
    #[error("its upstream was not reached ({0})")]
    Unreachable(String),
    /// The upstream answers, but has no open store of this name. It may open one later.
    #[error("its upstream was reached, but has no open store of this name yet")]
    NotOpen,
    /// The upstream has the store, but is not in sync with the sequencer itself.
    #[error("its upstream was reached, but is not in sync itself")]
    UpstreamNotInSync,
    /// The upstream refused.
    #[error("its upstream refused it ({0})")]
    Refused(String),
    /// A snapshot came that cannot be used: it cannot be decoded, or is longer than allowed.
    #[error("its upstream was reached, but the snapshot cannot be used ({0})")]
    Snapshot(String),
    /// The first snapshot is on its way.
    #[error(
        "its upstream was reached, and its snapshot is in transit: {received} of {total} bytes \
         have come"
    )]
    InTransit {
        /// The number of bytes received so far.
        received: u64,
        /// The length of the snapshot, in bytes.
        total: u64,
    },
    /// The store has its first snapshot, and has not reached its upstream's version yet.
    #[error("its upstream was reached, but it is behind: at action {seq} of {newest}")]
    Behind {
        /// The newest action that is applied here.
        seq: u64,
        /// The newest action of the upstream.
        newest: u64,
    },
    /// The link was cut because of this store.
    #[error("its link was cut ({0})")]
    Cut(String),
    /// The store is its own sequencer, but its backup cannot be written, or its reducer panicked.
    #[error("it takes no dispatches: its backup cannot be written, or it is poisoned")]
    TakesNone,
}

impl NotInSync {
    fn new(standing: Standing, setback: Option<Setback>) -> Self {
        match (standing, setback) {
            (_, Some(Setback::Snapshot(text))) => NotInSync::Snapshot(text),
            (Standing::Sequencer, _) => NotInSync::TakesNone,
            (Standing::Receiving { received, total }, _) => {
                NotInSync::InTransit { received, total }
            }
            (Standing::Behind { seq, newest }, _) => NotInSync::Behind { seq, newest },
            (Standing::UpstreamNotInSync, _) => NotInSync::UpstreamNotInSync,
            (_, Some(refused @ Setback::Refused { .. })) => NotInSync::Refused(refused.to_string()),
            (_, Some(Setback::Cut(text))) => NotInSync::Cut(text),
            (Standing::Unanswered, _) => NotInSync::NotOpen,
            (Standing::Detached, Some(Setback::Unreachable(text))) => NotInSync::Unreachable(text),
            (Standing::Detached, None) => NotInSync::Unreachable("no answer".to_owned()),
        }
    }
}

/// A store that was restored, and is on no link yet.
pub(super) struct Begun<S: State, A: Action> {
    pub(super) shared: Arc<Shared<S, A>>,
    pub(super) home: Placement,
    pub(super) client: Option<ClientConfig>,
    pub(super) standbys: Option<Standbys>,
    pub(super) middleware: Option<Arc<Chain<S, A>>>,
}

/// Returns the server that a store follows from its beginning, if any. A backup that was superseded
/// is not ordered from.
pub(super) fn first_upstream(
    client: Option<ClientConfig>,
    home: &Placement,
    config: &Config,
    backup: &Option<Backup>,
    standbys: &Option<Standbys>,
) -> Result<Option<ClientConfig>> {
    let follows = client.is_some() || home.is_worker();
    let mark = backup.as_ref().filter(|_| !follows).and_then(Backup::superseded);
    match (mark, standbys) {
        (None, _) => Ok(client),
        (Some(_), Some(standbys)) => Ok(Some(standbys.client())),
        (Some(path), None) => Err(Error::Superseded { store: config.store.clone(), path }),
    }
}

impl<S: State, A: Action> Begun<S, A> {
    /// Asks the standbys of a sequencer whether one was promoted in its place, before anyone can
    /// follow it. If so, the store will be a client of that one.
    pub(super) async fn ask_standbys(&mut self, within: Duration) {
        let (Some(standbys), shared) = (&mut self.standbys, &self.shared) else { return };
        let Some(ours) = shared.ordered_lineage() else { return };
        let report = |kind: EventKind, text: &str| shared.report(kind, text);
        let found = standbys.superseding(&ours, within.min(ASKED_WITHIN), report);
        if let Some(found) = found.await {
            shared.give_way(&found);
            self.client = Some(found.client);
        }
    }

    /// Puts the store on its links.
    pub(super) fn launch(self) -> Result<Store<S, A>> {
        let Begun { shared, home, client, standbys, middleware } = self;
        let upkeep = Arc::new(Attachments::new(home));
        let port: Arc<dyn LinkEndpoint> = Arc::clone(&shared) as Arc<dyn LinkEndpoint>;
        upkeep.move_in(&port)?;
        match client {
            Some(client) => upkeep.start_as_client(client, port)?,
            None => upkeep.settle_in(&port)?,
        }
        upkeep.join(&shared);
        let _ = shared.attachments.set(Arc::downgrade(&upkeep));
        if let Some(standbys) = standbys {
            let _ = shared.standbys.set(standbys.client());
            standbys.watch(&shared, &upkeep);
        }
        Ok(Store { shared, upkeep, middleware })
    }
}

impl<S: State, A: Action> Store<S, A> {
    /// Waits until this store is in sync, has been refused, or the time is up.
    pub(crate) async fn opened(&self, within: Duration) -> Result<()> {
        let refused = tokio::time::timeout(within, async {
            tokio::select! {
                () = self.until_connected(true) => None,
                refused = self.until_refused() => Some(refused),
            }
        });
        match refused.await {
            Ok(None) => Ok(()),
            Ok(Some((reason, text))) => {
                Err(Error::Refused { store: self.name().to_owned(), reason, why: text })
            }
            Err(_) => {
                let standing = self.shared.with(|inner, _| inner.replica.standing());
                let setback = self.shared.setback.borrow().clone();
                Err(Error::NotInSync {
                    store: self.name().to_owned(),
                    waited: within,
                    why: NotInSync::new(standing, setback),
                })
            }
        }
    }

    /// Returns whether the upstream serves this store: it may have refused the store before.
    fn is_served(&self) -> bool {
        let standing = self.shared.with(|inner, _| inner.replica.standing());
        !matches!(standing, Standing::Detached | Standing::Unanswered)
    }

    /// Waits until the upstream has refused this store for good.
    async fn until_refused(&self) -> (RefusalReason, String) {
        let mut setback = self.shared.setback.subscribe();
        let mut unserved_until = pin!(tokio::time::sleep(Duration::ZERO));
        let mut unserved = false;
        loop {
            let newest = setback.borrow_and_update().clone();
            match newest {
                Some(refused @ Setback::Refused { reason: RefusalReason::Store, .. }) => {
                    let is_over = unserved && unserved_until.is_elapsed();
                    let served = is_over && self.is_served();
                    if is_over && !served {
                        return (RefusalReason::Store, refused.to_string());
                    }
                    if !unserved || served {
                        unserved = true;
                        unserved_until.as_mut().reset(Instant::now() + UNSERVED_FOR);
                    }
                }
                Some(refused @ Setback::Refused { reason, .. }) => {
                    return (reason, refused.to_string());
                }
                _ => unserved = false,
            }
            tokio::select! {
                // The sender lives in `shared`, which outlives this borrow.
                _ = setback.changed() => {}
                () = &mut unserved_until, if unserved && !unserved_until.is_elapsed() => {}
            }
        }
    }
}
