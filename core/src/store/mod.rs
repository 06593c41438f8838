//! The public interface: a store, its roles, its subscribers, its errors, and the cluster.
//!
//! - `handle`: the store as users hold it
//! - `reducer`: the state machine made of a reducer, several as one, and the undoing of panics
//! - `dispatch`: dispatches, from the call to the outcome
//! - `observe`: reads, and the delivery of changes
//! - `serve`: the links of a store: the servers and the clients of this process, which stores share
//! - `cluster`: the processes of a cluster
//! - `driver`: the driver of a replica: inputs, outputs, the disk, and what is logged and measured
//! - `untyped`: a store seen from a program that knows neither its types nor its reducer
//! - `error`: errors that users meet

mod cluster;
mod dispatch;
mod driver;
mod error;
mod handle;
mod observe;
mod reducer;
mod serve;
mod untyped;

pub use cluster::exits::{WorkerExit, WorkerExits};
pub use cluster::process::Cluster;
pub use dispatch::future::DispatchFuture;
pub use dispatch::middleware::Next;
pub use driver::metrics::{BackupMetrics, DispatchMetrics, LinkMetrics, LinkTotals, StoreMetrics};
pub use error::{DispatchError, Error, Result};
pub use handle::builder::{StoreBuilder, create_store};
pub use handle::opening::NotInSync;
pub use handle::store::Store;
pub use observe::changes::ChangeStream;
pub use observe::select::{Select, Selected, create_selector};
pub use observe::subscribers::Subscription;
pub use observe::watch::Watch;
pub use reducer::combine::{CombineReducers, combine_reducers};
pub use reducer::machine::{Action, Held, IntoReduction, ReducerMachine, Reject, State};
pub use reducer::undo::UndoPanics;
pub use serve::roles::Role;
pub use serve::servers::ServerHandle;
pub use untyped::{Untyped, UntypedBuilder, UntypedError, UntypedStore};
