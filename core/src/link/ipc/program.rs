//! The program that a worker runs, which is that of its master.
//!
//! A deploy replaces the file of a program that runs. On Linux the master's own program can still
//! be started by `/proc/self/exe`, so that a master and its workers run the same release. Elsewhere
//! a worker runs what lies at the path that was found when the master started.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program of this process, as it was found when the process started.
#[derive(Debug)]
pub(crate) struct Program {
    path: io::Result<PathBuf>,
}

impl Program {
    /// Finds the program of this process.
    pub(crate) fn find() -> Self {
        Program { path: env::current_exe() }
    }

    /// A command that starts the program with the arguments of this process, its name included.
    pub(crate) fn command(&self) -> io::Result<Command> {
        let mut arguments = env::args_os();
        let name = arguments.next();
        let mut command = Command::new(self.path_now()?);
        #[cfg(unix)]
        if let Some(name) = name {
            std::os::unix::process::CommandExt::arg0(&mut command, name);
        }
        #[cfg(not(unix))]
        drop(name);
        command.args(arguments);
        Ok(command)
    }

    #[cfg(target_os = "linux")]
    fn path_now(&self) -> io::Result<PathBuf> {
        use std::os::unix::fs::MetadataExt;

        /// Leads to the file that this process was started from, whatever became of its name.
        const RUNNING: &str = "/proc/self/exe";

        let identity = |path: &Path| path.metadata().map(|file| (file.dev(), file.ino()));
        let running = identity(Path::new(RUNNING))?;
        match &self.path {
            // Under its own name a process is easier to find among others.
            Ok(path) if identity(path).is_ok_and(|file| file == running) => Ok(path.clone()),
            _ => Ok(RUNNING.into()),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn path_now(&self) -> io::Result<PathBuf> {
        match &self.path {
            Ok(path) => Ok(Path::to_path_buf(path)),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        }
    }
}
