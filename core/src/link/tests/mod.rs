//! Links over real sockets, with a store that only records what it is told.

mod fake;
mod intruders;
mod last_words;
mod round_trips;
mod stores;
#[cfg(feature = "tls")]
mod tls;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use fake::{Event, Events, FakePort};

use super::*;
use crate::auth::Iterations;

/// The longest time that a test waits for an event.
const DEADLINE: Duration = Duration::from_secs(10);

fn any_port() -> Address {
    Address::tcp("127.0.0.1", 0)
}

async fn serve(address: Address, options: ServerConfig, port: Arc<FakePort>) -> Listener {
    let options = options.login_rounds(Iterations::MIN);
    Listener::start(address, options, StoreRegistry::only(port)).await.expect("listens")
}

fn dial(address: &Address, options: ClientConfig, port: Arc<FakePort>) -> Connector {
    Connector::start(address.clone(), options, StoreRegistry::only(port)).expect("starts")
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}
