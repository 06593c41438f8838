//! The place at which a proxy listens, and the sockets of both transports.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use rustix::io::ioctl_fionread;
use rustix::net::{Shutdown, shutdown};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};

use crate::scenario::Address;

/// A place at which a proxy listens, or a server beside it.
#[derive(Debug)]
pub(crate) enum Place {
    /// A port, which a socket that never listens keeps from being given to anyone else.
    Tcp {
        port: u16,
        _reserved: TcpSocket,
    },
    Unix(PathBuf),
}

pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

pub(super) enum Accepted {
    Tcp(TcpStream),
    Unix(UnixStream),
}

fn reusable_socket(port: u16) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    Ok(socket)
}

impl Place {
    /// A place in front of `server`: a free port of the loopback address, or the Unix socket
    /// `beside`.
    pub(crate) fn before(server: &Address, beside: &Path) -> io::Result<Self> {
        Ok(match server {
            Address::Tcp(_) => {
                let reserved = reusable_socket(0)?;
                Self::Tcp { port: reserved.local_addr()?.port(), _reserved: reserved }
            }
            Address::Unix(_) => Self::Unix(beside.to_owned()),
        })
    }

    /// Returns the address that clients connect to.
    pub(super) fn address(&self) -> Address {
        match self {
            Self::Tcp { port, .. } => Address::Tcp(*port),
            Self::Unix(path) => Address::Unix(path.clone()),
        }
    }

    pub(super) fn listen(&self) -> io::Result<Listener> {
        Ok(match self {
            Self::Tcp { port, .. } => Listener::Tcp(reusable_socket(*port)?.listen(1024)?),
            Self::Unix(path) => Listener::Unix(UnixListener::bind(path)?),
        })
    }

    /// Closes the listener, and removes its traces.
    pub(super) fn close(&self, listener: Listener) {
        drop(listener);
        if let Self::Unix(path) = self {
            // Only to have connections refused sooner: without a listener they are anyway.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Returns whether the system refuses a connection to this address.
pub(super) async fn refuses(address: &Address) -> bool {
    let attempt = match address {
        Address::Tcp(port) => {
            TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).await.map(Accepted::Tcp)
        }
        Address::Unix(path) => UnixStream::connect(path).await.map(Accepted::Unix),
    };
    attempt.is_err()
}

impl Listener {
    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        Ok(match self {
            Self::Tcp(listener) => Accepted::Tcp(listener.accept().await?.0),
            Self::Unix(listener) => Accepted::Unix(listener.accept().await?.0),
        })
    }
}

/// A stream socket of either kind. Both directions use it at the same time.
pub(super) trait Socket: Sync {
    /// Waits until there is something to read, or the end.
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send;
    /// Waits until there is room to write, or an error.
    fn writable(&self) -> impl Future<Output = io::Result<()>> + Send;
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize>;
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;
    /// Returns the number of bytes that were received and not read.
    fn unread_bytes(&self) -> u64;
    /// Ends what is written.
    fn end_writing(&self) -> io::Result<()>;
    /// Makes small writes leave at once.
    fn hurry(&self);
    /// Has what is still on its way thrown away when the socket closes.
    fn close_hard(&self);
}

macro_rules! socket {
    ($stream:ident, $hurry:expr, $close_hard:expr) => {
        impl Socket for $stream {
            fn readable(&self) -> impl Future<Output = io::Result<()>> + Send {
                $stream::readable(self)
            }
            fn writable(&self) -> impl Future<Output = io::Result<()>> + Send {
                $stream::writable(self)
            }
            fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
                $stream::try_read(self, buffer)
            }
            fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
                $stream::try_write(self, bytes)
            }
            fn unread_bytes(&self) -> u64 {
                ioctl_fionread(self).unwrap_or_default()
            }
            fn end_writing(&self) -> io::Result<()> {
                Ok(shutdown(self, Shutdown::Write)?)
            }
            fn hurry(&self) {
                let hurry: fn(&Self) = $hurry;
                hurry(self);
            }
            fn close_hard(&self) {
                let close_hard: fn(&Self) = $close_hard;
                close_hard(self);
            }
        }
    };
}

// On a socket that is broken already both options fail, and there is nothing left to do.
socket!(TcpStream, |s| drop(s.set_nodelay(true)), |s| drop(s.set_zero_linger()));
socket!(UnixStream, |_| {}, |_| {});
