//! Connections are made, carry bytes, and end.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use samestate_proto::replication::{Decode, LinkFault, Received};
use samestate_proto::wire::{Decoder, Entries, Message, PROTOCOL_VERSION};

use super::slot::BACKOFF_MIN;
use super::{Event, World};
use crate::faults::KillMoment;
use crate::virtual_time::machine::ErasedMachine;
use crate::virtual_time::network::{Arrival, Connection, EndId, Side};
use crate::virtual_time::trace::{Moment, What};

pub(super) const CLIENT: Side = Side::Client;
pub(super) const SERVER: Side = Side::Server;

/// A writer writes at most this much at a time.
const WRITE_BYTES_MAX: usize = 64 << 10;

impl World {
    /// Lets a replica that follows another connect, after a while.
    pub(super) fn reconnect(&mut self, slot: usize, after: Duration) {
        let place = &mut self.slots[slot];
        let incarnation = self.hosts[place.spec.host].incarnation;
        let Some(running) = &mut place.running else { return };
        let idle = running.upstream.is_none() && !running.connecting;
        if idle && place.spec.upstream.is_some() {
            running.connecting = true;
            self.heap.push(self.now + after, Event::Connect { slot, incarnation });
        }
    }

    pub(super) fn connect(&mut self, slot: usize) {
        let place = &mut self.slots[slot];
        let (blocked, longest) = (place.blocked_until > self.now, place.spec.backoff_max);
        let incarnation = self.hosts[place.spec.host].incarnation;
        let Some(running) = &mut place.running else { return };
        running.connecting = false;
        let Some(target) = place.spec.upstream.filter(|_| running.upstream.is_none()) else {
            return;
        };
        running.backoff = (running.backoff * 2).min(longest);
        let backoff = running.backoff;
        let there = &self.hosts[self.slots[target.slot].spec.host];
        let listens = there.alive && there.paused_until.is_none();
        if blocked || !listens {
            let wait = backoff / 2 + self.rng.micros(0, backoff.as_micros() as u64 / 2);
            self.reconnect(slot, wait);
            return;
        }
        let mut made =
            Connection::new((slot, incarnation), (target.slot, there.incarnation), self.model);
        for shaped in self.slots[slot].shapes.iter().filter(|shaped| shaped.until > self.now) {
            made.shape(*shaped);
        }
        let connection = self.connections.add(made);
        if let Some(running) = &mut self.slots[slot].running {
            running.upstream = Some(connection);
            running.attached_to = Some(target);
        }
        self.say(slot, || Moment::new(What::Link, format!("connects: connection {connection}")));
        let (at, later) = (self.now + self.model.latency, self.rng.micros(0, 300));
        let (early, late) = if self.rng.percent(50) { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
        self.heap.push(at, Event::Up(EndId { connection, side: early }));
        self.heap.push(at + later, Event::Up(EndId { connection, side: late }));
    }

    /// The replica at one end is told of the connection.
    pub(super) fn up(&mut self, end: EndId) {
        let Some(connection) = self.connections.get_mut(end.connection) else { return };
        let found = connection.end_mut(end.side);
        if found.closed {
            return;
        }
        (found.up, found.heard_at) = (true, self.now);
        let slot = found.slot;
        self.check(slot, |checker, view, _| {
            checker.link_up(end, view);
            Ok(())
        });
        self.step(slot, |replica, now| match end.side {
            Side::Client => replica.upstream_up(end.link(), PROTOCOL_VERSION, now),
            Side::Server => replica.downstream_up(end.link(), now),
        });
        self.read(end);
    }

    /// The replica said that there is something to send.
    pub(super) fn wake(&mut self, end: EndId) {
        let Some(connection) = self.connections.get_mut(end.connection) else { return };
        let found = connection.end_mut(end.side);
        found.awake = true;
        if !found.closed && !std::mem::replace(&mut found.pumping, true) {
            let soon = self.rng.micros(0, 30);
            self.heap.push(self.now + soon, Event::Pump(end));
        }
    }

    /// A writer sends what there is, while there is room.
    pub(super) fn pump(&mut self, end: EndId) {
        if let Some(connection) = self.connections.get_mut(end.connection) {
            connection.end_mut(end.side).pumping = false;
        }
        while self.pump_once(end) {}
    }

    /// Writes once. Whether there may be more to write.
    fn pump_once(&mut self, end: EndId) -> bool {
        let Some(connection) = self.connections.get_mut(end.connection) else { return false };
        let room = connection.room(end.side);
        let found = connection.end_mut(end.side);
        if found.closed || !found.up || !found.awake || room == 0 {
            return false;
        }
        // The fill itself may wake it anew.
        found.awake = false;
        let slot = found.slot;
        let mut out = Vec::new();
        let budget = room.min(WRITE_BYTES_MAX);
        self.step(slot, |replica, now| replica.fill(end.link(), &mut out, budget, now));
        let (now, out) = (self.now, Bytes::from(out));
        self.check_sent(slot, end, &out);
        let Some(connection) = self.connections.get_mut(end.connection) else { return false };
        if connection.end(end.side).closed {
            return false;
        }
        if out.is_empty() {
            return false;
        }
        connection.end_mut(end.side).awake = true;
        self.hosts[self.slots[slot].spec.host].sent_bytes += out.len() as u64;
        if self.trace.is_some() {
            self.show(end, &out);
        }
        let Some(connection) = self.connections.get_mut(end.connection) else { return false };
        let heap = &mut self.heap;
        let arrives = |at| heap.push(at, Event::Arrive(end));
        connection.send(end.side, out, now, &mut self.rng, arrives);
        true
    }

    /// Bytes sent from `end` are there.
    pub(super) fn arrive(&mut self, end: EndId) {
        let Some(connection) = self.connections.get_mut(end.connection) else { return };
        let Arrival { any, more_at } = connection.arrive(end.side, self.now, &mut self.rng);
        if let Some(later) = more_at {
            self.heap.push(later, Event::Arrive(end));
        }
        if any
            && let Some(reader) = self.deferred(Event::Read(end.peer()))
            && let Event::Read(end) = reader
        {
            self.read(end);
        }
    }

    /// Reads what has arrived, frame by frame.
    pub(super) fn read(&mut self, end: EndId) {
        loop {
            let Some(connection) = self.connections.get_mut(end.connection) else { return };
            let found = connection.end_mut(end.side);
            if found.closed || !found.up || found.decoding {
                return;
            }
            let slot = found.slot;
            let decoder = Decoder::new(self.slots[slot].spec.config.frame_bytes_max());
            let before = found.inbox.len();
            let frame = decoder.decode(&mut found.inbox);
            let taken = before - found.inbox.len();
            connection.read(end.side, taken);
            let frame = match frame {
                Ok(Some(frame)) => frame,
                Ok(None) => return self.heard_in_part(end, slot),
                Err(error) => return self.close(end, Some(error.into())),
            };
            self.room_for(end.peer());
            self.hosts[self.slots[slot].spec.host].received_bytes += taken as u64;
            self.heard(end);
            self.check_heard(slot, end, &frame);
            let received = self.step(slot, |replica, now| replica.receive(end.link(), &frame, now));
            match received {
                Some(Ok(Received::Done)) => {}
                Some(Ok(Received::Decode(decode))) => return self.decode(end, decode),
                Some(Err(fault)) => return self.close(end, Some(fault)),
                None => return,
            }
        }
    }

    /// Bytes are here that are no whole frame yet: their sender lives, as a real reader would say.
    fn heard_in_part(&mut self, end: EndId, slot: usize) {
        let Some(connection) = self.connections.get(end.connection) else { return };
        let place = &mut self.slots[slot];
        let now = self.hosts[place.spec.host].clock(self.now);
        if let Some(running) = &mut place.running
            && !connection.end(end.side).inbox.is_empty()
        {
            running.replica.heard(end.link(), now);
        }
    }

    /// There may be room again for a writer that waits for it.
    fn room_for(&mut self, end: EndId) {
        let Some(connection) = self.connections.get_mut(end.connection) else { return };
        let found = connection.end_mut(end.side);
        if found.awake && !found.closed && !std::mem::replace(&mut found.pumping, true) {
            self.heap.push(self.now, Event::Pump(end));
        }
    }

    fn decode(&mut self, end: EndId, decode: Decode) {
        let Some(connection) = self.connections.get_mut(end.connection) else { return };
        let found = connection.end_mut(end.side);
        found.decoding = true;
        let slot = found.slot;
        self.comes(slot, KillMoment::SnapshotReceived);
        let cost = self.rng.micros(20, 2000);
        self.heap.push(self.now + cost, Event::Install { end, decode: Box::new(decode) });
    }

    pub(super) fn install(&mut self, end: EndId, decode: Decode) {
        let Some(connection) = self.connections.get_mut(end.connection) else { return };
        let found = connection.end_mut(end.side);
        found.decoding = false;
        if found.closed {
            return;
        }
        let slot = found.slot;
        let decoded = decode.run::<ErasedMachine>();
        let installed = self.step(slot, |replica, now| replica.install(end.link(), decoded, now));
        match installed {
            Some(Err(fault)) => self.close(end, Some(fault)),
            _ => self.read(end),
        }
    }

    /// Ends a connection at this end, which the other end will notice.
    pub(super) fn close(&mut self, end: EndId, why: Option<LinkFault>) {
        let Some(connection) = self.connections.get_mut(end.connection) else { return };
        let latency = connection.model().latency;
        let swallowed = connection.trouble(end.side).swallowed;
        let found = connection.end_mut(end.side);
        if std::mem::replace(&mut found.closed, true) {
            return;
        }
        let (slot, up, silence) = (found.slot, found.up, self.now.saturating_sub(found.heard_at));
        if let Some(fault) = &why {
            let garbled = self.garbled.contains(&end.connection);
            self.check(slot, |checker, view, _| checker.faulted(view, fault, garbled, silence));
        }
        let Some(connection) = self.connections.get_mut(end.connection) else { return };
        let over = connection.is_over();
        if !over && !swallowed {
            let wait = latency + self.rng.micros(0, 500);
            self.heap.push(self.now + wait, Event::Closed(end.peer()));
        }
        if over {
            self.connections.remove(end.connection);
        }
        self.faulted(slot, end, why.as_ref());
        self.checker.link_down(end, slot);
        if up {
            self.step(slot, |replica, now| replica.link_down(end.link(), now));
        }
        if end.side == CLIENT {
            self.lost_upstream(slot, end, why);
        }
    }

    fn lost_upstream(&mut self, slot: usize, end: EndId, why: Option<LinkFault>) {
        let place = &mut self.slots[slot];
        let longest = place.spec.backoff_max;
        let Some(running) = &mut place.running else { return };
        if running.upstream == Some(end.connection) {
            running.upstream = None;
        }
        let hopeless = matches!(why, Some(LinkFault::Refused(_) | LinkFault::Loop(_)));
        running.backoff = match hopeless {
            true => longest,
            false if running.replica.is_connected() => BACKOFF_MIN,
            false => running.backoff,
        };
        let wait = running.backoff / 2;
        let wait = wait + self.rng.micros(0, wait.as_micros() as u64);
        self.reconnect(slot, wait);
    }

    fn faulted(&mut self, slot: usize, end: EndId, why: Option<&LinkFault>) {
        let connection = end.connection;
        let Some(why) = why else {
            return self
                .say(slot, || Moment::new(What::Link, format!("connection {connection} ends")));
        };
        self.say(slot, || Moment::new(What::Link, format!("cuts connection {connection}: {why}")));
        self.moments.links_faulted += 1;
        match why {
            LinkFault::Silent(_) => self.moments.links_silent += 1,
            LinkFault::Wire(_) => self.moments.links_corrupt += 1,
            LinkFault::Loop(_) | LinkFault::Refused(_) => self.moments.links_looped += 1,
            _ => {}
        }
    }

    /// For the trace: what is sent from an end.
    fn show(&mut self, end: EndId, bytes: &[u8]) {
        let (Some(trace), Some(connection)) =
            (&mut self.trace, self.connections.get_mut(end.connection))
        else {
            return;
        };
        let from = connection.end(end.side).slot;
        let to = connection.end(end.peer().side).slot;
        let decoder = Decoder::new(self.slots[from].spec.config.frame_bytes_max());
        let mut bytes = BytesMut::from(bytes);
        while let Ok(Some(frame)) = decoder.decode(&mut bytes) {
            let text = Message::read(&frame).map_or_else(|error| error.to_string(), in_words);
            let flight = trace.sent(self.now, from, to, text);
            connection.flights(end.side).push_back(flight);
        }
    }

    /// For the trace: the next message has arrived at an end.
    fn heard(&mut self, end: EndId) {
        let Some(trace) = &mut self.trace else { return };
        let Some(connection) = self.connections.get_mut(end.connection) else { return };
        if let Some(flight) = connection.flights(end.peer().side).pop_front() {
            trace.arrived(flight, self.now);
        }
    }
}

/// A message as the trace shows it: without the bytes it carries.
fn in_words(message: Message) -> String {
    match message {
        Message::Entries { first, entries, patches, .. } => {
            let count = Entries::new(&entries).count() as u64;
            let with = if patches.is_some() { " with patches" } else { "" };
            format!("Entries {first} to {}{with}", (first + count).saturating_sub(1))
        }
        Message::Dispatch { hop, claim, oldest, entries } => {
            let mut counters =
                Entries::new(&entries).flatten().map(|entry| entry.counter.to_string());
            let first = counters.next().unwrap_or_default();
            let last = counters.last().map_or(String::new(), |last| format!(" to {last}"));
            format!("Dispatch {first}{last} of {claim:?}, oldest {oldest}, hop {hop}")
        }
        Message::SnapshotPart { offset, bytes } => {
            format!("SnapshotPart of {} bytes from {offset} on", bytes.len())
        }
        other => format!("{other:?}"),
    }
}
