//! Measures the processor time of this process in short slices, as its stores apply actions, and
//! that of a reference work between them.

use std::mem;
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};
use samestate_proto::Version;
use samestate_proto::replication::Observer;
use samestate_proto::wire::Entries;

use crate::control::now_ns;
use crate::measure::{CpuSlices, reference_pass};

/// The shortest slice, in processor time. It ends with a batch, so no batch is in two.
const SLICE_CPU_NS: u64 = 10_000_000;

/// The processor time after which the reference work is done once more. A machine can be slow for
/// a millisecond, so many short samples tell more than few long ones.
const SAMPLE_CPU_NS: u64 = 2_000_000;

/// The time between two looks at the processor time.
const LOOK_NS: u64 = 1_000_000;

/// The passes of a sample that fill the caches, and those that count. They take about half a
/// percent of the processor time.
const PASSES: (u32, u32) = (1, 4);

/// The meter of a process. It is read when something is applied, and has no thread of its own.
#[derive(Default)]
pub(super) struct Meter(Mutex<Slice>);

/// The slice that has not ended.
#[derive(Default)]
struct Slice {
    looked_ns: u64,
    /// The processor time at the last look after which nothing was left out.
    cpu_ns: Option<u64>,
    /// The processor time without that of the reference work: of the slice, and since the last
    /// sample.
    used_ns: u64,
    unsampled_ns: u64,
    actions: u64,
    samples: Samples,
    ended: CpuSlices,
}

/// The reference work in one slice.
#[derive(Clone, Copy, Default)]
struct Samples {
    cpu_ns: u64,
    passes: u32,
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
        if now_ns.saturating_sub(slice.looked_ns) < LOOK_NS {
            return;
        }
        slice.looked_ns = now_ns;
        slice.look();
    }
}

impl Slice {
    fn look(&mut self) {
        let cpu_ns = cpu_ns(ClockId::ProcessCPUTime);
        let Some(before) = self.cpu_ns.replace(cpu_ns) else {
            // What came before belongs to the start.
            self.actions = 0;
            return;
        };
        let used_ns = cpu_ns.saturating_sub(before);
        self.used_ns += used_ns;
        self.unsampled_ns += used_ns;
        if self.unsampled_ns < SAMPLE_CPU_NS {
            return;
        }
        self.unsampled_ns = 0;
        self.samples.take();
        self.cpu_ns = Some(self::cpu_ns(ClockId::ProcessCPUTime));
        if self.used_ns >= SLICE_CPU_NS {
            let Samples { cpu_ns, passes } = mem::take(&mut self.samples);
            let pass_ns = cpu_ns as f64 / f64::from(passes);
            self.ended.record(mem::take(&mut self.used_ns), mem::take(&mut self.actions), pass_ns);
        }
    }
}

impl Samples {
    /// Does the reference work, and notes the processor time that it takes at this moment.
    fn take(&mut self) {
        (0..PASSES.0).for_each(|_| reference_pass());
        let begun = cpu_ns(ClockId::ThreadCPUTime);
        (0..PASSES.1).for_each(|_| reference_pass());
        self.cpu_ns += cpu_ns(ClockId::ThreadCPUTime).saturating_sub(begun);
        self.passes += PASSES.1;
    }
}

fn cpu_ns(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
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
