//! The protocol as it was released: a recorded conversation that today's code has to hold, byte for
//! byte, at either end.
//!
//! `protocol-N.txt` is made by `cargo test --test upgrades -- --ignored`, once for each version N
//! of the protocol: a change of one byte changes the protocol, and needs a new version of it. There
//! is one exception. The numbers of sessions are the sequencer's choice and mean nothing to others,
//! so all recordings are made anew when it chooses others. The login is not in it, since its bytes
//! differ each time by design; its form is RFC 5802's, and `auth` compares it with the example of
//! RFC 7677.

use std::collections::BTreeSet;

use bytes::Bytes;
use samestate_proto::NodeId;
use samestate_proto::wire::{
    Attach, Codec, Entry, Frame, Message, PROTOCOL_OLDEST, PROTOCOL_VERSION, PartialSnapshot,
    WireError, channel_of,
};

use super::halves::{Half, REFUSED};
use super::tape::{Event, Step, Tape, frame, meaning};

const TITLE: &str = "a store `list` of u32, a sequencer and a client of it, over link 1.\n\
    Over links 2 and 3 a client that is written by hand: one that resumes, and one that \
    is refused.";

/// The version from which on a client names the part of a snapshot that it has.
const RESUMES_SNAPSHOTS: u16 = 2;

/// Added to the title from that version on.
const TITLE_OF_PARTIAL: &str = "\nOver link 4 one that has a part of a snapshot already.";

/// The recordings, with their versions.
fn tapes() -> [(u16, Tape); 4] {
    [
        (1, Tape::parse(include_str!("protocol-1.txt"))),
        (2, Tape::parse(include_str!("protocol-2.txt"))),
        (3, Tape::parse(include_str!("protocol-3.txt"))),
        (4, Tape::parse(include_str!("protocol-4.txt"))),
    ]
}

/// Returns the events of a new recording.
fn script() -> Vec<Event> {
    let mut script = vec![Event::Link(1)];
    script.extend([6, 7].map(Event::Server));
    script.extend([8, REFUSED, 9].map(Event::Client));
    script.extend([Event::Wait(600), Event::Server(10), Event::Client(11), Event::Wait(600)]);
    script
}

/// Returns the messages that a hand-written client sends, each with its link.
fn by_hand(protocol: u16, claimed: &Message) -> Vec<(u64, Message)> {
    let Message::SessionOpened { claim, at, .. } = claimed else { panic!("a grant") };
    let attach = |schema_version, resume| attach(protocol, schema_version, resume, None);
    let mut entries = Vec::new();
    for counter in [1, 2] {
        Entry::write(&mut entries, claim.session, counter, 0, &[8]);
    }
    let again = Message::Dispatch { hop: 1, claim: *claim, oldest: 1, entries: entries.into() };
    vec![
        (2, attach(1, Some(*at))),
        (2, again),
        (2, Message::SessionOpen { hop: 1, request: 77 }),
        (2, Message::Heal { seq: 2 }),
        (2, Message::Heartbeat { seq: 2 }),
        (2, Message::Fetch),
        (2, Message::Detach),
        (3, attach(2, None)),
    ]
}

fn attach(
    protocol: u16,
    schema_version: u32,
    resume: Option<samestate::Version>,
    partial: Option<PartialSnapshot>,
) -> Message {
    Message::Attach(Attach {
        protocol,
        node: NodeId(3),
        store: "list".into(),
        schema_version,
        codec: Codec::MessagePack,
        resume,
        partial,
        takes_patches: false,
    })
}

/// Two halves that talk, and the tape that runs.
struct Recorder {
    server: Half,
    client: Half,
    tape: Tape,
}

impl Recorder {
    fn happens(&mut self, event: Event) {
        self.tape.steps.push(Step::Event(event));
        self.server.happens(event);
        self.client.happens(event);
        self.talk();
    }

    fn talk(&mut self) {
        loop {
            if let Some((link, frame)) = self.client.written.pop_front() {
                self.say(link, frame);
            } else if let Some((link, frame)) = self.server.written.pop_front() {
                if link == 1 {
                    self.client.hears(link, &frame);
                }
                self.tape.steps.push(Step::FromServer(link, frame));
            } else {
                return;
            }
        }
    }

    fn say_by_hand(&mut self, link: u64, message: &Message) {
        let mut out = Vec::new();
        message.write(&mut out, channel_of("list"));
        self.say(link, out.into());
        self.talk();
    }

    /// Returns the messages so far, newest first.
    fn said(&self) -> Vec<Message> {
        let said = self.tape.frames().map(|bytes| Message::read(&frame(bytes)).expect("ours"));
        said.collect::<Vec<_>>().into_iter().rev().collect()
    }

    fn say(&mut self, link: u64, frame: Bytes) {
        self.server.hears(link, &frame);
        self.tape.steps.push(Step::FromClient(link, frame));
    }
}

