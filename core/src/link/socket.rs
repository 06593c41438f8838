//! A connected stream of bytes, whatever carries it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::LinkStats;
use super::stats::Counted;

/// Where bytes come from.
pub(super) type Reader = Counted<Box<dyn AsyncRead + Send + Unpin>>;
/// Where bytes go.
pub(super) type Writer = Counted<Box<dyn AsyncWrite + Send + Unpin>>;

/// Both directions, and what was read but not yet looked at.
pub(super) struct Socket {
    pub(super) reader: Reader,
    pub(super) writer: Writer,
    pub(super) buffer: BytesMut,
}

/// An idle TCP link is probed after this long, even before the stores on it have begun to beat.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(5);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(1);

impl Socket {
    /// From a TCP stream: sends at once (no Nagle), and notices a peer that vanished:
    /// what it does not acknowledge for `stall_after` ends the link.
    pub(super) fn tcp(
        stream: TcpStream,
        stall_after: Duration,
        stats: Arc<LinkStats>,
    ) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let socket = SockRef::from(&stream);
        let keepalive =
            TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY);
        socket.set_tcp_keepalive(&keepalive)?;
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(stall_after))?;
        #[cfg(not(target_os = "linux"))]
        let _ = stall_after;
        let (reader, writer) = stream.into_split();
        Ok(Self::new(reader, writer, stats))
    }

    /// From a Unix stream.
    pub(super) fn unix(stream: UnixStream, stats: Arc<LinkStats>) -> Self {
        let (reader, writer) = stream.into_split();
        Self::new(reader, writer, stats)
    }

    /// From anything that reads and writes.
    pub(super) fn new(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
        stats: Arc<LinkStats>,
    ) -> Self {
        Socket {
            reader: Counted::new(Box::new(reader), stats.clone()),
            writer: Counted::new(Box::new(writer), stats),
            buffer: BytesMut::new(),
        }
    }
}
