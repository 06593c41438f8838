//! Progress of the bytes on a socket.
//!
//! A link is cut when its peer acknowledged no byte at all for the length of a deadline. A slow
//! link is not dead: a socket with megabytes in its send buffer may stay unwritable for minutes
//! while every second of them brings some bytes to the peer. So while a write waits, the number of
//! bytes that the peer has not acknowledged is sampled; as long as it falls, the link moves.
//!
//! Nor is a link dead on which nothing can be read for seconds because a segment of TCP was lost:
//! what comes after it has to wait. So while a read waits for long, the segments that came are
//! counted.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp;
use tokio::time::{Instant, Sleep, sleep_until};

/// A deadline is this many samples long. Samples are counted instead of time, so that a process
/// that was stopped itself does not blame its peer.
const SAMPLES: u32 = 8;

/// A deadline that is longer than this is none.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// The side of a socket that sends.
pub(super) trait Outgoing {
    /// The number of bytes that the peer has not acknowledged; `None` where the system does not
    /// say.
    fn unacknowledged(&self) -> Option<usize>;

    /// Writes what the system takes at once. [`io::ErrorKind::WouldBlock`] if that is nothing, or
    /// if only a task can write.
    fn try_write(&self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

/// Half of a stream that cannot be written to without waiting: TLS, or a named pipe. The system
/// does not say how much of it is unread.
impl<T> Outgoing for tokio::io::WriteHalf<T> {
    fn unacknowledged(&self) -> Option<usize> {
        None
    }
}

/// The side of a socket that receives.
pub(super) trait Incoming {
    /// Returns the number of segments with data that arrived, including those that cannot be read
    /// yet. It wraps around. `None` where the system does not say.
    fn segments(&self) -> Option<u32>;
}

/// The number of segments that had arrived at the last query.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrivals(Arc<ArrivalsInner>);

#[derive(Debug, Default)]
struct ArrivalsInner {
    is_asked: AtomicBool,
    segments: AtomicU32,
}

impl Arrivals {
    /// The number when a read last began to wait after a call of this.
    pub(super) fn next(&self) -> u32 {
        let segments = self.0.segments.load(Ordering::Relaxed);
        self.0.is_asked.store(true, Ordering::Relaxed);
        segments
    }
}

/// A stream that counts arrivals when it is asked to, and a read waits.
pub(super) struct Arriving<T> {
    inner: T,
    arrivals: Arrivals,
}

impl<T: Incoming> Arriving<T> {
    pub(super) fn new(inner: T, arrivals: Arrivals) -> Self {
        Arriving { inner, arrivals }
    }
}

impl<T: AsyncRead + Incoming + Unpin> AsyncRead for Arriving<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.inner).poll_read(cx, buffer);
        let arrivals = &self.arrivals.0;
        if read.is_pending() && arrivals.is_asked.swap(false, Ordering::Relaxed) {
            let segments = self.inner.segments().unwrap_or_default();
            arrivals.segments.store(segments, Ordering::Relaxed);
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Arriving<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, buffers)
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

/// A stream whose writes fail with [`io::ErrorKind::TimedOut`] when the peer takes no bytes for the
/// length of the deadline.
pub(super) struct Progress<T> {
    inner: T,
    stall_after: Option<Duration>,
    timer: Option<Pin<Box<Sleep>>>,
    waiting: Option<Waiting>,
}

/// A write that waits for the socket.
struct Waiting {
    unacknowledged: Option<usize>,
    unmoved_samples: u32,
}

impl<T: Outgoing> Progress<T> {
    /// Fails writes that do not move for `stall_after`; `None`: they wait for as long as it takes.
    pub(super) fn new(inner: T, stall_after: Option<Duration>) -> Self {
        let stall_after = stall_after.filter(|stall_after| *stall_after < FOREVER);
        Progress { inner, stall_after, timer: None, waiting: None }
    }

