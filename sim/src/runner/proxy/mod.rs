//! A link's bytes by way of the runner, so that faults can be injected into it.
//!
//! Clients of a link with a planned fault connect to its proxy, which connects to the server and
//! passes bytes on both ways. The proxy knows no protocol: it holds bytes, delays them, lets them
//! pass slowly, flips a bit, or closes sockets. While a cut or a refusal lasts, the system itself
//! refuses new connections, since there is no listener. The proxy's TCP port stays reserved
//! meanwhile.
//!
//! | module | holds |
//! |---|---|
//! | `listener` | the place at which the proxy listens, and sockets of both transports |
//! | `link` | the task of a link: faults begin and end, connections are accepted |
//! | `carry` | one connection, from its acceptance to its end |
//! | `pump` | one direction of a connection |
//! | `shaping` | the properties that faults give to a direction, and their effects on its bytes |
//!
//! A fault without an effect would be none. One that strikes connections waits a little for one,
//! and one that strikes bytes counts them. A fault that met nothing is reported as not done.

mod carry;
mod link;
mod listener;
mod pump;
mod shaping;

use std::io;
use std::path::Path;

use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use self::link::{Link, Order};
pub(crate) use self::listener::Place;
use crate::faults::LinkFault;
use crate::scenario::Address;

/// An event at a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProxyEvent {
    /// The fault's position in the plan.
    pub(crate) fault: usize,
    /// The time of the event.
    pub(crate) at_ns: u64,
    /// The event.
    pub(crate) what: Happened,
}

/// The outcome of a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    /// It had an effect, which is the evidence.
    Injected(String),
    /// It had none, for this reason.
    NotInjected(String),
    /// It is over, with more evidence.
    Ended(Option<String>),
    /// The first connection since carries bytes both ways.
    Reconnected,
}

/// The receiver of outcomes, each with its fault and the time.
type Tell = Box<dyn Fn(usize, u64, Happened) + Send + Sync>;

/// The link that a proxy is put before.
#[derive(Debug)]
pub(crate) struct Server {
    /// The link's position in the plan.
    pub(crate) link: usize,
    /// The seed of all that is drawn.
    pub(crate) seed: u64,
    /// The server's address.
    pub(crate) address: Address,
    /// The place at which the server asks for another password, where it listens itself.
    pub(crate) other_password: Option<Place>,
}

/// The proxy of one link.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: Address,
    other: Option<Place>,
    orders: mpsc::UnboundedSender<Order>,
    task: AbortHandle,
}

impl Proxy {
    /// Listens in front of `server`: on a free port of the loopback address, or on the Unix
    /// socket `beside`.
    ///
    /// # Errors
    ///
    /// If it cannot listen.
    pub(crate) fn start(
        mut server: Server,
        beside: &Path,
        told: impl Fn(ProxyEvent) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let place = Place::before(&server.address, beside)?;
        let (address, listener) = (place.address(), place.listen()?);
        let (orders, ordered) = mpsc::unbounded_channel();
        let tell = move |fault, at_ns, what| told(ProxyEvent { fault, at_ns, what });
        let other = server.other_password.take();
        let link =
            Link::new(server, other.as_ref().map(Place::address), place, listener, Box::new(tell));
        let task = tokio::spawn(link.serve(ordered)).abort_handle();
        Ok(Self { address, other, orders, task })
    }

    /// Injects a fault of this position in the plan.
    pub(crate) fn inject(&self, fault: usize, what: LinkFault) {
        // The task ends with the proxy alone.
        let _ = self.orders.send(Order { fault, what });
    }

    /// Returns the address that clients connect to.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Returns the address at which the server has to ask for another password, if a fault needs
    /// it.
    pub(crate) fn other(&self) -> Option<Address> {
        self.other.as_ref().map(Place::address)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests;
