//! Errors of setting up a link, a server or a worker.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::Address;
use crate::auth::CredentialsError;

/// An error of a link that could not be set up. What goes wrong later is reported, and tried again.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LinkError {
    /// Text that is no address.
    #[error("invalid address {text:?}: {why}")]
    BadAddress {
        /// As it was given.
        text: String,
        /// The fault, and the form that is expected.
        why: String,
    },
    /// A path at which there can be no socket file.
    #[error("invalid socket path {path:?}: {why}")]
    BadSocketPath {
        /// As it was given.
        path: PathBuf,
        /// The fault, and the way to fix it.
        why: String,
    },
    /// An option has a value that is of no use.
    #[error("invalid option `{name}`: {value}; allowed is {allowed}")]
    BadOption {
        /// The name of the option.
        name: &'static str,
        /// Its value.
        value: String,
        /// The values that are allowed.
        allowed: String,
    },
    /// The server's address cannot be had.
    #[error("failed to listen on {address}{}", advice(.source))]
    Bind {
        /// The address at fault.
        address: Address,
        /// The error of the operating system.
        source: io::Error,
    },
    /// This system has no sockets of this kind.
    #[error("{address} cannot be used on this system: {}", instead(.address))]
    NotHere {
        /// The address that a server was to listen at, or a client to connect to.
        address: Address,
    },
    /// A worker was to serve at a named pipe.
    #[error(
        "worker {worker} cannot listen on {address}: on Windows a named pipe belongs to the \
         master; create this server in the master, or serve on TCP"
    )]
    PipeInWorker {
        /// The pipe.
        address: Address,
        /// The worker's number.
        worker: u32,
    },
    /// Another process listens on this socket file, or named pipe.
    #[error(
        "failed to listen on {}: a server answers there; stop it, or choose another path",
        path.display()
    )]
    SocketInUse {
        /// The file, or the pipe.
        path: PathBuf,
    },
    /// A file that is no socket is in the way; it is left alone.
    #[error(
        "failed to listen on {}: a file that is no socket is there; remove it or choose another \
         path",
        path.display()
    )]
    NotASocket {
        /// The file.
        path: PathBuf,
    },
    /// Invalid logins or passwords.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// TLS cannot be set up.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Tls(#[from] super::TlsSetupError),
    /// Two stores of one name in one cluster, or two stores whose names hash to one channel.
    /// Outside of a cluster a process may have several stores of one name.
    #[error("stores {name:?} and {other:?} cannot share this process: {}", taken(.name, .other))]
    ChannelTaken {
        /// The newcomer.
        name: String,
        /// The server that was there first.
        other: String,
    },
    /// The system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    Random(#[source] getrandom::Error),
    /// A worker process could not be started.
    #[error("failed to start worker {number}")]
    Spawn {
        /// The number of the worker.
        number: u32,
        /// The error of the operating system.
        source: io::Error,
    },
    /// This process is a worker, but what it inherited from its master is not usable.
    #[error("failed to take the link to the master: {why}")]
    Inherited {
        /// The fault that was found.
        why: String,
    },
    /// This process is a worker whose master ended before it began.
    #[error("the master, process {master}, is gone; a worker does not start without it")]
    MasterGone {
        /// The master's process id.
        master: u32,
    },
}

fn taken(name: &str, other: &str) -> &'static str {
    match name == other {
        true => "both have one name; use a clone of the first one's handle, or rename one",
        false => "their names hash to one channel; rename one",
    }
}

fn instead(address: &Address) -> &'static str {
    match address {
        Address::Pipe(_) => "named pipes are of Windows; write `unix:path`, or `host:port`",
        _ => "socket files are of Unix; write `pipe:name`, or `host:port`",
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; stop the process that has it, or choose another port",
        io::ErrorKind::PermissionDenied => "; choose a port above 1023, or a path you may write",
        io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
        io::ErrorKind::NotFound => "; make the directory first",
        _ => "",
    }
}
