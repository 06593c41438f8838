//! A recorded conversation as a text file: one step a line.
//!
//! ```text
//! # what the frame below says, as this version of the library reads it
//! > 1 0f00...   a frame from the client, on link 1, in hex
//! < 1 0f00...   a frame from the server
//! ! link 1      something that happens at both ends
//! ```

use std::fmt::Write as _;

use bytes::{Bytes, BytesMut};
use samestate_proto::wire::{Decoder, Frame, Message};

/// Something that happens without a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A link comes up, at both ends. On a link above 1 the client's half is written by hand.
    Link(u64),
    /// The server dispatches this.
    Server(u32),
    /// The client dispatches this.
    Client(u32),
    /// This many milliseconds pass.
    Wait(u64),
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Event(Event),
    FromClient(u64, Bytes),
    FromServer(u64, Bytes),
}

/// A conversation, and what its frames were said to mean.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tape {
    pub(super) steps: Vec<Step>,
    pub(super) meanings: Vec<String>,
}

impl Tape {
    pub(super) fn parse(text: &str) -> Self {
        let mut tape = Tape::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let (mark, rest) = line.split_once(' ').expect("a mark");
            let (head, tail) = rest.split_once(' ').unwrap_or((rest, ""));
            let number = || head.parse().expect("a link");
            match mark {
                "#" => tape.meanings.push(rest.to_owned()),
                "##" => {}
                ">" => tape.steps.push(Step::FromClient(number(), from_hex(tail))),
                "<" => tape.steps.push(Step::FromServer(number(), from_hex(tail))),
                "!" => tape.steps.push(Step::Event(event(head, tail))),
                mark => panic!("{mark} is no mark"),
            }
        }
        tape
    }

    pub(super) fn print(&self, title: &str) -> String {
        let mut text = String::new();
        title.lines().for_each(|line| text += &format!("## {line}\n"));
        for step in &self.steps {
            let (mark, link, bytes) = match step {
                Step::Event(event) => {
                    let words = match event {
                        Event::Link(link) => format!("link {link}"),
                        Event::Server(item) => format!("server {item}"),
                        Event::Client(item) => format!("client {item}"),
                        Event::Wait(ms) => format!("wait {ms}"),
                    };
                    text += &format!("\n! {words}\n");
                    continue;
                }
                Step::FromClient(link, bytes) => ('>', link, bytes),
                Step::FromServer(link, bytes) => ('<', link, bytes),
            };
            let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
                write!(hex, "{byte:02x}").expect("a string takes all");
                hex
            });
            text += &format!("# {}\n{mark} {link} {hex}\n", meaning(bytes));
        }
        text
    }

    /// The frames of both sides.
    pub(super) fn frames(&self) -> impl Iterator<Item = &Bytes> {
        self.steps.iter().filter_map(|step| match step {
            Step::Event(_) => None,
            Step::FromClient(_, bytes) | Step::FromServer(_, bytes) => Some(bytes),
        })
    }
}

fn event(head: &str, tail: &str) -> Event {
    let number: u64 = tail.parse().expect("a number");
    let item = u32::try_from(number).unwrap_or(u32::MAX);
    match head {
        "link" => Event::Link(number),
        "server" => Event::Server(item),
        "client" => Event::Client(item),
        "wait" => Event::Wait(number),
        head => panic!("{head} is no event"),
    }
}

fn from_hex(text: &str) -> Bytes {
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
    (0..text.len()).step_by(2).map(byte).collect()
}

/// The one frame that these bytes are.
pub(super) fn frame(bytes: &[u8]) -> Frame {
    let mut buffer = BytesMut::from(bytes);
    let frame = Decoder::new(1 << 20).decode(&mut buffer).expect("a good frame");
    assert!(buffer.is_empty(), "one frame");
    frame.expect("a whole frame")
}

/// Cuts what a link wrote into frames.
pub(super) fn frames(bytes: &[u8]) -> Vec<Bytes> {
    let (mut rest, mut frames) = (BytesMut::from(bytes), Vec::new());
    while !rest.is_empty() {
        let before = Bytes::copy_from_slice(&rest);
        Decoder::new(1 << 20).decode(&mut rest).expect("our own frame").expect("it is whole");
        frames.push(before.slice(..before.len() - rest.len()));
    }
    frames
}

/// Describes a frame, as this version of the library reads it.
pub(super) fn meaning(bytes: &[u8]) -> String {
    format!("{:?}", Message::read(&frame(bytes)).expect("a message"))
}