#[test]
#[ignore = "makes the recordings anew, see above"]
fn record() {
    for version in PROTOCOL_OLDEST..=PROTOCOL_VERSION {
        record_version(version);
    }
}

fn record_version(version: u16) {
    let (server, client) = (Half::server(), Half::client(version));
    let mut recorder = Recorder { server, client, tape: Tape::default() };
    script().into_iter().for_each(|event| recorder.happens(event));
    let said = recorder.said();
    let grant = said.into_iter().find(|said| matches!(said, Message::SessionOpened { .. }));
    [2, 3].into_iter().for_each(|link| recorder.happens(Event::Link(link)));
    for (link, message) in by_hand(version, &grant.expect("the client dispatched")) {
        recorder.say_by_hand(link, &message);
    }
    let mut title = format!("Protocol {version}: {TITLE}");
    if version >= RESUMES_SNAPSHOTS {
        let head = recorder.said().into_iter().find_map(|said| match said {
            Message::SnapshotHead(head) => Some(head),
            _ => None,
        });
        let partial = PartialSnapshot::new(&head.expect("it asked for one"), 1);
        recorder.happens(Event::Link(4));
        recorder.say_by_hand(4, &attach(version, 1, None, Some(partial)));
        title += TITLE_OF_PARTIAL;
    }
    let path = format!("{}/tests/upgrades/protocol-{version}.txt", env!("CARGO_MANIFEST_DIR"));
    std::fs::write(path, recorder.tape.print(&title)).expect("it is written");
}

#[test]
fn todays_server_answers_each_recorded_client_byte_for_byte() {
    for (version, tape) in tapes() {
        let mut server = Half::server();
        for (at, step) in tape.steps.into_iter().enumerate() {
            match step {
                Step::Event(event) => server.happens(event),
                Step::FromClient(link, bytes) => server.hears(link, &bytes),
                Step::FromServer(link, bytes) => {
                    let said = server.written.pop_front();
                    let words = said.as_ref().map(|said| meaning(&said.1));
                    assert_eq!(said, Some((link, bytes)), "{version}, step {at}: {words:?}");
                }
            }
        }
        assert!(server.written.is_empty(), "it says no more than it did");
        assert_eq!(server.state(), [5, 6, 7, 8, 9, 10, 11]);
    }
}

#[test]
fn todays_client_says_to_each_recorded_server_what_it_said() {
    for (version, tape) in tapes() {
        let mut client = Half::client(version);
        for (at, step) in tape.steps.into_iter().enumerate() {
            match step {
                Step::Event(event) => client.happens(event),
                Step::FromServer(1, bytes) => client.hears(1, &bytes),
                Step::FromClient(1, bytes) => {
                    let said = client.written.pop_front();
                    let words = said.as_ref().map(|said| meaning(&said.1));
                    assert_eq!(said, Some((1, bytes)), "{version}, step {at}: {words:?}");
                }
                Step::FromServer(..) | Step::FromClient(..) => {}
            }
        }
        assert!(client.written.is_empty(), "it says no more than it did");
        assert_eq!(client.state(), [5, 6, 7, 8, 9, 10, 11]);
    }
}

#[test]
fn every_recorded_frame_still_means_what_it_meant_and_is_written_as_it_was() {
    for (_, tape) in tapes() {
        // What a field that is new since then is has no meaning in an older recording.
        let since = [", partial: None", ", takes_patches: false", ", patches: None"];
        let plain = |meaning: &str| {
            since.iter().fold(meaning.to_owned(), |text, new| text.replace(new, ""))
        };
        let meanings: Vec<String> = tape.frames().map(|bytes| plain(&meaning(bytes))).collect();
        let recorded: Vec<String> = tape.meanings.iter().map(|meaning| plain(meaning)).collect();
        assert_eq!(meanings, recorded);
        for bytes in tape.frames() {
            let frame = frame(bytes);
            let mut again = Vec::new();
            Message::read(&frame).expect("a message").write(&mut again, frame.channel);
            assert_eq!(again, bytes[..], "{}", meaning(bytes));
        }
    }
}

#[test]
fn the_recordings_have_every_kind_of_message_that_a_replica_hears() {
    let tapes = tapes();
    let frames = tapes.iter().flat_map(|(_, tape)| tape.frames());
    let recorded: BTreeSet<u8> = frames.map(|bytes| frame(bytes).kind).collect();
    let is_known = |kind: &u8| {
        let read = Message::read(&Frame { channel: 1, kind: *kind, body: Bytes::new() });
        read != Err(WireError::UnknownKind(*kind))
    };
    let known: BTreeSet<u8> = (0..=u8::MAX).filter(is_known).collect();
    assert_eq!(recorded, known);
    let versions: Vec<u16> = tapes.iter().map(|tape| tape.0).collect();
    let spoken: Vec<u16> = (PROTOCOL_OLDEST..=PROTOCOL_VERSION).collect();
    assert_eq!(versions, spoken, "a recording for each version that is still spoken");
}
