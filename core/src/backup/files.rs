//! The files of a backup: their names, the lock, and replacing one as a whole.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::error::BackupError;

/// Where everything lies.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub(super) whole: PathBuf,
    pub(super) whole_new: PathBuf,
    pub(super) journal: PathBuf,
    pub(super) journal_new: PathBuf,
    lock: PathBuf,
}

/// What keeps others out. It lets go when it is dropped, and not only when the last descriptor of
/// its file is closed: a process that is being forked at that moment has one too, until it runs
/// another program.
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // If it fails, closing the file does the same.
        let _ = self.0.unlock();
    }
}

impl Files {
    pub(super) fn of(path: &Path) -> Self {
        let beside = |suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        Files {
            whole: path.to_path_buf(),
            whole_new: beside(".new"),
            journal: beside(".journal"),
            journal_new: beside(".journal.new"),
            lock: beside(".lock"),
        }
    }

    /// Keeps others out for as long as what is returned lives, `kill -9` included.
    pub(super) fn lock(&self) -> Result<Lock, BackupError> {
        let failed = |source| BackupError::from_io("lock", &self.whole, source);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = private(&mut options).open(&self.lock).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock(file)),
            Err(TryLockError::WouldBlock) => Err(BackupError::InUse(self.whole.clone())),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Puts `from` in the place of `to`, for good.
    pub(super) fn replace(&self, from: &Path, to: &Path) -> Result<(), BackupError> {
        let failed = |source| BackupError::from_io("replace", to, source);
        std::fs::rename(from, to).map_err(failed)?;
        self.sync_folder().map_err(failed)
    }

    #[cfg(unix)]
    fn sync_folder(&self) -> std::io::Result<()> {
        match super::error::parent(&self.whole) {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }

    /// Only Unix lets a folder be synced; elsewhere the rename is what there is.
    #[cfg(not(unix))]
    fn sync_folder(&self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Only this user reads what is created.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// An empty file, in the place of what may be there.
pub(super) fn create(path: &Path) -> Result<File, BackupError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    private(&mut options).open(path).map_err(|source| BackupError::from_io("create", path, source))
}

/// A file with these bytes, on disk when this returns. After an error there is none, so that half a
/// backup does not take the room that the next try, or somebody else, needs.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), BackupError> {
    let mut file = create(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        // It is tried again anyway, and is no part of the backup.
        let _ = std::fs::remove_file(path);
    }
    written.map_err(|source| BackupError::from_io("write", path, source))
}

/// All of a file; `None` if there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, BackupError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(BackupError::Io { what: "read", path: path.to_path_buf(), source }),
    }
}
