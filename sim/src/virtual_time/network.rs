//! Connections between nodes: two streams of bytes, in order, that take time and have an end.
//!
//! A direction holds a bounded number of bytes, on their way or received and not read yet. A
//! writer writes while there is room, as a task with a real socket would.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use samestate_proto::replication::LinkId;

use super::rng::SeededRng;
use crate::faults::{Shape, Ways};

/// The largest part in which sent bytes arrive.
const PART_BYTES_MAX: usize = 16 << 10;

/// The time that a part takes at most, so that a slow line delivers small packets too.
const PART_MS_MAX: u64 = 10;

/// The properties of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkModel {
    /// The shortest time from one node to another.
    pub latency: Duration,
    /// The longest additional time.
    pub jitter: Duration,
    /// The number of bytes that go through in a millisecond.
    pub bytes_per_ms: u64,
    /// The number of bytes that one direction of a connection holds.
    pub buffer_bytes: usize,
}

impl Default for NetworkModel {
    fn default() -> Self {
        NetworkModel {
            latency: Duration::from_micros(200),
            jitter: Duration::from_micros(100),
            bytes_per_ms: 100_000,
            buffer_bytes: 64 << 10,
        }
    }
}

impl NetworkModel {
    fn part_bytes_max(&self) -> usize {
        let bytes = self.bytes_per_ms.saturating_mul(PART_MS_MAX);
        usize::try_from(bytes).unwrap_or(usize::MAX).clamp(1, PART_BYTES_MAX)
    }

    /// Returns the time that so many bytes take.
    pub(crate) fn carrying(&self, bytes: u64) -> Duration {
        Duration::from_millis(bytes / self.bytes_per_ms.max(1))
    }
}

/// An end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// The node that connected: the other one is its upstream.
    Client,
    /// The node that listens.
    Server,
}

impl Side {
    /// The other end.
    pub(crate) fn other(self) -> Side {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }
}

/// One end of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EndId {
    /// The connection.
    pub(crate) connection: u64,
    /// The end of the connection.
    pub(crate) side: Side,
}

impl EndId {
    /// The other end.
    pub(crate) fn peer(self) -> EndId {
        EndId { side: self.side.other(), ..self }
    }

    /// The link that the replica at this end knows.
    pub(crate) fn link(self) -> LinkId {
        LinkId(self.connection * 2 + self.side as u64)
    }

    /// The end that a replica knows as `link`.
    pub(crate) fn of(link: LinkId) -> EndId {
        let side = if link.0.is_multiple_of(2) { Side::Client } else { Side::Server };
        EndId { connection: link.0 / 2, side }
    }
}

/// The faults of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// Nothing arrives before then.
    pub(crate) stalled_until: Duration,
    /// Nothing arrives at all.
    pub(crate) swallowed: bool,
    /// One bit of the next bytes to arrive is flipped.
    pub(crate) corrupt: bool,
}

/// A property that a fault gives to connections for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shaped {
    pub(crate) ways: Ways,
    pub(crate) shape: Shape,
    pub(crate) until: Duration,
}

/// The outcome of the arrival of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// Bytes may be there.
    pub(crate) any: bool,
    /// More of them arrive then.
    pub(crate) more_at: Option<Duration>,
}

/// One direction: what the node at this end has sent.
#[derive(Debug, Default)]
struct Pipe {
    queue: VecDeque<(Duration, Bytes)>,
    /// Sent, and not read by the receiver yet.
    held_bytes: usize,
    free_at: Duration,
    last_arrival: Duration,
    trouble: Trouble,
    shapes: Vec<Shaped>,
    /// Under a bandwidth, nothing more arrives before then.
    paced_until: Duration,
    /// The messages on their way, as the trace numbers them.
    flights: VecDeque<u64>,
}

impl Pipe {
    /// Returns the additional time that bytes take that are sent now.
    fn lateness(&self, rng: &mut SeededRng) -> Duration {
        let late = |shaped: &Shaped| match shaped.shape {
            Shape::Delay(by) => by,
            Shape::Jitter(up_to) => {
                Duration::from_nanos(rng.below((up_to.as_nanos() as u64).saturating_add(1)))
            }
            Shape::Hold | Shape::Bandwidth(_) | Shape::Reader(_) => Duration::ZERO,
        };
        self.shapes.iter().map(late).sum()
    }

