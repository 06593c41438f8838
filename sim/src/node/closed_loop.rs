//! A closed loop: as fast as answers come, with so many dispatches under way at once.
//!
//! Two batches of half that many alternate, so that one is under way while the other's answers
//! are counted. Every dispatch is counted; a batch is timed from where it was handed over to where
//! the last of it was answered.

use std::sync::Arc;

use samestate::DispatchError;

use super::clock::{Stop, sleep_until};
use super::open_loop::Shift;
use super::store::{Boxed, LANES, Place, Target};
use crate::control::now_ns;
use crate::load::{Reducer, encode};
use crate::record::Source;

/// Runs the load on the runtime, until its phase ends.
pub(super) fn run<R: Reducer, T: Target<R>>(
    store: &Arc<T>,
    shift: &Shift,
    in_flight: u32,
    stop: &Arc<Stop>,
) {
    let second = in_flight / 2;
    for (lane, size) in [(0, in_flight - second), (1, second)] {
        if size > 0 {
            let (store, shift, stop) = (Arc::clone(store), shift.clone(), Arc::clone(stop));
            let driving: Boxed<'static, ()> =
                Box::pin(drive::<R, T>(store, shift, lane, size, stop));
            tokio::spawn(driving);
        }
    }
}

async fn drive<R: Reducer, T: Target<R>>(
    store: Arc<T>,
    shift: Shift,
    lane: u64,
    size: u32,
    stop: Arc<Stop>,
) {
    let source = Source::Load(shift.load.stream);
    let mut random = shift.random();
    // Each lane numbers its own actions: odd and even.
    let mut n = lane;
    sleep_until(shift.begin_ns).await;
    while now_ns() < shift.end_ns() && !stop.stopped() {
        let mut first = None;
        let place = Place { stream: shift.load.stream, first: lane, n };
        let actions: Vec<R::Action> = (0..size)
            .map(|index| {
                let action = R::action(&mut random, n, &shift.params);
                n += LANES;
                if index == 0 {
                    first = encode(&action).ok();
                }
                action
            })
            .collect();
        store.recorder().issued(source, u64::from(size));
        let issued_ns = now_ns();
        let results = store.dispatch_many(place, actions).await;
        results.iter().for_each(|result| store.tell_if_invalid(result));
        let made = (issued_ns, now_ns());
        let payloads = std::iter::once(first.as_deref()).chain(std::iter::repeat(None));
        let answered = results.iter().zip(payloads);
        store.recorder().resolved_all(source, made, store.version(), answered);
        if results.contains(&Err(DispatchError::NotConnected)) {
            // Refused at once, and would be again: a closed loop waits.
            store.ready().await;
        }
    }
}
