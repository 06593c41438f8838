//! One store's state into another, at each change.
//!
//! Changes that arrive while a dispatch is being made count as one change: the newest state is
//! mirrored. If a dispatch is refused, or its outcome is unknown, the newest state is dispatched
//! again as soon as the store accepts it.

use std::sync::Arc;

use tokio::sync::watch;

use super::store::AnyStore;
use crate::control::now_ns;
use crate::measure::Outcome;

/// Mirrors `from` into `to` for as long as the process lives.
pub(super) fn run(from: Arc<dyn AnyStore>, to: Arc<dyn AnyStore>) {
    let told = Arc::new(watch::Sender::new(0));
    let mut changes = told.subscribe();
    let sender = Arc::clone(&told);
    let subscription = from.on_change(Box::new(move |now_ns| {
        sender.send_replace(now_ns);
    }));
    if from.begun() {
        // What happened before this process listened is mirrored too.
        told.send_replace(now_ns());
    }
    tokio::spawn(async move {
        let _listens = subscription;
        while changes.changed().await.is_ok() {
            let told_ns = *changes.borrow_and_update();
            let Some(state) = from.held().await else { continue };
            let Ok(serialised) = state.serialised() else { continue };
            // The order is that of the calls; the outcome is waited for beside the next change.
            let outcome = to.mirror(serialised, told_ns);
            tokio::spawn(again(outcome, Arc::clone(&to), Arc::clone(&told)));
        }
    });
}

/// Asks for one more mirroring if this one may have come to nothing.
async fn again(
    outcome: impl Future<Output = Outcome>,
    to: Arc<dyn AnyStore>,
    told: Arc<watch::Sender<u64>>,
) {
    match outcome.await {
        Outcome::Ok(_) | Outcome::Rejected | Outcome::Invalid => {}
        Outcome::NotConnected | Outcome::Busy | Outcome::Unknown => {
            to.ready().await;
            told.send_replace(now_ns());
        }
    }
}
