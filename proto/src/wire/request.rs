//! Requests about a store, to a process that serves it, and the replies to them.
//!
//! They are frames of the connection itself, on the channel that no store has, and the one who asks
//! needs no copy of the store. From version 4 of the protocol on.

use super::message::{put_lineage, put_text, put_version, read_lineage, read_version};
use super::{Frame, Reader, WireError, begin_frame, finish_frame};
use crate::{Lineage, Version};

/// The thing that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RequestKind {
    /// The epochs that the store descends from there.
    Lineage = 1,
    /// Take the place of the store's sequencer.
    Promote = 2,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The thing that is asked for.
    pub kind: RequestKind,
    /// The name of the store.
    pub store: String,
}

impl Request {
    /// The kind of its frame.
    pub const FRAME: u8 = 32;

    /// Appends it to `out`, framed.
    pub fn write(&self, out: &mut Vec<u8>, channel: u32) {
        let start = begin_frame(out, channel, Request::FRAME);
        out.push(self.kind as u8);
        put_text(out, &self.store);
        finish_frame(out, start);
    }

    /// Reads a frame of kind [`Request::FRAME`].
    ///
    /// # Errors
    ///
    /// If bytes are missing or left over, or the thing that is asked for is unknown.
    pub fn read(frame: &Frame) -> Result<Self, WireError> {
        let mut body = Reader::new(&frame.body);
        let kind = match body.u8("request")? {
            1 => RequestKind::Lineage,
            2 => RequestKind::Promote,
            _ => return Err(WireError::Malformed("request")),
        };
        let store = body.text("store")?;
        body.done("request")?;
        Ok(Request { kind, store })
    }
}

/// The reply to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The epochs, and whether it is the sequencer.
    Lineage {
        /// It orders the actions.
        orders: bool,
        /// The epochs.
        lineage: Lineage,
    },
    /// It is the sequencer now, and continues at this version.
    Promoted(Version),
    /// It does not do that, for this reason.
    Refused(String),
}

impl Reply {
    /// The kind of its frame.
    pub const FRAME: u8 = 33;

    /// Appends it to `out`, framed.
    pub fn write(&self, out: &mut Vec<u8>, channel: u32) {
        let start = begin_frame(out, channel, Reply::FRAME);
        match self {
            Reply::Lineage { orders, lineage } => {
                out.push(1);
                out.push(u8::from(*orders));
                put_lineage(out, lineage);
            }
            Reply::Promoted(version) => {
                out.push(2);
                put_version(out, *version);
            }
            Reply::Refused(why) => {
                out.push(3);
                put_text(out, why);
            }
        }
        finish_frame(out, start);
    }

    /// Reads a frame of kind [`Reply::FRAME`].
    ///
    /// # Errors
    ///
    /// If bytes are missing or left over, or the kind of the reply is unknown.
    pub fn read(frame: &Frame) -> Result<Self, WireError> {
        let mut body = Reader::new(&frame.body);
        let reply = match body.u8("reply")? {
            1 => Reply::Lineage { orders: body.flag("orders")?, lineage: read_lineage(&mut body)? },
            2 => Reply::Promoted(read_version(&mut body)?),
            3 => Reply::Refused(body.text("reason")?),
            _ => return Err(WireError::Malformed("reply")),
        };
        body.done("reply")?;
        Ok(reply)
    }
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};

    use super::*;
    use crate::Epoch;
    use crate::wire::Decoder;

    fn framed(write: impl FnOnce(&mut Vec<u8>)) -> Frame {
        let mut out = Vec::new();
        write(&mut out);
        let mut bytes = BytesMut::from(&out[..]);
        Decoder::new(4096).decode(&mut bytes).expect("it is whole").expect("it is one frame")
    }

    fn requests() -> [Request; 2] {
        [RequestKind::Lineage, RequestKind::Promote]
            .map(|kind| Request { kind, store: "tasks".into() })
    }

    fn replies() -> [Reply; 3] {
        let epoch = Epoch { number: 7, id: 9 };
        [
            Reply::Lineage { orders: true, lineage: Lineage::founded(epoch) },
            Reply::Promoted(Version { epoch, seq: 12 }),
            Reply::Refused("it is the sequencer already".into()),
        ]
    }

    #[test]
    fn what_is_written_is_read() {
        for request in requests() {
            let frame = framed(|out| request.write(out, 0));
            assert_eq!((frame.channel, frame.kind), (0, Request::FRAME));
            assert_eq!(Request::read(&frame), Ok(request));
        }
        for reply in replies() {
            let frame = framed(|out| reply.write(out, 0));
            assert_eq!((frame.channel, frame.kind), (0, Reply::FRAME));
            assert_eq!(Reply::read(&frame), Ok(reply));
        }
    }

    /// A change of these bytes is a new version of the protocol.
    #[test]
    fn the_bytes_stay_what_they_are() {
        let request = framed(|out| requests()[1].write(out, 0));
        assert_eq!(&request.body[..], b"\x02\x05\0tasks");
        let [lineage, promoted, refused] = replies().map(|reply| framed(|out| reply.write(out, 0)));
        let epoch = b"\x07\0\0\0\x09\0\0\0\0\0\0\0";
        assert_eq!(&lineage.body[..], [&b"\x01\x01\x01"[..], epoch, &[0; 8]].concat());
        assert_eq!(&promoted.body[..], [&b"\x02"[..], epoch, b"\x0c\0\0\0\0\0\0\0"].concat());
        assert_eq!(&refused.body[..], b"\x03\x1b\0it is the sequencer already");
    }

    #[test]
    fn what_is_cut_or_too_long_is_an_error() {
        let request = framed(|out| requests()[0].write(out, 0));
        let replies = replies().map(|reply| framed(|out| reply.write(out, 0)));
        let body = |frame: &Frame, body: &[u8]| Frame {
            body: Bytes::copy_from_slice(body),
            ..frame.clone()
        };
        for frame in replies.iter().chain([&request]) {
            let read = |frame: &Frame| match frame.kind {
                Request::FRAME => Request::read(frame).map(drop),
                _ => Reply::read(frame).map(drop),
            };
            for len in 0..frame.body.len() {
                assert!(read(&body(frame, &frame.body[..len])).is_err(), "{frame:?} {len}");
            }
            let longer = [&frame.body[..], &[0]].concat();
            assert!(read(&body(frame, &longer)).is_err(), "{frame:?}");
            let unknown = [&[9], &frame.body[1..]].concat();
            assert!(read(&body(frame, &unknown)).is_err(), "{frame:?}");
        }
    }
}
