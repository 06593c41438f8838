//! The standbys of a sequencer: it asks them whether one was promoted in its place. And the request
//! by which an operator promotes one.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use samestate_proto::wire::{Reply, Request, RequestKind};
use samestate_proto::{Epoch, Lineage, Version, with_causes};
use tokio::time::timeout;

use crate::event::EventKind;
use crate::link::{self, Address, AskError, ClientConfig, LinkEndpoint};
use crate::store::driver::shared::Shared;
use crate::store::reducer::machine::{Action, State};
use crate::store::serve::attachments::Attachments;
use crate::store::{Error, Result};
use crate::task;

/// A sequencer asks this often.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// All standbys together have so long to reply.
pub(crate) const ASKED_WITHIN: Duration = Duration::from_secs(10);

/// The same, before a node is promoted: the one that is gone may be among them.
const ASKED_BEFORE_PROMOTION: Duration = Duration::from_secs(1);

/// An operator waits so long for a promotion: the last actions of a sequencer that hands over have
/// 10 s, and the whole state is written to disk.
const PROMOTED_WITHIN: Duration = Duration::from_secs(120);

/// The processes that may have been promoted.
pub(crate) struct Standbys {
    client: ClientConfig,
    dialer: link::Prepared,
    request: Request,
    /// The last report of each address, so that it is reported once.
    reported: BTreeMap<usize, String>,
    /// They were asked before.
    asked: bool,
    /// One of them refused this node the last time.
    refused: bool,
}

/// A process that was promoted.
pub(crate) struct Found {
    /// Its address.
    pub(crate) address: Address,
    /// Its epoch.
    pub(crate) epoch: Epoch,
    /// The options by which to follow it.
    pub(crate) client: ClientConfig,
}

impl Standbys {
    /// The processes at these addresses, if there are any.
    pub(crate) fn of(client: Option<ClientConfig>, store: &str) -> Result<Option<Self>> {
        let Some(client) = client else { return Ok(None) };
        let dialer = client.clone().prepare()?.into_dialer();
        let request = Request { kind: RequestKind::Lineage, store: store.to_owned() };
        let reported = BTreeMap::new();
        Ok(Some(Standbys { client, dialer, request, reported, asked: false, refused: false }))
    }

    /// The options by which to follow one of them.
    pub(crate) fn client(&self) -> ClientConfig {
        self.client.clone()
    }

    /// Asks each of them, and returns the one that was promoted in place of the sequencer of this
    /// lineage. `report` is told what keeps one from saying so.
    pub(crate) async fn superseding(
        &mut self,
        lineage: &Lineage,
        within: Duration,
        report: impl Fn(EventKind, &str),
    ) -> Option<Found> {
        let replies = timeout(within, self.dialer.ask(&self.request, within)).await;
        (self.asked, self.refused) = (true, false);
        // Those that are not reached in time are asked again later.
        for (server, (address, reply)) in replies.unwrap_or_default().into_iter().enumerate() {
            let why = match reply {
                Ok(Reply::Lineage { lineage: other, .. }) if lineage.is_superseded_by(&other) => {
                    let epoch = other.head().unwrap_or_default();
                    let client = self.client.clone().beginning_with(server);
                    return Some(Found { address, epoch, client });
                }
                Ok(Reply::Lineage { orders: true, lineage: other })
                    if lineage.last_in_common(&other).is_none() =>
                {
                    "it has another history of the store; one of the two has to be closed, and \
                     opened as a client of the other"
                        .to_owned()
                }
                Err(error) if error.is_refusal() => {
                    self.refused = true;
                    with_causes(&error)
                }
                // It was not reached, or has no state yet; or all is well.
                _ => continue,
            };
            if self.reported.get(&server) != Some(&why) {
                let text = format!(
                    "store `{}` cannot find out whether its standby at {address} was promoted: \
                     {why}",
                    self.request.store
                );
                report(EventKind::StandbyUnusable { address }, &text);
                self.reported.insert(server, why);
            }
        }
        None
    }

    /// The time until they are asked again: one that refused a login locks the address out if it
    /// is asked too often.
    fn wait(&self) -> Duration {
        match (self.asked, self.refused) {
            (false, _) => Duration::ZERO,
            (true, false) => ASK_EVERY,
            (true, true) => self.client.retry_refused_after.max(ASK_EVERY),
        }
    }

