//! One open store, whose types are hidden from other modules.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use samestate::state::digest;
use samestate::{ClientConfig, DispatchError, DispatchFuture, ServerConfig, Store};
use samestate_proto::Version;
use serde_bytes::ByteBuf;

use super::clock::Stop;
use super::meter::Meter;
use super::open::Tell;
use super::open_loop::Shift;
use super::{NodeError, closed_loop, open_loop};
use crate::control::{ControlError, now_ns};
use crate::invariants::{Testimony, Witness};
use crate::load::{Held, HeldState, Params, Reducer, encode};
use crate::measure::{Dispatched, Outcome};
use crate::record::{FinalState, Recorder, Source, StoreDelta};
use crate::scenario::{Arrival, Role};

/// The digest of a state that took longer than this is not taken again before the end.
pub(super) const DIGEST_NS_MAX: u64 = 1_000_000;

/// A future that the runtime may run on any of its threads.
pub(super) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A subscription, which ends when it is dropped.
pub(super) type Listening = Box<dyn Send + Sync>;

/// A store of this node.
pub(super) trait AnyStore: Send + Sync {
    /// The store's name.
    fn name(&self) -> &str;

    /// Waits until it is in sync.
    fn synced(&self) -> Boxed<'_, ()>;

    /// Returns whether an action was ever applied to it.
    fn begun(&self) -> bool;

    /// Begins a load.
    fn load(&self, shift: Shift, stop: &Arc<Stop>) -> std::io::Result<()>;

    /// Announces a load of another node, which a store that replicates sees anyway.
    fn expect(&self, _: Shift) {}

    /// Says when the plan has the process down or standing still.
    fn stands_still(&self, spans: &[Range<u64>]);

    /// Waits until a dispatch would be taken.
    fn ready(&self) -> Boxed<'_, ()>;

    /// Serves it.
    fn serve(&self, server: ServerConfig) -> Boxed<'_, samestate::Result<()>>;

    /// Makes it follow a server. What it orders, if it is the sequencer, ends here.
    fn follow(&self, client: ClientConfig) -> samestate::Result<()>;

    /// Dispatches what brings it into its first state.
    fn begin(&self) -> Boxed<'_, Result<(), DispatchError>>;

    /// Reads the state for the last delta.
    fn final_state(&self) -> Boxed<'_, Result<FinalState, NodeError>>;

    /// Takes the records since the last call, to be handed over with the final state if there is
    /// one.
    fn take(&self, state: Option<FinalState>) -> StoreDelta;

    /// Takes a digest of its state, unless that takes long.
    fn sample_digest(&self);

    /// Calls back at every change, with the instant at which it was told.
    fn on_change(&self, call: Box<dyn Fn(u64) + Send + Sync>) -> Listening;

    /// Checks what a subscriber is told, from now on.
    fn check_subscriber(&self) -> Listening;

    /// Its state, held still, to be looked at later; `None` if it cannot be read now.
    fn held(&self) -> Boxed<'_, Option<Box<dyn HeldState>>>;

    /// Dispatches another store's serialised state into it; `told_ns` is when that was to be done.
    fn mirror(&self, serialised: Vec<u8>, told_ns: u64) -> Boxed<'static, Outcome>;
}

/// The place of a dispatch among those of its load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The load's stream.
    pub(super) stream: u64,
    /// The number of the load's first action in this process; of this lane, in a closed loop.
    pub(super) first: u64,
    /// The number of the action.
    pub(super) n: u64,
}

/// A store that loads dispatch into.
pub(super) trait Target<R: Reducer>: Send + Sync + 'static {
    /// A dispatch under way.
    type Answer: Future<Output = Result<Version, DispatchError>> + Send + 'static;

    /// True if dispatches of one load are answered in their order.
    const IN_ORDER: bool = true;

    /// Returns the recorder of its dispatches.
    fn recorder(&self) -> &Recorder;

    /// Returns the version of the store here.
    fn version(&self) -> Version;

    /// Dispatches an action.
    fn dispatch(&self, place: Place, action: R::Action) -> Self::Answer;

    /// Returns the outcome of a dispatch that is known already.
    fn answered(answer: &Self::Answer) -> Option<&Result<Version, DispatchError>>;

    /// Dispatches actions of a closed loop, whose numbers differ by [`LANES`].
    fn dispatch_many(
        &self,
        first: Place,
        actions: Vec<R::Action>,
    ) -> impl Future<Output = Vec<Result<Version, DispatchError>>> + Send;

    /// Waits until a dispatch would be taken.
    fn ready(&self) -> Boxed<'_, ()>;

    /// Tells the runner why an action could not be sent: it is too large, say.
    fn tell_if_invalid(&self, result: &Result<Version, DispatchError>);

    /// Records how a dispatch ended that was made at `issued_ns`.
    fn record(
        &self,
        source: Source,
        (intended_ns, issued_ns): (u64, u64),
        result: &Result<Version, DispatchError>,
        payload: Option<&[u8]>,
    ) -> Outcome {
        self.tell_if_invalid(result);
        let outcome = Outcome::from(result);
        let answered_ns = now_ns();
        let dispatched = Dispatched { intended_ns, issued_ns, answered_ns, outcome };
        self.recorder().resolved(source, dispatched, self.version(), payload);
        outcome
    }
}

