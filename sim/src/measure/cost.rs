//! The cost of a run: processor time and memory of each process.
//!
//! Read from outside, so that what is measured need not take part. Processor time is the process's
//! CPU clock (`clock_getcpuclockid(3)`), in nanoseconds; `/proc` tells its parts in user mode and
//! in the kernel in ticks of 10 ms, so these are the clock's time shared out in the ratio of the
//! ticks. A node that dies keeps its last reading; its next incarnation is one more process of the
//! same node. Where there is no `/proc`, nothing is measured, which is not an error.

use std::collections::BTreeMap;

#[cfg(target_os = "linux")]
use nix::time::ClockId;
#[cfg(target_os = "linux")]
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::over_time::Thinned;

/// The resources that one process had used at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// The time of the reading, on the machine's monotonic clock.
    pub at_ns: u64,
    /// Processor time, in nanoseconds.
    pub cpu_ns: u64,
    /// Of it in user mode, in the kernel's ticks.
    pub user_ticks: u64,
    /// Of it in the kernel, in the kernel's ticks.
    pub system_ticks: u64,
    /// Memory resident now, in bytes.
    pub rss_bytes: u64,
    /// The most memory that was ever resident, in bytes.
    pub rss_bytes_max: u64,
    /// The start of the process, in the kernel's ticks since boot. It tells the process from a
    /// later one with the same id.
    pub started_ticks: u64,
}

impl Reading {
    /// Looks at process `pid` and at all its descendants, those that it waited for included.
    #[cfg(target_os = "linux")]
    pub fn of_family(pid: u32) -> Option<Reading> {
        let mut total = Reading::of(pid)?;
        let tick_ns = 1_000_000_000 / procfs::ticks_per_second().max(1);
        for member in std::iter::once(pid).chain(crate::family::descendants(pid)) {
            let process = i32::try_from(member).ok().map(procfs::process::Process::new);
            let Some(stat) = process.and_then(Result::ok).and_then(|process| process.stat().ok())
            else {
                continue;
            };
            let [user, system] = [stat.cutime, stat.cstime].map(|ticks| ticks.max(0) as u64);
            total.cpu_ns += (user + system) * tick_ns;
            total.user_ticks += user;
            total.system_ticks += system;
            if member != pid
                && let Some(own) = Reading::of(member)
            {
                total.cpu_ns += own.cpu_ns;
                total.user_ticks += own.user_ticks;
                total.system_ticks += own.system_ticks;
                total.rss_bytes += own.rss_bytes;
            }
        }
        total.rss_bytes_max = total.rss_bytes_max.max(total.rss_bytes);
        Some(total)
    }

    /// Nothing can be read here.
    #[cfg(not(target_os = "linux"))]
    pub fn of_family(_pid: u32) -> Option<Reading> {
        None
    }

    /// Looks at process `pid`: `None` if it is gone, may not be looked at, or there is no `/proc`.
    #[cfg(target_os = "linux")]
    pub fn of(pid: u32) -> Option<Reading> {
        let pid = i32::try_from(pid).ok()?;
        let process = procfs::process::Process::new(pid).ok()?;
        let stat = process.stat().ok()?;
        let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(pid)).ok()?;
        let cpu = clock.now().ok()?;
        let rss_bytes = stat.rss.saturating_mul(procfs::page_size());
        let peak_kb = process.status().ok().and_then(|status| status.vmhwm).unwrap_or(0);
        let at = ClockId::CLOCK_MONOTONIC.now().ok()?;
        Some(Reading {
            at_ns: u64::try_from(std::time::Duration::from(at).as_nanos()).ok()?,
            cpu_ns: u64::try_from(std::time::Duration::from(cpu).as_nanos()).ok()?,
            user_ticks: stat.utime,
            system_ticks: stat.stime,
            rss_bytes,
            rss_bytes_max: rss_bytes.max(peak_kb.saturating_mul(1024)),
            started_ticks: stat.starttime,
        })
    }

    /// Nothing can be read here.
    #[cfg(not(target_os = "linux"))]
    pub fn of(_pid: u32) -> Option<Reading> {
        None
    }
}

