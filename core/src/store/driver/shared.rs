//! The replica behind its lock, and the execution of its outputs.
//!
//! One lock is held for the duration of a step. The outputs of the step are carried out after the
//! lock is released: connections are woken, jobs run, dispatches resolved, subscribers notified.
//! Code inside [`crate::Store::read`] may not take this lock, so the values that it may ask for
//! (`connected`, the version) are published outside the lock.

mod endpoint;
mod step;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use samestate_proto::replication::{
    Dispatched, Job, LinkId, Output, Refused, Replica, Resolution, StateView,
};
use samestate_proto::{Epoch, NodeId, Version};
use tokio::sync::{Notify, oneshot, watch};
use tracing::Span;

use crate::backup::JournalQueue;
use crate::event::{Event, EventKind};
use crate::link::{ClientConfig, LinkEndpoint, LinkHandle, RefusalReason, Setback, Side};
use crate::store::DispatchError;
use crate::store::dispatch::future::{Outcome, Waiter};
use crate::store::driver::backing::{Checks, Later};
use crate::store::driver::metrics::{BackupMetrics, DispatchMetrics, Ended};
use crate::store::driver::timers::Timers;
use crate::store::driver::trace;
use crate::store::error::resolved;
use crate::store::observe::reading::{self, Reading};
use crate::store::observe::subscribers::Subscribers;
use crate::store::reducer::machine::{Action, Cell, ReducerMachine, State};
use crate::store::serve::attachments::Attachments;
use crate::task::{Panicked, Work};

pub(crate) use endpoint::to_stderr;

/// If the last snapshot or digest took less than this, the next one runs on the calling thread.
const INLINE_JOB_MAX: Duration = Duration::from_micros(200);

/// Receives non-critical errors.
pub(crate) type OnError = Arc<dyn Fn(&Event) + Send + Sync>;

pub(crate) struct Inner<S: State, A: Action> {
    pub(crate) replica: Replica<ReducerMachine<S, A>>,
    pub(crate) dispatches: DispatchMetrics,
    waiters: HashMap<u64, Waiter>,
    next_ticket: u64,
    /// The number of resolved dispatches among those that had to wait.
    settled: u64,
    /// True if the store was in sync when that was published last.
    connected: bool,
    /// The next due instant, as it was planned last.
    planned: Option<Duration>,
}

impl<S: State, A: Action> Inner<S, A> {
    /// Has the next tick planned anew after this step.
    pub(crate) fn replan(&mut self) {
        self.planned = None;
    }
}

pub(crate) struct Shared<S: State, A: Action> {
    name: String,
    node: NodeId,
    channel: u32,
    frame_bytes_max: usize,
    inner: Mutex<Inner<S, A>>,
    pub(crate) cell: Arc<Cell<S>>,
    pub(crate) handles: Mutex<BTreeMap<LinkId, Arc<dyn LinkHandle>>>,
    pub(crate) ended: Mutex<Ended>,
    /// Dispatches that were decided on outside of the store's lock.
    pub(crate) decided: Mutex<DispatchMetrics>,
    pub(crate) backup: Mutex<Option<BackupMetrics>>,
    connected: watch::Sender<bool>,
    /// The newest version, for readers and watchers.
    newest: watch::Sender<Version>,
    pub(crate) subscribers: Arc<Subscribers<A>>,
    pub(crate) timers: Arc<Timers>,
    pub(crate) room: Notify,
    /// A snapshot was put in place.
    pub(crate) installed: Notify,
    /// The latest reason why this copy was not attached to its upstream.
    pub(crate) setback: watch::Sender<Option<Setback>>,
    on_error: Mutex<OnError>,
    began: Instant,
    /// The durations of the last encoding and of the last digest, in nanoseconds. They decide
    /// whether the next one runs on a thread of its own.
    cut_ns: AtomicU64,
    digest_ns: AtomicU64,
    /// Until then, no step writes to links itself; since the store began.
    direct_after_ns: AtomicU64,
    closed: watch::Sender<bool>,
    closing: AtomicBool,
    /// The queue of the records for the store's backup, once it keeps one.
    pub(crate) inbox: Mutex<Option<Arc<JournalQueue>>>,
    /// The backup that this node keeps once it is promoted.
    pub(crate) later: Option<Later>,
    /// The servers and the client of the store, for a promotion that comes over a link.
    pub(crate) attachments: OnceLock<Weak<Attachments>>,
    /// The standbys of this node.
    pub(crate) standbys: OnceLock<ClientConfig>,
    /// The epoch of the node that was promoted in place of this one.
    pub(crate) superseded_by: Mutex<Option<Epoch>>,
    pub(crate) checks: Mutex<Checks>,
    me: Weak<Shared<S, A>>,
}