    /// Passes on what came of a write, unless it has waited for too long.
    fn judge<R>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        match (written, self.stall_after) {
            (Poll::Pending, Some(stall_after)) => {
                if !self.is_stalled(cx, stall_after / SAMPLES) {
                    return Poll::Pending;
                }
                let why = format!("the peer took no bytes for {stall_after:?}");
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, why)))
            }
            (written, _) => {
                self.waiting = None;
                written
            }
        }
    }

    /// Takes the samples that are due. If there are more to take, the task is woken for the next.
    fn is_stalled(&mut self, cx: &mut Context<'_>, every: Duration) -> bool {
        let next = Instant::now() + every;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(next)));
        let waiting = self.waiting.get_or_insert_with(|| {
            timer.as_mut().reset(next);
            Waiting { unacknowledged: self.inner.unacknowledged(), unmoved_samples: 0 }
        });
        while timer.as_mut().poll(cx).is_ready() {
            let unacknowledged = self.inner.unacknowledged();
            // Nothing is added to them while a write waits.
            let moved = unacknowledged < waiting.unacknowledged;
            waiting.unacknowledged = unacknowledged;
            waiting.unmoved_samples = if moved { 0 } else { waiting.unmoved_samples + 1 };
            if waiting.unmoved_samples >= SAMPLES {
                return true;
            }
            timer.as_mut().reset(next);
        }
        false
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Progress<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Outgoing + Unpin> AsyncWrite for Progress<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.judge(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, buffers);
        self.judge(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.judge(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl Outgoing for TcpStream {
    fn unacknowledged(&self) -> Option<usize> {
        unacknowledged(self)
    }
}

impl<T: Incoming> Incoming for Progress<T> {
    fn segments(&self) -> Option<u32> {
        self.inner.segments()
    }
}

impl Incoming for TcpStream {
    fn segments(&self) -> Option<u32> {
        segments(self)
    }
}

impl Incoming for tcp::OwnedReadHalf {
    fn segments(&self) -> Option<u32> {
        segments(self.as_ref())
    }
}

impl<T: Outgoing> Outgoing for Progress<T> {
    fn unacknowledged(&self) -> Option<usize> {
        self.inner.unacknowledged()
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.try_write(bytes)
    }
}

impl Outgoing for tcp::OwnedWriteHalf {
    fn unacknowledged(&self) -> Option<usize> {
        unacknowledged(self.as_ref())
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        tcp::OwnedWriteHalf::try_write(self, bytes)
    }
}

/// Bytes that were sent or are to be sent, and that the peer's system has not acknowledged (TCP),
/// or the peer has not read (a socket file, with what the system needs to hold them).
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "the standard library and rustix have no safe call for it")]
pub(super) fn unacknowledged(socket: &impl std::os::fd::AsFd) -> Option<usize> {
    use rustix::ioctl::{Getter, Opcode, ioctl};
    /// From `linux/sockios.h`; the number of `TIOCOUTQ`.
    const SIOCOUTQ: Opcode = if cfg!(any(target_arch = "mips", target_arch = "mips64")) {
        0x7472
    } else if cfg!(any(target_arch = "powerpc", target_arch = "powerpc64", target_arch = "sparc64"))
    {
        0x4004_7473
    } else {
        0x5411
    };
    // SAFETY: the call writes one `int` (tcp(7), unix(7)), and reads nothing.
    let bytes = unsafe { ioctl(socket, Getter::<SIOCOUTQ, std::ffi::c_int>::new()) };
    bytes.ok().and_then(|bytes| usize::try_from(bytes).ok())
}

/// Segments of TCP with data that came.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "the standard library and rustix have no safe call for it")]
fn segments(socket: &impl std::os::fd::AsRawFd) -> Option<u32> {
    /// The offset of `tcpi_data_segs_in` in `struct tcp_info` of `linux/tcp.h`, since Linux 4.6.
    const AT: usize = 152;
    let mut info = [0_u8; AT + size_of::<u32>()];
    let mut len = info.len() as libc::socklen_t;
    let (level, name) = (libc::IPPROTO_TCP, libc::TCP_INFO);
    let to = info.as_mut_ptr().cast();
    // SAFETY: the call writes at most `len` bytes to `info`, and to `len` how many they are.
    let done = unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, to, &raw mut len) };
    let whole = done == 0 && len as usize == info.len();
    info.last_chunk().filter(|_| whole).map(|count| u32::from_ne_bytes(*count))
}

/// Not to be had there.
#[cfg(not(target_os = "linux"))]
fn segments<T>(_socket: &T) -> Option<u32> {
    None
}

