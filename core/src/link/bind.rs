//! The socket that a server listens on.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Socket as Socket2, Type};
use tokio::net::TcpListener;

use super::socket::{Stream, tune};
use super::{Address, LinkError, local};
use crate::auth::PeerAddress;

/// How many connections the system may hold for us until they are accepted.
pub(super) const BACKLOG: i32 = 1024;

/// A socket that listens.
pub(super) enum Bound {
    Tcp(TcpListener),
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
    /// Listens. A socket file is made with `unix_mode`, and takes the place of one that nobody
    /// listens on any more.
    pub(super) async fn bind(address: &Address, unix_mode: u32) -> Result<Self, LinkError> {
        let failed = |source| LinkError::Bind { address: address.clone(), source };
        match address {
            Address::Tcp { host, port } => {
                bind_tcp(host, *port).await.map(Bound::Tcp).map_err(failed)
            }
            Address::Unix(_) | Address::Pipe(_) => {
                local::Listener::bind(address, unix_mode).map(Bound::Local)
            }
        }
    }

    /// Where it listens, with the port that the system chose.
    pub(super) fn address(&self) -> io::Result<Address> {
        match self {
            Bound::Tcp(listener) => {
                let local = listener.local_addr()?;
                Ok(Address::tcp(local.ip().to_string(), local.port()))
            }
            Bound::Local(listener) => Ok(listener.address()),
        }
    }

    /// The next connection; `None` if it was gone before it could be looked at.
    pub(super) async fn accept(&self, stall_after: Duration) -> io::Result<Option<Accepted>> {
        match self {
            Bound::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
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

    /// Whether clients still find it: somebody may have removed its file.
    pub(super) fn is_reachable(&self) -> bool {
        match self {
            Bound::Tcp(_) => true,
            Bound::Local(listener) => listener.is_reachable(),
        }
    }
}

pub(crate) async fn bind_tcp(host: &str, port: u16) -> io::Result<TcpListener> {
    if host == Address::ALL_INTERFACES {
        let v6 = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port);
        return listen_tcp(v6).or_else(|error| match error.kind() {
            io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
            // A machine without IPv6.
            _ => listen_tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)),
        });
    }
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in tokio::net::lookup_host((host, port)).await? {
        match listen_tcp(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => failure = error,
        }
    }
    Err(failure)
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
