//! Reports of a store to its program.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use samestate_proto::replication::Report;
use samestate_proto::{NodeId, Version};

use crate::auth::{LockedOut, PeerAddress};
use crate::link::{Address, RefusalReason};

/// A report to `on_error`: a non-critical error, or a change that an operator may need to know of.
///
/// [`Event::kind`] is for the program, the text (`Display`) is for people. The text is one sentence
/// or two, without a line break, and names the causes of an error. It may change in any release.
///
/// A connection or a server may carry several stores. An event about it goes to each of them.
///
/// ```
/// use samestate::{EventKind, RefusalReason, create_store};
///
/// # let add = |sum: &mut u64, by: &u64| *sum += by;
/// let builder = create_store("sum", add).on_error(|event| match event.kind() {
///     EventKind::Diverged { version } => eprintln!("{}: differs at {version}", event.store()),
///     EventKind::ConnectFailed { refusal: Some(RefusalReason::Login), address, .. } => {
///         eprintln!("wrong login for {address}");
///     }
///     _ => eprintln!("{event}"),
/// });
/// # drop(builder);
/// ```
#[derive(Clone, Debug)]
pub struct Event {
    pub(crate) store: String,
    pub(crate) node: NodeId,
    pub(crate) kind: EventKind,
    pub(crate) text: String,
}

impl Event {
    /// Returns the kind of the event, with the details that a program can act on.
    pub fn kind(&self) -> &EventKind {
        &self.kind
    }

    /// Returns the name of the store that reports.
    pub fn store(&self) -> &str {
        &self.store
    }

