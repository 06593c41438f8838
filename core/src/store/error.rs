//! Errors that a user of the library meets.

use std::path::PathBuf;
use std::time::Duration;

use samestate_proto::Version;
use samestate_proto::replication::{NotPromotable, Refused, Resolution};
use thiserror::Error;

use crate::backup::BackupError;
use crate::link::{LinkError, RefusalReason};
use crate::store::NotInSync;
use crate::task::Panicked;

/// The result type of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of setting something up, or of closing it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The store's backup cannot be read or written.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A durable store has no backup.
    #[error(
        "store `{0}` is to be durable, which is a promise about its disk: say where with \
         `.backup(Backup::at(path))`"
    )]
    DurableWithoutBackup(String),
    /// An option has a value that cannot work.
    #[error("invalid option `{name}`: {value}; allowed is {allowed}")]
    Options {
        /// The name of the option.
        name: &'static str,
        /// The value of the option.
        value: String,
        /// The values that are allowed.
        allowed: String,
    },
    /// A listener, a client or a worker could not be started.
    #[error(transparent)]
    Link(LinkError),
    /// The upstream refused the store. A retry fails until something is changed.
    #[error("store `{store}` is refused: {why}")]
    Refused {
        /// The name of the store.
        store: String,
        /// The reason.
        reason: RefusalReason,
        /// The reason in words, and the upstream that gave it.
        why: String,
    },
    /// The store was not in sync in time.
    #[error(
        "store `{store}` is not in sync after {waited:?}: {why}. `start()` opens a store without \
         waiting, and `open_timeout` sets how long `open()` waits"
    )]
    NotInSync {
        /// The name of the store.
        store: String,
        /// The time that `open` had waited.
        waited: Duration,
        /// The event that the store waited for.
        why: NotInSync,
    },
    /// The store is a client already.
    #[error(
        "store `{0}` is a client already: a store has one source of truth. To follow another \
         server, call `detach_client` first"
    )]
    AlreadyClient(String),
    /// The store is not a client.
    #[error("store `{0}` is no client: it follows no server that it could leave")]
    NotAClient(String),
    /// The store cannot take the place of its sequencer.
    #[error("store `{store}` cannot be promoted: {why}")]
    NotPromotable {
        /// The name of the store.
        store: String,
        /// The reason.
        why: NotPromotable,
    },
    /// A store in another process was not promoted.
    #[error("store `{store}` was not promoted: {why}")]
    NotPromotedThere {
        /// The name of the store.
        store: String,
        /// The words of the other process, or the reason why it could not be asked.
        why: String,
    },
    /// A store in another process was asked to be promoted, and did not reply.
    #[error(
        "store `{store}` may have been promoted: {why}. Ask again before you promote another node: \
         \"it is the sequencer already\" says that it was"
    )]
    PromotionUnknown {
        /// The name of the store.
        store: String,
        /// The reason why there is no reply.
        why: String,
    },
    /// Another node was promoted in place of the one that kept this backup.
    #[error(
        "store `{store}` was superseded, as {} says: open it as a client, or with `.standbys(..)`. \
         To have it order from this backup again, remove that file",
        path.display()
    )]
    Superseded {
        /// The name of the store.
        store: String,
        /// The file that says so.
        path: PathBuf,
    },
    /// The state that the store begins with does not survive its codec.
    #[error(
        "the state of store `{store}` cannot be restored from its encoding: {why}. Nothing was \
         written; see \"What survives a codec\" in docs/states.md"
    )]
    Unrestorable {
        /// The name of the store.
        store: String,
        /// The part that does not survive the codec, with the message of the encoder or decoder.
        why: String,
    },
    /// A server of this process at this address has other logins.
    #[error(
        "this process has a server at {address} already, for {stores}, {conflict}: give both the \
         same logins, or choose another address"
    )]
    OtherLogins {
        /// The address that the server listens at.
        address: String,
        /// The stores that are served there.
        stores: String,
        /// The difference between its logins and those that were given.
        conflict: String,
    },
    /// A server of this process already serves the store at this address.
    #[error("store `{store}` is served at {address} already; another server needs another address")]
    ServedTwice {
        /// The name of the store.
        store: String,
        /// The address at fault.
        address: String,
    },
    /// The system returned no random bytes for the tokens of sessions.
    #[error("the operating system gave no random bytes")]
    Random(#[from] getrandom::Error),
    /// A server of this process at this address has other certificates.
    #[cfg(feature = "tls")]
    #[error(
        "this process serves other stores at {0}, with another `.tls(..)`: give the same, or \
         choose another address"
    )]
    OtherTls(String),
    /// A server of this process already listens at this address.
    #[error(
        "this process has a server at {0} already: a cluster's server carries all of its stores, \
         and shares its address with no other. Leave this store to it, or choose another address"
    )]
    AlreadyServed(String),
    /// A worker cannot fork; only a master can.
    #[error("only the master of a cluster forks workers; this process is worker {0}")]
    NotMaster(usize),
    /// The worker with this number is still running.
    #[error("worker {0} runs already; `workers()` lists them")]
    WorkerRuns(usize),
    /// A task panicked while a store was closed.
    #[error("a bug: {0}")]
    Panicked(Panicked),
    /// Dispatches were still under way when the time to close was up.
    #[error("closed with {0} dispatches unresolved; their outcome is unknown")]
    Undrained(usize),
}

