//! A named pipe with an unguessable name, which the worker finds in its environment. Only the user
//! who made it may open it for writing.

use std::env;
use std::io;
use std::process::Command;

use tokio::net::windows::named_pipe::NamedPipeServer;
use tokio::process::Child;

use super::{MASTER_VARIABLE, Named, WORKER_VARIABLE, unusable};
use crate::link::LinkError;
use crate::link::local::{self, Stream};

/// One end, before anything was said on it.
#[derive(Debug)]
pub(crate) enum End {
    Master(NamedPipeServer),
    Worker(Stream),
}

impl End {
    /// Waits until the worker has opened its end.
    pub(super) async fn open(self) -> io::Result<Stream> {
        match self {
            End::Master(pipe) => pipe.connect().await.map(|()| Stream::Server(pipe)),
            End::Worker(stream) => Ok(stream),
        }
    }
}

/// The name of the pipe that a worker opens.
const PIPE_VARIABLE: &str = "SAMESTATE_IPC_PIPE";

/// Starts `command`, with a new pipe for it.
pub(super) fn spawn(mut command: Command, number: u32) -> io::Result<(Child, End)> {
    let mut secret = [0; 16];
    getrandom::fill(&mut secret).map_err(io::Error::other)?;
    let secret = u128::from_le_bytes(secret);
    let name = format!("samestate-{}-{number}-{secret:032x}", std::process::id());
    let end = End::Master(local::first(&name)?);
    command.env(PIPE_VARIABLE, name);
    let mut command = tokio::process::Command::from(command);
    Ok((command.kill_on_drop(false).spawn()?, end))
}

/// The end of this process at its master's pipe, or `None`: it is no worker. What this process
/// starts from then on is none either.
pub(super) fn inherited() -> Result<Option<(Named, End)>, LinkError> {
    let Some(name) = env::var_os(PIPE_VARIABLE) else { return Ok(None) };
    let name = name.into_string().map_err(|_| unusable("SAMESTATE_IPC_PIPE is no text"))?;
    let named = Named::from_environment()?;
    let opened = local::open(&name);
    forget();
    match opened {
        Ok(stream) => Ok(Some((named, End::Worker(stream)))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(LinkError::MasterGone { master: named.master })
        }
        // It was passed on before the worker took it.
        Err(error) if local::is_busy(&error) => Ok(None),
        Err(error) => Err(unusable(&error.to_string())),
    }
}

#[allow(unsafe_code, reason = "the environment can be changed in no other way")]
fn forget() {
    for variable in [PIPE_VARIABLE, WORKER_VARIABLE, MASTER_VARIABLE] {
        // SAFETY: on Windows, which alone compiles this, other threads may read it meanwhile.
        unsafe { env::remove_var(variable) };
    }
}
