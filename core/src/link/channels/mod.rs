//! The stores that one connection carries, and their changes while it is up.
//!
//! Towards an upstream a connection carries every store of its registry, and asks for each. From
//! downstream it takes up a store when the peer asks for it: at once if it is open, later if it may
//! still come; the peer's first message waits until then, and nothing else of it does.
//!
//! A store that leaves says so, and what was under way is dropped, so that one that comes back
//! never hears of its past. Upwards it says `Detach`, maybe before its `Attach` was ever sent, and
//! drops what comes until [`DETACHED`](table::DETACHED) answers. Downwards it says
//! [`GONE`](table::GONE), and drops what comes until the next `Attach`; the peer attaches again
//! after a while, and waits.
//!
//! A fault ends the connection, and who dialled makes another. The link between a master and a
//! worker cannot be made again, so there only that store is taken off, and attaches anew a little
//! later. So it is towards a server too where the fault is the store's own, as a refusal is, and
//! other stores are on the connection.
//!
//! All changes happen under the lock of the registry. Frames and wake-ups take only short locks
//! of the connection's own.

mod hear;
mod membership;
mod requests;
mod table;

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use requests::Requests;
use samestate_proto::wire::PROTOCOL_VERSION;
use table::{Channel, Channels, ENDING, write_link};
use tracing::Span;

use super::attached::{Attached, OnFault, Signals};
use super::close_reason::CloseReason;
use super::hello::HELLO_BYTES_MAX;
use super::rate_limiter::{Once, RateLimiter};
use super::{Side, StoreRegistry};

/// A peer that lets this much of such frames pile up is cut.
const CONTROL_BYTES_MAX: usize = 64 << 10;

/// A peer that only waits for stores may be silent for this many times what a store may take to be
/// asked for. Heartbeats are as far apart as the peer chose, 500 ms unless told.
const SILENT_SPANS: u32 = 6;

/// A store that was taken off by a fault, or by its upstream, attaches again after this.
const REST: Duration = Duration::from_millis(250);

/// The reporter of refused stores.
#[derive(Default)]
pub(super) struct Refusals {
    /// The client, over all of its connections.
    pub(super) client: u64,
    /// The refusals that were reported, by client and channel.
    pub(super) said: Arc<Once<(u64, u32)>>,
    pub(super) complaints: Arc<RateLimiter>,
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
    pub(super) ports: Arc<StoreRegistry>,
    pub(super) span: Span,
    /// The requests of the peer that were not replied to yet.
    pub(super) requests: Requests,
    refusals: Refusals,
    side: Side,
    on_fault: OnFault,
    channels: Mutex<Channels>,
    frame_bytes_max: AtomicUsize,
    protocol: AtomicU16,
}

impl Shared {
    pub(super) fn new(
        peer: String,
        side: Side,
        on_fault: OnFault,
        ports: Arc<StoreRegistry>,
        span: Span,
        refusals: Refusals,
    ) -> Arc<Self> {
        Arc::new(Shared {
            peer,
            signals: Arc::default(),
            ports,
            span,
            requests: Requests::default(),
            refusals,
            side,
            on_fault,
            channels: Mutex::default(),
            frame_bytes_max: AtomicUsize::new(HELLO_BYTES_MAX),
            protocol: AtomicU16::new(PROTOCOL_VERSION),
        })
    }

    /// Sets the version of the protocol that both ends use. Before this call, it is the newest.
    pub(super) fn agree(&self, protocol: u16) {
        self.protocol.store(protocol, Ordering::Relaxed);
    }

    /// The largest body of a frame that any store here accepts.
    pub(super) fn frame_bytes_max(&self) -> usize {
        self.frame_bytes_max.load(Ordering::Relaxed)
    }

    /// Begins a round of writing: the connection's own frames, and the stores to ask for theirs.
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

    /// Waits until the peer has, at the end of some `span`, asked for no store that it still has,
    /// or has long waited for one in silence.
    pub(super) async fn idle(&self, span: Duration) -> CloseReason {
        let silent_for = span.saturating_mul(SILENT_SPANS);
        loop {
            let waited = self.requests.are_under_way();
            tokio::time::sleep(span).await;
            // A reply that has just come may not have left yet.
            if waited || self.requests.are_under_way() {
                continue;
            }
            if self.channels.lock().map.is_empty() {
                return CloseReason::Idle(span);
            }
            // A store that is attached looks for itself.
            if !self.has_attached() && !self.signals.heard_within(silent_for) {
                return CloseReason::Silent(silent_for);
            }
        }
    }

    /// Tells the peer, a worker, that this process ends, and how long the worker has for the same.
    pub(super) fn tell_to_end(&self, within: Duration) {
        let within_ms = u32::try_from(within.as_millis()).unwrap_or(u32::MAX);
        write_link(&mut self.channels.lock().control, ENDING, within_ms);
        self.say();
    }

    fn has_attached(&self) -> bool {
        let channels = self.channels.lock();
        channels.map.values().any(|channel| matches!(channel, Channel::Attached(_)))
    }

    /// The connection itself has something to say: there is more in `control`.
    fn say(&self) {
        if self.channels.lock().control.len() > CONTROL_BYTES_MAX {
            self.signals.end(CloseReason::Flooded);
        }
        self.signals.to_write.notify_one();
    }
}