impl<S: State, A: Action> Shared<S, A> {
    pub(crate) fn new(
        replica: Replica<ReducerMachine<S, A>>,
        on_error: OnError,
        began: Instant,
        inbox: Option<Arc<JournalQueue>>,
        later: Option<Later>,
    ) -> Arc<Self> {
        let (name, frame_bytes_max) =
            (replica.config().store.clone(), replica.config().frame_bytes_max());
        let timers = Timers::new(replica.config().heartbeat);
        let checks = Mutex::new(Checks::new(replica.config().verify_budget));
        let backup = BackupMetrics { saved_seq: replica.version().seq, ..Default::default() };
        Arc::new_cyclic(|me| Shared {
            name,
            node: replica.node(),
            channel: replica.channel(),
            frame_bytes_max,
            cell: replica.machine().cell(),
            connected: watch::Sender::new(replica.is_connected()),
            newest: watch::Sender::new(replica.version()),
            inner: Mutex::new(Inner {
                connected: replica.is_connected(),
                replica,
                dispatches: DispatchMetrics::default(),
                waiters: HashMap::new(),
                next_ticket: 0,
                settled: 0,
                planned: None,
            }),
            handles: Mutex::default(),
            ended: Mutex::default(),
            decided: Mutex::default(),
            backup: Mutex::new(inbox.is_some().then_some(backup)),
            subscribers: Arc::default(),
            timers,
            room: Notify::new(),
            installed: Notify::new(),
            setback: watch::Sender::new(None),
            on_error: Mutex::new(on_error),
            began,
            cut_ns: AtomicU64::new(u64::MAX),
            digest_ns: AtomicU64::new(u64::MAX),
            direct_after_ns: AtomicU64::new(0),
            closed: watch::Sender::new(false),
            closing: AtomicBool::new(false),
            inbox: Mutex::new(inbox),
            later,
            attachments: OnceLock::new(),
            standbys: OnceLock::new(),
            superseded_by: Mutex::default(),
            checks,
            me: me.clone(),
        })
    }

    pub(crate) fn node(&self) -> NodeId {
        self.node
    }

    pub(crate) fn me(&self) -> Weak<Self> {
        self.me.clone()
    }

    /// Stops the store, because the state at this version does not survive its codec.
    pub(crate) fn stop_unrestorable(&self, version: Version, why: &str) {
        self.with(|inner, now| inner.replica.stop_unrestorable(version, why.to_owned(), now));
    }

    /// The instant at which the time of the replica began.
    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// Time as the replica sees it.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Gives up this node's place in the tree. It waits for an upstream from now on.
    pub(crate) fn follow(&self) {
        self.setback.send_replace(None);
        self.with(|inner, now| inner.replica.follow(now));
    }

