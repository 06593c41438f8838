//! Connections are made, carry bytes, and end.

use std::time::Duration;

use samestate::replication::{Decode, LinkFault, Received};
use samestate::wire::{Decoder, Frame, Message};

use super::node::{BACKOFF_MAX, BACKOFF_MIN};
use super::{Event, World};
use crate::virtual_time::machine::Subject;
use crate::virtual_time::network::{Connection, EndId, Side};

pub(super) const CLIENT: Side = Side::Client;
pub(super) const SERVER: Side = Side::Server;

/// A writer writes at most this much at a time.
const WRITE_BYTES_MAX: usize = 64 << 10;

impl World {
    /// Lets a node that follows somebody connect, after a while.
    pub(super) fn reconnect(&mut self, node: usize, after: Duration) {
        let place = &mut self.nodes[node];
        let life = place.life;
        let Some(process) = &mut place.process else { return };
        let idle = process.upstream.is_none() && !process.connecting;
        if idle && place.spec.upstream.is_some() {
            process.connecting = true;
            self.heap.push(self.now + after, Event::Connect { node, life });
        }
    }

    pub(super) fn connect(&mut self, node: usize) {
        let place = &mut self.nodes[node];
        let (life, partitioned) = (place.life, place.partitioned_until > self.now);
        let Some(process) = &mut place.process else { return };
        process.connecting = false;
        let Some(target) = place.spec.upstream.filter(|_| process.upstream.is_none()) else {
            return;
        };
        process.backoff = (process.backoff * 2).min(BACKOFF_MAX);
        let backoff = process.backoff;
        let listens = self.nodes[target].process.is_some() && !self.nodes[target].paused;
        if partitioned || !listens {
            let wait = backoff / 2 + self.dice.micros(0, backoff.as_micros() as u64 / 2);
            self.reconnect(node, wait);
            return;
        }
        self.connected_total += 1;
        let connection = self.connected_total;
        let server = (target, self.nodes[target].life);
        let made = Connection::new((node, life), server, self.weather);
        self.connections.insert(connection, made);
        if let Some(process) = &mut self.nodes[node].process {
            process.upstream = Some(connection);
        }
        self.say(|| format!("n{node} connects to n{target}: connection {connection}"));
        let (at, later) = (self.now + self.weather.latency, self.dice.micros(0, 300));
        let (early, late) = if self.dice.percent(50) { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
        self.heap.push(at, Event::Up(EndId { connection, side: early }));
        self.heap.push(at + later, Event::Up(EndId { connection, side: late }));
    }

    /// The replica at one end is told of the connection.
    pub(super) fn up(&mut self, end: EndId) {
        let Some(connection) = self.connections.get_mut(&end.connection) else { return };
        let found = connection.end_mut(end.side);
        if found.closed {
            return;
        }
        found.up = true;
        let node = found.node;
        self.say(|| format!("n{node} has {}", end.link()));
        self.step(node, |replica, now| match end.side {
            Side::Client => replica.upstream_up(end.link(), now),
            Side::Server => replica.downstream_up(end.link(), now),
        });
        self.read(end);
    }

    /// The replica said that there is something to send.
    pub(super) fn wake(&mut self, end: EndId) {
        let Some(connection) = self.connections.get_mut(&end.connection) else { return };
        let found = connection.end_mut(end.side);
        found.awake = true;
        if !found.closed && !std::mem::replace(&mut found.pumping, true) {
            let soon = self.dice.micros(0, 30);
            self.heap.push(self.now + soon, Event::Pump(end));
        }
    }

    /// A writer sends what there is, while there is room.
    pub(super) fn pump(&mut self, end: EndId) {
        let Some(connection) = self.connections.get_mut(&end.connection) else { return };
        let room = connection.room(end.side);
        let found = connection.end_mut(end.side);
        found.pumping = false;
        if found.closed || !found.up || !found.awake || room == 0 {
            return;
        }
        let node = found.node;
        let mut out = Vec::new();
        let budget = room.min(WRITE_BYTES_MAX);
        self.step(node, |replica, now| replica.fill(end.link(), &mut out, budget, now));
        let now = self.now;
        let Some(connection) = self.connections.get_mut(&end.connection) else { return };
        if connection.end(end.side).closed {
            return;
        }
        if out.is_empty() {
            connection.end_mut(end.side).awake = false;
            return;
        }
        let (arrivals, free_at) = connection.send(end.side, out, now, &mut self.dice);
        connection.end_mut(end.side).pumping = true;
        for at in arrivals {
            self.heap.push(at, Event::Arrive(end));
        }
        self.heap.push(free_at.max(now + Duration::from_micros(1)), Event::Pump(end));
    }

    /// Bytes sent from `end` are there.
    pub(super) fn arrive(&mut self, end: EndId) {
        let Some(connection) = self.connections.get_mut(&end.connection) else { return };
        match connection.arrive(end.side, self.now, &mut self.dice) {
            Err(later) => self.heap.push(later, Event::Arrive(end)),
            Ok(()) => {
                let reader = Event::Read(end.peer());
                if let Some(reader) = self.deferred(reader)
                    && let Event::Read(end) = reader
                {
                    self.read(end);
                }
            }
        }
    }

    /// Reads what has arrived, frame by frame.
    pub(super) fn read(&mut self, end: EndId) {
        loop {
            let Some(connection) = self.connections.get_mut(&end.connection) else { return };
            let found = connection.end_mut(end.side);
            if found.closed || !found.up || found.decoding {
                return;
            }
            let node = found.node;
            let decoder = Decoder::new(self.nodes[node].spec.config.frame_bytes_max());
            let before = found.inbox.len();
            let frame = decoder.decode(&mut found.inbox);
            let taken = before - found.inbox.len();
            connection.read(end.side, taken);
            let frame = match frame {
                Ok(Some(frame)) => frame,
                Ok(None) => return,
                Err(error) => return self.close(end, Some(error.into())),
            };
            self.room_for(end.peer());
            self.show(node, end, &frame);
            let received = self.step(node, |replica, now| replica.receive(end.link(), &frame, now));
            match received {
                Some(Ok(Received::Done)) => {}
                Some(Ok(Received::Decode(decode))) => return self.decode(end, decode),
                Some(Err(fault)) => return self.close(end, Some(fault)),
                None => return,
            }
        }
    }

    /// There may be room again for a writer that waits for it.
    fn room_for(&mut self, end: EndId) {
        let Some(connection) = self.connections.get_mut(&end.connection) else { return };
        let found = connection.end_mut(end.side);
        if found.awake && !found.closed && !std::mem::replace(&mut found.pumping, true) {
            self.heap.push(self.now, Event::Pump(end));
        }
    }

    fn decode(&mut self, end: EndId, decode: Decode) {
        if let Some(connection) = self.connections.get_mut(&end.connection) {
            connection.end_mut(end.side).decoding = true;
        }
        let cost = self.dice.micros(20, 2000);
        self.heap.push(self.now + cost, Event::Install { end, decode: Box::new(decode) });
    }

    pub(super) fn install(&mut self, end: EndId, decode: Decode) {
        let Some(connection) = self.connections.get_mut(&end.connection) else { return };
        let found = connection.end_mut(end.side);
        found.decoding = false;
        if found.closed {
            return;
        }
        let node = found.node;
        let decoded = decode.run::<Subject>();
        let installed = self.step(node, |replica, now| replica.install(end.link(), decoded, now));
        match installed {
            Some(Err(fault)) => self.close(end, Some(fault)),
            _ => self.read(end),
        }
    }

    /// Ends a connection at this end, which the other end will notice.
    pub(super) fn close(&mut self, end: EndId, why: Option<LinkFault>) {
        let Some(connection) = self.connections.get_mut(&end.connection) else { return };
        let latency = connection.weather().latency;
        let swallowed = connection.trouble(end.side).swallowed;
        let found = connection.end_mut(end.side);
        if std::mem::replace(&mut found.closed, true) {
            return;
        }
        let (node, up) = (found.node, found.up);
        let over = connection.is_over();
        if !over && !swallowed {
            let wait = latency + self.dice.micros(0, 500);
            self.heap.push(self.now + wait, Event::Closed(end.peer()));
        }
        if over {
            self.connections.remove(&end.connection);
        }
        self.faulted(node, end, why.as_ref());
        if up {
            self.step(node, |replica, now| replica.link_down(end.link(), now));
        }
        if end.side == CLIENT {
            self.lost_upstream(node, end, why);
        }
    }

    fn lost_upstream(&mut self, node: usize, end: EndId, why: Option<LinkFault>) {
        let Some(process) = &mut self.nodes[node].process else { return };
        if process.upstream == Some(end.connection) {
            process.upstream = None;
        }
        let hopeless = matches!(why, Some(LinkFault::Refused(_) | LinkFault::Loop(_)));
        process.backoff = match hopeless {
            true => BACKOFF_MAX,
            false if process.replica.connected() => BACKOFF_MIN,
            false => process.backoff,
        };
        let wait = process.backoff / 2;
        let wait = wait + self.dice.micros(0, wait.as_micros() as u64);
        self.reconnect(node, wait);
    }

    fn faulted(&mut self, node: usize, end: EndId, why: Option<&LinkFault>) {
        let Some(why) = why else {
            return self.say(|| format!("n{node}: {} ends", end.link()));
        };
        self.say(|| format!("n{node} cuts {}: {why}", end.link()));
        self.moments.links_faulted += 1;
        match why {
            LinkFault::Silent(_) => self.moments.links_silent += 1,
            LinkFault::Wire(_) => self.moments.links_corrupt += 1,
            LinkFault::Loop(_) | LinkFault::Refused(_) => self.moments.links_looped += 1,
            _ => {}
        }
    }

    /// For the trace; heartbeats say nothing.
    fn show(&mut self, node: usize, end: EndId, frame: &Frame) {
        if self.trace.is_none() {
            return;
        }
        let message = match Message::read(frame) {
            Ok(Message::Heartbeat { .. }) => return,
            Ok(message) => format!("{message:?}"),
            Err(error) => error.to_string(),
        };
        self.say(|| {
            let cut = message.char_indices().nth(200).map_or(message.len(), |(at, _)| at);
            format!("n{node} hears over {}: {}", end.link(), &message[..cut])
        });
    }
}
