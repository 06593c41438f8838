//! A store that records what it is told, and says what it is given to say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use samestate_proto::NodeId;
use samestate_proto::replication::{LinkFault, LinkId};
use samestate_proto::wire::{Attach, Codec, Frame, Message, PROTOCOL_VERSION, channel_of};
use tokio::sync::mpsc;

use super::within;
use crate::event::EventKind;
use crate::link::{LinkEndpoint, LinkHandle, Side};

/// A call that a connection made to a store.
#[derive(Debug)]
pub(super) enum Event {
    Up(LinkId),
    Heard(LinkId, Message),
    Down(LinkId),
    Report(String),
}

struct Link {
    handle: Arc<dyn LinkHandle>,
    outbox: Vec<u8>,
}

pub(super) struct FakePort {
    name: String,
    links: Mutex<BTreeMap<LinkId, Link>>,
    events: mpsc::UnboundedSender<Event>,
    /// Says heartbeats for as long as anyone listens.
    pub(super) endless: AtomicBool,
    /// Answers `Attach` with a refusal, as an upstream, and takes a refusal for a fault.
    pub(super) refuses: AtomicBool,
    /// Bytes came for it.
    pub(super) noted: AtomicBool,
}

impl FakePort {
    pub(super) fn new(name: &str) -> (Arc<Self>, Events) {
        let (events, receiver) = mpsc::unbounded_channel();
        let port = FakePort {
            name: name.to_owned(),
            links: Mutex::default(),
            events,
            endless: AtomicBool::new(false),
            refuses: AtomicBool::new(false),
            noted: AtomicBool::new(false),
        };
        (Arc::new(port), Events(receiver))
    }

    /// Says something over one link.
    pub(super) fn say(&self, link: LinkId, message: &Message) {
        assert!(self.try_say(link, message), "the link is up");
    }

    /// Says something over one link, if it is still up.
    pub(super) fn try_say(&self, link: LinkId, message: &Message) -> bool {
        let mut links = self.links.lock();
        let channel = self.channel();
        let Some(link) = links.get_mut(&link) else { return false };
        message.write(&mut link.outbox, channel);
        link.handle.wake();
        true
    }

    pub(super) fn cut(&self, link: LinkId, why: LinkFault) {
        self.links.lock().get(&link).expect("the link is up").handle.cut(why);
    }

    fn tell(&self, event: Event) {
        // A test that no longer looks has seen enough.
        let _ = self.events.send(event);
    }

    fn attach(&self) -> Message {
        Message::Attach(Attach {
            protocol: PROTOCOL_VERSION,
            node: NodeId(1),
            store: self.name.clone(),
            schema_version: 1,
            codec: Codec::default(),
            resume: None,
            partial: None,
            takes_patches: false,
        })
    }
}

impl LinkEndpoint for FakePort {
    fn channel(&self) -> u32 {
        channel_of(&self.name)
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn frame_bytes_max(&self) -> usize {
        1 << 20
    }

    fn up(&self, link: LinkId, side: Side, _: u16, handle: Arc<dyn LinkHandle>) {
        let mut outbox = Vec::new();
        if side == Side::Upstream {
            self.attach().write(&mut outbox, self.channel());
        }
        self.links.lock().insert(link, Link { handle, outbox });
        self.tell(Event::Up(link));
    }

    fn receive(&self, link: LinkId, frame: &Frame) -> Result<(), LinkFault> {
        if !self.links.lock().contains_key(&link) {
            return Err(LinkFault::UnknownLink(link));
        }
        let message = Message::read(frame)?;
        if let Message::Refused(refusal) = message {
            return Err(LinkFault::Refused(refusal));
        }
        if matches!(message, Message::Attach(_)) && self.refuses.load(Ordering::Relaxed) {
            let kind = samestate_proto::wire::RefusalKind::Schema;
            let refusal = samestate_proto::wire::Refusal { kind, text: "another shape".into() };
            self.say(link, &Message::Refused(refusal));
        }
        self.tell(Event::Heard(link, message));
        Ok(())
    }

    fn heard(&self, _: LinkId) {
        self.noted.store(true, Ordering::Relaxed);
    }

    fn fill(&self, link: LinkId, out: &mut Vec<u8>, budget: usize) {
        let mut links = self.links.lock();
        let Some(link) = links.get_mut(&link) else { return };
        out.append(&mut link.outbox);
        let start = out.len();
        while self.endless.load(Ordering::Relaxed) && out.len() - start < budget {
            Message::Heartbeat { seq: 0 }.write(out, self.channel());
        }
    }

    fn down(&self, link: LinkId) {
        let was_up = self.links.lock().remove(&link).is_some();
        assert!(was_up, "a link ends once");
        self.tell(Event::Down(link));
    }

    fn report(&self, _: EventKind, text: &str) {
        self.tell(Event::Report(text.to_owned()));
    }
}

/// The calls that a connection made to a store, in order.
pub(super) struct Events(mpsc::UnboundedReceiver<Event>);

impl Events {
    /// The first event from here on of which `pick` makes something; those before are skipped.
    pub(super) async fn first<T>(&mut self, what: &str, pick: impl Fn(Event) -> Option<T>) -> T {
        within(what, async {
            loop {
                let event = self.0.recv().await.expect("the port lives");
                if let Some(picked) = pick(event) {
                    return picked;
                }
            }
        })
        .await
    }

    pub(super) async fn up(&mut self) -> LinkId {
        self.first("a link", |event| match event {
            Event::Up(link) => Some(link),
            _ => None,
        })
        .await
    }

    pub(super) async fn down(&mut self) -> LinkId {
        self.first("the end of a link", |event| match event {
            Event::Down(link) => Some(link),
            _ => None,
        })
        .await
    }

    pub(super) async fn heard(&mut self) -> (LinkId, Message) {
        self.first("a message", |event| match event {
            Event::Heard(link, message) => Some((link, message)),
            _ => None,
        })
        .await
    }

    /// The next report that contains these words.
    pub(super) async fn report(&mut self, words: &str) -> String {
        self.first(&format!("a report with {words:?}"), |event| match event {
            Event::Report(text) if text.contains(words) => Some(text),
            _ => None,
        })
        .await
    }

    /// Returns the number of reports so far that contain these words.
    pub(super) fn reports_so_far(&mut self, words: &str) -> usize {
        std::iter::from_fn(|| self.0.try_recv().ok())
            .filter(|event| matches!(event, Event::Report(text) if text.contains(words)))
            .count()
    }

    /// Returns the number of links that have ended so far.
    pub(super) fn ends_so_far(&mut self) -> usize {
        std::iter::from_fn(|| self.0.try_recv().ok())
            .filter(|event| matches!(event, Event::Down(_)))
            .count()
    }
}
