//! Traffic of the connections, shown to the checker.

use bytes::{Buf, Bytes};
use samestate_proto::replication::Replica;
use samestate_proto::wire::{FRAME_HEADER_BYTES, Frame, Message};

use super::World;
use super::links::{CLIENT, SERVER};
use crate::faults::KillMoment;
use crate::virtual_time::network::EndId;

impl World {
    /// Checks the frames that a replica has just written, and what it did not write.
    pub(super) fn check_sent(&mut self, slot: usize, end: EndId, bytes: &Bytes) {
        let mut rest = bytes.clone();
        while let Some(frame) = next_frame(&mut rest) {
            let Ok(message) = Message::read(&frame) else { continue };
            self.check(slot, |checker, view, now| checker.sent(end, &message, view, now));
            if let Message::SessionOpened { claim, .. } = message {
                self.issued(slot, claim.session);
            }
        }
        if bytes.is_empty() || end.side == SERVER {
            self.check(slot, |checker, view, _| checker.idle(end, view, false));
        }
    }

    /// Shows the checker a frame that a replica is about to receive.
    pub(super) fn check_heard(&mut self, slot: usize, end: EndId, frame: &Frame) {
        if let Some(connection) = self.connections.get_mut(end.connection) {
            connection.end_mut(end.side).heard_at = self.now;
        }
        if let Ok(message) = Message::read(frame) {
            let sequencer = self.replica(slot).is_some_and(Replica::is_sequencer);
            match (&message, end.side) {
                (Message::Status(_), CLIENT) => self.comes(slot, KillMoment::Attached),
                (Message::SessionOpen { .. }, SERVER) if sequencer => {
                    self.comes(slot, KillMoment::SessionIssued);
                }
                _ => {}
            }
            self.check(slot, |checker, view, _| {
                checker.heard(end, &message, view);
                Ok(())
            });
        }
    }

    /// Checks the connections of a slot over which nothing is about to be written.
    pub(super) fn check_links(&mut self, slot: usize) {
        let at_rest = |(connection, side)| EndId { connection, side };
        let ends: Vec<EndId> = self
            .connections
            .iter()
            .flat_map(|(number, found)| {
                let rests = move |side| {
                    let end = found.end(side);
                    end.slot == slot && end.up && !end.closed && !end.awake
                };
                [CLIENT, SERVER]
                    .into_iter()
                    .filter(move |side| rests(*side))
                    .map(move |side| at_rest((number, side)))
            })
            .collect();
        for end in ends {
            self.check(slot, |checker, view, _| checker.idle(end, view, true));
        }
    }
}

/// Takes the next frame off what a replica has written.
fn next_frame(bytes: &mut Bytes) -> Option<Frame> {
    let header = bytes.first_chunk::<FRAME_HEADER_BYTES>()?;
    let word = |at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    let (len, channel, kind) = (word(0) as usize, word(8), header[12]);
    bytes.advance(FRAME_HEADER_BYTES);
    let body = (len <= bytes.len()).then(|| bytes.split_to(len))?;
    Some(Frame { channel, kind, body })
}