/// Not to be had there: small send buffers make a socket writable soon after it moved.
#[cfg(not(target_os = "linux"))]
pub(super) fn unacknowledged<T>(_socket: &T) -> Option<usize> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;

    use super::*;
    use crate::link::local;

    const STALL_AFTER: Duration = Duration::from_millis(400);
    /// Twice as long as the deadline passes until the system says that there is room again.
    const PART_BYTES: usize = 2 << 10;
    const PART_EVERY: Duration = Duration::from_millis(5);

    /// The end that is watched, and its peer.
    fn pair() -> (Progress<impl AsyncWrite + Outgoing + Unpin>, UnixStream) {
        let (here, there) = UnixStream::pair().expect("a pair");
        let (_, writer) = local::split(here).expect("it is registered");
        (Progress::new(writer, Some(STALL_AFTER)), there)
    }

    /// Reads so many bytes, slowly.
    async fn read_slowly(peer: &mut UnixStream, bytes: usize) {
        let (mut part, mut read) = ([0; PART_BYTES], 0);
        while read < bytes {
            tokio::time::sleep(PART_EVERY).await;
            read += peer.read(&mut part).await.expect("reads");
        }
    }

    /// A stream on which nothing arrives, and which counts how often it was asked.
    struct Asked(std::cell::Cell<u32>);

    impl AsyncRead for Asked {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl Incoming for Asked {
        fn segments(&self) -> Option<u32> {
            self.0.set(self.0.get() + 1);
            Some(self.0.get())
        }
    }

    /// Checks that the system is asked for the number of segments once for each use of it, and not
    /// at each read that waits.
    #[test]
    fn arrivals_are_counted_once_for_each_time_that_they_are_asked_for() {
        let arrivals = Arrivals::default();
        let mut stream = Arriving::new(Asked(std::cell::Cell::new(0)), arrivals.clone());
        let mut waits = || {
            let mut context = Context::from_waker(std::task::Waker::noop());
            let mut bytes = [0; 8];
            let read = Pin::new(&mut stream).poll_read(&mut context, &mut ReadBuf::new(&mut bytes));
            assert!(read.is_pending());
        };
        for asked in 0..3 {
            (0..3).for_each(|_| waits());
            assert_eq!(arrivals.next(), asked);
            (0..3).for_each(|_| waits());
            assert_eq!(arrivals.0.segments.load(Ordering::Relaxed), asked + 1);
        }
    }

    #[tokio::test]
    async fn a_peer_that_takes_bytes_slowly_is_waited_for_past_the_deadline() {
        let (mut writer, mut peer) = pair();
        let sent = vec![7; 600 << 10];
        let began = Instant::now();
        let writing = writer.write_all(&sent);
        let (written, ()) = tokio::join!(writing, read_slowly(&mut peer, sent.len()));
        written.expect("the peer takes it");
        assert!(began.elapsed() > 2 * STALL_AFTER, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_peer_that_takes_nothing_is_left_at_the_deadline() {
        let (mut writer, _peer) = pair();
        let began = Instant::now();
        let error = writer.write_all(&vec![7; 1 << 20]).await.expect_err("it takes nothing");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= STALL_AFTER);
    }

    #[tokio::test]
    async fn a_peer_that_stops_in_the_middle_is_left_a_deadline_later() {
        let (mut writer, mut peer) = pair();
        let sent = vec![7; 1 << 20];
        let reading = async {
            read_slowly(&mut peer, 300 << 10).await;
            Instant::now()
        };
        let (written, stopped) = tokio::join!(writer.write_all(&sent), reading);
        assert_eq!(written.expect_err("it stopped").kind(), io::ErrorKind::TimedOut);
        assert!(stopped.elapsed() >= STALL_AFTER / 2);
    }

    #[tokio::test]
    async fn without_a_deadline_a_write_waits_for_as_long_as_it_takes() {
        let (here, _peer) = UnixStream::pair().expect("a pair");
        let (_, writer) = local::split(here).expect("it is registered");
        let mut writer = Progress::new(writer, None);
        let bytes = vec![7; 1 << 20];
        let writing = tokio::time::timeout(STALL_AFTER * 2, writer.write_all(&bytes));
        assert!(writing.await.is_err());
    }
}
