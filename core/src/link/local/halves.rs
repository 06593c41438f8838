//! The two directions of a Unix socket.
//!
//! A stream of tokio is woken whenever the peer has read something, since there is room for more
//! then. A writer that does not wait for room has no use for that, and at everyday rates it is a
//! wake-up for each frame. So the reading half waits for bytes alone, and the writing half for room
//! only while a write waits for it.

use std::io::{self, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

use super::super::progress::{Incoming, Outgoing, unacknowledged};

/// Both halves of a stream.
pub(in crate::link) fn split(stream: tokio::net::UnixStream) -> io::Result<(ReadHalf, WriteHalf)> {
    let socket = Arc::new(stream.into_std()?);
    let bytes = wait_for(Interest::READABLE, Arc::clone(&socket))?;
    Ok((ReadHalf { bytes }, WriteHalf { socket, room: None }))
}

/// Has the runtime wait for this at a socket.
#[allow(unsafe_code, reason = "tokio cannot know that the descriptor stays open")]
fn wait_for(what: Interest, socket: Arc<UnixStream>) -> io::Result<AsyncFd<Arc<UnixStream>>> {
    // SAFETY: the `Arc` is owned by the result, and its descriptor is open until it is dropped.
    Ok(unsafe { AsyncFd::register_with_interest(socket, what) }?)
}

/// The half that receives.
pub(in crate::link) struct ReadHalf {
    bytes: AsyncFd<Arc<UnixStream>>,
}

impl AsyncRead for ReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.bytes.poll_read_ready(cx))?;
            let free = buffer.remaining();
            match read(ready.get_inner(), buffer) {
                Ok(read) => {
                    // There was no more. The system tells of what comes from now on.
                    if read > 0 && read < free {
                        ready.clear_ready();
                    }
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

/// Reads what has come, without clearing the buffer first. Returns the number of bytes.
#[allow(unsafe_code, reason = "a cleared buffer costs more than a short read")]
fn read(socket: &UnixStream, buffer: &mut ReadBuf<'_>) -> io::Result<usize> {
    // SAFETY: the system writes to these bytes, and makes none of them uninitialised.
    let free = unsafe { buffer.unfilled_mut() };
    let (read, _) = rustix::io::read(socket, free)?;
    let read = read.len();
    // SAFETY: so many were written.
    unsafe { buffer.assume_init(read) };
    buffer.advance(read);
    Ok(read)
}

/// Bytes do not wait for others there.
impl Incoming for ReadHalf {
    fn segments(&self) -> Option<u32> {
        None
    }
}

/// The half that sends. When it is dropped, the peer reads to the end.
pub(in crate::link) struct WriteHalf {
    socket: Arc<UnixStream>,
    /// The socket again, from when a write had to wait until the next flush.
    room: Option<AsyncFd<Arc<UnixStream>>>,
}

impl AsyncWrite for WriteHalf {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let ready = match &self.room {
                Some(room) => Some(ready!(room.poll_write_ready(cx))?),
                None => None,
            };
            match self.socket.as_ref().write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => match ready {
                    Some(mut ready) => ready.clear_ready(),
                    None => {
                        // A descriptor is waited for once.
                        let again = Arc::new(self.socket.try_clone()?);
                        self.room = Some(wait_for(Interest::WRITABLE, again)?);
                    }
                },
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.room = None;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.shutdown(Shutdown::Write))
    }
}

impl Outgoing for WriteHalf {
    fn unacknowledged(&self) -> Option<usize> {
        unacknowledged(&*self.socket)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.as_ref().write(bytes)
    }
}

impl Drop for WriteHalf {
    fn drop(&mut self) {
        // An error says that the peer is gone already.
        let _ = self.socket.shutdown(Shutdown::Write);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn pair() -> (ReadHalf, WriteHalf, tokio::net::UnixStream) {
        let (here, there) = tokio::net::UnixStream::pair().expect("a pair");
        let (reader, writer) = split(here).expect("it is registered");
        (reader, writer, there)
    }

    #[tokio::test]
    async fn what_one_half_sends_arrives_in_order_also_when_it_has_to_wait_for_room() {
        let (mut reader, mut writer, there) = pair();
        let sent: Vec<u8> = (0..3_u32 << 20).map(|byte| (byte / 7) as u8).collect();
        let (mut from, mut to) = there.into_split();
        let echo = tokio::spawn(async move { tokio::io::copy(&mut from, &mut to).await });
        let mut back = vec![0; sent.len()];
        let (written, read) = tokio::join!(
            async {
                writer.write_all(&sent).await?;
                assert!(writer.room.is_some(), "no socket takes so much at once");
                writer.flush().await
            },
            reader.read_exact(&mut back)
        );
        written.expect("it is sent");
        read.expect("it comes back");
        assert!(back == sent);
        assert!(writer.room.is_none(), "nothing waits for room any more");
        drop(writer);
        assert_eq!(reader.read(&mut [0; 8]).await.expect("the end"), 0);
        echo.await.expect("it ends").expect("and has copied all");
    }

    /// Checks that the task of the reader is not woken because the peer has read something.
    #[tokio::test]
    async fn room_wakes_nobody_who_does_not_wait_for_it() {
        let (mut reader, mut writer, mut there) = pair();
        let mut byte = [0; 1];
        let mut buffer = ReadBuf::new(&mut byte);
        let mut noop = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut reader).poll_read(&mut noop, &mut buffer).is_pending());
        writer.write_all(b"x").await.expect("there is room");
        there.read_exact(&mut [0; 1]).await.expect("it came");
        let woken = tokio::time::timeout(
            std::time::Duration::from_millis(50),
            reader.bytes.async_io(Interest::WRITABLE, |_| Ok(())),
        );
        assert!(woken.await.is_err(), "it is not told of room");
        there.write_all(b"y").await.expect("there is room");
        assert_eq!(reader.read(&mut [0; 8]).await.expect("it came"), 1);
    }

    #[tokio::test]
    async fn a_peer_that_is_gone_ends_reads_and_fails_writes() {
        let (mut reader, mut writer, there) = pair();
        drop(there);
        assert_eq!(reader.read(&mut [0; 8]).await.expect("the end"), 0);
        let failed = writer.write_all(b"x").await.expect_err("nobody reads it");
        assert_eq!(failed.kind(), io::ErrorKind::BrokenPipe);
    }
}
