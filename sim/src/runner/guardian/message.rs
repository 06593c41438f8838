//! Messages between the runner and the guardian: one line of JSON a message.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A request of the runner to the guardian.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    /// Start a program with its output in a file.
    Launch {
        /// The name of the process in reports.
        name: String,
        program: PathBuf,
        args: Vec<String>,
        log: PathBuf,
    },
    /// Send a process below the guardian `SIGKILL`.
    Kill { pid: u32 },
    /// Send a process below the guardian `SIGSTOP`.
    Pause { pid: u32 },
    /// Send a process below the guardian `SIGCONT`.
    Resume { pid: u32 },
    /// Remove this file at the end, too.
    Sweep { path: PathBuf },
}

/// A report of the guardian.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    /// The run's folder is there, and launches can begin.
    Home {
        /// The folder; it goes when the guardian does.
        folder: PathBuf,
    },
    /// A program has been started.
    Launched {
        /// The name of the process, from its launch.
        name: String,
        /// Its process.
        pid: u32,
    },
    /// A program could not be started.
    NotLaunched {
        /// The name of the process, from its launch.
        name: String,
        /// The error.
        error: String,
    },
    /// A `SIGKILL` was sent, or could not be, because the process was gone already.
    Killed {
        /// The process.
        pid: u32,
        /// True if the process was alive until then.
        alive: bool,
    },
    /// A `SIGSTOP` was sent, or could not be, because the process was gone already.
    Paused {
        /// The process.
        pid: u32,
        /// True if the process was alive until then.
        alive: bool,
    },
    /// A `SIGCONT` was sent, or could not be, because the process was gone already.
    Resumed {
        /// The process.
        pid: u32,
        /// True if the process is alive.
        alive: bool,
    },
    /// A process has ended: one that was launched, or an orphan that came to the guardian.
    Ended {
        /// The process.
        pid: u32,
        /// The way in which it ended.
        how: Ending,
    },
}

/// The way in which a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ending {
    /// It ended by itself, with this exit code.
    Exited(i32),
    /// A signal killed it.
    Signal(i32),
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "ended with exit code {code}"),
            Self::Signal(signal) => write!(f, "killed by signal {signal}"),
        }
    }
}
