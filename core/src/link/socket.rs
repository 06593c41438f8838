//! A connected stream of bytes, whatever carries it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::progress::{Arrivals, Arriving, Incoming, Outgoing, Progress};
use super::stats::Counted;
use super::writer::Writer;
use super::{LinkStats, local};

/// The reading half of a connection.
pub(super) type Reader = Box<dyn AsyncRead + Send + Unpin>;

/// A stream that is connected, before anything was said on it.
pub(super) enum Stream {
    Tcp(TcpStream),
    Local(local::Stream),
}

impl Stream {
    /// As it is, without TLS. Writes fail when the peer takes no bytes for `stall_after`.
    pub(super) fn plain(self, stats: Arc<LinkStats>, stall_after: Duration) -> io::Result<Socket> {
        match self {
            Stream::Tcp(stream) => {
                let (reader, writer) = stream.into_split();
                Ok(Socket::counted(reader, writer, stats, Some(stall_after)))
            }
            Stream::Local(stream) => Socket::local(stream, stats, Some(stall_after)),
        }
    }
}

/// Sets a TCP stream up: it sends at once (no Nagle), it takes few bytes ahead of those that are on
/// their way, and it notices a peer that vanished: what the peer does not acknowledge for
/// `stall_after` ends the link.
pub(super) fn tune(stream: &TcpStream, stall_after: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    {
        socket.set_tcp_user_timeout(Some(stall_after.min(USER_TIMEOUT_MAX)))?;
        socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX)?;
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = stall_after;
        socket.set_send_buffer_size(UNSENT_BYTES_MAX as usize)?;
    }
    Ok(())
}

/// A socket takes about this many bytes that it cannot send yet. On a slow link all that is said
/// later, heartbeats and answers included, waits behind them.
const UNSENT_BYTES_MAX: u32 = 128 << 10;

/// Both directions, and what was read but not yet looked at.
pub(super) struct Socket {
    pub(super) reader: Reader,
    pub(super) writer: Box<dyn Writer>,
    pub(super) buffer: BytesMut,
    pub(super) arrivals: Arrivals,
}

/// The longest timeout of a socket, which is an `int` of milliseconds: 24 days.
#[cfg(target_os = "linux")]
const USER_TIMEOUT_MAX: Duration = Duration::from_millis(i32::MAX as u64);

/// An idle TCP link is probed after this long, even before the stores on it have begun to beat.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(5);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(1);

impl Socket {
    /// From a socket file, or a named pipe.
    pub(super) fn local(
        stream: local::Stream,
        stats: Arc<LinkStats>,
        stall_after: Option<Duration>,
    ) -> io::Result<Self> {
        let (reader, writer) = local::split(stream)?;
        Ok(Self::counted(reader, writer, stats, stall_after))
    }

    /// From a TLS stream, which counts beneath its encryption.
    #[cfg(feature = "tls")]
    pub(super) fn tls(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        arrivals: Arrivals,
    ) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self::new(Box::new(reader), Box::new(writer), arrivals)
    }

    fn counted(
        reader: impl AsyncRead + Incoming + Send + Unpin + 'static,
        writer: impl AsyncWrite + Outgoing + Send + Unpin + 'static,
        stats: Arc<LinkStats>,
        stall_after: Option<Duration>,
    ) -> Self {
        let arrivals = Arrivals::default();
        let reader = Counted::new(Arriving::new(reader, arrivals.clone()), stats.clone());
        let writer = Progress::new(writer, stall_after);
        Self::new(Box::new(reader), Box::new(Counted::new(writer, stats)), arrivals)
    }

    fn new(reader: Reader, writer: Box<dyn Writer>, arrivals: Arrivals) -> Self {
        Socket { reader, writer, buffer: BytesMut::new(), arrivals }
    }

    /// Sends all of this, to the last byte: TLS keeps what a full socket did not take.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes).await?;
        self.writer.flush().await
    }
}
