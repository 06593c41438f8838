//! One connection: a reader that hands frames to stores, and a writer that asks stores for bytes.
//!
//! The reader calls stores directly, so that one that is slow to apply slows its peer down. The
//! writer is a task of its own. It sleeps until a store wakes it, asks every store that did for its
//! share of a round, sends the round in one write, and goes on until no store has more; so entries
//! gather by themselves while the socket is busy, and none waits while it is idle. A single entry
//! on an idle link does not wake the task (see `writer`). A write fails
//! when the peer takes no bytes for a while (see `progress`); that ends the connection. On a slow
//! link a round is small, so that answers do not wait behind it for long.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use samestate_proto::wire::Decoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::channels::{Round, Shared};
use super::close_reason::CloseReason;
use super::progress::Arrivals;
use super::socket::{Reader, Socket};
use super::writer::{Output, Writer};
use crate::task::{Panicked, guarded};

/// A read takes at most this many bytes; it begins with the smaller number.
const READ_BYTES: std::ops::RangeInclusive<usize> = (16 << 10)..=(256 << 10);

/// The shortest interval at which a connection tells its stores that bytes arrived.
const HEARD_EVERY: Duration = Duration::from_millis(100);

/// After so long without anything to read, it is looked whether something came all the same. An
/// idle peer sends heartbeats more often, unless told otherwise.
const QUIET: Duration = Duration::from_millis(750);

/// From then on, it is looked this often.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// After a read of this many bytes others on the same thread get a turn: it may hold thousands of
/// small frames.
const LONG_READ_BYTES: usize = 64 << 10;

/// A round sends about this many bytes, over all stores; it begins with the smaller number.
const WRITE_BYTES: std::ops::RangeInclusive<usize> = (16 << 10)..=(256 << 10);

/// A full round that took longer than this is followed by a smaller one, any other by a larger one.
const ROUND_TIME: Duration = Duration::from_millis(100);

/// Each store with something to send gets at least this much of a round.
const SHARE_BYTES_MIN: usize = 16 << 10;

/// The time that queued bytes get to leave after this side closes, and that bytes which have come
/// get to be read after the peer went.
const CLOSE_GRACE: Duration = Duration::from_millis(500);

/// Tells connections to close: becomes true, or is dropped.
pub(super) type Stop = watch::Receiver<bool>;

pub(super) async fn stopped(stop: &mut Stop) {
    // An error means that the sender is gone, so the answer is the same.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Runs a connection that is logged in, until it ends. Every store that was told of it is told of
/// its end, also when this future is dropped.
pub(super) async fn run(socket: Socket, shared: Arc<Shared>, mut stop: Stop) -> CloseReason {
    let joined = Joined::new(shared);
    let shared = &joined.0;
    let Socket { reader, writer, buffer, arrivals } = socket;
    let writing = write(shared.clone(), writer, stop.clone());
    let mut writing = Writing(tokio::spawn(guarded("writer of a link", writing)));
    let reading = guarded("reader of a link", read(shared, reader, buffer, &arrivals));
    let mut reading = pin!(reading);
    let ending = tokio::select! {
        ending = &mut reading => ending.unwrap_or_else(CloseReason::Panicked),
        // It was not aborted, so it is done.
        ended = &mut writing.0 => {
            let ending = ended.map_or(CloseReason::ClosedHere, |ending| {
                ending.unwrap_or_else(CloseReason::Panicked)
            });
            // The last that a peer sent before it went has come, and is read to its end.
            if matches!(ending, CloseReason::Closed | CloseReason::Io(_)) {
                let _ = tokio::time::timeout(CLOSE_GRACE, &mut reading).await;
            }
            ending
        }
        () = shared.signals.ended.notified() => CloseReason::ClosedHere,
        () = take_off_faulted(shared) => CloseReason::ClosedHere,
        () = stopped(&mut stop) => {
            let _ = tokio::time::timeout(CLOSE_GRACE, &mut writing.0).await;
            CloseReason::ClosedHere
        }
    };
    if !writing.0.is_finished() {
        writing.0.abort();
        let _ = (&mut writing.0).await;
    }
    match shared.signals.take_ending() {
        // What a peer does of a connection that is being closed here does not matter.
        _ if *stop.borrow() => CloseReason::ClosedHere,
        Some(why) => why,
        None => ending,
    }
}

/// The writer's task, which does not outlive its connection.
struct Writing(JoinHandle<Result<CloseReason, Panicked>>);

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Membership in the registry.
struct Joined(Arc<Shared>);

impl Joined {
    fn new(shared: Arc<Shared>) -> Self {
        shared.ports.joined(&shared);
        Joined(shared)
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.0.ports.left(&self.0);
    }
}

/// Never ends: takes off the stores that cannot go on.
async fn take_off_faulted(shared: &Shared) {
    loop {
        shared.signals.faulted.notified().await;
        shared.take_off_faulted();
    }
}

async fn read(
    shared: &Arc<Shared>,
    mut reader: Reader,
    mut buffer: BytesMut,
    arrivals: &Arrivals,
) -> CloseReason {
    let mut room = *READ_BYTES.start();
    let mut last = None;
    let mut heard_at = Instant::now();
    loop {
        loop {
            match Decoder::new(shared.frame_bytes_max()).decode(&mut buffer) {
                Ok(Some(frame)) => {
                    if let Err(ending) = shared.receive(&mut last, frame) {
                        return ending;
                    }
                }
                Ok(None) => break,
                Err(error) => return CloseReason::Garbage(error),
            }
        }
        if heard_at.elapsed() >= HEARD_EVERY {
            heard_at = Instant::now();
            shared.heard();
        }
        buffer.reserve(room);
        match read_some(shared, &mut reader, &mut buffer, arrivals).await {
            Ok(0) if buffer.is_empty() => return CloseReason::Closed,
            Ok(0) => return CloseReason::Truncated,
            Ok(read) => {
                shared.signals.heard();
                if read >= room {
                    room = (room * 2).min(*READ_BYTES.end());
                }
                if read >= LONG_READ_BYTES {
                    tokio::task::yield_now().await;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                return CloseReason::Closed;
            }
            // A peer that died without the last word of TLS.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return if buffer.is_empty() {
                    CloseReason::Closed
                } else {
                    CloseReason::Truncated
                };
            }
            Err(error) => return CloseReason::Io(error),
        }
    }
}

