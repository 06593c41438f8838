//! An open loop: dispatches at instants that do not wait for answers.
//!
//! A thread of its own makes each action before its instant, waits for that and dispatches. What
//! does not resolve at once resolves in the background. What the thread comes too late for is
//! still made, and timed from the instant at which it was intended; what was not made when the
//! load is stopped is said to be missed.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::clock::{Stop, wait_until, wake_on_time};
use super::store::{Boxed, Place, Target};
use crate::control::now_ns;
use crate::load::{self, Arrivals, Params, Reducer, encode};
use crate::record::Source;
use crate::scenario::LoadPlan;

/// The schedule and the content of a load's dispatches.
#[derive(Clone, Debug)]
pub(super) struct Shift {
    /// The load.
    pub(super) load: LoadPlan,
    /// The parameters of its actions.
    pub(super) params: Params,
    /// The time at which its phase begins.
    pub(super) begin_ns: u64,
    /// The length of its phase.
    pub(super) length: Duration,
    /// The seed of the plan.
    pub(super) seed: u64,
}

impl Shift {
    /// Returns the time at which its phase ends.
    pub(super) fn end_ns(&self) -> u64 {
        self.begin_ns + self.length.as_nanos() as u64
    }

    /// Returns the random generator of its actions.
    pub(super) fn random(&self) -> rand_pcg::Pcg64 {
        load::random(self.seed, self.load.stream)
    }
}

/// A dispatch under way.
struct Pending<A> {
    dispatching: A,
    intended_ns: u64,
    issued_ns: u64,
    payload: Option<Vec<u8>>,
}

/// Runs the load on a thread of its own, which ends with its phase.
pub(super) fn run<R: Reducer, T: Target<R>>(
    store: Arc<T>,
    shift: Shift,
    stop: Arc<Stop>,
) -> std::io::Result<()> {
    let runtime = Handle::current();
    let (sender, receiver) = mpsc::unbounded_channel();
    let source = Source::Load(shift.load.stream);
    let resolving: Boxed<'static, ()> =
        Box::pin(resolve::<R, T>(Arc::clone(&store), source, receiver));
    runtime.spawn(resolving);
    let work: Box<dyn FnOnce() + Send> = Box::new(move || {
        let _inside = runtime.enter();
        generate::<R, T>(&store, &shift, &stop, &sender);
    });
    std::thread::Builder::new().name("load".to_owned()).spawn(work)?;
    Ok(())
}

fn generate<R: Reducer, T: Target<R>>(
    store: &T,
    shift: &Shift,
    stop: &Stop,
    pending: &mpsc::UnboundedSender<Pending<T::Answer>>,
) {
    wake_on_time();
    let source = Source::Load(shift.load.stream);
    let mut random = shift.random();
    let arrivals = Arrivals::new(&shift.load.arrival, shift.length, shift.seed, shift.load.stream);
    let joined_ns = now_ns();
    let mut instants = arrivals.map(|at| shift.begin_ns + at.as_nanos() as u64).enumerate();
    // A node that was started again has nothing to make up for.
    let mut next = instants.find(|(_, intended_ns)| *intended_ns >= joined_ns);
    let first = next.map_or(0, |(n, _)| n as u64);
    while let Some((n, intended_ns)) = next {
        let place = Place { stream: shift.load.stream, first, n: n as u64 };
        let action = R::action(&mut random, n as u64, &shift.params);
        let payload = encode(&action).ok();
        if !wait_until(intended_ns, stop) {
            return;
        }
        if stop.stopped() && now_ns() - intended_ns > LATE_NS_MAX {
            let late = instants.map(|(_, intended_ns)| intended_ns);
            let late = late.take_while(|intended_ns| !stop.before(*intended_ns));
            store.recorder().missed(source, std::iter::once(intended_ns).chain(late));
            return;
        }
        let issued_ns = now_ns();
        store.recorder().issued(source, 1);
        let dispatching = store.dispatch(place, action);
        if let Some(result) = T::answered(&dispatching) {
            store.record(source, (intended_ns, issued_ns), result, payload.as_deref());
        } else {
            // The receiver lives as long as this sender.
            let _ = pending.send(Pending { dispatching, intended_ns, issued_ns, payload });
        }
        next = instants.next();
    }
}

/// The delay beyond which a dispatch is not made any more when the load is stopped.
const LATE_NS_MAX: u64 = 1_000_000_000;

/// Records dispatches as they resolve: one after the other, where the target resolves them in their
/// order.
async fn resolve<R: Reducer, T: Target<R>>(
    store: Arc<T>,
    source: Source,
    mut pending: mpsc::UnboundedReceiver<Pending<T::Answer>>,
) {
    while let Some(Pending { dispatching, intended_ns, issued_ns, payload }) = pending.recv().await
    {
        let store = Arc::clone(&store);
        let resolve = async move {
            let result = dispatching.await;
            store.record(source, (intended_ns, issued_ns), &result, payload.as_deref());
        };
        if T::IN_ORDER {
            resolve.await;
        } else {
            tokio::spawn(Box::pin(resolve) as Boxed<'static, ()>);
        }
    }
}
