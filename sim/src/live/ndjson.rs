//! The outlet of `--ndjson`: one JSON object a line, into a file or to standard output.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use samestate_report::live::Line;

use super::feed::{Closed, Outlet};

/// Writes lines as they come.
pub(crate) struct Ndjson {
    to: Box<dyn Write + Send>,
    place: String,
}

impl Ndjson {
    /// Writes into a file, which is emptied, or to standard output if the path is `-`.
    ///
    /// # Errors
    ///
    /// Returns why the file cannot be opened.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        if path.as_os_str() == "-" {
            return Ok(Self { to: Box::new(io::stdout()), place: "standard output".to_owned() });
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = File::create(path)?;
        Ok(Self { to: Box::new(file), place: path.display().to_string() })
    }
}

impl Outlet for Ndjson {
    fn take(&mut self, line: &Line) -> Result<(), Closed> {
        // One write for each line: a reader gets it whole, and at once.
        let json = line.to_json() + "\n";
        let written = self.to.write_all(json.as_bytes()).and_then(|()| self.to.flush());
        written.map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => Closed::ByReader(format!("{} was closed", self.place)),
            _ => Closed::Failed(format!("failed to write to {}: {error}", self.place)),
        })
    }
}
