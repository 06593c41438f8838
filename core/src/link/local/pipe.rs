//! A named pipe of Windows. By the system's default, only its own user may open it for writing, and
//! no process of another machine.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, ReadHalf};
use tokio::net::windows::named_pipe::{
    ClientOptions, NamedPipeClient, NamedPipeServer, ServerOptions,
};
use tokio::sync::Mutex;

use super::super::address::PIPES;
use super::super::progress::{Incoming, Outgoing};
use super::super::{Address, LinkError};
use super::Visitor;
use crate::auth::PeerAddress;

/// `ERROR_PIPE_BUSY`: a server is there, and about to make the next instance.
const PIPE_BUSY: i32 = 231;
/// The delay before the next attempt at a busy pipe. Nothing tells when there is one.
const BUSY_FOR: Duration = Duration::from_millis(5);

/// One end of a connected pipe.
#[derive(Debug)]
pub(crate) enum Stream {
    Server(NamedPipeServer),
    Client(NamedPipeClient),
}

/// A pipe, and the instance of it that waits for the next client.
pub(in crate::link) struct Listener {
    name: String,
    waiting: Mutex<NamedPipeServer>,
}

impl Listener {
    /// Makes the pipe. There is no file, and no mode.
    pub(in crate::link) fn bind(address: &Address, _mode: u32) -> Result<Self, LinkError> {
        let Address::Pipe(name) = address else { return Err(address.is_not_here()) };
        let waiting = first(name).map_err(|source| match source.kind() {
            io::ErrorKind::PermissionDenied => {
                LinkError::SocketInUse { path: format!("{PIPES}{name}").into() }
            }
            _ => LinkError::Bind { address: address.clone(), source },
        })?;
        Ok(Listener { name: name.clone(), waiting: Mutex::new(waiting) })
    }

    pub(in crate::link) fn address(&self) -> Address {
        Address::Pipe(self.name.clone())
    }

    /// The next connection. Dropped while it waits, it loses none.
    pub(in crate::link) async fn accept(&self) -> io::Result<Option<Visitor>> {
        let mut waiting = self.waiting.lock().await;
        if let Err(error) = waiting.connect().await {
            *waiting = instance(&self.name, false)?;
            // A client that came and went has broken it; nothing else is wrong.
            return (error.kind() == io::ErrorKind::BrokenPipe).then_some(None).ok_or(error);
        }
        // If this fails, the one that is connected is found again by the next call.
        let next = instance(&self.name, false)?;
        let stream = Stream::Server(std::mem::replace(&mut *waiting, next));
        let name = format!("client on {PIPES}{}", self.name);
        Ok(Some(Visitor { stream, address: PeerAddress::Pipe, name }))
    }

    /// Returns whether clients can still reach the pipe. A pipe cannot be removed from outside.
    pub(in crate::link) fn is_reachable(&self) -> bool {
        true
    }
}

/// Creates a pipe with this name, which no other process has.
pub(in crate::link) fn first(name: &str) -> io::Result<NamedPipeServer> {
    instance(name, true)
}

fn instance(name: &str, first: bool) -> io::Result<NamedPipeServer> {
    let mut options = ServerOptions::new();
    options.first_pipe_instance(first).reject_remote_clients(true);
    options.create(format!("{PIPES}{name}"))
}

/// Connects to the server there, if it has an instance free.
pub(in crate::link) fn open(name: &str) -> io::Result<Stream> {
    ClientOptions::new().open(format!("{PIPES}{name}")).map(Stream::Client)
}

/// Returns whether the error means that a server exists but serves another client at the moment.
pub(in crate::link) fn is_busy(error: &io::Error) -> bool {
    error.raw_os_error() == Some(PIPE_BUSY)
}

/// Connects to the server there.
pub(in crate::link) async fn connect(address: &Address) -> io::Result<Stream> {
    let Address::Pipe(name) = address else {
        return Err(io::Error::new(io::ErrorKind::Unsupported, address.is_not_here()));
    };
    loop {
        match open(name) {
            Err(error) if is_busy(&error) => tokio::time::sleep(BUSY_FOR).await,
            opened => return opened,
        }
    }
}

/// Both directions.
pub(in crate::link) fn split(
    stream: Stream,
) -> io::Result<(
    impl AsyncRead + Incoming + Send + Unpin + 'static,
    impl AsyncWrite + Outgoing + Send + Unpin + 'static,
)> {
    Ok(tokio::io::split(stream))
}

impl Incoming for ReadHalf<Stream> {
    fn segments(&self) -> Option<u32> {
        None
    }
}

macro_rules! either_end {
    ($stream:expr, $method:ident, $($argument:expr),*) => {
        match $stream.get_mut() {
            Stream::Server(pipe) => Pin::new(pipe).$method($($argument),*),
            Stream::Client(pipe) => Pin::new(pipe).$method($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either_end!(self, poll_read, cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        either_end!(self, poll_write, cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either_end!(self, poll_flush, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either_end!(self, poll_shutdown, cx)
    }
}
