//! The sockets that a server listens on.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use socket2::{Domain, Socket as Socket2, Type};
use tokio::net::{TcpListener, TcpStream};

use super::resolve::resolve;
use super::socket::{Stream, tune};
use super::{Address, LinkError, local};
use crate::auth::PeerAddress;

/// The number of connections that the system may queue until they are accepted.
pub(super) const BACKLOG: i32 = 1024;

/// The number of attempts to find a port that is free at all addresses of a host.
const PORT_TRIES: u32 = 16;

/// A listener at a server's address.
pub(super) enum Bound {
    Tcp {
        listeners: TcpListeners,
        /// As it was given.
        host: String,
    },
    Local(local::Listener),
}

/// A connection as it was accepted.
pub(super) struct Accepted {
    pub(super) stream: Stream,
    pub(super) address: PeerAddress,
    /// For the operator.
    pub(super) name: String,
}

impl Bound {
    /// Listens. A socket file is made with `unix_mode`, and replaces one without a listener.
    pub(super) async fn bind(address: &Address, unix_mode: u32) -> Result<Self, LinkError> {
        let failed = |source| LinkError::Bind { address: address.clone(), source };
        match address {
            Address::Tcp { host, port } => {
                let listeners = TcpListeners::bind(host, *port).await.map_err(failed)?;
                Ok(Bound::Tcp { listeners, host: host.clone() })
            }
            Address::Unix(_) | Address::Pipe(_) => {
                local::Listener::bind(address, unix_mode).map(Bound::Local)
            }
        }
    }

    /// Returns the address, with the port that the system chose.
    pub(super) fn address(&self) -> io::Result<Address> {
        match self {
            Bound::Tcp { listeners, host } => {
                let local = listeners.local_addr()?;
                let host = match host == Address::ALL_INTERFACES {
                    true => local.ip().to_string(),
                    false => host.clone(),
                };
                Ok(Address::tcp(host, local.port()))
            }
            Bound::Local(listener) => Ok(listener.address()),
        }
    }

    /// The next connection; `None` if it was gone before it could be looked at.
    pub(super) async fn accept(&self, stall_after: Duration) -> io::Result<Option<Accepted>> {
        match self {
            Bound::Tcp { listeners, .. } => {
                let (stream, peer) = listeners.accept().await?;
                if tune(&stream, stall_after).is_err() {
                    return Ok(None);
                }
                let (stream, address) = (Stream::Tcp(stream), PeerAddress::Ip(peer.ip()));
                Ok(Some(Accepted { stream, address, name: format!("client {peer}") }))
            }
            Bound::Local(listener) => {
                let Some(visitor) = listener.accept().await? else { return Ok(None) };
                let local::Visitor { stream, address, name } = visitor;
                Ok(Some(Accepted { stream: Stream::Local(stream), address, name }))
            }
        }
    }

    /// Returns whether clients can still reach the listener. Its socket file may have been removed.
    pub(super) fn is_reachable(&self) -> bool {
        match self {
            Bound::Tcp { .. } => true,
            Bound::Local(listener) => listener.is_reachable(),
        }
    }
}

/// The sockets that listen on the addresses of a host, all at one port.
pub(crate) struct TcpListeners {
    listeners: Vec<TcpListener>,
    /// The one that is asked first, in turn.
    turn: AtomicUsize,
}

impl TcpListeners {
    /// Listens on every address of the host that this machine has.
    pub(crate) async fn bind(host: &str, port: u16) -> io::Result<Self> {
        let listeners = match host == Address::ALL_INTERFACES {
            true => vec![listen_everywhere(port)?],
            false => listen_on_all(&resolve(host, port).await?)?,
        };
        Ok(TcpListeners { listeners, turn: AtomicUsize::new(0) })
    }

    /// The address of the first, with the port of all.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listeners[0].local_addr()
    }

    /// The next connection to any of them. Dropped while it waits, it loses none.
    pub(crate) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % self.listeners.len();
        let (late, early) = self.listeners.split_at(first);
        poll_fn(|cx| {
            let mut listeners = early.iter().chain(late);
            let accepted = listeners.find_map(|listener| match listener.poll_accept(cx) {
                Poll::Ready(accepted) => Some(accepted),
                Poll::Pending => None,
            });
            accepted.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

fn listen_everywhere(port: u16) -> io::Result<TcpListener> {
    let v6 = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port);
    listen_tcp(v6).or_else(|error| match error.kind() {
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
        // A machine without IPv6.
        _ => listen_tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)),
    })
}

/// If the system chooses the port, the port may be taken at another address of the host.
fn listen_on_all(addresses: &[SocketAddr]) -> io::Result<Vec<TcpListener>> {
    let mut tries = PORT_TRIES;
    loop {
        tries -= 1;
        match listen_on_each(addresses) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries > 0 => {
                if addresses.iter().any(|address| address.port() != 0) {
                    return Err(error);
                }
            }
            listening => return listening,
        }
    }
}

/// Passes over the addresses that this machine does not have; one it has to have.
fn listen_on_each(addresses: &[SocketAddr]) -> io::Result<Vec<TcpListener>> {
    let mut listeners = Vec::<TcpListener>::new();
    let mut missing = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for mut address in addresses.iter().copied() {
        if let Some(first) = listeners.first() {
            address.set_port(first.local_addr()?.port());
        }
        match listen_tcp(address) {
            Ok(listener) => listeners.push(listener),
            Err(error) => match error.kind() {
                io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => return Err(error),
                _ => missing = error,
            },
        }
    }
    match listeners.is_empty() {
        true => Err(missing),
        false => Ok(listeners),
    }
}

fn listen_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket2::new(Domain::for_address(address), Type::STREAM, None)?;
    // A restarted server takes its port again while old connections still fade. On Windows it does
    // anyway, and this would let another process listen there too.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}
