//! The CPU of processes, by the kernel's own count.

use std::fs;
use std::iter::Sum;
use std::ops::{Add, Sub};
use std::time::Duration;

/// The CPU that threads have had, and how many times each was put on one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    pub(crate) runs: u64,
}

impl Add for Usage {
    type Output = Usage;

    fn add(self, other: Usage) -> Usage {
        Usage { cpu: self.cpu + other.cpu, runs: self.runs + other.runs }
    }
}

impl Sub for Usage {
    type Output = Usage;

    fn sub(self, earlier: Usage) -> Usage {
        Usage { cpu: self.cpu - earlier.cpu, runs: self.runs - earlier.runs }
    }
}

impl Sum for Usage {
    fn sum<I: Iterator<Item = Usage>>(usages: I) -> Usage {
        usages.fold(Usage::default(), Add::add)
    }
}

/// The usage of the threads of these processes. Threads that have ended are not counted.
pub(crate) fn of(pids: &[u32]) -> Usage {
    pids.iter().map(|pid| of_process(*pid)).sum()
}

fn of_process(pid: u32) -> Usage {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Usage::default() };
    let of_task = |task: fs::DirEntry| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        // Nanoseconds on a CPU, nanoseconds of waiting for one, times put on one.
        let mut fields = text.split_whitespace().map(str::parse::<u64>);
        let (cpu, _, runs) = (fields.next()?.ok()?, fields.next()?.ok()?, fields.next()?.ok()?);
        Some(Usage { cpu: Duration::from_nanos(cpu), runs })
    };
    tasks.flatten().filter_map(of_task).sum()
}
