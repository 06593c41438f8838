//! Measures the processor time of this process in short slices, as its stores apply actions.

use std::mem;
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};
use samestate_proto::Version;
use samestate_proto::replication::Observer;
use samestate_proto::wire::Entries;

use crate::control::now_ns;
use crate::measure::CpuSlices;

/// The shortest slice. It ends with a batch, so no batch is in two.
const SLICE_NS: u64 = 20_000_000;

/// The meter of a process. Takes no time of its own: it is read when something is applied.
#[derive(Default)]
pub(super) struct Meter(Mutex<Slice>);

/// The slice that has not ended.
#[derive(Default)]
struct Slice {
    begun_ns: u64,
    begun_cpu_ns: u64,
    actions: u64,
    ended: CpuSlices,
}

impl Meter {
    /// Returns an observer that meters what is applied, and tells `inner`.
    pub(super) fn around(self: &Arc<Self>, inner: Box<dyn Observer>) -> Box<dyn Observer> {
        Box::new(Metered { inner, meter: Arc::clone(self) })
    }

    /// Takes the slices that ended since the last call.
    pub(super) fn take(&self) -> CpuSlices {
        mem::take(&mut self.0.lock().ended)
    }

    fn applied(&self, actions: u64) {
        let now_ns = now_ns();
        let mut slice = self.0.lock();
        slice.actions += actions;
        if now_ns.saturating_sub(slice.begun_ns) < SLICE_NS {
            return;
        }
        let cpu_ns = process_cpu_ns();
        if slice.begun_ns > 0 {
            let (used_ns, actions) = (cpu_ns.saturating_sub(slice.begun_cpu_ns), slice.actions);
            slice.ended.record(used_ns, actions);
        }
        (slice.begun_ns, slice.begun_cpu_ns, slice.actions) = (now_ns, cpu_ns, 0);
    }
}

fn process_cpu_ns() -> u64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// The observer of a store, metered.
struct Metered {
    inner: Box<dyn Observer>,
    meter: Arc<Meter>,
}

impl Observer for Metered {
    fn applied(&mut self, first: u64, last: Version, history: u64, entries: Entries<'_>) {
        self.inner.applied(first, last, history, entries);
        self.meter.applied((last.seq + 1).saturating_sub(first));
    }

    fn jumped(&mut self, from: Version, to: Version, history: u64) {
        self.inner.jumped(from, to, history);
        if from.epoch == to.epoch {
            self.meter.applied(to.seq.saturating_sub(from.seq));
        }
    }
}