/// The number of lanes of a closed loop.
pub(super) const LANES: u64 = 2;

/// Begins a load into a store.
pub(super) fn load<R: Reducer, T: Target<R>>(
    target: &Arc<T>,
    shift: Shift,
    stop: &Arc<Stop>,
) -> std::io::Result<()> {
    match shift.load.arrival {
        Arrival::Closed(closed) => closed_loop::run(target, &shift, closed.in_flight.get(), stop),
        _ => open_loop::run(Arc::clone(target), shift, Arc::clone(stop))?,
    }
    Ok(())
}

/// An open store of a reducer's types.
pub(super) struct OpenStore<R: Reducer> {
    pub(super) store: Store<R::State, R::Action>,
    pub(super) recorder: Recorder,
    node: String,
    params: Params,
    seen: Mutex<Seen>,
    /// Tells the runner, once, why an action could not be sent.
    tell: Tell,
    told_invalid: AtomicBool,
    meter: Arc<Meter>,
    digest_ns: Mutex<(u64, Option<Version>)>,
}

/// The witness of the replica, and what an earlier one left.
struct Seen {
    witness: Witness,
    left: Option<Testimony>,
    /// The last point that was taken, with the rolling hash there.
    last: (Version, u64),
}

impl Seen {
    fn take(&mut self) -> Testimony {
        let now = self.witness.take();
        if let Some(point) = now.timeline.points().last() {
            self.last = (point.version, point.history);
        }
        match self.left.take() {
            Some(mut left) => {
                left.absorb(now);
                left
            }
            None => now,
        }
    }
}

impl<R: Reducer> OpenStore<R> {
    /// A store that was just opened at `node`, where it is watched by `witness`.
    pub(super) fn watched(
        store: Store<R::State, R::Action>,
        node: &str,
        params: Params,
        witness: Witness,
        (tell, meter): (Tell, Arc<Meter>),
    ) -> Arc<Self> {
        let last = (Version::default(), 0);
        Arc::new(OpenStore {
            store,
            recorder: Recorder::new(node),
            node: node.to_owned(),
            params,
            seen: Mutex::new(Seen { witness, left: None, last }),
            tell,
            meter,
            told_invalid: AtomicBool::new(false),
            digest_ns: Mutex::new((0, None)),
        })
    }

    fn roles(&self) -> Vec<Role> {
        use samestate::Role as Lib;
        let roles = self.store.roles().into_iter().map(|role| match role {
            Lib::Master => Role::Master,
            Lib::Worker => Role::Worker,
            Lib::Server => Role::Server,
            Lib::Client => Role::Client,
        });
        let mut roles: Vec<Role> = roles.collect();
        roles.sort();
        roles
    }
}

impl<R: Reducer> Target<R> for OpenStore<R> {
    type Answer = DispatchFuture;

    fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    fn version(&self) -> Version {
        self.store.version()
    }

    fn dispatch(&self, _place: Place, action: R::Action) -> DispatchFuture {
        self.store.dispatch(action)
    }

    fn answered(answer: &DispatchFuture) -> Option<&Result<Version, DispatchError>> {
        answer.try_outcome()
    }

    fn dispatch_many(
        &self,
        _first: Place,
        actions: Vec<R::Action>,
    ) -> impl Future<Output = Vec<Result<Version, DispatchError>>> + Send {
        self.store.dispatch_many(actions)
    }

    fn ready(&self) -> Boxed<'_, ()> {
        Box::pin(self.store.ready())
    }

    /// Later ones of the store are counted alone.
    fn tell_if_invalid(&self, result: &Result<Version, DispatchError>) {
        if let Err(DispatchError::Invalid(why)) = result
            && !self.told_invalid.swap(true, Ordering::Relaxed)
        {
            (self.tell)(&format!("store `{}`: an action was not sent: {why}", self.store.name()));
        }
    }
}

