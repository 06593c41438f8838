//! One direction of one connection: bytes are read, wait for as long as faults say, and are
//! written.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::listener::Socket;
use super::shaping::{Effects, Flipped, Shaping};
use crate::scenario::draws::Draws;

/// The number of bytes that are read at once, and that wait to be written on a healthy link.
const BUFFER_BYTES: usize = 64 * 1024;

/// The number of bytes that wait at most while they are delayed or held: those that a long line
/// has on its way.
const WAITING_BYTES_MAX: usize = 1024 * 1024;

/// The number of parts in which bytes pass under a bandwidth, or to a slow reader.
const PARTS_PER_SECOND: u64 = 100;

/// The interval at which the bytes are counted that wait for a slow reader.
const UNREAD_EVERY: Duration = Duration::from_millis(20);

/// A direction over a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// The state of a link that all its connections follow.
#[derive(Clone, Debug, Default)]
pub(super) struct Control {
    /// The number of times at which all connections were severed.
    pub(super) severed: u64,
    /// The number of times at which all connections became half open.
    pub(super) half_opened: u64,
    pub(super) up: Shaping,
    pub(super) down: Shaping,
}

impl Control {
    fn shaping(&self, way: Way) -> Shaping {
        match way {
            Way::Up => self.up,
            Way::Down => self.down,
        }
    }
}

/// The traffic of one direction of a connection so far.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    pub(super) received_bytes: AtomicU64,
    pub(super) sent_bytes: AtomicU64,
    /// Received, and thrown away because the connection was half open.
    pub(super) swallowed_bytes: AtomicU64,
}

/// Bytes that wait to be written from an instant on.
struct Part {
    due: Instant,
    bytes: Vec<u8>,
    written: usize,
}

/// The end of what is read.
#[derive(Clone, Copy)]
struct End {
    due: Instant,
    broken: bool,
}

/// The parts of a connection that a direction uses.
pub(super) struct Pump<'a, S> {
    pub(super) way: Way,
    pub(super) from: &'a S,
    pub(super) to: &'a S,
    pub(super) traffic: &'a Traffic,
    pub(super) effects: &'a Effects,
    pub(super) control: watch::Receiver<Control>,
    /// The times by which jitter delays the bytes.
    pub(super) draws: Draws,
    pub(super) watcher: &'a dyn Watcher,
}

/// The connection around a direction.
pub(super) trait Watcher: Sync {
    /// The first bytes of this direction were sent.
    fn first_sent(&self);
    /// Returns whether bytes have gone both ways.
    fn is_established(&self) -> bool;
    /// A bit was flipped, in a part of so many bytes.
    fn flipped(&self, flipped: Flipped, of_bytes: usize);
}

