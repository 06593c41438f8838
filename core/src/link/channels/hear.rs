//! Handling of a peer's frames: those of attached stores, of other stores, and of the connection
//! itself.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use samestate_proto::wire::{Frame, Message, Reader, Refusal, RefusalKind, Request, WireError};

use super::super::attached::Attached;
use super::super::close_reason::CloseReason;
use super::super::hello::LINK_CHANNEL;
use super::super::{Side, trace};
use super::table::{Channel, DETACHED, ENDING, GONE, Then};
use super::{REST, Shared};
use crate::event::EventKind;

/// A store's name in a report is cut after this.
const NAME_CHARS_SHOWN: usize = 64;

/// A peer may wait for, or be refused, at most this many stores that are not here.
const MISSING_MAX: usize = 64;

impl Shared {
    /// Hands a frame to its store. `last` is the store of the frame before, as a shortcut.
    pub(in crate::link) fn receive(
        self: &Arc<Self>,
        last: &mut Option<Arc<Attached>>,
        frame: Frame,
    ) -> Result<(), CloseReason> {
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

    fn hand_over(&self, attached: &Arc<Attached>, frame: &Frame) -> Result<(), CloseReason> {
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

    fn hear_link(self: &Arc<Self>, frame: &Frame) -> Result<(), CloseReason> {
        if frame.kind == Request::FRAME && self.side == Side::Downstream {
            return self.asked(frame);
        }
        if !matches!(frame.kind, GONE | DETACHED | ENDING) || self.side == Side::Downstream {
            return Err(CloseReason::Garbage(WireError::UnknownKind(frame.kind)));
        }
        let value =
            Reader::new(&frame.body).u32("channel or time").map_err(CloseReason::Garbage)?;
        if frame.kind == ENDING {
            self.signals.told_to_end.send_replace(Some(Duration::from_millis(value.into())));
            return Ok(());
        }
        let channel = value;
        let registry = self.ports.lock();
        let mut channels = self.channels.lock();
        let then = match (frame.kind, channels.map.get(&channel)) {
            (DETACHED, Some(Channel::Leaving(then))) => *then,
            (GONE, Some(Channel::Attached(_))) => Then::Rest(REST),
            // One store left at both ends at once; `Detach` will still be answered. Or the peer
            // says that it lives.
            _ => return Ok(()),
        };
        let left = channels.remove(channel);
        drop(channels);
        if let Some(Channel::Attached(attached)) = left {
            trace::store_left(&self.span, attached.port.name());
            attached.port.down(attached.link);
        }
        match (then, registry.ports.get(&channel)) {
            (Then::Attach, Some(port)) => drop(self.attach(&registry, port)),
            (Then::Rest(span), Some(_)) => self.rest(channel, span),
            _ => {}
        }
        Ok(())
    }

    fn hear_unattached(&self, frame: Frame) -> Result<(), CloseReason> {
        let stray = Err(CloseReason::Stray { channel: frame.channel });
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
            message => {
                let mut channels = self.channels.lock();
                match (channels.map.get(&frame.channel), message) {
                    (Some(Channel::Departed), _) => Ok(()),
                    // Who waits says that it lives, and wants to know the same of this side.
                    (Some(Channel::Waiting(_)), Ok(Message::Heartbeat { .. })) => {
                        channels.say_alive();
                        drop(channels);
                        self.say();
                        Ok(())
                    }
                    _ => stray,
                }
            }
        }
    }

    fn wait_for(&self, frame: Frame) -> Result<(), CloseReason> {
        let mut channels = self.channels.lock();
        let waiting = |channel: &&Channel| matches!(channel, Channel::Waiting(_));
        let full = channels.map.values().filter(waiting).count() >= MISSING_MAX;
        if full && !channels.map.contains_key(&frame.channel) {
            return Err(CloseReason::TooManyMissing);
        }
        // Copies, because a slice would keep the whole read buffer.
        let body = Bytes::copy_from_slice(&frame.body);
        channels.map.insert(frame.channel, Channel::Waiting(Frame { body, ..frame }));
        Ok(())
    }

    fn refuse(&self, channel: u32, store: &str) -> Result<(), CloseReason> {
        let text = format!("store {} is not served here, {}", quoted(store), self.ports.served());
        let mut channels = self.channels.lock();
        let asks_again = !channels.refused.insert(channel);
        if channels.refused.len() > MISSING_MAX {
            return Err(CloseReason::TooManyMissing);
        }
        let refusal = Refusal { kind: RefusalKind::Store, text: text.clone() };
        Message::Refused(refusal).write(&mut channels.control, channel);
        drop(channels);
        self.say();
        let is_new = !asks_again && self.refusals.said.is_new((self.refusals.client, channel));
        let complaint = is_new.then(|| format!("{} is refused: {text}", self.peer));
        if let Some(complaint) = complaint.and_then(|text| self.refusals.complaints.admit(text)) {
            trace::store_refused(&self.span, store);
            let kind = EventKind::StoreNotServed { client: self.peer.clone() };
            self.ports.report(&kind, &complaint);
        }
        Ok(())
    }
}

/// A name that a peer gave, fit to be shown.
pub(super) fn quoted(store: &str) -> String {
    let shown: String = store.chars().take(NAME_CHARS_SHOWN).collect();
    let rest = if shown.len() < store.len() { "..." } else { "" };
    format!("`{}{rest}`", shown.escape_debug())
}

fn is_detach(frame: &Frame) -> bool {
    frame.body.is_empty() && Message::read(frame) == Ok(Message::Detach)
}