    /// Asks again and again, for as long as the store is open.
    pub(crate) fn watch<S: State, A: Action>(
        mut self,
        shared: &Arc<Shared<S, A>>,
        upkeep: &Arc<Attachments>,
    ) {
        let (weak, upkeep) = (Arc::downgrade(shared), Arc::downgrade(upkeep));
        let mut closed = shared.closed();
        task::spawn("standbys", shared.on_panic(), async move {
            loop {
                // An error means that the store is gone. It is not kept while this waits.
                let asking = async {
                    tokio::time::sleep(self.wait()).await;
                    let ours = weak.upgrade()?.ordered_lineage()?;
                    let report = |kind: EventKind, text: &str| {
                        weak.upgrade().inspect(|shared| shared.report(kind, text));
                    };
                    let found = self.superseding(&ours, ASKED_WITHIN, report).await?;
                    Some((ours, found))
                };
                let found = tokio::select! {
                    found = asking => found,
                    _ = closed.wait_for(|closed| *closed) => return,
                };
                let Some((ours, found)) = found else { continue };
                let Some((shared, upkeep)) = weak.upgrade().zip(Weak::upgrade(&upkeep)) else {
                    return;
                };
                if shared.ordered_lineage() == Some(ours) && !shared.is_closed() {
                    let port: Arc<dyn LinkEndpoint> = Arc::clone(&shared) as Arc<dyn LinkEndpoint>;
                    let client = found.client.clone();
                    // It is no client, since it orders.
                    let _ = upkeep.dial(client, port, || shared.give_way(&found));
                }
            }
        });
    }
}

impl<S: State, A: Action> Shared<S, A> {
    /// The lineage of a sequencer; `None` if this node is none.
    pub(crate) fn ordered_lineage(&self) -> Option<Lineage> {
        self.with(|inner, _| {
            let replica = &inner.replica;
            replica.is_sequencer().then(|| replica.lineage().clone())
        })
    }

    /// Orders no more, because another node was promoted in place of this one. Says so on disk
    /// too, so that a later start orders nothing before it has found that node.
    pub(crate) fn give_way(&self, found: &Found) {
        let Found { address, epoch, .. } = found;
        let text = format!(
            "store `{}` finds that another node was promoted in its place, at {address}: it \
             follows that one from now on, and loses the actions that it alone has",
            self.name()
        );
        self.report(EventKind::Superseded { address: address.clone() }, &text);
        *self.superseded_by.lock() = Some(*epoch);
        if let Some(later) = &self.later
            && let Err(error) = later.backup.mark_superseded(&address.to_string())
        {
            let text = format!("it cannot be noted beside the backup: {}", with_causes(&error));
            self.report(EventKind::BackupStalled { cause: error.io_kind() }, &text);
        }
        self.follow();
    }

    /// Returns an error if another node was promoted in place of this one, and has what this one
    /// lacks.
    pub(crate) async fn outranked(&self) -> Result<()> {
        let lineage = self.with(|inner, _| inner.replica.lineage().clone());
        if self.lacks_what_superseded_it(&lineage) {
            return Err(self.superseded());
        }
        let Some(mut standbys) = Standbys::of(self.standbys.get().cloned(), self.name())? else {
            return Ok(());
        };
        let report = |kind: EventKind, text: &str| self.report(kind, text);
        match standbys.superseding(&lineage, ASKED_BEFORE_PROMOTION, report).await {
            Some(_) => Err(self.superseded()),
            None => Ok(()),
        }
    }

    fn lacks_what_superseded_it(&self, lineage: &Lineage) -> bool {
        let has = |epoch: Epoch| lineage.epochs().iter().any(|begun| begun.0 == epoch);
        self.superseded_by.lock().is_some_and(|epoch| !has(epoch))
    }

    fn superseded(&self) -> Error {
        let why = samestate_proto::replication::NotPromotable::Superseded;
        Error::NotPromotable { store: self.name().to_owned(), why }
    }
}

impl ClientConfig {
    /// Promotes a store in another process, as [`Store::promote`](crate::Store::promote) does
    /// there: the process at this address serves the store, follows a sequencer that is gone, and
    /// takes its place. The login has to be that of an
    /// [operator](crate::ServerConfig::operator). Returns the version at which the store continues.
    ///
    /// ```no_run
    /// # use samestate::ClientConfig;
    /// # async fn promote() -> samestate::Result<()> {
    /// let standby = ClientConfig::tcp("b:10001").login("ops", "secret");
    /// let version = standby.promote("tasks").await?;
    /// # let _ = version;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`crate::Error::NotPromotedThere`] with what the other process says, or with the reason why
    /// it could not be asked; [`crate::Error::PromotionUnknown`] if its reply did not come, so that
    /// it may have been promoted or may still be; [`crate::Error::Options`] if an option is
    /// invalid, or this names more than one address.
    pub async fn promote(self, store: &str) -> Result<Version> {
        self.check_one_address()?;
        let mut dialer = self.prepare()?.into_dialer();
        let request = Request { kind: RequestKind::Promote, store: store.to_owned() };
        let store = store.to_owned();
        match dialer.ask(&request, PROMOTED_WITHIN).await.pop() {
            Some((_, Ok(Reply::Promoted(version)))) => Ok(version),
            Some((address, Ok(Reply::Refused(why)))) => {
                Err(Error::NotPromotedThere { store, why: format!("{address} refuses: {why}") })
            }
            Some((address, Err(error))) if !error.is_after_the_request() => {
                let why = format!("{address}: {}", with_causes(&error));
                Err(Error::NotPromotedThere { store, why })
            }
            asked => {
                let why = match asked {
                    Some((address, Err(error))) => format!("{address}: {}", with_causes(&error)),
                    _ => AskError::Lost.to_string(),
                };
                Err(Error::PromotionUnknown { store, why })
            }
        }
    }
}
