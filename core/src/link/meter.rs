//! The traffic of one store on a connection, and the name of the peer, for monitoring.

use std::sync::atomic::{AtomicU64, Ordering};

use samestate_proto::wire::FRAME_HEADER_BYTES;
use tracing::Span;

use super::Side;

/// The traffic of one store on a connection. Counted in frames of that store; what the connection
/// says for itself (login, encryption) is in [`super::LinkStats`].
#[derive(Debug)]
pub(crate) struct Meter {
    peer: String,
    side: Side,
    span: Span,
    frames_sent: AtomicU64,
    frames_received: AtomicU64,
    bytes_sent: AtomicU64,
    bytes_received: AtomicU64,
}

/// The traffic of a link, in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Traffic {
    /// Frames sent.
    pub frames_sent: u64,
    /// Frames received.
    pub frames_received: u64,
    /// Bytes of the frames sent, headers included.
    pub bytes_sent: u64,
    /// Bytes of the frames received, headers included.
    pub bytes_received: u64,
}

impl Meter {
    /// Creates a meter without traffic. `peer`: the other end, for the operator. Events of this
    /// link are in `span`.
    pub(crate) fn new(peer: String, side: Side, span: Span) -> Self {
        let [frames_sent, frames_received, bytes_sent, bytes_received] =
            [const { AtomicU64::new(0) }; 4];
        Meter { peer, side, span, frames_sent, frames_received, bytes_sent, bytes_received }
    }

    /// Returns a description of the peer, for the operator.
    pub(crate) fn peer(&self) -> &str {
        &self.peer
    }

    /// Returns the side of the link that this process is on.
    pub(crate) fn side(&self) -> Side {
        self.side
    }

    /// The span of the connection.
    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// Returns the traffic so far.
    pub(crate) fn traffic(&self) -> Traffic {
        Traffic {
            frames_sent: self.frames_sent.load(Ordering::Relaxed),
            frames_received: self.frames_received.load(Ordering::Relaxed),
            bytes_sent: self.bytes_sent.load(Ordering::Relaxed),
            bytes_received: self.bytes_received.load(Ordering::Relaxed),
        }
    }

    /// A frame came, with a body of this length.
    pub(super) fn received(&self, body_bytes: usize) {
        self.frames_received.fetch_add(1, Ordering::Relaxed);
        self.bytes_received.fetch_add((FRAME_HEADER_BYTES + body_bytes) as u64, Ordering::Relaxed);
    }

    /// These whole frames are to be sent.
    pub(super) fn sent(&self, frames: &[u8]) {
        let (mut count, mut rest) = (0, frames);
        while let Some((len, _)) = rest.split_first_chunk() {
            let frame = FRAME_HEADER_BYTES + u32::from_le_bytes(*len) as usize;
            rest = rest.get(frame..).unwrap_or_default();
            count += 1;
        }
        self.frames_sent.fetch_add(count, Ordering::Relaxed);
        self.bytes_sent.fetch_add(frames.len() as u64, Ordering::Relaxed);
    }
}

impl std::ops::AddAssign for Traffic {
    fn add_assign(&mut self, other: Traffic) {
        self.frames_sent += other.frames_sent;
        self.frames_received += other.frames_received;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
    }
}

#[cfg(test)]
mod tests {
    use samestate_proto::wire::{begin_frame, finish_frame};

    use super::*;

    #[test]
    fn frames_are_counted_one_by_one_however_many_are_written_at_once() {
        let mut out = Vec::new();
        for body in [&b"one"[..], b"", b"three"] {
            let start = begin_frame(&mut out, 7, 1);
            out.extend_from_slice(body);
            finish_frame(&mut out, start);
        }
        let meter = Meter::new("a peer".into(), Side::Downstream, Span::none());
        meter.sent(&out);
        meter.received(10);
        let counted = meter.traffic();
        assert_eq!((counted.frames_sent, counted.bytes_sent), (3, 3 * 16 + 8));
        assert_eq!((counted.frames_received, counted.bytes_received), (1, 26));
    }
}
