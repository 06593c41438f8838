//! A pair of connected Unix sockets, one end of which the worker inherits; and the one place where
//! a bare descriptor number becomes an owned one.

use std::env;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use command_fds::{CommandFdExt, FdMapping};
use rustix::fs::OFlags;
#[cfg(target_os = "linux")]
use rustix::io::Errno;
use rustix::io::FdFlags;
#[cfg(target_os = "linux")]
use rustix::net::SocketAddrUnix;
use rustix::net::{AddressFamily, RecvFlags, SocketType};
use tokio::net::UnixStream;
use tokio::process::Child;

#[cfg(target_os = "linux")]
use super::ancestors::wrapper;
use super::{Named, unusable};
use crate::link::LinkError;

/// One end, before anything was said on it.
#[derive(Debug)]
pub(crate) struct End(UnixStream);

impl End {
    /// Both ends, in one process.
    #[cfg(test)]
    pub(in crate::link) fn pair() -> io::Result<(Self, Self)> {
        UnixStream::pair().map(|(up, down)| (End(up), End(down)))
    }

    /// It is connected from the beginning.
    pub(super) async fn open(self) -> io::Result<UnixStream> {
        Ok(self.0)
    }
}

/// The number of the descriptor that a worker inherited.
const FD_VARIABLE: &str = "SAMESTATE_IPC_FD";

/// The descriptor under which a worker inherits its end. The lowest that is free in every process:
/// a higher one could be where `Command` keeps the pipe by which it learns that `exec` failed.
const WORKER_FD: i32 = 3;

const TAKEN_ELSEWHERE: &str =
    "another process has taken it: the first one that joins is the worker, and no other one is";

/// So many names are tried for a socket.
#[cfg(target_os = "linux")]
const NAMES_MAX: usize = 1_000;

static TAKEN: AtomicBool = AtomicBool::new(false);

/// Starts `command` with one end of a new pair; the other one is here.
pub(super) fn spawn(mut command: Command, _number: u32) -> io::Result<(Child, End)> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let end = End(UnixStream::from_std(ours)?);
    command
        .env(FD_VARIABLE, WORKER_FD.to_string())
        .fd_mappings(vec![FdMapping { parent_fd: OwnedFd::from(theirs), child_fd: WORKER_FD }])
        .map_err(io::Error::other)?;
    let mut command = tokio::process::Command::from(command);
    Ok((command.kill_on_drop(false).spawn()?, end))
}

/// The end that this process inherited from its master, or `None`: it is no worker. The descriptor
/// can be taken once; what this process starts from then on does not inherit it.
pub(super) fn inherited() -> Result<Option<(Named, End)>, LinkError> {
    let Some(fd) = descriptor()? else { return Ok(None) };
    let named = Named::from_environment()?;
    let is_taken_here = TAKEN.load(Ordering::Acquire);
    let Some(socket) = borrow(fd).filter(|socket| is_from(*socket, named.master)) else {
        return match wrapper(named.master, fd).filter(|_| !is_taken_here) {
            Some(pid) => Err(unusable(&format!(
                "descriptor {fd} was not passed on by process {pid}, which started this one: a \
                 wrapper has to leave it open"
            ))),
            None => Ok(None),
        };
    };
    if is_taken(socket) && !is_taken_here {
        return match wrapper(named.master, fd) {
            Some(_) => Err(unusable(TAKEN_ELSEWHERE)),
            None => Ok(None),
        };
    }
    if is_ended(socket) {
        return Err(match is_alive(named.master) {
            true => unusable(
                "the process that the master started has ended: a wrapper has to stay until the \
                 worker ends",
            ),
            false => LinkError::MasterGone { master: named.master },
        });
    }
    if TAKEN.swap(true, Ordering::AcqRel) {
        return Err(unusable("it was taken before, and can be taken once"));
    }
    if !claim(socket) {
        TAKEN.store(false, Ordering::Release);
        return Err(unusable(TAKEN_ELSEWHERE));
    }
    let failed = |error: std::io::Error| unusable(&error.to_string());
    rustix::io::fcntl_setfd(socket, FdFlags::CLOEXEC).map_err(|error| failed(error.into()))?;
    let stream = std::os::unix::net::UnixStream::from(own(fd));
    stream.set_nonblocking(true).map_err(failed)?;
    let stream = UnixStream::from_std(stream).map_err(failed)?;
    Ok(Some((named, End(stream))))
}

/// Elsewhere only what the master started itself can be sure that it was meant to be the worker.
#[cfg(not(target_os = "linux"))]
fn wrapper(master: u32, _: RawFd) -> Option<u32> {
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_pid().unsigned_abs());
    parent.filter(|parent| *parent == master)
}

