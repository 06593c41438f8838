//! A store that replicates nothing: the null case, which measures what the instruments cost.
//!
//! It does all that a node of a run does for the measurement: the load with its schedule, the
//! records of dispatches, the witness of all that is applied, the digests, and the deltas for the
//! runner, and the subscriber that checks what it is told. It opens no link, orders nothing, and
//! runs no reducer. A dispatch is answered at once. The dispatches of other nodes are taken from
//! their schedules, each time that a delta is cut.

use std::iter::Peekable;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use samestate::state::digest;
use samestate::{Change, ClientConfig, DispatchError, ServerConfig};
use samestate_proto::replication::Observer;
use samestate_proto::wire::{Entries, Entry};
use samestate_proto::{Epoch, Version};
use serde_bytes::ByteBuf;
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::task::JoinSet;

use super::NodeError;
use super::clock::Stop;
use super::open_loop::Shift;
use super::store::{AnyStore, Boxed, DIGEST_NS_MAX, Listening, Place, Target, load};
use crate::control::now_ns;
use crate::invariants::Witness;
use crate::load::{Arrivals, HeldState, Params, Reducer, encode};
use crate::measure::{Dispatched, Outcome};
use crate::record::{FinalState, Recorder, Source, StoreDelta};

/// The session that all its actions are of.
const SESSION: u64 = 1;

/// A store of a reducer's types that is never changed.
pub(super) struct NullStore<R: Reducer> {
    name: String,
    /// The name of its node.
    node: String,
    recorder: Recorder,
    /// The state that a load begins with.
    state: R::State,
    witness: Witness,
    applied: Mutex<Applied>,
    digest_ns: Mutex<(u64, u64)>,
}

/// The actions that it says were applied.
struct Applied {
    observer: Box<dyn Observer>,
    epoch: Epoch,
    /// The number of dispatches that were answered, and of actions that were seen.
    answered: u64,
    seen: u64,
    entry: Vec<u8>,
    foreign: Vec<Foreign>,
    /// Tells the subscriber, if there is one.
    tell: Option<UnboundedSender<Version>>,
}

/// The load of another node.
struct Foreign {
    begin_ns: u64,
    arrivals: Peekable<Box<dyn Iterator<Item = Duration> + Send>>,
    payload: Vec<u8>,
}

impl Applied {
    /// Tells the witness of one more action.
    fn one(&mut self, payload: &[u8]) {
        self.seen += 1;
        self.entry.clear();
        Entry::write(&mut self.entry, SESSION, self.seen, 0, payload);
        let version = Version { epoch: self.epoch, seq: self.seen };
        self.observer.applied(self.seen, version, self.seen, Entries::new(&self.entry));
        if let Some(tell) = &self.tell {
            // It listens until its store is closed.
            let _ = tell.send(version);
        }
    }

    /// Tells the witness of what other nodes have dispatched by now.
    fn catch_up(&mut self) {
        let now = now_ns();
        for mut foreign in std::mem::take(&mut self.foreign) {
            let at = Duration::from_nanos(now.saturating_sub(foreign.begin_ns));
            let begun = now >= foreign.begin_ns;
            while begun && foreign.arrivals.next_if(|arrival| *arrival <= at).is_some() {
                self.one(&foreign.payload);
            }
            self.foreign.push(foreign);
        }
    }

    fn version(&self) -> Version {
        Version { epoch: self.epoch, seq: self.seen.max(self.answered) }
    }
}

impl<R: Reducer> NullStore<R> {
    /// The store `name` at a node; `is_root` if it would order there.
    pub(super) fn open(name: &str, node: &str, params: &Params, is_root: bool) -> Arc<Self> {
        let mut state = R::State::default();
        for action in R::opening(params) {
            // A load begins with what is left of it, as in a run.
            let _ = R::reduce(&mut state, &action);
        }
        let (clock, epoch) = (Arc::new(now_ns), Epoch::default());
        let witness = if is_root {
            let (start, kept) = ((Version::default(), 0), crate::invariants::KEPT_BYTES_MAX);
            Witness::of_root(name, node, clock, start, epoch, kept)
        } else {
            Witness::of_replica(node, clock, Version::default(), 0)
        };
        let applied = Applied {
            observer: witness.observer(),
            epoch,
            answered: 0,
            seen: 0,
            entry: Vec::new(),
            foreign: Vec::new(),
            tell: None,
        };
        Arc::new(Self {
            name: name.to_owned(),
            node: node.to_owned(),
            recorder: Recorder::new(node),
            state,
            witness,
            applied: Mutex::new(applied),
            digest_ns: Mutex::new((0, 0)),
        })
    }
}

/// A dispatch that is answered at once.
#[derive(Debug)]
pub(super) struct Answered(Result<Version, DispatchError>);

impl Future for Answered {
    type Output = Result<Version, DispatchError>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(self.0.clone())
    }
}

