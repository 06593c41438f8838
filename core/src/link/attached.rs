//! One store on one connection.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use samestate_proto::replication::{LinkFault, LinkId};
use samestate_proto::wire::{Frame, RefusalKind, WireError};
use tokio::sync::{Notify, watch};

use super::close_reason::CloseReason;
use super::writer::IdleWriter;
use super::{LinkEndpoint, LinkHandle, Meter};

/// Links are numbered over the whole process.
static NEXT_LINK: AtomicU64 = AtomicU64::new(1);

/// The effect on a connection of a store that cannot continue with the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnFault {
    /// It ends.
    End,
    /// The connection continues with the other stores.
    GoOn,
    /// The connection continues with the other stores, if there are any and the fault is this
    /// store's own; it ends otherwise. A store that was refused asks again after this time.
    Part {
        /// The wait.
        ask_again_after: Duration,
    },
}

/// Returns whether a fault concerns one store, and not the whole connection.
pub(super) fn is_of_one_store(fault: &LinkFault) -> bool {
    matches!(
        fault,
        LinkFault::Refused(_)
            | LinkFault::Loop(_)
            | LinkFault::Undecodable(_)
            | LinkFault::SnapshotTooLong { .. }
    )
}

/// Returns whether an early retry would meet the same fault: a refusal, or a snapshot that cannot
/// be used.
pub(super) fn is_refusal(fault: &LinkFault) -> bool {
    match fault {
        LinkFault::Refused(refusal) => refusal.kind != RefusalKind::Store,
        LinkFault::Loop(_) | LinkFault::Undecodable(_) | LinkFault::SnapshotTooLong { .. } => true,
        _ => false,
    }
}

/// The channels by which tasks and stores reach a connection.
#[derive(Default)]
pub(super) struct Signals {
    /// There is something to write.
    pub(super) to_write: Notify,
    /// The socket, while the writer's task sleeps.
    pub(super) idle: IdleWriter,
    /// [`Signals::end`] was called.
    pub(super) ended: Notify,
    /// There is something in `faults`.
    pub(super) faulted: Notify,
    /// The peer, this worker's master, said that it ends, and how long this process has.
    pub(super) told_to_end: watch::Sender<Option<Duration>>,
    ending: Mutex<Option<CloseReason>>,
    faults: Mutex<Vec<(Arc<Attached>, LinkFault)>>,
    heard_at: Mutex<Option<Instant>>,
}

impl Signals {
    /// Ends the connection; the first reason counts.
    pub(super) fn end(&self, why: CloseReason) {
        self.ending.lock().get_or_insert(why);
        self.ended.notify_one();
    }

    /// Bytes came.
    pub(super) fn heard(&self) {
        *self.heard_at.lock() = Some(Instant::now());
    }

    /// Returns whether bytes were received within this span.
    pub(super) fn heard_within(&self, span: Duration) -> bool {
        self.heard_at.lock().is_some_and(|at| at.elapsed() < span)
    }

    /// Takes the stores that asked to be cut from a connection that continues without them.
    pub(super) fn take_faults(&self) -> Vec<(Arc<Attached>, LinkFault)> {
        std::mem::take(&mut *self.faults.lock())
    }

    pub(super) fn take_ending(&self) -> Option<CloseReason> {
        self.ending.lock().take()
    }
}

/// A store on a connection. This is the [`LinkHandle`] that the store has.
pub(super) struct Attached {
    pub(super) channel: u32,
    pub(super) link: LinkId,
    pub(super) port: Arc<dyn LinkEndpoint>,
    pub(super) frame_bytes_max: usize,
    /// Its next bytes were not asked for yet.
    wanted: AtomicBool,
    /// It left; what still comes for it is dropped.
    gone: AtomicBool,
    on_fault: OnFault,
    signals: Arc<Signals>,
    meter: Meter,
    me: Weak<Attached>,
}

impl LinkHandle for Attached {
    fn wake(&self) {
        if !self.wanted.swap(true, Ordering::AcqRel) {
            self.signals.to_write.notify_one();
        }
    }

    fn write_now(&self) {
        if self.wanted.swap(true, Ordering::AcqRel) {
            return;
        }
        let fill = |out: &mut Vec<u8>, budget| {
            if !self.is_gone() {
                self.fill(out, budget);
            }
        };
        match self.signals.idle.write(fill) {
            Ok(true) => {}
            Ok(false) => self.signals.to_write.notify_one(),
            Err(panic) => self.signals.end(CloseReason::Panicked(panic)),
        }
    }

    fn cut(&self, why: LinkFault) {
        if self.is_gone() {
            return;
        }
        // The peer may not have opened this store yet; it answers when it has.
        let waits = |span| match self.on_fault {
            OnFault::End => false,
            OnFault::GoOn => true,
            OnFault::Part { .. } => self.signals.heard_within(span),
        };
        match (self.on_fault, self.me.upgrade()) {
            _ if matches!(why, LinkFault::Unanswered(span) if waits(span)) => {}
            (OnFault::GoOn | OnFault::Part { .. }, Some(me)) => {
                self.signals.faults.lock().push((me, why));
                self.signals.faulted.notify_one();
            }
            _ => self.signals.end(self.fault(why)),
        }
    }

    fn meter(&self) -> &Meter {
        &self.meter
    }
}

impl Attached {
    /// A new link of this store, which it has not been told of yet.
    pub(super) fn new(
        port: &Arc<dyn LinkEndpoint>,
        on_fault: OnFault,
        signals: &Arc<Signals>,
        meter: Meter,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| Attached {
            channel: port.channel(),
            link: LinkId(NEXT_LINK.fetch_add(1, Ordering::Relaxed)),
            port: port.clone(),
            frame_bytes_max: port.frame_bytes_max(),
            wanted: AtomicBool::new(true),
            gone: AtomicBool::new(false),
            on_fault,
            signals: signals.clone(),
            meter,
            me: me.clone(),
        })
    }

    /// Returns the reason to end a connection that this store cannot continue with.
    pub(super) fn fault(&self, fault: LinkFault) -> CloseReason {
        CloseReason::Fault { store: self.port.name().to_owned(), fault }
    }

    /// Hands a frame to the store; what comes after it left is dropped.
    pub(super) fn receive(&self, frame: &Frame) -> Result<(), LinkFault> {
        let limit = self.frame_bytes_max;
        if frame.body.len() > limit {
            return Err(WireError::TooLong { len: frame.body.len(), limit }.into());
        }
        self.meter.received(frame.body.len());
        match self.port.receive(self.link, frame) {
            Err(_) if self.is_gone() => Ok(()),
            result => result,
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// From here on it gets and gives nothing; the store is to be told.
    pub(super) fn leave(&self) {
        self.gone.store(true, Ordering::Release);
    }

    /// Appends what the store wants to send, if it was woken; it is asked again until it writes
    /// nothing.
    pub(super) fn fill(&self, out: &mut Vec<u8>, budget: usize) {
        if self.wanted.swap(false, Ordering::AcqRel) {
            let before = out.len();
            self.port.fill(self.link, out, budget);
            if out.len() > before {
                self.meter.sent(&out[before..]);
                self.wanted.store(true, Ordering::Release);
            }
        }
    }
}
