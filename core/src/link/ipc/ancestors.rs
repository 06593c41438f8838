//! The processes between a master and a worker that has no link: wrappers, or another worker.

use std::io::ErrorKind;
use std::os::fd::RawFd;

use rustix::fs::OFlags;

/// So many processes are looked at.
const DEPTH_MAX: usize = 64;

/// Returns the process that started this one, if `master` started that one, or a process above it,
/// to become a worker and none of them has: it is a wrapper that kept the link, descriptor `fd`, to
/// itself. `None`: this process belongs to a worker, or that cannot be known.
pub(super) fn wrapper(master: u32, fd: RawFd) -> Option<u32> {
    let parent = rustix::process::getppid()?.as_raw_pid().unsigned_abs();
    let mut pid = parent;
    for _ in 0..DEPTH_MAX {
        if pid == master {
            return Some(parent);
        }
        if has_taken(pid, fd)? {
            return None;
        }
        pid = parent_of(pid)?;
    }
    None
}

/// Returns whether a process has taken the link. A worker does not pass the link on to processes
/// that it starts. `None`: its descriptors cannot be read.
fn has_taken(pid: u32, fd: RawFd) -> Option<bool> {
    let info = match std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}")) {
        Ok(info) => info,
        Err(error) if error.kind() == ErrorKind::NotFound => return Some(false),
        Err(_) => return None,
    };
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
    let flags = u32::from_str_radix(flags.trim(), 8).ok()?;
    Some(flags & OFlags::CLOEXEC.bits() != 0)
}

fn parent_of(pid: u32) -> Option<u32> {
    // The name of the program, in parentheses, may hold anything.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_of_a_process_is_found() {
        let parent = rustix::process::getppid().expect("it has one").as_raw_pid().unsigned_abs();
        assert_eq!(parent_of(std::process::id()), Some(parent));
    }

    #[test]
    fn what_the_master_started_itself_is_no_part_of_a_worker() {
        let parent = rustix::process::getppid().expect("it has one").as_raw_pid().unsigned_abs();
        assert_eq!(wrapper(parent, 3), Some(parent));
        assert_eq!(wrapper(u32::MAX, 3), None, "no process above this one");
    }
}
