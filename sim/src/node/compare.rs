//! Two stores of one node, held together at instants that the plan draws.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::clock::{Stop, sleep_until};
use super::store::AnyStore;
use crate::control::now_ns;
use crate::load::{Samplings, same};
use crate::measure::Samples;

/// The results of comparisons since they were last taken, by the observation's position in the
/// plan.
pub(super) type Found = Arc<Mutex<BTreeMap<usize, Samples>>>;

/// One observation of two stores.
pub(super) struct Comparison {
    /// Its position in the plan.
    pub(super) index: usize,
    /// The two stores.
    pub(super) stores: [Arc<dyn AnyStore>; 2],
    /// The interval between comparisons.
    pub(super) every: Duration,
    /// The length of the run.
    pub(super) length: Duration,
    /// The seed of the plan.
    pub(super) seed: u64,
}

/// Compares until the run's end.
pub(super) async fn run(comparison: Comparison, begin_ns: u64, found: Found, stop: Arc<Stop>) {
    let Comparison { index, stores: [one, other], every, length, seed } = comparison;
    let joined_ns = now_ns();
    let instants = Samplings::new(every, length, seed, index as u64);
    let instants = instants.map(|at| begin_ns + at.as_nanos() as u64);
    for instant_ns in instants.filter(|instant_ns| *instant_ns >= joined_ns) {
        sleep_until(instant_ns).await;
        if stop.stopped() {
            return;
        }
        // Both at once: of a program, both are asked for before either has come.
        let (Some(one), Some(other)) = tokio::join!(one.held(), other.held()) else { continue };
        let compared = tokio::task::spawn_blocking(move || same(&*one, &*other));
        if let Ok(same) = compared.await {
            found.lock().entry(index).or_default().record(same);
        }
    }
}