/// Waits until there is something to read. What has come and cannot be read yet says meanwhile that
/// the peer lives.
async fn read_some(
    shared: &Shared,
    reader: &mut Reader,
    buffer: &mut BytesMut,
    arrivals: &Arrivals,
) -> io::Result<usize> {
    // The first number is from before this call.
    let mut last = Last::Stale;
    loop {
        let wait = if matches!(last, Last::Stale) { QUIET } else { LOOK_EVERY };
        match tokio::time::timeout(wait, reader.read_buf(buffer)).await {
            Ok(read) => return read,
            Err(_) => {
                let next = arrivals.next();
                if matches!(last, Last::Fresh(last) if last != next) {
                    shared.signals.heard();
                    shared.heard();
                }
                last = match last {
                    Last::Stale => Last::Asked,
                    Last::Asked | Last::Fresh(_) => Last::Fresh(next),
                };
            }
        }
    }
}

/// The last known state of arrivals.
enum Last {
    /// It may be of long ago.
    Stale,
    /// It is being asked for.
    Asked,
    Fresh(u32),
}

async fn write(shared: Arc<Shared>, writer: Box<dyn Writer>, mut stop: Stop) -> CloseReason {
    let mut output = Output::new(writer);
    let mut round = Round::default();
    let mut room = *WRITE_BYTES.start();
    let mut closing = false;
    loop {
        shared.begin_round(&mut round, &mut output.bytes);
        let share = (room / round.attached.len().max(1)).max(SHARE_BYTES_MIN);
        for attached in &round.attached {
            attached.fill(&mut output.bytes, share);
        }
        if !output.bytes.is_empty() {
            let began = Instant::now();
            if let Err(error) = send(&mut output.socket, &output.bytes).await {
                return CloseReason::of_write(error);
            }
            room = next_room(room, output.bytes.len(), began.elapsed());
            output.written(2 * WRITE_BYTES.end());
            // Tasks that make entries on this thread run first, so that more entries gather.
            tokio::task::yield_now().await;
        } else if closing {
            let _ = output.socket.shutdown().await;
            return CloseReason::ClosedHere;
        } else {
            let lent = shared.signals.idle.lend(output);
            tokio::select! {
                () = shared.signals.to_write.notified() => {}
                () = stopped(&mut stop) => closing = true,
            }
            let Some(back) = lent.take_back() else { return CloseReason::ClosedHere };
            output = back;
        }
    }
}

/// Sends a round, to its last byte: TLS keeps up to 64 KiB that a full socket did not take.
async fn send(writer: &mut Box<dyn Writer>, bytes: &[u8]) -> io::Result<()> {
    writer.write_all(bytes).await?;
    writer.flush().await
}

/// The size of the next round, after one that sent `bytes`.
fn next_room(room: usize, bytes: usize, took: Duration) -> usize {
    match took > ROUND_TIME {
        true => (room / 2).max(*WRITE_BYTES.start()),
        false if bytes >= room => (room * 2).min(*WRITE_BYTES.end()),
        false => room,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_grow_while_the_socket_takes_them_at_once_and_shrink_when_it_does_not() {
        let (fast, slow) = (Duration::from_millis(1), Duration::from_secs(1));
        let mut room = *WRITE_BYTES.start();
        assert_eq!(next_room(room, room - 1, fast), room, "it was not full");
        for _ in 0..10 {
            room = next_room(room, room, fast);
        }
        assert_eq!(room, *WRITE_BYTES.end());
        for _ in 0..10 {
            room = next_room(room, room, slow);
        }
        assert_eq!(room, *WRITE_BYTES.start());
    }
}
