//! The node's own log file: what its stores told the operator, with the time.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use parking_lot::Mutex;

use crate::control::{LOGS, now_ns};

/// The log of a node's errors.
#[derive(Debug, Default)]
pub(super) struct Log {
    file: Option<Mutex<File>>,
}

impl Log {
    /// The log of node `name` in the run's `folder`. Where it cannot be opened nothing is logged:
    /// the runner is told all of it anyway.
    pub(super) fn open(folder: &Path, name: &str) -> Self {
        let path = folder.join(LOGS).join(format!("{name}.log"));
        let file = OpenOptions::new().create(true).append(true).open(path).ok();
        Log { file: file.map(Mutex::new) }
    }

    /// One more line.
    pub(super) fn line(&self, text: &str) {
        let Some(file) = &self.file else { return };
        let seconds = now_ns() as f64 / 1e9;
        let line = format!("{seconds:.6} {text}\n");
        // A full disk costs the log, not the run.
        let _ = file.lock().write_all(line.as_bytes());
    }
}
