//! Statistics of links, counted at the socket.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::progress::Outgoing;

/// Counters of a server, a client or an IPC link, over all of its connections; see
/// [`LinkStats::process`] for those of the whole process.
#[derive(Debug, Default)]
pub struct LinkStats {
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
    reads: AtomicU64,
    writes: AtomicU64,
}

static PROCESS: LinkStats = LinkStats::new();

impl LinkStats {
    const fn new() -> Self {
        LinkStats {
            bytes_read: AtomicU64::new(0),
            bytes_written: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
        }
    }

    /// Those of all links of this process since it began.
    pub fn process() -> &'static LinkStats {
        &PROCESS
    }

    /// Returns the counts so far.
    pub fn counts(&self) -> LinkCounts {
        LinkCounts {
            bytes_read: self.bytes_read.load(Ordering::Relaxed),
            bytes_written: self.bytes_written.load(Ordering::Relaxed),
            reads: self.reads.load(Ordering::Relaxed),
            writes: self.writes.load(Ordering::Relaxed),
        }
    }

    fn add_read(&self, bytes: u64) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
    }

    fn add_written(&self, bytes: u64) {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.bytes_written.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Counts at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounts {
    /// Bytes received, logins included; with TLS as they are on the wire, handshakes included.
    pub bytes_read: u64,
    /// Bytes sent, counted likewise.
    pub bytes_written: u64,
    /// System calls that read. One that found nothing is not counted, nor is waiting for sockets.
    pub reads: u64,
    /// System calls that wrote, counted likewise.
    pub writes: u64,
}

impl LinkCounts {
    /// System calls, both ways.
    pub fn syscalls(&self) -> u64 {
        self.reads + self.writes
    }
}

impl std::ops::Add for LinkCounts {
    type Output = LinkCounts;

    fn add(self, other: LinkCounts) -> LinkCounts {
        LinkCounts {
            bytes_read: self.bytes_read + other.bytes_read,
            bytes_written: self.bytes_written + other.bytes_written,
            reads: self.reads + other.reads,
            writes: self.writes + other.writes,
        }
    }
}

/// One direction of a socket, counted.
pub(super) struct Counted<T> {
    inner: T,
    stats: Arc<LinkStats>,
}

impl<T> Counted<T> {
    pub(super) fn new(inner: T, stats: Arc<LinkStats>) -> Self {
        Counted { inner, stats }
    }

    fn written(&self, result: &io::Result<usize>) {
        let bytes = result.as_ref().map_or(0, |bytes| *bytes as u64);
        self.stats.add_written(bytes);
        PROCESS.add_written(bytes);
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Counted<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = ready!(Pin::new(&mut self.inner).poll_read(cx, buffer));
        let bytes = (buffer.filled().len() - before) as u64;
        self.stats.add_read(bytes);
        PROCESS.add_read(bytes);
        Poll::Ready(result)
    }
}

impl<T: Outgoing> Outgoing for Counted<T> {
    fn unacknowledged(&self) -> Option<usize> {
        self.inner.unacknowledged()
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.inner.try_write(bytes);
        let found_no_room =
            result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        if !found_no_room {
            self.written(&result);
        }
        result
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Counted<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.inner).poll_write(cx, bytes));
        self.written(&result);
        Poll::Ready(result)
    }

    /// TLS hands several records over at once.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, buffers));
        self.written(&result);
        Poll::Ready(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