/// The resources that were used since measuring began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Processor time in user mode, in nanoseconds.
    pub user_ns: u64,
    /// Processor time in the kernel, in nanoseconds.
    pub system_ns: u64,
    /// The most memory resident at once, in bytes.
    pub rss_bytes_max: u64,
}

impl Cost {
    /// Processor time of both kinds, in nanoseconds.
    pub fn cpu_ns(&self) -> u64 {
        self.user_ns + self.system_ns
    }

    fn then(self, next: Cost) -> Cost {
        Cost {
            user_ns: self.user_ns + next.user_ns,
            system_ns: self.system_ns + next.system_ns,
            rss_bytes_max: self.rss_bytes_max.max(next.rss_bytes_max),
        }
    }
}

/// The resources that one process had used at one moment, in brief.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The time, on the machine's monotonic clock.
    pub at_ns: u64,
    /// Processor time since the process began, in nanoseconds.
    pub cpu_ns: u64,
    /// Memory resident at that time, in bytes.
    pub rss_bytes: u64,
}

/// Watches the processes of a run.
#[derive(Debug, Default)]
pub struct CostSampler {
    nodes: BTreeMap<String, Vec<Incarnation>>,
}

/// One process of a node.
#[derive(Debug)]
struct Incarnation {
    pid: u32,
    /// Its descendants count, too.
    family: bool,
    gone: bool,
    first: Option<Reading>,
    last: Option<Reading>,
    course: Thinned<Usage>,
}

impl Incarnation {
    fn look(&mut self) {
        let read = if self.family { Reading::of_family } else { Reading::of };
        self.see(read(self.pid));
    }

    fn see(&mut self, reading: Option<Reading>) {
        let Some(reading) = reading else {
            self.gone = true;
            return;
        };
        if self.first.is_some_and(|first| first.started_ticks != reading.started_ticks) {
            self.gone = true;
            return;
        }
        self.first.get_or_insert(reading);
        let Reading { at_ns, cpu_ns, rss_bytes, .. } = reading;
        self.course.push(Usage { at_ns, cpu_ns, rss_bytes });
        let rss_bytes_max = self.last.map_or(0, |last| last.rss_bytes_max);
        let rss_bytes_max = rss_bytes_max.max(reading.rss_bytes_max);
        self.last = Some(Reading { rss_bytes_max, ..reading });
    }

    fn cost(&self) -> Option<Cost> {
        let (first, last) = (self.first?, self.last?);
        let cpu_ns = last.cpu_ns.saturating_sub(first.cpu_ns);
        let user = last.user_ticks.saturating_sub(first.user_ticks);
        let system = last.system_ticks.saturating_sub(first.system_ticks);
        let system_ns = match user + system {
            0 => 0,
            ticks => u128::from(cpu_ns) * u128::from(system) / u128::from(ticks),
        };
        // A share of `cpu_ns`.
        let system_ns = u64::try_from(system_ns).unwrap_or(cpu_ns);
        let user_ns = cpu_ns - system_ns;
        Some(Cost { user_ns, system_ns, rss_bytes_max: last.rss_bytes_max })
    }
}

impl CostSampler {
    /// Watches process `pid` as `node` from now on; what it used before does not count.
    pub fn watch(&mut self, node: &str, pid: u32) {
        self.begin_watch(node, pid, false);
    }

    fn begin_watch(&mut self, node: &str, pid: u32, family: bool) {
        let mut incarnation = Incarnation {
            pid,
            family,
            gone: false,
            first: None,
            last: None,
            course: Thinned::default(),
        };
        incarnation.look();
        self.nodes.entry(node.to_owned()).or_default().push(incarnation);
    }

    /// Watches process `pid` as `node`, with its descendants if `family` says so, and counts all
    /// it used since it started.
    pub fn watch_whole(&mut self, node: &str, pid: u32, family: bool) {
        self.begin_watch(node, pid, family);
        let incarnation = self.nodes.get_mut(node).and_then(|incarnations| incarnations.last_mut());
        if let Some(first) = incarnation.and_then(|incarnation| incarnation.first.as_mut()) {
            (first.cpu_ns, first.user_ticks, first.system_ticks) = (0, 0, 0);
        }
    }