impl<S: Socket> Pump<'_, S> {
    /// Passes bytes on until `from` has ended and all its bytes are written.
    ///
    /// # Errors
    ///
    /// If either side breaks. An end that a fault keeps from the other side is reported once the
    /// fault is over.
    pub(super) async fn run(mut self) -> io::Result<()> {
        let mut flow = Flow::new(&self.control.borrow_and_update(), self.way);
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let now = Instant::now();
            if flow.is_over(now) {
                return self.end(&flow);
            }
            let wake = flow.wakes_at(now);
            tokio::select! {
                changed = self.control.changed() => {
                    if changed.is_err() {
                        return Ok(()); // the proxy is gone
                    }
                    self.note_unread(&flow);
                    let swallowed = flow.follow(&self.control.borrow_and_update(), self.way);
                    Effects::add(&self.traffic.swallowed_bytes, swallowed);
                }
                ready = self.from.readable(), if flow.may_read(now) => {
                    let limit = flow.read_bytes_max().min(buffer.len());
                    match ready.and_then(|()| self.from.try_read(&mut buffer[..limit])) {
                        Ok(0) => flow.ends(false, &mut self.draws),
                        Ok(bytes) => self.received(&mut flow, &mut buffer[..bytes]),
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                        Err(_) => flow.ends(true, &mut self.draws),
                    }
                }
                ready = self.to.writable(), if flow.may_write(now) => {
                    match ready.and_then(|()| self.to.try_write(flow.next_bytes())) {
                        Ok(bytes) => self.sent(&mut flow, bytes),
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                        Err(error) => return self.broken(error).await,
                    }
                }
                () = sleep_until(wake.unwrap_or(now)), if wake.is_some() => self.note_unread(&flow),
            }
        }
    }

    fn received(&mut self, flow: &mut Flow, bytes: &mut [u8]) {
        let now = Instant::now();
        Effects::add(&self.traffic.received_bytes, bytes.len());
        let shaping = flow.shaping;
        if let Some(pace) = shaping.reads.filter(|pace| *pace > 0) {
            Effects::add(&self.effects.taken_bytes, bytes.len());
            flow.read_from = now + taking(bytes.len(), pace);
        }
        if flow.swallows {
            Effects::add(&self.traffic.swallowed_bytes, bytes.len());
            return;
        }
        if shaping.holds {
            Effects::add(&self.effects.held_bytes, bytes.len());
        }
        if self.watcher.is_established()
            && let Some(flipped) = self.effects.flip(bytes)
        {
            self.watcher.flipped(flipped, bytes.len());
        }
        let due = flow.due(now, &mut self.draws);
        if due > now {
            Effects::add(&self.effects.delayed_bytes, bytes.len());
            let longest = (due - now).as_nanos() as u64;
            self.effects.delay_ns_max.fetch_max(longest, Ordering::Relaxed);
        }
        flow.waiting_bytes += bytes.len();
        flow.waiting.push_back(Part { due, bytes: bytes.to_vec(), written: 0 });
    }

    fn sent(&self, flow: &mut Flow, bytes: usize) {
        flow.written(bytes);
        if let Some(pace) = flow.shaping.bandwidth {
            Effects::add(&self.effects.limited_bytes, bytes);
            flow.write_from = Instant::now() + taking(bytes, pace);
        }
        let before = self.traffic.sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if before == 0 {
            self.watcher.first_sent();
        }
    }

    /// Notes the bytes that wait for a slow reader.
    fn note_unread(&self, flow: &Flow) {
        if flow.shaping.reads.is_some() {
            let unread = self.from.unread_bytes();
            self.effects.unread_bytes_max.fetch_max(unread, Ordering::Relaxed);
        }
    }

    /// `from` has ended, and all its bytes are written.
    fn end(&self, flow: &Flow) -> io::Result<()> {
        match flow.end {
            _ if flow.swallows => Ok(()),
            Some(End { broken: true, .. }) => Err(ErrorKind::ConnectionReset.into()),
            _ => self.to.end_writing(),
        }
    }

    /// `to` is gone: `from` hears of it unless nothing arrives there just now.
    async fn broken(&mut self, error: io::Error) -> io::Result<()> {
        let back = match self.way {
            Way::Up => Way::Down,
            Way::Down => Way::Up,
        };
        let arrives = |control: &Control| !control.shaping(back).holds;
        // An error means that the proxy is gone.
        let _ = self.control.wait_for(arrives).await;
        Err(error)
    }
}

/// The bytes of a direction that wait, and its pace.
struct Flow {
    shaping: Shaping,
    waiting: VecDeque<Part>,
    waiting_bytes: usize,
    end: Option<End>,
    /// Nothing is read before then.
    read_from: Instant,
    /// Nothing is written before then.
    write_from: Instant,
    last_due: Instant,
    half_opened: u64,
    /// True if all that is read is thrown away, and no end is passed on.
    swallows: bool,
}

impl Flow {
    fn new(control: &Control, way: Way) -> Self {
        let now = Instant::now();
        Self {
            shaping: control.shaping(way),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            end: None,
            read_from: now,
            write_from: now,
            last_due: now,
            half_opened: control.half_opened,
            swallows: false,
        }
    }