    /// Returns the instant before which nothing arrives; zero if bytes do.
    fn held_until(&self, now: Duration) -> Duration {
        let lasting = self.shapes.iter().filter(|shaped| shaped.until > now);
        let held = lasting.filter_map(|shaped| match shaped.shape {
            Shape::Hold | Shape::Reader(0) => Some(shaped.until),
            Shape::Bandwidth(_) | Shape::Reader(_) => Some(self.paced_until.min(shaped.until)),
            Shape::Delay(_) | Shape::Jitter(_) => None,
        });
        held.max().unwrap_or_default()
    }

    /// Splits off the bytes that arrive at once under a bandwidth. Returns the time at which the
    /// others do.
    fn paced(&mut self, mut bytes: Bytes, now: Duration) -> (Bytes, Option<Duration>) {
        let lasting = self.shapes.iter().filter(|shaped| shaped.until > now);
        let pace = lasting.filter_map(|shaped| match shaped.shape {
            Shape::Bandwidth(pace) | Shape::Reader(pace) => Some(pace.max(1)),
            Shape::Hold | Shape::Delay(_) | Shape::Jitter(_) => None,
        });
        let Some(pace) = pace.min() else { return (bytes, None) };
        let part = usize::try_from(pace * PART_MS_MAX / 1_000).unwrap_or(usize::MAX).max(1);
        let part = bytes.split_to(bytes.len().min(part));
        self.paced_until = now + Duration::from_secs_f64(part.len() as f64 / pace as f64);
        if bytes.is_empty() {
            return (part, None);
        }
        self.queue.push_front((now, bytes));
        (part, Some(self.paced_until))
    }
}

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct End {
    /// The slot that it is at.
    pub(crate) slot: usize,
    /// The number of the incarnation of its host.
    pub(crate) incarnation: u32,
    /// The replica knows of it.
    pub(crate) up: bool,
    /// The connection was closed from this end, or this end knows that it was.
    pub(crate) closed: bool,
    /// Received, and not read yet.
    pub(crate) inbox: BytesMut,
    /// A snapshot is being decoded: nothing else is read.
    pub(crate) decoding: bool,
    /// The replica said that there is something to send.
    pub(crate) awake: bool,
    /// A writer is about to run.
    pub(crate) pumping: bool,
    /// The last time at which a message was handed to the replica.
    pub(crate) heard_at: Duration,
    pipe: Pipe,
}

impl End {
    fn new(slot: usize, incarnation: u32) -> Self {
        End {
            slot,
            incarnation,
            up: false,
            closed: false,
            inbox: BytesMut::new(),
            decoding: false,
            awake: false,
            pumping: false,
            heard_at: Duration::ZERO,
            pipe: Pipe::default(),
        }
    }
}

/// Two ends.
#[derive(Debug)]
pub(crate) struct Connection {
    client: End,
    server: End,
    model: NetworkModel,
}

impl Connection {
    /// Between these nodes, in these incarnations.
    pub(crate) fn new(client: (usize, u32), server: (usize, u32), model: NetworkModel) -> Self {
        let (client, server) = (End::new(client.0, client.1), End::new(server.0, server.1));
        Connection { client, server, model }
    }

    /// Returns the properties of the network between these ends.
    pub(crate) fn model(&self) -> NetworkModel {
        self.model
    }

