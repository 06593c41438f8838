//! A socket file.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket as Socket2, Type};
use tokio::net::{UnixListener, UnixStream};

use super::super::bind::BACKLOG;
use super::super::{Address, LinkError};
use super::Visitor;
use crate::auth::PeerAddress;

/// A connected socket.
pub(in crate::link) type Stream = UnixStream;

/// A socket file that is listened on.
pub(in crate::link) struct Listener {
    listener: UnixListener,
    file: SocketFile,
}

impl Listener {
    /// Makes the file with this mode. It replaces a file without a listener.
    pub(in crate::link) fn bind(address: &Address, mode: u32) -> Result<Self, LinkError> {
        let Address::Unix(path) = address else { return Err(address.is_not_here()) };
        clear_the_way(path)?;
        let (listener, file) = bind_unix(path, mode)
            .map_err(|source| LinkError::Bind { address: address.clone(), source })?;
        Ok(Listener { listener, file })
    }

    pub(in crate::link) fn address(&self) -> Address {
        Address::Unix(self.file.path.clone())
    }

    /// The next connection; `None` if it was gone before it could be looked at.
    pub(in crate::link) async fn accept(&self) -> io::Result<Option<Visitor>> {
        let (stream, _) = self.listener.accept().await?;
        let Ok(peer) = stream.peer_cred() else { return Ok(None) };
        let process = peer.pid().map_or_else(String::new, |pid| format!(", process {pid}"));
        let name = format!("client on {} (user {}{process})", self.file.path.display(), peer.uid());
        Ok(Some(Visitor { stream, address: PeerAddress::User(peer.uid()), name }))
    }

    /// Returns whether clients can still reach the socket. Its file may have been removed.
    pub(in crate::link) fn is_reachable(&self) -> bool {
        self.file.is_ours()
    }
}

/// Connects to the server there.
pub(in crate::link) async fn connect(address: &Address) -> io::Result<Stream> {
    match address {
        Address::Unix(path) => UnixStream::connect(path).await,
        _ => Err(io::Error::new(io::ErrorKind::Unsupported, address.is_not_here())),
    }
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
    match try_connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // Its owner does not accept at the moment, and has as many connections waiting as it may.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(LinkError::SocketInUse { path: path.to_owned() })
        }
        Ok(()) => Err(LinkError::SocketInUse { path: path.to_owned() }),
        Err(error) => Err(failed(error)),
    }
}

/// Tries to connect, and never waits for an answer.
fn try_connect(path: &Path) -> io::Result<()> {
    let socket = Socket2::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)
}

/// A socket file, removed when dropped unless another took its place.
struct SocketFile {
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
