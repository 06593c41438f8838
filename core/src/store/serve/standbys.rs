//! The standbys of a sequencer: it asks them whether one was promoted in its place.

use std::sync::{Arc, Weak};
use std::time::Duration;

use samestate_proto::wire::{Reply, Request, RequestKind};
use samestate_proto::{Lineage, Version};

use crate::event::EventKind;
use crate::link::{self, Address, ClientConfig, LinkEndpoint};
use crate::store::driver::shared::Shared;
use crate::store::reducer::machine::{Action, State};
use crate::store::serve::attachments::Attachments;
use crate::store::{Error, Result};
use crate::task;

/// A sequencer asks this often.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// A process has so long to say what it descends from.
const REPLY_WITHIN: Duration = Duration::from_secs(5);

/// An operator waits so long for a promotion: the last actions of a sequencer that hands over have
/// 10 s, and the whole state is written to disk.
const PROMOTED_WITHIN: Duration = Duration::from_secs(120);

/// The processes that may have been promoted.
pub(crate) struct Standbys {
    client: ClientConfig,
    dialer: link::Prepared,
    request: Request,
}

impl Standbys {
    /// The processes at these addresses, if there are any.
    pub(crate) fn of(client: Option<ClientConfig>, store: &str) -> Result<Option<Self>> {
        let Some(client) = client else { return Ok(None) };
        let dialer = client.clone().prepare()?.into_dialer();
        let request = Request { kind: RequestKind::Lineage, store: store.to_owned() };
        Ok(Some(Standbys { client, dialer, request }))
    }

    /// The address of a process that goes on with this lineage in the place of its sequencer.
    async fn superseding(&mut self, lineage: &Lineage) -> Option<Address> {
        let replies = self.dialer.ask(&self.request, REPLY_WITHIN).await;
        // One that cannot be asked, or has no state, supersedes nobody.
        let supersedes = |reply| match reply {
            Ok(Reply::Lineage(other)) => lineage.is_superseded_by(&other),
            _ => false,
        };
        replies.into_iter().find_map(|(address, reply)| supersedes(reply).then_some(address))
    }

    /// Asks once. If the store was superseded, it becomes a client of the standbys.
    pub(crate) async fn look<S: State, A: Action>(
        &mut self,
        shared: &Arc<Shared<S, A>>,
        upkeep: &Arc<Attachments>,
    ) -> Result<()> {
        let lineage = |shared: &Shared<S, A>| {
            shared.with(|inner, _| {
                let replica = &inner.replica;
                replica.is_sequencer().then(|| replica.lineage().clone())
            })
        };
        let Some(ours) = lineage(shared) else { return Ok(()) };
        let Some(address) = self.superseding(&ours).await else { return Ok(()) };
        if lineage(shared).is_none_or(|now| now != ours) || shared.is_closed() {
            return Ok(());
        }
        let text = format!(
            "store `{}` finds that another node was promoted in its place, at {address}: it \
             follows that one from now on, and loses the actions that it alone has",
            shared.name()
        );
        shared.report(EventKind::Superseded { address }, &text);
        let port: Arc<dyn LinkEndpoint> = Arc::clone(shared) as Arc<dyn LinkEndpoint>;
        upkeep.dial(self.client.clone(), port, || shared.follow())
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
                let open = tokio::time::timeout(ASK_EVERY, closed.wait_for(|closed| *closed));
                if open.await.is_ok() {
                    return;
                }
                let both = weak.upgrade().zip(Weak::upgrade(&upkeep));
                let Some((shared, upkeep)) = both else { return };
                // A store that became a client by other means follows what it was told to.
                let _ = self.look(&shared, &upkeep).await;
            }
        });
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
    /// it could not be asked; [`crate::Error::Options`] if an option is invalid, or this names more
    /// than one address.
    pub async fn promote(self, store: &str) -> Result<Version> {
        self.check_one_address()?;
        let mut dialer = self.prepare()?.into_dialer();
        let request = Request { kind: RequestKind::Promote, store: store.to_owned() };
        let replies = dialer.ask(&request, PROMOTED_WITHIN).await;
        let mut why = String::new();
        for (address, reply) in replies {
            why = match reply {
                Ok(Reply::Promoted(version)) => return Ok(version),
                Ok(Reply::Refused(why)) => format!("{address} refuses: {why}"),
                Ok(Reply::Lineage(_)) => format!("{address} replies to something else"),
                Err(error) => format!("{address}: {}", samestate_proto::with_causes(&error)),
            };
        }
        Err(Error::NotPromotedThere { store: store.to_owned(), why })
    }
}
