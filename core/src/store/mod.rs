//! The public interface: a store, its roles, its subscribers, its errors, and the cluster.
//!
//! - `backing`: a store that is kept on disk
//! - `bounds`: the bounds of all options
//! - `builder`: what a store is told before it opens
//! - `handle`: the store itself
//! - `opening`, `closing`: how a store opens, and how a cluster closes
//! - `options`: how it is served, and how it follows a server
//! - `reading`: reads that nest, and dispatches made inside them
//! - `clients`: the connections of this process to servers, which stores share
//! - `servers`: the servers of this process, which stores share
//! - `cluster_shared`: what the stores of one cluster share in a process
//! - `attachments`: what it keeps running
//! - `dispatching`: the future of a dispatch, and of many
//! - `subscribers`: who is told of changes, by one notifier a store
//! - `changes`, `watch`: every change as a stream; the newest version as one
//! - `select`: a part of the state, and who is told of it
//! - `mailbox`: from the notifier to one task that waits
//! - `middleware`: what sees each dispatch before it is handed over
//! - `combine`: one reducer of several
//! - `reduced`: state and reducer as the machine that is replicated
//! - `shared`: the replica behind its lock, and what its outputs ask for
//! - `cluster`: the process and those that it forks
//! - `metrics`: what a store measures of itself
//! - `trace`: what is logged of a store
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
mod options;
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
pub use options::{ClientConfig, ServerConfig};
pub use reduced::{Action, Held, IntoReduction, ReducerMachine, Reject, State};
pub use roles::Role;
pub use select::{Select, Selected, create_selector};
pub use servers::ServerHandle;
pub use subscribers::Subscription;
pub use undo::UndoPanics;
pub use untyped::{Untyped, UntypedBuilder, UntypedError, UntypedStore};
pub use watch::Watch;
