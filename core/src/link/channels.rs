//! Which stores one connection carries, and how that changes while it is up.
//!
//! Towards an upstream a connection carries every store of its registry, and asks for each. From
//! downstream it takes up a store when the peer asks for it: at once if it is open, later if it may
//! still come; the peer's first message waits until then, and nothing else of it does.
//!
//! A store that leaves says so, and what was under way is dropped, so that one that comes back
//! never hears of its past. Upwards it says `Detach`, maybe before its `Attach` was ever sent, and
//! drops what comes until [`DETACHED`] answers. Downwards it says [`GONE`], and drops what comes
//! until the next `Attach`; the peer attaches again after a while, and waits.
//!
//! A fault ends the connection, and who dialled makes another. The link between a master and a
//! worker cannot be made again, so there only that store is taken off, and attaches anew a little
//! later. So it is towards a server too where the fault is the store's own, as a refusal is, and
//! other stores are on the connection.
//!
//! All changes happen under the lock of the registry. Frames and wake-ups take only short locks
//! of the connection's own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tracing::Span;

use super::attached::{Attached, OnFault, Signals, is_of_one_store, is_refusal};
use super::connection::Ending;
use super::hello::{HELLO_BYTES_MAX, LINK_CHANNEL};
use super::hub::Registry;
use super::{Meter, Port, Ports, Side, trace};
use crate::replication::LinkFault;
use crate::wire::{
    Frame, Message, Reader, Refusal, RefusalKind, WireError, begin_frame, finish_frame,
};

/// The kind of a link's own frame that says: this store, whose channel follows, is no longer here.
const GONE: u8 = 16;

/// The kind of a link's own frame that answers `Detach`; the channel follows.
const DETACHED: u8 = 17;

/// A peer that lets this much of such frames pile up is cut.
const CONTROL_BYTES_MAX: usize = 64 << 10;

/// A peer may wait for, or be refused, at most this many stores that are not here.
const MISSING_MAX: usize = 64;

/// A store that was taken off by a fault, or by its upstream, attaches again after this.
const REST: Duration = Duration::from_millis(250);

/// A store that its server does not serve, or not yet, asks again after this.
const REST_UNSERVED: Duration = Duration::from_secs(1);

enum Channel {
    Attached(Arc<Attached>),
    /// The peer asked for a store that is not open here yet.
    Waiting(Frame),
    /// `Detach` was sent; what comes before [`DETACHED`] is dropped.
    Leaving(Then),
    /// It attaches again after a while.
    Resting,
    /// [`GONE`] was sent; what comes before the next `Attach` is dropped.
    Departed,
}

/// What becomes of a store after [`DETACHED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// If it is registered again by then, it attaches at once.
    Attach,
    /// It attaches again after this.
    Rest(Duration),
    /// The upstream will not have it: no use to ask again.
    Nothing,
}

#[derive(Default)]
struct Channels {
    map: BTreeMap<u32, Channel>,
    /// Frames of the connection itself; they go before those of the stores.
    control: Vec<u8>,
    /// Counts the changes of `map`.
    version: u64,
    /// The stores that were refused to the peer.
    refused: BTreeSet<u32>,
    /// What was last said of a store that was taken off, so that it is said once.
    said: BTreeMap<u32, String>,
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
    pub(super) span: Span,
    side: Side,
    on_fault: OnFault,
    channels: Mutex<Channels>,
    frame_bytes_max: AtomicUsize,
}