/// The reason why a dispatch did not resolve to a version.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DispatchError {
    /// This replica is not in sync; the action never applies.
    #[error("not connected: this replica is not in sync with the store's sequencer")]
    NotConnected,
    /// Too many dispatches are under way; the action never applies.
    #[error("busy: {0} dispatches are under way; wait for room with `ready()`")]
    Busy(usize),
    /// The reducer rejected the action; it never applies.
    #[error("rejected: {0}")]
    Rejected(String),
    /// A middleware of this store refused the action, for this reason; it never applies.
    #[error("refused by a middleware: {0}")]
    Refused(String),
    /// The action may have been applied or not; this node cannot find out.
    #[error("outcome unknown: the action may or may not have been applied")]
    OutcomeUnknown,
    /// The action is too long, or does not survive its codec: see [`crate::Codec`]. It never
    /// applies.
    #[error("{0}")]
    Invalid(String),
    /// The store is durable, and its backup cannot be written now; the action never applies.
    #[error("{}", Refused::Stalled)]
    Stalled,
    /// The reducer panicked earlier and the state could not be restored, or a task of the store
    /// panicked.
    #[error(
        "the store is poisoned: its reducer or a task of it panicked, as was reported to \
         `on_error`, and the state may be half changed"
    )]
    Poisoned,
    /// The store has stopped: its state does not survive its codec. The action never applies.
    #[error("the store has stopped: {0}")]
    Unrestorable(String),
}

impl From<LinkError> for Error {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::BadOption { name, value, allowed } => {
                Error::Options { name, value, allowed }
            }
            error => Error::Link(error),
        }
    }
}

impl DispatchError {
    /// Returns the error for a dispatch that the protocol refused.
    #[doc(hidden)]
    pub fn from_refused(refused: Refused) -> Self {
        match refused {
            Refused::NotConnected => DispatchError::NotConnected,
            Refused::Busy(under_way) => DispatchError::Busy(under_way),
            Refused::Poisoned => DispatchError::Poisoned,
            Refused::Stalled => DispatchError::Stalled,
            Refused::Unrestorable(why) => DispatchError::Unrestorable(why),
            Refused::TooLong { .. } | Refused::Unencodable(_) | Refused::Undecodable(_) => {
                DispatchError::Invalid(refused.to_string())
            }
        }
    }
}

/// The user's view of what a dispatch came to.
pub(crate) fn resolved(resolution: Resolution) -> Result<Version, DispatchError> {
    match resolution {
        Resolution::Ok(version) => Ok(version),
        Resolution::Rejected(reason) => Err(DispatchError::Rejected(reason)),
        Resolution::OutcomeUnknown => Err(DispatchError::OutcomeUnknown),
    }
}
