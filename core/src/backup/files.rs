//! The files of a backup: where they lie, the lock, and replacing one as a whole.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{BackupError, parent};
use super::file_system::{FileSystem, Kind, Lock, NewFile};

/// A path may lead over this many symbolic links, as in Linux.
const LINKS_MAX: usize = 40;

/// The paths of a backup's files.
#[derive(Clone, Debug)]
pub(super) struct Files {
    system: Arc<dyn FileSystem>,
    pub(super) whole: PathBuf,
    pub(super) whole_new: PathBuf,
    pub(super) journal: PathBuf,
    pub(super) journal_new: PathBuf,
    lock: PathBuf,
}

impl Files {
    /// Finds where the files of a backup at this path lie or will lie. Symbolic links are followed,
    /// so that all names of a file lead to one lock. Nothing is created.
    pub(super) fn find(system: &Arc<dyn FileSystem>, path: &Path) -> Result<Self, BackupError> {
        let files = Files::of(system, &real_path(&**system, path)?);
        let invalid = |why| BackupError::InvalidPath { path: path.to_path_buf(), why };
        // The longest name first: where it fits, all do.
        for beside in [&files.journal_new, &files.journal, &files.whole_new, &files.lock] {
            let beside_it = || format!("its companion `{}`", beside.display());
            match system.kind(beside) {
                Ok(Kind::Regular) => {}
                Ok(kind) => return Err(invalid(format!("{} {}", beside_it(), not_a_file(kind)))),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) if error.kind() == ErrorKind::InvalidFilename => {
                    let why = "has a name that is too long for this file system";
                    return Err(invalid(format!("{} {why}: choose a shorter one", beside_it())));
                }
                Err(source) => return Err(BackupError::from_io("look for", beside, source)),
            }
        }
        Ok(files)
    }

    /// The files of a backup at a path without symbolic links.
    pub(super) fn of(system: &Arc<dyn FileSystem>, path: &Path) -> Self {
        let beside = |suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        Files {
            system: Arc::clone(system),
            whole: path.to_path_buf(),
            whole_new: beside(".new"),
            journal: beside(".journal"),
            journal_new: beside(".journal.new"),
            lock: beside(".lock"),
        }
    }

    /// Keeps others out for as long as what is returned lives, `kill -9` included.
    pub(super) fn lock(&self) -> Result<Lock, BackupError> {
        let locked = self.system.lock(&self.lock).map_err(|source| match source.kind() {
            ErrorKind::NotFound => BackupError::MissingFolder(self.whole.clone()),
            _ => BackupError::from_io("lock", &self.lock, source),
        });
        locked?.ok_or_else(|| BackupError::InUse(self.whole.clone()))
    }

    /// Creates an empty file, in the place of what may be there.
    pub(super) fn create(&self, path: &Path) -> Result<Box<dyn NewFile>, BackupError> {
        // Not truncated: another name of the old file, as in a copy made of links, keeps its bytes.
        let created = match self.system.remove(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => self.system.create(path),
        };
        created.map_err(|source| match source.kind() {
            ErrorKind::NotFound => BackupError::MissingFolder(self.whole.clone()),
            _ => BackupError::from_io("create", path, source),
        })
    }

    /// Writes a file with these bytes, on disk when this returns. After an error there is no file,
    /// so that half a backup does not take the room that the next attempt, or another program,
    /// needs.
    pub(super) fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), BackupError> {
        let mut file = self.create(path)?;
        let written = file.write_all(bytes).and_then(|()| file.sync());
        if written.is_err() {
            drop(file);
            self.discard(path);
        }
        written.map_err(|source| BackupError::from_io("write", path, source))
    }

    /// Reads the first bytes of a file, `bytes_max` at most; `None` if there is none.
    pub(super) fn read(&self, path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, BackupError> {
        match self.system.read(path, bytes_max) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(BackupError::Io { what: "read", path: path.to_path_buf(), source }),
        }
    }

    /// Puts `from` in the place of `to`, for good.
    pub(super) fn replace(&self, from: &Path, to: &Path) -> Result<(), BackupError> {
        let renamed = self.system.rename(from, to);
        renamed.map_err(|source| match source.kind() {
            ErrorKind::ResourceBusy => {
                let why = format!("it {}", not_a_file(Kind::Mounted));
                BackupError::InvalidPath { path: to.to_path_buf(), why }
            }
            _ => BackupError::from_io("replace", to, source),
        })?;
        self.sync_folder()
    }

    /// Returns once the names of all files are on disk.
    pub(super) fn sync_folder(&self) -> Result<(), BackupError> {
        let synced = self.system.sync_folder(parent(&self.whole));
        synced.map_err(|source| BackupError::from_io("sync the folder of", &self.whole, source))
    }

    /// Removes a file that is no part of the backup, and that the next one would overwrite.
    pub(super) fn discard(&self, path: &Path) {
        let _ = self.system.remove(path);
    }
}

