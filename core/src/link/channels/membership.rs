//! Stores come to a connection and leave it: told so by their process, by the peer, or by a fault.
//!
//! A [`Registry`] among the arguments says that its lock is held.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use samestate_proto::replication::LinkFault;
use samestate_proto::wire::{Frame, Message, RefusalKind};

use super::super::attached::{Attached, OnFault, is_of_one_store, is_refusal};
use super::super::close_reason::CloseReason;
use super::super::registry::Registry;
use super::super::setback::reason_of_fault;
use super::super::{LinkEndpoint, Meter, Setback, Side, trace};
use super::table::{Channel, DETACHED, GONE, Then, write_link};
use super::{REST, Shared};
use crate::event::EventKind;
use crate::task::{self, Panicked};

/// A store that its server does not serve, or not yet, asks again after this.
const REST_UNSERVED: Duration = Duration::from_secs(1);

/// A worker whose master's state it cannot use asks again after this.
const REST_UNUSABLE: Duration = Duration::from_secs(30);

impl Shared {
    /// A store was registered.
    pub(in crate::link) fn opened(&self, registry: &Registry, port: &Arc<dyn LinkEndpoint>) {
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
    pub(in crate::link) fn leave(&self, registry: &Registry, channel: u32) {
        match self.side {
            Side::Upstream => {
                self.depart(registry, channel, Channel::Leaving(Then::Attach));
                self.forget_rest(channel);
            }
            Side::Downstream => self.depart(registry, channel, Channel::Departed),
        }
    }

    /// The connection ended.
    pub(in crate::link) fn take_down(&self, _registry: &Registry) {
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

    /// A store and this connection are told of each other.
    pub(super) fn attach(
        &self,
        _registry: &Registry,
        port: &Arc<dyn LinkEndpoint>,
    ) -> Arc<Attached> {
        let meter = Meter::new(self.peer.clone(), self.side, self.span.clone());
        let attached = Attached::new(port, self.on_fault, &self.signals, meter);
        self.frame_bytes_max.fetch_max(attached.frame_bytes_max, Ordering::Relaxed);
        let protocol = self.protocol.load(Ordering::Relaxed);
        port.up(attached.link, self.side, protocol, attached.clone());
        self.channels.lock().insert(attached.channel, Channel::Attached(attached.clone()));
        self.signals.to_write.notify_one();
        attached
    }

    /// The peer no longer follows a store.
    pub(super) fn detached(&self, _registry: &Registry, channel: u32) {
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

    /// Takes up a store that the peer asks for, with its first message.
    pub(super) fn take_up(
        &self,
        registry: &Registry,
        port: &Arc<dyn LinkEndpoint>,
        frame: &Frame,
    ) -> Result<(), CloseReason> {
        let attached = self.attach(registry, port);
        attached.receive(frame).map_err(|fault| attached.fault(fault))
    }

    /// Returns whether a fault of this store ends the connection.
    pub(super) fn ends_by(&self, attached: &Attached, fault: &LinkFault) -> bool {
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
    pub(in crate::link) fn take_off_faulted(&self) {
        for (attached, fault) in self.signals.take_faults() {
            match self.ends_by(&attached, &fault) {
                true if attached.is_gone() => {}
                true => self.signals.end(attached.fault(fault)),
                false => self.take_off(&attached, &fault),
            }
        }
    }

    /// Takes one store off and leaves the others.
    pub(super) fn take_off(&self, attached: &Attached, fault: &LinkFault) {
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
        if self.side == Side::Upstream {
            attached.port.set_back(Setback::of_fault(&self.peer, fault));
        }
        let text = format!("the link of store {name:?} to {} is cut: {fault}", self.peer);
        let said = self.channels.lock().said.insert(attached.channel, text.clone());
        let anew = said.as_ref() != Some(&text);
        if anew || (self.on_fault == OnFault::GoOn && !is_refusal(fault)) {
            let peer = self.peer.clone();
            let kind = EventKind::LinkCut { peer, refusal: reason_of_fault(fault) };
            attached.port.report(kind, &text);
        }
    }

    /// Returns the next state of a store that is detached here for this fault.
    fn after(&self, fault: &LinkFault) -> Then {
        let ask_again_after = match self.on_fault {
            OnFault::Part { ask_again_after } => Some(ask_again_after),
            OnFault::End | OnFault::GoOn => None,
        };
        match (fault, ask_again_after) {
            (LinkFault::Refused(refusal), None) if refusal.kind == RefusalKind::State => {
                Then::Rest(REST_UNUSABLE)
            }
            (LinkFault::Undecodable(_) | LinkFault::SnapshotTooLong { .. }, None) => {
                Then::Rest(REST_UNUSABLE)
            }
            (LinkFault::Refused(_) | LinkFault::Loop(_), None) => Then::Nothing,
            (LinkFault::Refused(refusal), Some(_)) if refusal.kind == RefusalKind::Store => {
                Then::Rest(REST_UNSERVED)
            }
            (_, Some(span)) => Then::Rest(span),
            (_, None) => Then::Rest(REST),
        }
    }

    /// Attaches a store that was taken off, after a while.
    pub(super) fn rest(self: &Arc<Self>, channel: u32, span: Duration) {
        self.channels.lock().insert(channel, Channel::Resting);
        let shared = Arc::downgrade(self);
        let ports = Arc::clone(&self.ports);
        let panicked = move |panic: &Panicked| ports.report_panic(panic);
        task::spawn("attach again", panicked, async move {
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
}