/// Returns whether a process runs.
fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    let found = pid.map(rustix::process::test_kill_process);
    // One of another user cannot be signalled.
    matches!(found, Some(Ok(()) | Err(rustix::io::Errno::PERM)))
}

/// Returns the file descriptor that the environment names, if any.
fn descriptor() -> Result<Option<RawFd>, LinkError> {
    let Some(fd) = env::var_os(FD_VARIABLE) else { return Ok(None) };
    let fd = fd.to_str().and_then(|fd| fd.parse().ok()).filter(|fd| *fd > 2);
    fd.map(Some).ok_or_else(|| unusable(&format!("{FD_VARIABLE} is no descriptor")))
}

/// Returns whether this is a Unix stream socket that `master` made.
fn is_from(socket: BorrowedFd<'_>, master: u32) -> bool {
    let stream = rustix::net::sockopt::socket_type(socket) == Ok(SocketType::STREAM);
    let unix = rustix::net::getsockname(socket)
        .is_ok_and(|name| name.address_family() == AddressFamily::UNIX);
    #[cfg(target_os = "linux")]
    let made_there = rustix::net::sockopt::socket_peercred(socket)
        .is_ok_and(|peer| peer.pid.as_raw_pid().unsigned_abs() == master);
    #[cfg(not(target_os = "linux"))]
    let made_there = master != 0;
    stream && unix && made_there
}

/// Returns whether a process has taken this end. The mode of a socket is the same in all processes
/// that inherited it, and it is made non-blocking when it is taken.
fn is_taken(socket: BorrowedFd<'_>) -> bool {
    rustix::fs::fcntl_getfl(socket).is_ok_and(|flags| flags.contains(OFlags::NONBLOCK))
}

/// Claims this end for this process. Returns false if another process that inherited it was faster:
/// a socket gets a name once, whichever process asks for it.
#[cfg(target_os = "linux")]
fn claim(socket: BorrowedFd<'_>) -> bool {
    let pid = std::process::id();
    for attempt in 0..NAMES_MAX {
        let name = format!("samestate-worker-{pid}-{attempt}");
        let named = SocketAddrUnix::new_abstract_name(name.as_bytes())
            .and_then(|name| rustix::net::bind(socket, &name));
        match named {
            Err(Errno::INVAL) => return false,
            // Another process may have this id in a namespace of its own.
            Err(Errno::ADDRINUSE) => {}
            // Where names are forbidden, the mode of the socket has to do.
            Ok(()) | Err(_) => return true,
        }
    }
    true
}

#[cfg(not(target_os = "linux"))]
fn claim(_: BorrowedFd<'_>) -> bool {
    true
}

/// Returns whether the master's end is closed, as it is when the master is gone.
fn is_ended(socket: BorrowedFd<'_>) -> bool {
    let peek = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    rustix::net::recv(socket, &mut [0; 1], peek).is_ok_and(|(_, bytes)| bytes == 0)
}

/// Looks at a descriptor; `None` if it is not open.
#[allow(unsafe_code, reason = "a number from the environment has to be looked at")]
fn borrow(fd: RawFd) -> Option<BorrowedFd<'static>> {
    // SAFETY: `fd` is not -1. If it is not open, the one call made through it says so; if it is,
    // it is only asked what it is, unless it turns out to be what the master passed on, which
    // nothing else in this process knows of and which therefore stays open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    rustix::io::fcntl_getfd(borrowed).is_ok().then_some(borrowed)
}

/// Takes the descriptor that the master passed on.
#[allow(unsafe_code, reason = "the only way in which an inherited descriptor can be owned")]
fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: the caller has made sure that it is open, that it is a socket which the master made
    // for this process, and by `TAKEN` that it is owned once.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn of_those_that_claim_an_end_at_once_one_gets_it() {
        for _ in 0..100 {
            let (ours, theirs) = UnixStream::pair().expect("a pair");
            let claimed = || {
                std::thread::scope(|scope| {
                    let claims: Vec<_> =
                        (0..4).map(|_| scope.spawn(|| claim(theirs.as_fd()))).collect();
                    claims
                        .into_iter()
                        .map(|claim| claim.join().expect("no panic"))
                        .filter(|claimed| *claimed)
                        .count()
                })
            };
            assert_eq!(claimed(), 1);
            assert_eq!(claimed(), 0, "it stays claimed");
            assert!(claim(ours.as_fd()), "the other end is not");
        }
    }
}
