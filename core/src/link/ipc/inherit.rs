//! The one place where a bare descriptor number becomes an owned one.

use std::env;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::FdFlags;
use rustix::net::{AddressFamily, SocketType};
use tokio::net::UnixStream;

use super::{FD_VARIABLE, MASTER_VARIABLE, WORKER_VARIABLE};
use crate::link::LinkError;

/// What a worker has of its master.
#[derive(Debug)]
pub struct Inherited {
    /// The worker's number, from 1.
    pub worker: u32,
    /// The master's process id.
    pub master: u32,
    /// The worker's end of the link.
    pub stream: UnixStream,
}

static TAKEN: AtomicBool = AtomicBool::new(false);

/// What this process inherited from its master, or `None`: it is no worker. The descriptor can be
/// taken once; what this process starts from then on does not inherit it. Needs a tokio runtime.
pub fn inherited() -> Result<Option<Inherited>, LinkError> {
    let Some(named) = Named::from_environment()? else { return Ok(None) };
    let Some(socket) = borrow(named.fd) else { return Ok(None) };
    if !is_from(socket, named.master) {
        return Ok(None);
    }
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_pid().unsigned_abs());
    if parent != Some(named.master) {
        // A socket from the master, but another parent: either the master died before this
        // process got here, or a worker passed its environment on before it took its socket.
        return Err(LinkError::MasterGone { master: named.master });
    }
    if TAKEN.swap(true, Ordering::AcqRel) {
        return Err(unusable("it was taken before, and can be taken once"));
    }
    let failed = |error: std::io::Error| unusable(&error.to_string());
    rustix::io::fcntl_setfd(socket, FdFlags::CLOEXEC).map_err(|error| failed(error.into()))?;
    let stream = std::os::unix::net::UnixStream::from(own(named.fd));
    stream.set_nonblocking(true).map_err(failed)?;
    let stream = UnixStream::from_std(stream).map_err(failed)?;
    Ok(Some(Inherited { worker: named.worker, master: named.master, stream }))
}

fn unusable(why: &str) -> LinkError {
    LinkError::Inherited { why: why.to_owned() }
}

/// What the environment says.
struct Named {
    fd: RawFd,
    worker: u32,
    master: u32,
}

impl Named {
    fn from_environment() -> Result<Option<Self>, LinkError> {
        let Some(fd) = env::var_os(FD_VARIABLE) else { return Ok(None) };
        let fd = fd.to_str().and_then(|fd| fd.parse().ok()).filter(|fd| *fd > 2);
        Ok(Some(Named {
            fd: fd.ok_or_else(|| unusable(&format!("{FD_VARIABLE} is no descriptor")))?,
            worker: number(WORKER_VARIABLE)?,
            master: number(MASTER_VARIABLE)?,
        }))
    }
}

fn number(variable: &str) -> Result<u32, LinkError> {
    let value = env::var(variable).ok().and_then(|value| value.parse().ok());
    value.ok_or_else(|| unusable(&format!("{variable} is no number")))
}

/// Whether this is a Unix stream socket that `master` made.
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