impl<R: Reducer> Target<R> for NullStore<R> {
    type Answer = Answered;

    fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    fn version(&self) -> Version {
        self.applied.lock().version()
    }

    fn dispatch(&self, _: Place, _: R::Action) -> Answered {
        let mut applied = self.applied.lock();
        applied.answered += 1;
        Answered(Ok(applied.version()))
    }

    fn answered(answer: &Answered) -> Option<&Result<Version, DispatchError>> {
        Some(&answer.0)
    }

    async fn dispatch_many(
        &self,
        first: Place,
        actions: Vec<R::Action>,
    ) -> Vec<Result<Version, DispatchError>> {
        actions.into_iter().map(|action| Target::<R>::dispatch(self, first, action).0).collect()
    }

    fn ready(&self) -> Boxed<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn tell_if_invalid(&self, _: &Result<Version, DispatchError>) {}

    fn record(
        &self,
        source: Source,
        (intended_ns, issued_ns): (u64, u64),
        result: &Result<Version, DispatchError>,
        payload: Option<&[u8]>,
    ) -> Outcome {
        let version = {
            let mut applied = self.applied.lock();
            applied.one(payload.unwrap_or_default());
            applied.version()
        };
        let outcome = Outcome::from(result);
        let dispatched = Dispatched { intended_ns, issued_ns, answered_ns: now_ns(), outcome };
        self.recorder.resolved(source, dispatched, version, payload);
        outcome
    }
}

impl<R: Reducer> AnyStore for Arc<NullStore<R>> {
    fn name(&self) -> &str {
        &self.name
    }

    fn begun(&self) -> bool {
        true
    }

    fn load(&self, shift: Shift, stop: &Arc<Stop>) -> std::io::Result<()> {
        load::<R, NullStore<R>>(self, shift, stop)
    }

    fn expect(&self, shift: Shift) {
        let Shift { load, params, begin_ns, length, seed } = &shift;
        let action = R::action(&mut shift.random(), 0, params);
        let arrivals = Arrivals::new(&load.arrival, *length, *seed, load.stream);
        let arrivals: Box<dyn Iterator<Item = Duration> + Send> = Box::new(arrivals);
        self.applied.lock().foreign.push(Foreign {
            begin_ns: *begin_ns,
            arrivals: arrivals.peekable(),
            payload: encode(&action).unwrap_or_default(),
        });
    }

    fn stands_still(&self, _: &[Range<u64>]) {}

    fn synced(&self) -> Boxed<'_, ()> {
        Target::<R>::ready(&**self)
    }

    fn ready(&self) -> Boxed<'_, ()> {
        Target::<R>::ready(&**self)
    }

    fn serve(&self, _: ServerConfig) -> Boxed<'_, samestate::Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn follow(&self, _: ClientConfig) -> samestate::Result<()> {
        Ok(())
    }

    fn begin(&self) -> Boxed<'_, Result<(), DispatchError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn final_state(&self) -> Boxed<'_, Result<FinalState, NodeError>> {
        let version = Target::<R>::version(&**self);
        let state = FinalState { version, digest: 0, bytes: ByteBuf::new() };
        Box::pin(std::future::ready(Ok(state)))
    }

    fn take(&self, state: Option<FinalState>) -> StoreDelta {
        self.applied.lock().catch_up();
        let (version, seen) = (Target::<R>::version(&**self), self.witness.take());
        StoreDelta { state, ..self.recorder.take().into_delta(version, true, seen) }
    }

    fn sample_digest(&self) {
        let mut taken = self.digest_ns.lock();
        let version = Target::<R>::version(&**self);
        if taken.0 > DIGEST_NS_MAX || taken.1 == version.seq {
            return;
        }
        let begun_ns = now_ns();
        if let Ok(digest) = digest(&self.state) {
            self.recorder.digest(version, digest.0);
        }
        *taken = (now_ns() - begun_ns, version.seq);
    }

    fn on_change(&self, _: Box<dyn Fn(u64) + Send + Sync>) -> Listening {
        Box::new(())
    }

    /// The subscriber runs in a task of its own, which each dispatch wakes, as in a store.
    fn check_subscriber(&self) -> Listening {
        self.recorder.listens(&self.node);
        let (tell, mut told) = mpsc::unbounded_channel();
        self.applied.lock().tell = Some(tell);
        let me = Arc::downgrade(self);
        let mut task = JoinSet::new();
        task.spawn(async move {
            while let Some(version) = told.recv().await {
                let Some(store) = me.upgrade() else { break };
                store.recorder.told(&Change::Applied { version, action: () });
            }
        });
        Box::new(task)
    }

    fn held(&self) -> Boxed<'_, Option<Box<dyn HeldState>>> {
        Box::pin(std::future::ready(None))
    }

    fn mirror(&self, _: Vec<u8>, _: u64) -> Boxed<'static, Outcome> {
        Box::pin(std::future::ready(Outcome::Rejected))
    }
}
