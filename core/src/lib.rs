//! One state in every process.
//!
//! A [`Store`] is a named state and the reducer that changes it. Every process that creates the
//! store holds a copy: the processes of a [`Cluster`] (a master and the workers it forks), and the
//! clients of a server, in any combination that makes a tree. The process at the root of the tree
//! puts the actions of all processes in one order, and all processes apply them.
//!
//! ```
//! use samestate::{Mode, create_store};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Clone, Debug, Default, Serialize, Deserialize)]
//! struct Counter { value: i64 }
//!
//! #[derive(Clone, Debug, Serialize, Deserialize)]
//! enum Action { Add(i64) }
//!
//! fn reduce(counter: &mut Counter, action: &Action) {
//!     match action {
//!         Action::Add(by) => counter.value += by,
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> anyhow::Result<()> {
//! let counter = create_store("counter", reduce).mode(Mode::Action).open().await?;
//! let version = counter.dispatch(Action::Add(2)).await?;
//! assert_eq!((version.seq, counter.read(|counter| counter.value)), (1, 2));
//! # Ok(())
//! # }
//! ```
//!
//! `Ok` from [`Store::dispatch`] means that the action was ordered by the root and applied here,
//! exactly once, even if links broke on its way. [`DispatchError`] lists the other outcomes, and
//! whether the action may have been applied.
//!
//! # A server and a client
//!
//! ```
//! use samestate::{ClientConfig, ServerConfig, create_store};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> anyhow::Result<()> {
//! let add = |sum: &mut i64, by: &i64| *sum += by;
//! let sum = create_store("sum", add).open().await?;
//! let server = sum.create_server(ServerConfig::tcp("127.0.0.1:0").login("app", "secret")).await?;
//!
//! // In another program, on another machine:
//! let client = ClientConfig::at(server.address().clone()).login("app", "secret");
//! let copy = create_store("sum", add).client(client).open().await?;
//! copy.dispatch(5).await?;
//! assert_eq!((*copy.state(), *sum.state()), (5, 5));
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! None is on by default: `tls` for TLS over TCP, `encryption` for backups under a key,
//! `prometheus` for an endpoint with the metrics of a process.
//!
//! Stores run on the tokio runtime that is current when they are opened.

// A library says how each call can fail.
#![warn(clippy::missing_errors_doc, clippy::missing_panics_doc)]
#![warn(clippy::print_stderr, clippy::print_stdout)]

// The derive names this crate.
#[cfg(test)]
extern crate self as samestate;

mod auth;
mod backup;
mod codec;
mod event;
#[cfg(samestate_fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod link;
pub mod metrics;
pub mod state;
mod store;
mod task;
pub mod testing;

pub use auth::{CredentialsError, LockOutPolicy, LockedOut, PeerAddress};
pub use backup::{Backup, BackupError};
pub use event::{Event, EventKind};
pub use link::{
    Address, Addresses, ClientConfig, LinkCounts, LinkError, LinkStats, RefusalReason, ServerConfig,
};
#[cfg(feature = "tls")]
pub use link::{ClientTls, ServerTls, Tls, TlsSetupError};
#[doc(inline)]
pub use samestate_proto::replication::{Change, Jump, NotPromotable, Resync};
#[doc(inline)]
pub use samestate_proto::wire::Codec;
#[doc(inline)]
pub use samestate_proto::{Epoch, Mode, NodeId, Version};
pub use store::{
    Action, ChangeStream, Cluster, CombineReducers, DispatchError, DispatchFuture, Error,
    IntoReduction, Next, NotInSync, Reject, Result, Role, Select, Selected, ServerHandle, State,
    Store, StoreBuilder, Subscription, UndoPanics, Untyped, UntypedBuilder, UntypedError,
    UntypedStore, Watch, WorkerExit, WorkerExits, combine_reducers, create_selector, create_store,
};
// The simulator drives a user's reducer without a store.
#[doc(hidden)]
pub use store::{Held, ReducerMachine};

/// The parts that only the tests of hostile peers use.
#[cfg(samestate_fuzzing)]
#[doc(hidden)]
pub mod internals {
    pub use crate::auth::*;
}

/// The README's example is compiled with the documentation's.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// So is that of the guide to starting and stopping.
#[cfg(doctest)]
#[doc = include_str!("../../docs/lifecycle.md")]
struct Lifecycle;

/// So is that of the guide to upgrades.
#[cfg(doctest)]
#[doc = include_str!("../../docs/upgrades.md")]
struct Upgrades;
