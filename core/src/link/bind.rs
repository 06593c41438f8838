//! The socket that a server listens on.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket as Socket2, Type};
use tokio::net::{TcpListener, UnixListener};

use super::socket::{Stream, tune};
use super::{Address, LinkError};
use crate::auth::PeerAddress;

/// How many connections the system may hold for us until they are accepted.
const BACKLOG: i32 = 1024;

/// A socket that listens.
pub(super) enum Bound {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
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
            Address::Unix(path) => {
                clear_the_way(path)?;
                let (listener, file) = bind_unix(path, unix_mode).map_err(failed)?;
                Ok(Bound::Unix(listener, file))
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
            Bound::Unix(_, file) => Ok(Address::Unix(file.path.clone())),
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
            Bound::Unix(listener, file) => {
                let (stream, _) = listener.accept().await?;
                let Ok(peer) = stream.peer_cred() else { return Ok(None) };
                let process = peer.pid().map_or_else(String::new, |pid| format!(", process {pid}"));
                let name =
                    format!("client on {} (user {}{process})", file.path.display(), peer.uid());
                let (stream, address) = (Stream::Unix(stream), PeerAddress::User(peer.uid()));
                Ok(Some(Accepted { stream, address, name }))
            }
        }
    }

    /// Whether clients still find it: somebody may have removed its file.
    pub(super) fn is_reachable(&self) -> bool {
        match self {
            Bound::Tcp(_) => true,
            Bound::Unix(_, file) => file.is_ours(),
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
    // A restarted server takes its port again while old connections still fade.
    socket.set_reuse_address(true)?;
    if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// Makes the file's permissions right before the first client can connect: a socket that does not
/// listen yet refuses.
fn bind_unix(path: &Path, mode: u32) -> io::Result<(UnixListener, SocketFile)> {
    let socket = Socket2::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = SocketFile::of(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok((UnixListener::from_std(socket.into())?, file))
}

/// Removes a socket file that a server left behind, and nothing else.
fn clear_the_way(path: &Path) -> Result<(), LinkError> {
    let failed = |source| LinkError::Bind { address: Address::unix(path), source };
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if !metadata.file_type().is_socket() {
        return Err(LinkError::NotASocket { path: path.to_owned() });
    }
    match StdUnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(_) => Err(LinkError::SocketInUse { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(LinkError::SocketInUse { path: path.to_owned() })
        }
        Err(error) => Err(failed(error)),
    }
}

/// A socket file, removed when dropped unless another took its place.
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(SocketFile { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() })
    }

    fn is_ours(&self) -> bool {
        fs::symlink_metadata(&self.path)
            .is_ok_and(|found| found.dev() == self.device && found.ino() == self.inode)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_ours() {
            // If it cannot be removed, the next server finds it stale and takes its place.
            let _ = fs::remove_file(&self.path);
        }
    }
}