    /// One end.
    pub(crate) fn end(&self, side: Side) -> &End {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    /// One end.
    pub(crate) fn end_mut(&mut self, side: Side) -> &mut End {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// Returns the number of bytes that the node at this end may write now.
    pub(crate) fn room(&self, side: Side) -> usize {
        self.model.buffer_bytes.saturating_sub(self.end(side).pipe.held_bytes)
    }

    /// Returns the faults of the bytes that are sent from this end.
    pub(crate) fn trouble(&mut self, side: Side) -> &mut Trouble {
        &mut self.end_mut(side).pipe.trouble
    }

    /// Gives the connection a property for a while.
    pub(crate) fn shape(&mut self, shaped: Shaped) {
        for (side, strikes) in [(Side::Client, shaped.ways.up), (Side::Server, shaped.ways.down)] {
            if strikes {
                self.end_mut(side).pipe.shapes.push(shaped);
            }
        }
    }

    /// Takes back all properties that were given for a while.
    pub(crate) fn unshape(&mut self) {
        for side in [Side::Client, Side::Server] {
            self.end_mut(side).pipe.shapes.clear();
        }
    }

    /// Sends bytes from this end, in parts; `arrives` is told when each of them does.
    pub(crate) fn send(
        &mut self,
        side: Side,
        mut bytes: Bytes,
        now: Duration,
        rng: &mut SeededRng,
        mut arrives: impl FnMut(Duration),
    ) {
        let model = self.model;
        let pipe = &mut self.end_mut(side).pipe;
        pipe.held_bytes += bytes.len();
        pipe.free_at = pipe.free_at.max(now);
        pipe.shapes.retain(|shaped| shaped.until > now);
        while !bytes.is_empty() {
            let whole = bytes.len() < 2 || rng.percent(70);
            let len = if whole { bytes.len() } else { 1 + rng.pick(bytes.len() - 1) };
            let len = len.min(model.part_bytes_max());
            pipe.free_at += Duration::from_nanos(len as u64 * 1_000_000 / model.bytes_per_ms);
            let jitter = Duration::from_nanos(rng.below(model.jitter.as_nanos() as u64 + 1));
            let late = pipe.lateness(rng);
            let at = (pipe.free_at + model.latency + jitter + late).max(pipe.last_arrival);
            pipe.last_arrival = at;
            let part =
                if len == bytes.len() { std::mem::take(&mut bytes) } else { bytes.split_to(len) };
            pipe.queue.push_back((at, part));
            arrives(at);
        }
    }

    /// The next bytes sent from this end arrive at the other, or later.
    pub(crate) fn arrive(&mut self, side: Side, now: Duration, rng: &mut SeededRng) -> Arrival {
        let pipe = &mut self.end_mut(side).pipe;
        let held_until = pipe.trouble.stalled_until.max(pipe.held_until(now));
        if held_until > now {
            return Arrival { any: false, more_at: Some(held_until) };
        }
        let Some((_, bytes)) = pipe.queue.pop_front() else {
            return Arrival { any: true, more_at: None };
        };
        let (bytes, more_at) = pipe.paced(bytes, now);
        let arrival = Arrival { any: true, more_at };
        if pipe.trouble.swallowed {
            return arrival;
        }
        let corrupt = std::mem::take(&mut pipe.trouble.corrupt);
        let receiver = self.end_mut(side.other());
        if receiver.closed {
            return arrival;
        }
        let start = receiver.inbox.len();
        receiver.inbox.extend_from_slice(&bytes);
        if corrupt {
            receiver.inbox[start + rng.pick(bytes.len())] ^= 1 << rng.below(8);
        }
        arrival
    }

    /// The node at this end has read so many bytes: the other one has room for as many.
    pub(crate) fn read(&mut self, side: Side, bytes: usize) {
        let pipe = &mut self.end_mut(side.other()).pipe;
        pipe.held_bytes = pipe.held_bytes.saturating_sub(bytes);
    }

    /// Loses what is on its way from this end.
    pub(crate) fn lose(&mut self, side: Side) {
        self.end_mut(side).pipe.queue.clear();
    }

    /// Returns the messages on their way from this end, as the trace numbers them, the oldest
    /// first.
    pub(crate) fn flights(&mut self, side: Side) -> &mut VecDeque<u64> {
        &mut self.end_mut(side).pipe.flights
    }

    /// Returns whether neither end knows of this connection any more.
    pub(crate) fn is_over(&self) -> bool {
        self.client.closed && self.server.closed
    }
}

/// All connections that either end knows, by their numbers: each one more than the one before.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    slots: Vec<Option<Box<Connection>>>,
}

impl Connections {
    /// One more connection. Returns its number.
    pub(crate) fn add(&mut self, connection: Connection) -> u64 {
        self.slots.push(Some(Box::new(connection)));
        self.slots.len() as u64 - 1
    }

    pub(crate) fn get(&self, number: u64) -> Option<&Connection> {
        self.slots.get(usize::try_from(number).ok()?)?.as_deref()
    }

    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut Connection> {
        self.slots.get_mut(usize::try_from(number).ok()?)?.as_deref_mut()
    }

    /// Removes the connection, which neither end knows any more.
    pub(crate) fn remove(&mut self, number: u64) {
        let slot = usize::try_from(number).ok().and_then(|at| self.slots.get_mut(at));
        if let Some(slot) = slot {
            *slot = None;
        }
    }

    /// Those that there are, with their numbers, in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Connection)> {
        let numbered = (0..).zip(&self.slots);
        numbered.filter_map(|(number, slot)| Some((number, slot.as_deref()?)))
    }

    /// Those that there are, in their order.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Connection> {
        self.slots.iter_mut().filter_map(Option::as_deref_mut)
    }
}
