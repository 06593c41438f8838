//! Two ways to write to the socket of a connection: by the writer's task, or, while the task
//! sleeps, directly in the call that has something to send.
//!
//! To wake a task costs more than to write some bytes. So before the task sleeps, it lends its
//! socket to an [`IdleWriter`], and a call that would wake the task writes to the socket itself. If
//! the socket takes only a part of the bytes, or reports an error, the task is woken and goes on
//! from there.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::io::AsyncWrite;

use super::progress::Outgoing;
use crate::task::Panicked;

/// A direct write takes at most about this many bytes from a store.
const DIRECT_BYTES: usize = 16 << 10;

/// The time after a write in which more bytes are part of a burst. The task writes them, since it
/// gathers more of them into one write.
const BURST: Duration = Duration::from_micros(50);

/// The writing half of a connection.
pub(super) trait Writer: AsyncWrite + Outgoing + Send + Unpin {}

impl<T: AsyncWrite + Outgoing + Send + Unpin> Writer for T {}

/// The socket, and the bytes that it has not taken yet.
pub(super) struct Output {
    pub(super) socket: Box<dyn Writer>,
    pub(super) bytes: Vec<u8>,
    wrote_at: Option<Instant>,
}

impl Output {
    pub(super) fn new(socket: Box<dyn Writer>) -> Self {
        Output { socket, bytes: Vec::new(), wrote_at: None }
    }

    /// Notes that all bytes were written, just now.
    pub(super) fn written(&mut self, keep: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(keep);
        self.wrote_at = Some(Instant::now());
    }

    fn is_in_burst(&self) -> bool {
        self.wrote_at.is_some_and(|at| at.elapsed() < BURST)
    }

    /// Writes what `fill` appends. Returns whether nothing is left to do.
    fn write(&mut self, mut fill: impl FnMut(&mut Vec<u8>, usize)) -> bool {
        if !self.bytes.is_empty() || self.is_in_burst() {
            return false;
        }
        fill(&mut self.bytes, DIRECT_BYTES);
        if self.bytes.is_empty() {
            return true;
        }
        match self.socket.try_write(&self.bytes) {
            Ok(written) if written == self.bytes.len() => {
                self.written(self.bytes.capacity());
                fill(&mut self.bytes, DIRECT_BYTES);
                self.bytes.is_empty()
            }
            Ok(written) => {
                self.bytes.drain(..written);
                false
            }
            // The task meets it as well.
            Err(_) => false,
        }
    }
}

/// The place of an [`Output`] while its task sleeps.
#[derive(Default)]
pub(super) struct IdleWriter(Mutex<Option<Output>>);

impl IdleWriter {
    /// Lends an output until the task has something to do.
    pub(super) fn lend(&self, output: Output) -> Lent<'_> {
        *self.0.lock() = Some(output);
        Lent(self)
    }

    /// Writes what `fill` appends, if the task sleeps and no burst is going on. Returns whether
    /// nothing is left to do. If it returns false, the task has to be woken.
    pub(super) fn write(&self, fill: impl FnMut(&mut Vec<u8>, usize)) -> Result<bool, Panicked> {
        // Another thread writes; or this one does, and is called by what it fills from.
        let Some(mut idle) = self.0.try_lock() else { return Ok(false) };
        let Some(output) = idle.as_mut() else { return Ok(false) };
        catch_unwind(AssertUnwindSafe(|| output.write(fill)))
            .map_err(|panic| Panicked::new("direct write of a link", &*panic))
    }
}

/// An output that is lent. It is dropped with this, unless it is taken back.
pub(super) struct Lent<'a>(&'a IdleWriter);

impl Lent<'_> {
    /// Takes the output back. A direct write that goes on is waited for: it does not block.
    pub(super) fn take_back(self) -> Option<Output> {
        self.0.0.lock().take()
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        drop(self.0.0.lock().take());
    }
}

#[cfg(all(test, unix))]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::UnixStream;

    use super::*;
    use crate::link::local;

    /// Returns an output of one end of a pair of sockets, and the other end.
    fn pair() -> (Output, UnixStream) {
        let (here, there) = UnixStream::pair().expect("a pair");
        let (_reader, writer) = local::split(here).expect("it is registered");
        (Output::new(Box::new(writer)), there)
    }

    /// Appends this once, and nothing after that.
    fn once(bytes: &[u8]) -> impl FnMut(&mut Vec<u8>, usize) + '_ {
        let mut left = Some(bytes);
        move |out, _| out.extend_from_slice(left.take().unwrap_or_default())
    }

    #[tokio::test]
    async fn bytes_are_written_at_once_while_the_task_sleeps() {
        let (place, (output, mut there)) = (IdleWriter::default(), pair());
        assert!(!place.write(once(b"early")).expect("no panic"), "the task has the output");
        let lent = place.lend(output);
        assert!(place.write(once(b"one")).expect("no panic"));
        let mut read = [0; 3];
        there.read_exact(&mut read).await.expect("it was written");
        assert_eq!(&read, b"one");
        let output = lent.take_back().expect("it was lent");
        assert!(output.bytes.is_empty());
        assert!(!place.write(once(b"late")).expect("no panic"), "the task has the output");
    }

    #[tokio::test]
    async fn a_burst_is_left_to_the_task() {
        let (place, (mut output, _there)) = (IdleWriter::default(), pair());
        output.wrote_at = Some(Instant::now() + Duration::from_secs(60));
        let _lent = place.lend(output);
        assert!(!place.write(once(b"more")).expect("no panic"));
    }

    #[tokio::test]
    async fn what_the_socket_does_not_take_is_left_to_the_task_in_order() {
        let (place, (output, mut there)) = (IdleWriter::default(), pair());
        let lent = place.lend(output);
        let sent: Vec<u8> = (0..1_u32 << 20).map(|byte| byte as u8).collect();
        assert!(!place.write(once(&sent)).expect("no panic"), "no socket takes so much");
        assert!(!place.write(once(b"more")).expect("no panic"), "the rest comes first");
        let output = lent.take_back().expect("it was lent");
        assert!(!output.bytes.is_empty() && output.bytes.len() < sent.len());
        let mut read = vec![0; sent.len() - output.bytes.len()];
        there.read_exact(&mut read).await.expect("it was written");
        assert!([read, output.bytes].concat() == sent);
    }

    #[tokio::test]
    async fn more_than_one_write_is_left_to_the_task() {
        let (place, (output, _there)) = (IdleWriter::default(), pair());
        let lent = place.lend(output);
        let always = |out: &mut Vec<u8>, _| out.push(1);
        assert!(!place.write(always).expect("no panic"));
        assert_eq!(lent.take_back().expect("it was lent").bytes, [1]);
    }

    #[tokio::test]
    async fn a_socket_whose_task_is_gone_is_closed() {
        let (place, (output, mut there)) = (IdleWriter::default(), pair());
        drop(place.lend(output));
        assert_eq!(there.read(&mut [0; 8]).await.expect("the end"), 0);
    }

    #[tokio::test]
    async fn a_panic_of_what_it_is_filled_from_is_returned() {
        let (place, (output, _there)) = (IdleWriter::default(), pair());
        let _lent = place.lend(output);
        let panic = place.write(|_, _| panic!("unlucky")).expect_err("it panics");
        assert!(panic.to_string().contains("unlucky"), "{panic}");
    }
}