    /// Takes over the state of the link. Returns the number of bytes that are lost by that.
    fn follow(&mut self, control: &Control, way: Way) -> usize {
        self.shaping = control.shaping(way);
        if self.shaping.reads.is_none() {
            self.read_from = Instant::now();
        }
        if self.shaping.bandwidth.is_none() {
            self.write_from = Instant::now();
        }
        if self.half_opened == control.half_opened {
            return 0;
        }
        self.half_opened = control.half_opened;
        self.swallows = true;
        self.waiting.clear();
        std::mem::take(&mut self.waiting_bytes)
    }

    /// Returns the instant at which what is received now is to be written.
    fn due(&mut self, now: Instant, draws: &mut Draws) -> Instant {
        let Shaping { delay, jitter, .. } = self.shaping;
        let jitter = if jitter.is_zero() { jitter } else { draws.below(jitter) };
        // Bytes stay in order.
        self.last_due = self.last_due.max(now + delay + jitter);
        self.last_due
    }

    fn ends(&mut self, broken: bool, draws: &mut Draws) {
        let due = self.due(Instant::now(), draws);
        self.end = Some(End { due, broken });
    }

    fn is_over(&self, now: Instant) -> bool {
        let held = self.shaping.holds && !self.swallows;
        self.waiting.is_empty() && !held && self.end.is_some_and(|end| end.due <= now)
    }

    fn room(&self) -> usize {
        let Shaping { holds, delay, jitter, .. } = self.shaping;
        let keeps = holds || !(delay + jitter).is_zero();
        let most = if keeps { WAITING_BYTES_MAX } else { BUFFER_BYTES };
        most.saturating_sub(self.waiting_bytes)
    }

    fn reads(&self) -> bool {
        self.end.is_none() && self.room() > 0 && self.shaping.reads != Some(0)
    }

    fn may_read(&self, now: Instant) -> bool {
        self.reads() && self.read_from <= now
    }

    fn read_bytes_max(&self) -> usize {
        self.room().min(self.shaping.reads.map_or(usize::MAX, part))
    }

    /// Returns the instant from which the next bytes may be written.
    fn writes_from(&self) -> Option<Instant> {
        let next = self.waiting.front().filter(|_| !self.shaping.holds)?;
        Some(next.due.max(self.write_from))
    }

    fn may_write(&self, now: Instant) -> bool {
        self.writes_from().is_some_and(|from| from <= now)
    }

    /// Returns the next instant at which more may be done than now.
    fn wakes_at(&self, now: Instant) -> Option<Instant> {
        let read = Some(self.read_from).filter(|_| self.reads());
        let end = self.end.map(|end| end.due);
        let unread = self.shaping.reads.map(|_| now + UNREAD_EVERY);
        [read, self.writes_from(), end, unread].into_iter().flatten().filter(|at| *at > now).min()
    }

    fn next_bytes(&self) -> &[u8] {
        let Some(next) = self.waiting.front() else { return &[] };
        let left = &next.bytes[next.written..];
        &left[..left.len().min(self.shaping.bandwidth.map_or(usize::MAX, part))]
    }

    fn written(&mut self, bytes: usize) {
        self.waiting_bytes -= bytes;
        if let Some(next) = self.waiting.front_mut() {
            next.written += bytes;
            if next.written == next.bytes.len() {
                self.waiting.pop_front();
            }
        }
    }
}

/// Returns the number of bytes that pass at once at this pace.
fn part(bytes_per_second: u64) -> usize {
    usize::try_from(bytes_per_second / PARTS_PER_SECOND).unwrap_or(usize::MAX).max(1)
}

/// Returns the time that so many bytes take at this pace.
fn taking(bytes: usize, bytes_per_second: u64) -> Duration {
    Duration::from_secs_f64(bytes as f64 / bytes_per_second.max(1) as f64)
}
