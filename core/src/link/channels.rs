//! Which stores one connection carries, and how that changes while it is up.
//!
//! Towards an upstream a connection carries every store of its registry, and asks for each. From
//! downstream it takes up a store when the peer asks for it: at once if it is open, later if it may
//! still come; the peer's first message waits until then, and nothing else of it does. A store that
//! leaves says so: `Detach` upwards, [`GONE`] downwards, which also answers `Detach`; what was
//! under way until then is dropped, so that a store that comes back never hears of its past.
//!
//! All changes happen under the lock of the registry. Frames and wake-ups take only short locks
//! of the connection's own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::connection::Ending;
use super::hello::{HELLO_BYTES_MAX, LINK_CHANNEL};
use super::hub::Registry;
use super::{Handle, Port, Ports, Side};
use crate::replication::{LinkFault, LinkId};
use crate::wire::{
    Frame, Message, Reader, Refusal, RefusalKind, WireError, begin_frame, finish_frame,
};

/// The kind of a link's own frame that says: this store is no longer here, its channel follows.
const GONE: u8 = 16;

/// A peer may wait for, or be refused, at most this many stores that are not here.
const MISSING_MAX: usize = 64;

/// Links are numbered over the whole process.
static NEXT_LINK: AtomicU64 = AtomicU64::new(1);

/// How tasks and stores reach a connection.
#[derive(Default)]
pub(super) struct Signals {
    /// There is something to write.
    pub(super) to_write: Notify,
    /// [`Signals::end`] was called.
    pub(super) ended: Notify,
    ending: Mutex<Option<Ending>>,
}

impl Signals {
    /// Ends the connection; the first reason counts.
    pub(super) fn end(&self, why: Ending) {
        self.ending.lock().get_or_insert(why);
        self.ended.notify_one();
    }

    pub(super) fn take_ending(&self) -> Option<Ending> {
        self.ending.lock().take()
    }
}

/// A store on a connection. This is the [`Handle`] that the store has.
pub(super) struct Attached {
    channel: u32,
    link: LinkId,
    port: Arc<dyn Port>,
    frame_bytes_max: usize,
    /// Its next bytes were not asked for yet.
    wanted: AtomicBool,
    /// It left; what still comes for it is dropped.
    gone: AtomicBool,
    signals: Arc<Signals>,
}

impl Handle for Attached {
    fn wake(&self) {
        if !self.wanted.swap(true, Ordering::AcqRel) {
            self.signals.to_write.notify_one();
        }
    }

    fn cut(&self, why: LinkFault) {
        if !self.gone.load(Ordering::Acquire) {
            self.signals.end(self.fault(why));
        }
    }
}

impl Attached {
    fn fault(&self, fault: LinkFault) -> Ending {
        Ending::Fault { store: self.port.name().to_owned(), fault }
    }

    /// Appends what the store wants to send, if it was woken; it is asked again until it writes
    /// nothing.
    pub(super) fn fill(&self, out: &mut Vec<u8>, budget: usize) {
        if self.wanted.swap(false, Ordering::AcqRel) {
            let before = out.len();
            self.port.fill(self.link, out, budget);
            if out.len() > before {
                self.wanted.store(true, Ordering::Release);
            }
        }
    }
}

enum Channel {
    Attached(Arc<Attached>),
    /// The peer asked for a store that is not open here yet.
    Waiting(Frame),
    /// `Detach` was sent; what comes before [`GONE`] is dropped.
    Leaving {
        /// The upstream will not have it: no use to ask again.
        refused: bool,
    },
    /// [`GONE`] was sent; what comes before the next `Attach` is dropped.
    Departed,
}

#[derive(Default)]
struct Channels {
    map: BTreeMap<u32, Channel>,
    /// Frames of the connection itself; they go before those of the stores.
    control: Vec<u8>,
    /// Counts the changes of `map`.
    version: u64,
    refused: usize,
}

/// The stores that a writer asks, as of some moment.
#[derive(Default)]
pub(super) struct Round {
    version: Option<u64>,
    pub(super) attached: Vec<Arc<Attached>>,
}

/// One connection, as its tasks and its registry share it.
pub(super) struct Shared {
    pub(super) peer: String,
    pub(super) signals: Arc<Signals>,
    pub(super) ports: Arc<Ports>,
    side: Side,
    channels: Mutex<Channels>,
    frame_bytes_max: AtomicUsize,
}

impl Shared {
    pub(super) fn new(peer: String, side: Side, ports: Arc<Ports>) -> Arc<Self> {
        Arc::new(Shared {
            peer,
            signals: Arc::default(),
            ports,
            side,
            channels: Mutex::default(),
            frame_bytes_max: AtomicUsize::new(HELLO_BYTES_MAX),
        })
    }

    /// The largest body of a frame that any store here accepts.
    pub(super) fn frame_bytes_max(&self) -> usize {
        self.frame_bytes_max.load(Ordering::Relaxed)
    }