/// Follows symbolic links, also to a file that is not there yet.
fn real_path(system: &dyn FileSystem, path: &Path) -> Result<PathBuf, BackupError> {
    let invalid =
        |why: &str| BackupError::InvalidPath { path: path.to_path_buf(), why: why.into() };
    let mut at = path.to_path_buf();
    for _ in 0..LINKS_MAX {
        let Some(name) = file_name(&at).map_err(invalid)? else {
            return Err(invalid("it names a folder: give the path of a file in it"));
        };
        let folder = system.resolve(parent(&at)).map_err(|source| match source.kind() {
            ErrorKind::NotFound => BackupError::MissingFolder(path.to_path_buf()),
            ErrorKind::NotADirectory => invalid("its folder is a file: choose another path"),
            ErrorKind::InvalidFilename => invalid("it is too long: choose a shorter one"),
            _ => BackupError::from_io("resolve the folder of", path, source),
        })?;
        let file = folder.join(name);
        match system.kind(&file) {
            Ok(Kind::Regular) => return Ok(file),
            Ok(Kind::Link) => {
                let target = system.link_target(&file);
                let failed = |source| BackupError::from_io("follow the link", &file, source);
                at = folder.join(target.map_err(failed)?);
            }
            Ok(kind) => return Err(invalid(&format!("it {}", not_a_file(kind)))),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(file),
            Err(error) if error.kind() == ErrorKind::NotADirectory => {
                return Err(invalid("its folder is a file: choose another path"));
            }
            Err(error) if error.kind() == ErrorKind::InvalidFilename => {
                return Err(invalid("it is too long: choose a shorter one"));
            }
            Err(source) => return Err(BackupError::from_io("look for", &file, source)),
        }
    }
    Err(invalid("its symbolic links lead in a circle, or there are too many: repair the links"))
}

/// The last part of a path; `None` if that is a folder whatever the disk holds.
fn file_name(path: &Path) -> Result<Option<&std::ffi::OsStr>, &'static str> {
    let bytes = path.as_os_str().as_encoded_bytes();
    if bytes.is_empty() {
        return Err("it is empty: give the path of a file in a folder that exists");
    }
    if bytes.contains(&0) {
        return Err("it contains a NUL byte, which no file name may");
    }
    let last = bytes.rsplit(|byte| std::path::is_separator(char::from(*byte))).next();
    let folder = matches!(last, Some(b"" | b"." | b".."));
    Ok(path.file_name().filter(|_| !folder))
}

fn not_a_file(kind: Kind) -> &'static str {
    match kind {
        Kind::Folder => "is a folder: a backup needs a file",
        Kind::Link => "is a symbolic link: put the backup itself where the link leads",
        Kind::Mounted => {
            "is a mount point, so it cannot be replaced as one: mount the folder of the backup \
             in place of the file"
        }
        Kind::Special | Kind::Regular => "is a device, a socket or a pipe: a backup needs a file",
    }
}
