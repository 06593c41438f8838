//! The properties that faults give to one direction of a link, and what they did to its bytes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::faults::Shape;
use crate::scenario::draws::Draws;

/// The properties of one direction, under all faults that last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shaping {
    /// Nothing arrives.
    pub(super) holds: bool,
    /// Each byte arrives so much later.
    pub(super) delay: Duration,
    /// Each part of the bytes arrives later by a time that is drawn up to this one.
    pub(super) jitter: Duration,
    /// The number of bytes a second that arrive.
    pub(super) bandwidth: Option<u64>,
    /// The number of bytes a second that the receiver reads; 0 for none at all.
    pub(super) reads: Option<u64>,
}

impl Shaping {
    /// Adds a fault: times add up, and of two bounds the lower one holds.
    pub(super) fn add(&mut self, shape: Shape) {
        let lower = |known: Option<u64>, bound| Some(known.map_or(bound, |known| known.min(bound)));
        match shape {
            Shape::Hold => self.holds = true,
            Shape::Delay(by) => self.delay += by,
            Shape::Jitter(up_to) => self.jitter += up_to,
            Shape::Bandwidth(bytes) => self.bandwidth = lower(self.bandwidth, bytes),
            Shape::Reader(bytes) => self.reads = lower(self.reads, bytes),
        }
    }
}

/// The effects of faults on the bytes of one direction of a link, over all its connections.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// Received while nothing arrived.
    pub(super) held_bytes: AtomicU64,
    /// Sent on later by a delay or by jitter.
    pub(super) delayed_bytes: AtomicU64,
    /// The longest additional time.
    pub(super) delay_ns_max: AtomicU64,
    /// Sent on under a bandwidth.
    pub(super) limited_bytes: AtomicU64,
    /// Taken by a slow reader.
    pub(super) taken_bytes: AtomicU64,
    /// The most that waited at once for a slow reader.
    pub(super) unread_bytes_max: AtomicU64,
    /// Bits to flip, each with its fault.
    flips: Mutex<VecDeque<(usize, Draws)>>,
    has_flips: AtomicBool,
}

/// A bit that was flipped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flipped {
    pub(super) fault: usize,
    pub(super) byte: usize,
    pub(super) bit: usize,
}

impl Effects {
    pub(super) fn add(counter: &AtomicU64, bytes: usize) {
        counter.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// A fault of this shape begins: what is a maximum is counted anew.
    pub(super) fn begin(&self, shape: Shape) {
        match shape {
            Shape::Delay(_) | Shape::Jitter(_) => self.delay_ns_max.store(0, Ordering::Relaxed),
            Shape::Reader(_) => self.unread_bytes_max.store(0, Ordering::Relaxed),
            Shape::Hold | Shape::Bandwidth(_) => {}
        }
    }

    /// Has a bit of the next bytes flipped.
    pub(super) fn flip_next(&self, fault: usize, draws: Draws) {
        self.flips.lock().push_back((fault, draws));
        self.has_flips.store(true, Ordering::Relaxed);
    }

    /// Takes back a flip that did not come about. Returns whether there was one.
    pub(super) fn no_flip(&self, fault: usize) -> bool {
        let mut flips = self.flips.lock();
        let before = flips.len();
        flips.retain(|(of, _)| *of != fault);
        flips.len() < before
    }

    /// Flips a bit of these bytes, if one is to be.
    pub(super) fn flip(&self, bytes: &mut [u8]) -> Option<Flipped> {
        if !self.has_flips.load(Ordering::Relaxed) || bytes.is_empty() {
            return None;
        }
        let mut flips = self.flips.lock();
        let next = flips.pop_front();
        self.has_flips.store(!flips.is_empty(), Ordering::Relaxed);
        let (fault, mut draws) = next?;
        let (byte, bit) = (draws.pick(bytes.len()), draws.pick(8));
        bytes[byte] ^= 1 << bit;
        Some(Flipped { fault, byte, bit })
    }

    /// Returns the effects until now.
    pub(super) fn counts(&self) -> Counts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            held_bytes: get(&self.held_bytes),
            delayed_bytes: get(&self.delayed_bytes),
            limited_bytes: get(&self.limited_bytes),
            taken_bytes: get(&self.taken_bytes),
        }
    }
}

/// The effects at one instant.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) held_bytes: u64,
    pub(super) delayed_bytes: u64,
    pub(super) limited_bytes: u64,
    pub(super) taken_bytes: u64,
}

/// Describes what a fault did to a direction since `before`; `None` if it met no bytes.
pub(super) fn evidence(shape: Shape, before: Counts, effects: &Effects) -> Option<String> {
    let now = effects.counts();
    let of = |count: u64, text: &str| (count > 0).then(|| format!("{count} bytes {text}"));
    match shape {
        Shape::Hold => of(now.held_bytes - before.held_bytes, "held"),
        Shape::Delay(_) | Shape::Jitter(_) => {
            let longest = effects.delay_ns_max.load(Ordering::Relaxed) as f64 / 1e6;
            let text = format!("delayed, by {longest:.1} ms at most");
            of(now.delayed_bytes - before.delayed_bytes, &text)
        }
        Shape::Bandwidth(_) => of(now.limited_bytes - before.limited_bytes, "passed slowly"),
        Shape::Reader(_) => {
            let taken = now.taken_bytes - before.taken_bytes;
            let unread = effects.unread_bytes_max.load(Ordering::Relaxed);
            (taken + unread > 0)
                .then(|| format!("{taken} bytes taken, {unread} waiting at once at most"))
        }
    }
}