    /// Begins a round of writing: the connection's own frames, and whom to ask for theirs.
    pub(super) fn begin_round(&self, round: &mut Round, out: &mut Vec<u8>) {
        let mut channels = self.channels.lock();
        out.append(&mut channels.control);
        if round.version != Some(channels.version) {
            round.version = Some(channels.version);
            round.attached.clear();
            round.attached.extend(channels.map.values().filter_map(|channel| match channel {
                Channel::Attached(attached) => Some(attached.clone()),
                _ => None,
            }));
        }
    }

    /// Hands a frame to its store. `last` is the store of the frame before, as a shortcut.
    pub(super) fn receive(
        &self,
        last: &mut Option<Arc<Attached>>,
        frame: Frame,
    ) -> Result<(), Ending> {
        let same = last.as_ref().filter(|attached| {
            attached.channel == frame.channel && !attached.gone.load(Ordering::Acquire)
        });
        if let Some(attached) = same {
            return self.hand_over(attached, &frame);
        }
        if frame.channel == LINK_CHANNEL {
            return self.hear_link(&frame);
        }
        *last = match self.channels.lock().map.get(&frame.channel) {
            Some(Channel::Attached(attached)) => Some(attached.clone()),
            _ => None,
        };
        match last {
            Some(attached) => self.hand_over(attached, &frame),
            None => self.hear_unattached(frame),
        }
    }

    fn hand_over(&self, attached: &Arc<Attached>, frame: &Frame) -> Result<(), Ending> {
        if self.side == Side::Downstream && is_detach(frame) {
            let registry = self.ports.lock();
            self.detached(&registry, frame.channel);
            return Ok(());
        }
        let limit = attached.frame_bytes_max;
        if frame.body.len() > limit {
            let too_long = WireError::TooLong { len: frame.body.len(), limit };
            return Err(attached.fault(too_long.into()));
        }
        match attached.port.receive(attached.link, frame) {
            Ok(()) => Ok(()),
            Err(_) if attached.gone.load(Ordering::Acquire) => Ok(()),
            Err(fault) => self.faulted(attached, fault),
        }
    }

    /// An upstream that will not have one store goes on with the others of this process.
    fn faulted(&self, attached: &Attached, fault: LinkFault) -> Result<(), Ending> {
        let refused = matches!(fault, LinkFault::Refused(_) | LinkFault::Loop(_));
        if !refused || self.side == Side::Downstream || self.ports.is_closed_set() {
            return Err(attached.fault(fault));
        }
        let registry = self.ports.lock();
        self.depart(&registry, attached.channel, Channel::Leaving { refused: true });
        drop(registry);
        attached.port.report(&format!(
            "store {:?} is not served by {}: {fault}",
            attached.port.name(),
            self.peer
        ));
        Ok(())
    }

    fn hear_link(&self, frame: &Frame) -> Result<(), Ending> {
        if frame.kind != GONE || self.side == Side::Downstream {
            return Err(Ending::Garbage(WireError::UnknownKind(frame.kind)));
        }
        let channel = Reader::new(&frame.body).u32("channel").map_err(Ending::Garbage)?;
        let registry = self.ports.lock();
        let left = self.remove(channel);
        let refused = matches!(left, Some(Channel::Leaving { refused: true }));
        if let Some(Channel::Attached(attached)) = left {
            attached.port.down(attached.link);
        }
        if let Some(port) = registry.ports.get(&channel).filter(|_| !refused) {
            self.attach(&registry, port);
        }
        Ok(())
    }

    fn hear_unattached(&self, frame: Frame) -> Result<(), Ending> {
        let stray = Err(Ending::Stray { channel: frame.channel });
        if self.side == Side::Upstream {
            let leaving = self.channels.lock().map.contains_key(&frame.channel);
            return if leaving { Ok(()) } else { stray };
        }
        let registry = self.ports.lock();
        match Message::read(&frame) {
            Ok(Message::Attach(attach)) => match registry.ports.get(&frame.channel) {
                Some(port) => self.take_up(&registry, port, &frame),
                None if self.ports.is_closed_set() => {
                    drop(registry);
                    self.refuse(frame.channel, &attach.store)
                }
                None => self.wait_for(frame),
            },
            message => match self.channels.lock().map.get(&frame.channel) {
                Some(Channel::Departed) => Ok(()),
                Some(Channel::Waiting(_)) if message == Ok(Message::Detach) => {
                    self.detached(&registry, frame.channel);
                    Ok(())
                }
                _ => stray,
            },
        }
    }

    fn wait_for(&self, frame: Frame) -> Result<(), Ending> {
        let mut channels = self.channels.lock();
        let waiting = |channel: &&Channel| matches!(channel, Channel::Waiting(_));
        let full = channels.map.values().filter(waiting).count() >= MISSING_MAX;
        if full && !channels.map.contains_key(&frame.channel) {
            return Err(Ending::TooManyMissing);
        }
        // A copy, lest it keeps the whole read that it came in.
        let body = Bytes::copy_from_slice(&frame.body);
        channels.map.insert(frame.channel, Channel::Waiting(Frame { body, ..frame }));
        Ok(())
    }