impl<R: Reducer> AnyStore for Arc<OpenStore<R>> {
    fn name(&self) -> &str {
        self.store.name()
    }

    fn begun(&self) -> bool {
        self.store.version().seq > 0
    }

    fn load(&self, shift: Shift, stop: &Arc<Stop>) -> std::io::Result<()> {
        load(self, shift, stop)
    }

    fn stands_still(&self, spans: &[Range<u64>]) {
        self.recorder.stands_still(spans.to_vec());
    }

    fn synced(&self) -> Boxed<'_, ()> {
        Box::pin(self.store.until_connected(true))
    }

    fn ready(&self) -> Boxed<'_, ()> {
        Box::pin(self.store.ready())
    }

    fn serve(&self, server: ServerConfig) -> Boxed<'_, samestate::Result<()>> {
        Box::pin(async { self.store.create_server(server).await.map(drop) })
    }

    fn follow(&self, client: ClientConfig) -> samestate::Result<()> {
        let mut seen = self.seen.lock();
        let before = seen.take();
        if before.ledger.is_some() {
            // It orders no more: what it applies from now on is another's history.
            let (version, history) = seen.last;
            let witness = Witness::of_replica(&*self.node, Arc::new(now_ns), version, history);
            self.store.set_observer(self.meter.around(witness.observer()));
            seen.witness = witness;
        }
        seen.left = Some(before);
        self.store.create_client(client)
    }

    fn begin(&self) -> Boxed<'_, Result<(), DispatchError>> {
        Box::pin(async move {
            for action in R::opening(&self.params) {
                let payload = encode(&action).ok();
                let issued_ns = now_ns();
                self.recorder.issued(Source::Opening, 1);
                let result = self.store.dispatch(action).await;
                let made = (issued_ns, issued_ns);
                self.record(Source::Opening, made, &result, payload.as_deref());
                result?;
            }
            Ok(())
        })
    }

    fn final_state(&self) -> Boxed<'_, Result<FinalState, NodeError>> {
        let (version, state) = self.store.state_at();
        let digest = digest(&*state).map_or(0, |digest| digest.0);
        let encoded = encode(&*state).map_err(ControlError::from);
        Box::pin(std::future::ready(match encoded {
            Ok(bytes) => Ok(FinalState { version, digest, bytes: ByteBuf::from(bytes) }),
            Err(error) => Err(error.into()),
        }))
    }

    fn take(&self, state: Option<FinalState>) -> StoreDelta {
        let (version, connected) = (self.store.version(), self.store.is_connected());
        let seen = self.seen.lock().take();
        StoreDelta {
            roles: self.roles(),
            counters: Some(self.store.counters().into()),
            state,
            ..self.recorder.take().into_delta(version, connected, seen)
        }
    }

    fn sample_digest(&self) {
        let mut taken = self.digest_ns.lock();
        if taken.0 > DIGEST_NS_MAX || taken.1 == Some(self.store.version()) {
            return;
        }
        let begun_ns = now_ns();
        let (version, state) = self.store.state_at();
        if let Ok(digest) = digest(&*state) {
            self.recorder.digest(version, digest.0);
        }
        *taken = (now_ns() - begun_ns, Some(version));
    }

    fn on_change(&self, call: Box<dyn Fn(u64) + Send + Sync>) -> Listening {
        Box::new(self.store.subscribe(move |_| call(now_ns())))
    }

    fn check_subscriber(&self) -> Listening {
        self.recorder.listens(&self.node);
        let me = Arc::downgrade(self);
        Box::new(self.store.subscribe(move |change| {
            if let Some(store) = me.upgrade() {
                store.recorder.told(change);
            }
        }))
    }

    fn held(&self) -> Boxed<'_, Option<Box<dyn HeldState>>> {
        let held: Box<dyn HeldState> = Box::new(Held::<R>::new(self.store.state()));
        Box::pin(std::future::ready(Some(held)))
    }

    fn mirror(&self, serialised: Vec<u8>, told_ns: u64) -> Boxed<'static, Outcome> {
        let Some(action) = R::mirroring(serialised) else {
            // Validation refuses mirrors into such stores.
            return Box::pin(std::future::ready(Outcome::Rejected));
        };
        let payload = encode(&action).ok();
        let issued_ns = now_ns();
        self.recorder.issued(Source::Mirror, 1);
        let dispatching: DispatchFuture = self.store.dispatch(action);
        let me = Arc::clone(self);
        Box::pin(async move {
            let result = dispatching.await;
            me.record(Source::Mirror, (told_ns, issued_ns), &result, payload.as_deref())
        })
    }
}
