//! The public interface: a store, its roles, its subscribers, its errors, and the cluster.
//!
//! - `backing`: a store that is kept on disk
//! - `bounds`: the bounds of all options
//! - `builder`: the options of a store before it opens
//! - `handle`: the store itself
//! - `opening`, `closing`: the opening of a store, and the closing of a cluster
//! - `reading`: reads that nest, and dispatches made inside them
//! - `clients`: the connections of this process to servers, which stores share
//! - `servers`: the servers of this process, which stores share
//! - `cluster_shared`: the state that the stores of one cluster share in a process
//! - `attachments`: the servers, the client and the links that a store keeps running
//! - `dispatching`: the future of a dispatch, and of many
//! - `subscribers`: delivery of changes, by one notifier for each store
//! - `changes`, `watch`: every change as a stream; the newest version as one
//! - `select`: parts of the state, and notices when they change
//! - `mailbox`: from the notifier to one task that waits
//! - `middleware`: functions that see each dispatch before it is queued
//! - `combine`: one reducer of several
//! - `reduced`: state and reducer as the machine that is replicated
//! - `shared`: the replica behind its lock, and the handling of its outputs
//! - `cluster`: the process and its workers
//! - `metrics`: the metrics of a store
//! - `trace`: the log events of a store
//! - `undo`: the state before an action on which the reducer panicked
//! - `untyped`: a store seen from a program that knows neither its types nor its reducer
//! - `roles`, `error`

mod attachments;
mod backing;
mod bounds;
mod builder;
mod changes;
mod clients;
mod closing;
mod cluster;
mod cluster_shared;
mod combine;
mod disk;
mod dispatching;
mod error;
mod handle;
mod mailbox;
mod metrics;
mod middleware;
mod opening;
mod random;
mod reading;
mod reduced;
mod roles;
mod select;
mod servers;
mod shared;
mod subscribers;
mod trace;
mod undo;
mod untyped;
mod watch;

pub use builder::{StoreBuilder, create_store};
pub use changes::ChangeStream;
pub use cluster::{Cluster, WorkerExit};
pub use combine::{CombineReducers, combine_reducers};
pub use dispatching::DispatchFuture;
pub use error::{DispatchError, Error, Result};
pub use handle::Store;
pub use metrics::{BackupMetrics, DispatchMetrics, LinkMetrics, LinkTotals, StoreMetrics};
pub use middleware::Next;
pub use opening::NotInSync;
pub use reduced::{Action, Held, IntoReduction, ReducerMachine, Reject, State};
pub use roles::Role;
pub use select::{Select, Selected, create_selector};
pub use servers::ServerHandle;
pub use subscribers::Subscription;
pub use undo::UndoPanics;
pub use untyped::{Untyped, UntypedBuilder, UntypedError, UntypedStore};
pub use watch::Watch;