impl Shared {
    pub(super) fn new(
        peer: String,
        side: Side,
        on_fault: OnFault,
        ports: Arc<Ports>,
        span: Span,
    ) -> Arc<Self> {
        Arc::new(Shared {
            peer,
            signals: Arc::default(),
            ports,
            span,
            side,
            on_fault,
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

    /// Bytes came that are no whole frame yet, or a frame took its time: the peer lives, for all of
    /// its stores.
    pub(super) fn heard(&self) {
        let attached: Vec<_> = {
            let channels = self.channels.lock();
            let attached = channels.map.values().filter_map(|channel| match channel {
                Channel::Attached(attached) => Some(Arc::clone(attached)),
                _ => None,
            });
            attached.collect()
        };
        for attached in attached.iter().filter(|attached| !attached.is_gone()) {
            attached.port.heard(attached.link);
        }
    }

    /// Hands a frame to its store. `last` is the store of the frame before, as a shortcut.
    pub(super) fn receive(
        self: &Arc<Self>,
        last: &mut Option<Arc<Attached>>,
        frame: Frame,
    ) -> Result<(), Ending> {
        let same = last
            .as_ref()
            .filter(|attached| attached.channel == frame.channel && !attached.is_gone());
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
        match attached.receive(frame) {
            Ok(()) => Ok(()),
            Err(fault) if self.ends_by(attached, &fault) => Err(attached.fault(fault)),
            Err(fault) => {
                self.take_off(attached, &fault);
                Ok(())
            }
        }
    }

    /// Whether a fault of this store ends the connection.
    fn ends_by(&self, attached: &Attached, fault: &LinkFault) -> bool {
        match self.on_fault {
            OnFault::End => true,
            OnFault::GoOn => false,
            OnFault::Part { .. } => {
                let is_other = |channel: &Channel| match channel {
                    Channel::Attached(other) => other.channel != attached.channel,
                    _ => false,
                };
                !is_of_one_store(fault) || !self.channels.lock().map.values().any(is_other)
            }
        }
    }

    /// Takes off the stores that asked to be cut.
    pub(super) fn take_off_faulted(&self) {
        for (attached, fault) in self.signals.take_faults() {
            match self.ends_by(&attached, &fault) {
                true if attached.is_gone() => {}
                true => self.signals.end(attached.fault(fault)),
                false => self.take_off(&attached, &fault),
            }
        }
    }

    fn take_off(&self, attached: &Attached, fault: &LinkFault) {
        let to = match self.side {
            Side::Downstream => Channel::Departed,
            Side::Upstream => Channel::Leaving(self.after(fault)),
        };
        let registry = self.ports.lock();
        if attached.is_gone() {
            return;
        }
        self.depart(&registry, attached.channel, to);
        drop(registry);
        let name = attached.port.name();
        trace::store_lost(&self.span, name, fault);
        if self.side == Side::Upstream && is_refusal(fault) {
            attached.port.refused(&fault.to_string());
        }
        let text = format!("the link of store {name:?} to {} is cut: {fault}", self.peer);
        let said = self.channels.lock().said.insert(attached.channel, text.clone());
        if self.on_fault == OnFault::GoOn || said.as_ref() != Some(&text) {
            attached.port.report(&text);
        }
    }

    /// What becomes of a store that is taken off here for this.
    fn after(&self, fault: &LinkFault) -> Then {
        let ask_again_after = match self.on_fault {
            OnFault::Part { ask_again_after } => Some(ask_again_after),
            OnFault::End | OnFault::GoOn => None,
        };
        match (fault, ask_again_after) {
            (LinkFault::Refused(_) | LinkFault::Loop(_), None) => Then::Nothing,
            (LinkFault::Refused(refusal), Some(_)) if refusal.kind == RefusalKind::Store => {
                Then::Rest(REST_UNSERVED)
            }
            (_, Some(span)) => Then::Rest(span),
            (_, None) => Then::Rest(REST),
        }
    }

    fn hear_link(self: &Arc<Self>, frame: &Frame) -> Result<(), Ending> {
        if !matches!(frame.kind, GONE | DETACHED) || self.side == Side::Downstream {
            return Err(Ending::Garbage(WireError::UnknownKind(frame.kind)));
        }
        let channel = Reader::new(&frame.body).u32("channel").map_err(Ending::Garbage)?;
        let registry = self.ports.lock();
        let mut channels = self.channels.lock();
        let then = match (frame.kind, channels.map.get(&channel)) {
            (DETACHED, Some(Channel::Leaving(then))) => *then,
            (GONE, Some(Channel::Attached(_))) => Then::Rest(REST),
            // One store left at both ends at once; `Detach` will still be answered.
            _ => return Ok(()),
        };
        let left = channels.remove(channel);
        drop(channels);
        if let Some(Channel::Attached(attached)) = left {
            trace::store_left(&self.span, attached.port.name());
            attached.port.down(attached.link);
        }
        match (then, registry.ports.get(&channel)) {
            (Then::Attach, Some(port)) => self.attach(&registry, port),
            (Then::Rest(span), Some(_)) => self.rest(channel, span),
            _ => {}
        }
        Ok(())
    }

    fn rest(self: &Arc<Self>, channel: u32, span: Duration) {
        self.channels.lock().insert(channel, Channel::Resting);
        let shared = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(span).await;
            let Some(shared) = shared.upgrade() else { return };
            let registry = shared.ports.lock();
            let resting =
                matches!(shared.channels.lock().map.get(&channel), Some(Channel::Resting));
            if let Some(port) = registry.ports.get(&channel).filter(|_| resting) {
                shared.attach(&registry, port);
            }
        });
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
            Ok(Message::Detach) => {
                self.detached(&registry, frame.channel);
                Ok(())
            }
            message => match (self.channels.lock().map.get(&frame.channel), message) {
                (Some(Channel::Departed), _) => Ok(()),
                // Who waits says that it lives.
                (Some(Channel::Waiting(_)), Ok(Message::Heartbeat { .. })) => Ok(()),
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
        let asks_again = !channels.refused.insert(channel);
        if channels.refused.len() > MISSING_MAX {
            return Err(Ending::TooManyMissing);
        }
        let refusal = Refusal { kind: RefusalKind::Store, text: text.clone() };
        Message::Refused(refusal).write(&mut channels.control, channel);
        drop(channels);
        self.say();
        trace::store_refused(&self.span, store);
        if !asks_again {
            self.ports.report(&format!("{} is refused: {text}", self.peer));
        }
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
            Side::Upstream => {
                self.depart(registry, channel, Channel::Leaving(Then::Attach));
                self.forget_rest(channel);
            }
            Side::Downstream => self.depart(registry, channel, Channel::Departed),
        }
    }

    /// Waits until the peer has, at the end of some `span`, asked for no store that it still has.
    pub(super) async fn idle(&self, span: Duration) {
        loop {
            tokio::time::sleep(span).await;
            if self.channels.lock().map.is_empty() {
                return;
            }
        }
    }

    /// The connection ended.
    pub(super) fn take_down(&self, _registry: &Registry) {
        let map = std::mem::take(&mut self.channels.lock().map);
        for channel in map.into_values() {
            if let Channel::Attached(attached) = channel {
                attached.leave();
                attached.port.down(attached.link);
            }
        }
    }

    fn forget_rest(&self, channel: u32) {
        let mut channels = self.channels.lock();
        if matches!(channels.map.get(&channel), Some(Channel::Resting)) {
            channels.map.remove(&channel);
        }
    }

    fn attach(&self, registry: &Registry, port: &Arc<dyn Port>) {
        self.attached(registry, port);
    }

    fn attached(&self, _registry: &Registry, port: &Arc<dyn Port>) -> Arc<Attached> {
        let meter = Meter::new(self.peer.clone(), self.side, self.span.clone());
        let attached = Attached::new(port, self.on_fault, &self.signals, meter);
        self.frame_bytes_max.fetch_max(attached.frame_bytes_max, Ordering::Relaxed);
        port.up(attached.link, self.side, attached.clone());
        self.channels.lock().insert(attached.channel, Channel::Attached(attached.clone()));
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
        let attached = self.attached(registry, port);
        attached.receive(frame).map_err(|fault| attached.fault(fault))
    }

    /// The peer no longer follows a store.
    fn detached(&self, _registry: &Registry, channel: u32) {
        let mut channels = self.channels.lock();
        let left = channels.remove(channel);
        write_link(&mut channels.control, DETACHED, channel);
        drop(channels);
        self.say();
        if let Some(Channel::Attached(attached)) = left {
            trace::store_left(&self.span, attached.port.name());
            attached.port.down(attached.link);
        }
    }

    /// This process takes a store off; `to` is what becomes of its channel.
    fn depart(&self, _registry: &Registry, channel: u32, to: Channel) {
        let mut channels = self.channels.lock();
        if !matches!(channels.map.get(&channel), Some(Channel::Attached(_))) {
            return;
        }
        match to {
            Channel::Departed => write_link(&mut channels.control, GONE, channel),
            _ => Message::Detach.write(&mut channels.control, channel),
        }
        let left = channels.remove(channel);
        channels.insert(channel, to);
        drop(channels);
        self.say();
        if let Some(Channel::Attached(attached)) = left {
            attached.port.down(attached.link);
        }
    }

    /// The connection itself has something to say: there is more in `control`.
    fn say(&self) {
        if self.channels.lock().control.len() > CONTROL_BYTES_MAX {
            self.signals.end(Ending::Flooded);
        }
        self.signals.to_write.notify_one();
    }
}

impl Channels {
    fn insert(&mut self, channel: u32, to: Channel) {
        self.map.insert(channel, to);
        self.version += 1;
    }

    /// A store that was attached there gets and gives nothing from here on.
    fn remove(&mut self, channel: u32) -> Option<Channel> {
        self.version += 1;
        let removed = self.map.remove(&channel);
        if let Some(Channel::Attached(attached)) = &removed {
            attached.leave();
        }
        removed
    }
}

fn is_detach(frame: &Frame) -> bool {
    frame.body.is_empty() && Message::read(frame) == Ok(Message::Detach)
}

fn write_link(out: &mut Vec<u8>, kind: u8, channel: u32) {
    let start = begin_frame(out, LINK_CHANNEL, kind);
    out.extend_from_slice(&channel.to_le_bytes());
    finish_frame(out, start);
}
