//! Tokio drivers that move bytes between stores: IPC, TCP, socket files, named pipes.
//!
//! A link is one connection that may carry several stores. This module does not decide what a link
//! carries: it asks each store, a [`LinkEndpoint`], for bytes to send, and hands received frames to
//! it. The module promises that
//!
//! - no peer, whatever it sends or does not send, costs more than a bounded amount of memory and
//!   time;
//! - a store is notified once of each link, and once of its end;
//! - a connection or a listener that failed is tried again.
//!
//! | module | subject |
//! |---|---|
//! | [`LinkEndpoint`], [`LinkHandle`], [`Side`] | the interface between a connection and a store |
//! | [`StoreRegistry`] | the stores of a process, as its connections find them |
//! | [`Listener`] | a server: listens, accepts clients, is restored after a failure |
//! | [`Connector`] | a client: connects, logs in, reconnects after a failure |
//! | [`ServerConfig`], [`ClientConfig`] | the configuration of both |
//! | `ipc` | the link between a master and the workers it forks |
//! | `dial` | one server of a client: connects, logs in, asks about a store |
//! | `hello`, `half_open` | the exchange before a login, and the limits of connections before it |
//! | `connection`, `channels`, `attached`, `close_reason` | a connection after its login, its stores, and its end |
//! | [`Setback`] | the reasons why a store is not attached to its upstream |
//! | `tls` | TLS for TCP, from certificate files to a secure stream (feature `tls`) |
//! | `bind`, `socket` | listening sockets, and connected ones |
//! | `progress`, `writer` | the progress of bytes on a socket, and the writes of them |
//! | `resolve` | the addresses of a host's name |
//! | `local` | sockets that do not leave this machine: socket files, named pipes |
//! | `backoff`, `rate_limiter` | delays between attempts, and limits of reports |
//! | `descriptors` | the number of connections that this process may hold |
//! | [`Meter`], `trace` | the traffic of one store on a connection; log events |
//! | [`LinkStats`] | bytes and system calls, counted at the socket |

mod address;
mod attached;
mod backoff;
mod bind;
mod channels;
mod close_reason;
mod config;
mod connection;
mod connector;
mod descriptors;
mod dial;
mod endpoint;
mod error;
mod half_open;
#[cfg(not(samestate_fuzzing))]
mod hello;
#[cfg(samestate_fuzzing)]
pub(crate) mod hello;
pub(crate) mod ipc;
mod listener;
mod local;
mod meter;
mod progress;
mod rate_limiter;
mod registry;
mod resolve;
mod setback;
mod socket;
mod stats;
#[cfg(feature = "tls")]
mod tls;
mod trace;
mod writer;

#[cfg(test)]
mod tests;

pub use address::Address;
#[cfg(feature = "prometheus")]
pub(crate) use bind::TcpListeners;
pub use config::{Addresses, ClientConfig, ServerConfig};
pub(crate) use connector::{Connector, Prepared};
pub(crate) use dial::AskError;
pub(crate) use endpoint::{LinkEndpoint, LinkHandle, Side};
pub use error::LinkError;
pub(crate) use listener::Listener;
pub(crate) use meter::Meter;
pub use meter::Traffic;
pub(crate) use registry::StoreRegistry;
pub use setback::RefusalReason;
pub(crate) use setback::Setback;
pub use stats::{LinkCounts, LinkStats};
#[cfg(feature = "tls")]
pub use tls::{ClientTls, ServerTls, Tls, TlsSetupError};