    fn refuse(&self, channel: u32, store: &str) -> Result<(), Ending> {
        let text = format!("store `{store}` is not served here");
        let mut channels = self.channels.lock();
        channels.refused += 1;
        if channels.refused > MISSING_MAX {
            return Err(Ending::TooManyMissing);
        }
        let refusal = Refusal { kind: RefusalKind::Store, text: text.clone() };
        Message::Refused(refusal).write(&mut channels.control, channel);
        drop(channels);
        self.signals.to_write.notify_one();
        self.ports.report(&format!("{} is refused: {text}", self.peer));
        Ok(())
    }

    /// A store was registered.
    pub(super) fn opened(&self, registry: &Registry, port: &Arc<dyn Port>) {
        let mut channels = self.channels.lock();
        let channel = port.channel();
        match (self.side, channels.map.get(&channel)) {
            (Side::Upstream, None) => {
                drop(channels);
                self.attach(registry, port);
            }
            (Side::Downstream, Some(Channel::Waiting(_))) => {
                let Some(Channel::Waiting(frame)) = channels.map.remove(&channel) else { return };
                drop(channels);
                if let Err(ending) = self.take_up(registry, port, &frame) {
                    self.signals.end(ending);
                }
            }
            _ => {}
        }
    }

    /// A store is no longer registered.
    pub(super) fn leave(&self, registry: &Registry, channel: u32) {
        match self.side {
            Side::Upstream => self.depart(registry, channel, Channel::Leaving { refused: false }),
            Side::Downstream => self.depart(registry, channel, Channel::Departed),
        }
    }

    /// The connection ended.
    pub(super) fn take_down(&self, _registry: &Registry) {
        let map = std::mem::take(&mut self.channels.lock().map);
        for channel in map.into_values() {
            if let Channel::Attached(attached) = channel {
                attached.gone.store(true, Ordering::Release);
                attached.port.down(attached.link);
            }
        }
    }

    fn attach(&self, _registry: &Registry, port: &Arc<dyn Port>) -> Arc<Attached> {
        let attached = Arc::new(Attached {
            channel: port.channel(),
            link: LinkId(NEXT_LINK.fetch_add(1, Ordering::Relaxed)),
            port: port.clone(),
            frame_bytes_max: port.frame_bytes_max(),
            wanted: AtomicBool::new(true),
            gone: AtomicBool::new(false),
            signals: self.signals.clone(),
        });
        self.frame_bytes_max.fetch_max(attached.frame_bytes_max, Ordering::Relaxed);
        port.up(attached.link, self.side, attached.clone());
        self.insert(attached.channel, Channel::Attached(attached.clone()));
        self.signals.to_write.notify_one();
        attached
    }

    /// Takes up a store that the peer asks for, with its first message.
    fn take_up(
        &self,
        registry: &Registry,
        port: &Arc<dyn Port>,
        frame: &Frame,
    ) -> Result<(), Ending> {
        let attached = self.attach(registry, port);
        port.receive(attached.link, frame).map_err(|fault| attached.fault(fault))
    }

    /// The peer no longer follows a store.
    fn detached(&self, _registry: &Registry, channel: u32) {
        if let Some(Channel::Attached(attached)) = self.remove(channel) {
            attached.port.down(attached.link);
        }
        write_gone(&mut self.channels.lock().control, channel);
        self.signals.to_write.notify_one();
    }

    /// This process takes a store off; `to` is what becomes of its channel.
    fn depart(&self, _registry: &Registry, channel: u32, to: Channel) {
        let mut channels = self.channels.lock();
        let Some(Channel::Attached(attached)) = channels.map.get(&channel) else { return };
        let attached = attached.clone();
        attached.gone.store(true, Ordering::Release);
        match to {
            Channel::Departed => write_gone(&mut channels.control, channel),
            _ => Message::Detach.write(&mut channels.control, channel),
        }
        channels.map.insert(channel, to);
        channels.version += 1;
        drop(channels);
        self.signals.to_write.notify_one();
        attached.port.down(attached.link);
    }

    fn insert(&self, channel: u32, to: Channel) {
        let mut channels = self.channels.lock();
        channels.map.insert(channel, to);
        channels.version += 1;
    }

    fn remove(&self, channel: u32) -> Option<Channel> {
        let mut channels = self.channels.lock();
        channels.version += 1;
        let removed = channels.map.remove(&channel);
        if let Some(Channel::Attached(attached)) = &removed {
            attached.gone.store(true, Ordering::Release);
        }
        removed
    }
}

fn is_detach(frame: &Frame) -> bool {
    frame.body.is_empty() && Message::read(frame) == Ok(Message::Detach)
}

fn write_gone(out: &mut Vec<u8>, channel: u32) {
    let start = begin_frame(out, LINK_CHANNEL, GONE);
    out.extend_from_slice(&channel.to_le_bytes());
    finish_frame(out, start);
}