    /// Returns the function that handles a panic of a background task of this store.
    pub(crate) fn on_panic(&self) -> impl FnOnce(&Panicked) + Send + 'static {
        let weak = self.me.clone();
        move |panic| {
            if let Some(shared) = weak.upgrade() {
                shared.fail(panic);
            }
        }
    }

    /// Stops the store after a panic of one of its background tasks.
    pub(crate) fn fail(&self, panic: &Panicked) {
        self.with(|inner, now| inner.replica.fail(&panic.to_string(), now));
    }

    /// Borrows the state: see [`crate::Store::read`].
    pub(crate) fn read<R>(&self, reader: impl FnOnce(&S) -> R) -> R {
        reading::may_call(&self.name);
        let nested = reading::inside();
        let _reading = Reading::begin();
        let guard = self.cell.read(nested);
        let result = reader(&guard);
        drop(guard);
        result
    }

    /// Tells readers and watchers of the version, and of whether the store is in sync.
    fn publish(&self, inner: &mut Inner<S, A>) {
        let version = inner.replica.version();
        // To notify nobody is not free. Who subscribes while this runs sees the new version.
        self.newest.send_if_modified(|newest| {
            std::mem::replace(newest, version) != version && self.newest.receiver_count() > 0
        });
        let connected = inner.replica.is_connected();
        if std::mem::replace(&mut inner.connected, connected) != connected {
            self.connected.send_replace(connected);
        }
    }

    /// There is something to send over a link. `direct`: this call writes it, if it can.
    fn wake(&self, link: LinkId, direct: bool) {
        let handle = self.handles.lock().get(&link).cloned();
        match handle {
            Some(handle) if direct => handle.write_now(),
            Some(handle) => handle.wake(),
            None => {}
        }
    }

    fn carry_out(&self, output: Output<ReducerMachine<S, A>>) {
        match output {
            Output::Cut(link, fault) => {
                let handle = self.handles.lock().get(&link).cloned();
                if let Some(handle) = handle {
                    handle.cut(fault);
                }
            }
            Output::Report(report) => {
                trace::report(&self.span(None).1, &self.name, &report);
                let text = format!("store `{}` at node {}: {report}", self.name, self.node);
                self.report(EventKind::of_report(&report), &text);
            }
            Output::Note(note) => {
                let (side, span) = self.span(note.link());
                trace::note(&span, &self.name, side, &note);
            }
            Output::Connected(connected) => {
                let (closing, version) = (self.closing.load(Ordering::Relaxed), self.version());
                trace::in_sync(&self.span(None).1, &self.name, connected, version, closing);
                self.room.notify_waiters();
            }
            Output::Wake(_) | Output::Run(_) | Output::Resolved { .. } => {}
        }
    }

    /// The side and the span of a link, or of the link to the upstream if `link` is `None`.
    fn span(&self, link: Option<LinkId>) -> (Side, Span) {
        let handles = self.handles.lock();
        let handle = match link {
            Some(link) => handles.get(&link),
            None => handles.values().find(|handle| handle.meter().side() == Side::Upstream),
        };
        let meter = handle.map(|handle| handle.meter());
        meter.map_or((Side::Upstream, Span::none()), |meter| (meter.side(), meter.span().clone()))
    }

    fn run(&self, job: Job<impl StateView + Send + 'static>) {
        let Some(shared) = self.me.upgrade() else { return };
        let took = if job.is_cut() { &self.cut_ns } else { &self.digest_ns };
        let quick = took.load(Ordering::Relaxed) < INLINE_JOB_MAX.as_nanos() as u64;
        let work = move || {
            let took = if job.is_cut() { &shared.cut_ns } else { &shared.digest_ns };
            let started = Instant::now();
            let done = job.run();
            let cost = started.elapsed();
            took.store(cost.as_nanos() as u64, Ordering::Relaxed);
            shared.with(|inner, now| inner.replica.finish(done, cost, now));
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) if !quick => drop(runtime.spawn_blocking(Box::new(work) as Work)),
            _ => work(),
        }
    }

    /// Dispatches one action. `waiter` makes the receiver of the outcome, if the dispatch does not
    /// resolve at once.
    pub(crate) fn dispatch(
        inner: &mut Inner<S, A>,
        action: &A,
        now: Duration,
        waiter: impl FnOnce() -> Waiter,
    ) -> Result<Option<Resolution>, Refused> {
        let ticket = inner.next_ticket;
        inner.next_ticket += 1;
        match inner.replica.dispatch(ticket, action, now) {
            // Not counted here, because the caller may try again. See `Shared::counted`.
            Err(busy @ Refused::Busy(_)) => Err(busy),
            Err(refused) => {
                inner.dispatches.refused(&DispatchError::from_refused(refused.clone()));
                Err(refused)
            }
            Ok(Dispatched::Now(resolution)) => {
                inner.dispatches.resolved(&resolution);
                Ok(Some(resolution))
            }
            Ok(Dispatched::Later) => {
                inner.waiters.insert(ticket, waiter());
                Ok(None)
            }
        }
    }

    /// Dispatches an action whose outcome goes to `sender`. If the outcome is known at once, it is
    /// returned with the unused `sender`.
    pub(crate) fn offer(
        &self,
        action: &A,
        sender: oneshot::Sender<Outcome>,
    ) -> Option<(oneshot::Sender<Outcome>, Outcome)> {
        let mut waiting = Some(sender);
        let taken = self.with(|inner, now| {
            Shared::dispatch(inner, action, now, || {
                waiting.take().map_or_else(|| Waiter::One(oneshot::channel().0), Waiter::One)
            })
        });
        let outcome = match taken {
            Ok(Some(resolution)) => resolved(resolution),
            Ok(None) => Err(DispatchError::OutcomeUnknown),
            Err(refused) => Err(DispatchError::from_refused(refused)),
        };
        waiting.map(|sender| (sender, outcome))
    }

    pub(crate) fn is_connected(&self) -> bool {
        reading::may_call(&self.name);
        *self.connected.borrow()
    }

    pub(crate) fn connected(&self) -> watch::Receiver<bool> {
        self.connected.subscribe()
    }

    pub(crate) fn newest(&self) -> watch::Receiver<Version> {
        reading::may_call(&self.name);
        self.newest.subscribe()
    }

    pub(crate) fn version(&self) -> Version {
        reading::may_call(&self.name);
        *self.newest.borrow()
    }

    pub(crate) fn set_on_error(&self, on_error: OnError) {
        *self.on_error.lock() = on_error;
    }

    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
        self.with(|inner, now| inner.replica.close(now));
        self.closed.send_replace(true);
        self.subscribers.wake();
        self.timers.wake();
    }

    /// Waits until the dispatches that are under way now are resolved, and not for later ones.
    pub(crate) async fn drained(&self) {
        let until = self.with(|inner, _| inner.settled + inner.replica.under_way() as u64);
        loop {
            let notified = self.room.notified();
            let done =
                |inner: &mut Inner<S, A>| inner.settled >= until || inner.replica.under_way() == 0;
            if self.with(|inner, _| done(inner)) {
                return;
            }
            notified.await;
        }
    }

    pub(crate) fn closed(&self) -> watch::Receiver<bool> {
        self.closed.subscribe()
    }

    /// Returns whether no dispatch will be accepted any more.
    pub(crate) fn takes_none(&self) -> bool {
        let setback = self.setback.borrow().as_ref().and_then(Setback::refusal);
        setback == Some(RefusalReason::UpstreamGone)
            || self.with(|inner, _| inner.replica.takes_none())
    }

    pub(crate) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }
}

impl<S: State, A: Action> Drop for Shared<S, A> {
    fn drop(&mut self) {
        if let Some(inbox) = self.inbox.get_mut() {
            inbox.orphan();
        }
        self.subscribers.wake();
        self.timers.wake();
    }
}
