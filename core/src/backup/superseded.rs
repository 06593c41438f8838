//! A file beside a backup that says that another node was promoted in place of its own.
//!
//! The backup is then behind that node, in an epoch that has ended. The file keeps a later start
//! from ordering from it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use super::{Backup, BackupError};

impl Backup {
    /// Says that this backup was superseded, by the node at this address.
    pub(crate) fn mark_superseded(&self, by: &str) -> Result<(), BackupError> {
        let path = self.mark();
        let written = File::create(&path).and_then(|mut file| {
            let text = format!(
                "The node that kept this backup was superseded by the one at {by}. Open it as a \
                 client of that one. Remove this file to have it order from the backup again.\n"
            );
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        written.map_err(|error| BackupError::from_io("write", &path, error))
    }

    /// Says so no longer.
    pub(crate) fn unmark_superseded(&self) -> Result<(), BackupError> {
        let path = self.mark();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(BackupError::from_io("remove", &path, error))
            }
            _ => Ok(()),
        }
    }

    /// Returns the file that says that this backup was superseded, if there is one.
    pub(crate) fn superseded(&self) -> Option<PathBuf> {
        Some(self.mark()).filter(|path| path.exists())
    }

    fn mark(&self) -> PathBuf {
        // The other files lie beside the file that a link leads to, too.
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let mut path = path.into_os_string();
        path.push(".superseded");
        PathBuf::from(path)
    }
}