    /// Counts from here: what was used so far is forgotten, and so are processes that are gone.
    pub fn begin(&mut self) {
        self.sample();
        for incarnations in self.nodes.values_mut() {
            incarnations.retain(|incarnation| !incarnation.gone);
            for incarnation in incarnations {
                incarnation.first = incarnation.last;
            }
        }
    }

    /// Looks at every process that is still there.
    ///
    /// Call it often enough that a process that gets killed has a recent reading, and once
    /// before processes are reaped.
    pub fn sample(&mut self) {
        for incarnation in self.nodes.values_mut().flatten().filter(|incarnation| !incarnation.gone)
        {
            incarnation.look();
        }
    }

    /// Returns the cost of each node, all its processes together: `None` if nothing could be read.
    pub fn per_node(&self) -> BTreeMap<&str, Option<Cost>> {
        let cost = |incarnations: &[Incarnation]| {
            incarnations.iter().filter_map(Incarnation::cost).reduce(Cost::then)
        };
        self.nodes.iter().map(|(node, incarnations)| (node.as_str(), cost(incarnations))).collect()
    }

    /// Returns the readings of a node's processes, oldest first: bounded, however many were taken.
    pub fn course(&self, node: &str) -> Vec<Usage> {
        let incarnations = self.nodes.get(node).into_iter().flatten();
        incarnations.flat_map(|incarnation| incarnation.course.readings()).collect()
    }

    /// Returns the last reading of a node's newest process.
    pub fn latest(&self, node: &str) -> Option<Usage> {
        let last = self.nodes.get(node)?.last()?.last?;
        Some(Usage { at_ns: last.at_ns, cpu_ns: last.cpu_ns, rss_bytes: last.rss_bytes })
    }

    /// Returns the cost of all nodes together. Memory is that of the largest process.
    pub fn total(&self) -> Option<Cost> {
        self.per_node().into_values().flatten().reduce(Cost::then)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn this_process_has_a_cost() {
        let mut sampler = CostSampler::default();
        sampler.watch_whole("me", std::process::id(), false);
        let first = sampler.total().expect("this process is there");
        assert!(first.rss_bytes_max > 100_000, "{first:?}");
        let mut sum = 0u64;
        while sampler.total().expect("still there").cpu_ns() < first.cpu_ns() + 30_000_000 {
            sum = sum.wrapping_add((0..100_000u64).fold(0, |a, b| a ^ b.wrapping_mul(sum | 1)));
            sampler.sample();
        }
        sampler.begin();
        let since = sampler.total().expect("still there");
        assert!(since.cpu_ns() < 30_000_000, "counts from the beginning: {since:?} {sum}");
    }

    #[test]
    fn less_than_a_tick_is_seen() {
        let mut sampler = CostSampler::default();
        sampler.watch("me", std::process::id());
        let mut seen = 0;
        while seen == 0 {
            sampler.sample();
            seen = sampler.total().expect("this process is there").cpu_ns();
        }
        assert_ne!(seen % 10_000_000, 0, "no tick is that exact");
    }

    #[test]
    fn a_process_that_died_keeps_its_last_reading() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().expect("cat exists");
        let mut sampler = CostSampler::default();
        sampler.watch("alpha.master", child.id());
        let before = sampler.per_node()["alpha.master"];
        assert!(before.is_some());
        child.kill().expect("ours to kill");
        child.wait().expect("reaped");
        sampler.sample();
        sampler.watch("alpha.master", std::process::id());
        let after = sampler.per_node()["alpha.master"].expect("both incarnations are there");
        assert!(after.rss_bytes_max >= before.map_or(0, |cost| cost.rss_bytes_max));
        assert_eq!(sampler.nodes["alpha.master"].len(), 2);
    }

    #[test]
    fn a_process_that_never_was_has_no_cost() {
        let mut sampler = CostSampler::default();
        sampler.watch("ghost", u32::MAX);
        assert_eq!(sampler.per_node()["ghost"], None);
        assert_eq!(sampler.total(), None);
    }
}
