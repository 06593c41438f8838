//! Descent of the machine's processes, and the end of all of a run's processes.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// The number of rounds of killing. A process that survives them sits in the kernel, out of reach.
const KILL_ROUNDS_MAX: u32 = 2_000;

/// The pause between two rounds of killing.
const KILL_PAUSE: Duration = Duration::from_millis(5);

/// Sends a signal to a process. `false` if there is no such process any more.
pub(crate) fn signal(pid: u32, signal: Signal) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| kill_process(pid, signal).is_ok())
}

/// The living processes that descend from `root`, in the order of their ids.
#[cfg(target_os = "linux")]
pub(crate) fn descendants(root: u32) -> Vec<u32> {
    let living: Vec<(u32, u32)> = procfs::process::all_processes()
        .into_iter()
        .flatten()
        .filter_map(|process| process.ok()?.stat().ok())
        .filter(|stat| !matches!(stat.state, 'Z' | 'X'))
        .filter_map(|stat| Some((u32::try_from(stat.pid).ok()?, u32::try_from(stat.ppid).ok()?)))
        .collect();
    let mut found = vec![root];
    let mut looked_at = 0;
    while looked_at < found.len() {
        let parent = found[looked_at];
        looked_at += 1;
        let children = living.iter().filter(|(_, ppid)| *ppid == parent).map(|(pid, _)| *pid);
        let new: Vec<u32> = children.filter(|pid| !found.contains(pid)).collect();
        found.extend(new);
    }
    found.remove(0);
    found.sort_unstable();
    found
}

/// Nothing can be read here: only processes that are known by their ids can be ended, and
/// workers end with their master.
#[cfg(not(target_os = "linux"))]
pub(crate) fn descendants(_root: u32) -> Vec<u32> {
    Vec::new()
}

/// Kills everything below `root`, stopped processes too, until nothing is left: what a process
/// starts while it is being killed is found in the next round. `reap` is called in each.
///
/// Returns the processes that did not end.
pub(crate) fn kill_below(root: u32, mut reap: impl FnMut()) -> Vec<u32> {
    for _ in 0..KILL_ROUNDS_MAX {
        let left = descendants(root);
        for &pid in &left {
            signal(pid, Signal::KILL);
        }
        reap();
        if left.is_empty() {
            return left;
        }
        std::thread::sleep(KILL_PAUSE);
    }
    descendants(root)
}