    /// Returns this process's node in the store, as [`crate::Store::node`] does.
    pub fn node(&self) -> NodeId {
        self.node
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The kind of an [`Event`]. [`Event`]'s text has the causes and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// The state of this copy differed from the sequencer's. The copy heals by a snapshot.
    Diverged {
        /// The version at which the copy differed.
        version: Version,
    },
    /// The copy differed again right after it had healed: the reducer is not deterministic. The
    /// copy is left as it is.
    NotDeterministic {
        /// The version at which the copy differed.
        version: Version,
    },
    /// The reducer failed to apply an action here that the sequencer had applied. The copy heals by
    /// a snapshot.
    ActionFailed {
        /// The number of the action.
        seq: u64,
    },
    /// The reducer panicked at the sequencer. The panic was undone, and the action is rejected.
    PanicUndone,
    /// The reducer or a task of the store panicked, and the state may be half changed. The store
    /// takes no dispatches any more.
    Poisoned,
    /// The sequencer lost its newest actions, for example by a restart without a backup. This copy
    /// was rolled back.
    HistoryLost {
        /// The version of this copy before.
        from: Version,
        /// The version of this copy now.
        to: Version,
    },
    /// An operator promoted this copy by a request: it is the store's sequencer now.
    Promoted {
        /// The version at which it continues.
        version: Version,
        /// The login of the operator.
        operator: String,
    },
    /// This copy found that another one was promoted in its place. It follows that one from now on.
    Superseded {
        /// The address at which it found the other one.
        address: Address,
    },
    /// A standby of this sequencer cannot say whether it was promoted: it refuses this node, does
    /// not know the request, or has another history of the store.
    StandbyUnusable {
        /// The address of the standby.
        address: Address,
    },
    /// The state cannot be restored from its encoding. No copy of it is sent or written.
    Unrestorable {
        /// The version of the state.
        version: Version,
    },
    /// This node is in mode action, but its upstream sends it snapshots only, so that it can pass
    /// on nothing else.
    FedBySnapshots,

    /// This store refused a node that asked to follow it.
    FollowerRefused {
        /// The reason.
        reason: RefusalReason,
    },
    /// Dispatches came that claim another node's session. They are refused.
    SessionRejected {
        /// The node that passed them on.
        by: Option<NodeId>,
    },
    /// A downstream node does not keep up with the actions of the store. It gets a snapshot each
    /// time that the log no longer holds its next action.
    FellBehind {
        /// The node.
        follower: Option<NodeId>,
        /// The size limit of the log, in bytes.
        log_bytes_max: usize,
    },

    /// A client failed to connect to its server, or was refused by it. It tries again.
    ConnectFailed {
        /// The address of the server.
        address: Address,
        /// The reason if the server was reached and refused the client.
        refusal: Option<RefusalReason>,
        /// The time until the next try: zero if the client knows another server to try now.
        retry_in: Duration,
    },
    /// A client lost the connection to its server. It connects again.
    Disconnected {
        /// The address of the server.
        address: Address,
        /// The reason if the server refused the store.
        refusal: Option<RefusalReason>,
        /// The time until the next try.
        retry_in: Duration,
    },
    /// The link to a peer was cut because of a fault, for this store or for all that it carries.
    LinkCut {
        /// The peer: a server, the master or a worker.
        peer: String,
        /// The reason if the peer refused the store.
        refusal: Option<RefusalReason>,
    },

    /// A server did not accept a client.
    ClientRefused {
        /// The address of the client.
        address: PeerAddress,
        /// The reason, unless the connection failed.
        reason: Option<RefusalReason>,
        /// The lock-out of the address, if it is locked out now.
        locked_out: Option<LockedOut>,
    },
    /// A client asked for a store that the server does not serve.
    StoreNotServed {
        /// The client.
        client: String,
    },
    /// A server dropped a client because of a fault.
    ClientDropped {
        /// The client.
        client: String,
    },
    /// A server's listener failed, or could not be restored yet. The server tries again.
    ListenerFailed {
        /// The address of the server.
        address: Address,
    },
    /// The system gives the server no more connections, for example because this process has too
    /// many open files. The server tries again.
    ConnectionsExhausted,
    /// A server takes fewer connections than configured, because of a limit of this process.
    ConnectionsLimited {
        /// The number of connections that the server takes.
        connections_max: usize,
        /// The configured number.
        configured: usize,
    },
    /// A server that other machines can reach does not use TLS.
    ServedInPlaintext {
        /// The address of the server.
        address: Address,
    },
    /// A server that other machines can reach asks for no login.
    ServedWithoutLogins {
        /// The address of the server.
        address: Address,
    },
    /// A server has read its certificates again.
    CertificatesRenewed,
    /// A server failed to read its certificates again. It continues with the old ones.
    CertificatesUnusable,

    /// The backup cannot be written. The store tries again. A durable store takes no dispatches
    /// until then.
    BackupStalled {
        /// The kind of the system's error, if the system refused it.
        cause: Option<io::ErrorKind>,
    },
    /// A whole backup cannot be written. The store tries again, and continues its journal.
    BackupPostponed {
        /// The kind of the system's error, if the system refused it.
        cause: Option<io::ErrorKind>,
    },
    /// The backup can be written again, and is whole.
    BackupRecovered,
    /// A call to the disk of the backup has not returned yet.
    DiskHangs {
        /// The file.
        path: PathBuf,
        /// The time since the call began.
        waited: Duration,
    },
    /// The disk of the backup answers again.
    DiskAnswers {
        /// The time that the call took.
        after: Duration,
    },
    /// The journal ended in the middle of a block, as after a crash.
    JournalTruncated {
        /// The number of bytes that were dropped.
        bytes: usize,
    },

    /// A subscriber panicked. The store continues.
    SubscriberPanicked,
    /// A thunk of a middleware panicked. The store continues.
    MiddlewarePanicked,
    /// A background task panicked: a bug of this library, or of a callback that it calls.
    TaskPanicked,
}

impl EventKind {
    /// Returns the kind of a report of the protocol.
    pub(crate) fn of_report(report: &Report) -> Self {
        match report {
            Report::Diverged(version) => EventKind::Diverged { version: *version },
            Report::NonDeterministic(version) => EventKind::NotDeterministic { version: *version },
            Report::FailedHere { seq, .. } => EventKind::ActionFailed { seq: *seq },
            Report::PanicUndone(_) => EventKind::PanicUndone,
            Report::Poisoned(_) => EventKind::Poisoned,
            Report::HistoryLost { from, to } => EventKind::HistoryLost { from: *from, to: *to },
            Report::FedBySnapshots => EventKind::FedBySnapshots,
            Report::Refuses(refusal) => {
                EventKind::FollowerRefused { reason: RefusalReason::from_wire(refusal.kind) }
            }
            Report::Unproved(node) => EventKind::SessionRejected { by: *node },
            Report::FellBehind { node, log_bytes_max, .. }
            | Report::FellOffAgain { node, log_bytes_max } => {
                EventKind::FellBehind { follower: *node, log_bytes_max: *log_bytes_max }
            }
            Report::Unrestorable { version, .. } => EventKind::Unrestorable { version: *version },
        }
    }
}
