//! The calls that a backup makes to a file system, all of them, so that a test can let each fail.

use std::fmt;
use std::fs::{File, FileType, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// A file system, as a backup uses it.
pub(crate) trait FileSystem: fmt::Debug + Send + Sync {
    /// Returns the absolute path without symbolic links of what is there.
    fn resolve(&self, path: &Path) -> io::Result<PathBuf>;

    /// Returns the target of a symbolic link, as it is written in the link.
    fn link_target(&self, path: &Path) -> io::Result<PathBuf>;

    /// Returns the kind of what is there, symbolic links not followed.
    fn kind(&self, path: &Path) -> io::Result<Kind>;

    /// Locks a file, which is created if it is missing; `None` if another has locked it.
    fn lock(&self, path: &Path) -> io::Result<Option<Lock>>;

    /// Creates a file that its user alone can read. Fails if there is one.
    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>>;

    /// Returns the first bytes of a file, `bytes_max` at most.
    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>>;

    /// Puts a file in the place of another, as one.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Returns once the names in a folder are on disk.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// A file that is being written.
pub(crate) trait NewFile: Write + Send {
    /// Returns once all bytes that were written are on disk.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file that is locked until this is dropped.
pub(crate) type Lock = Box<dyn Send + Sync>;

/// The kind of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A file with bytes.
    Regular,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A file that something is mounted on, and that can therefore not be replaced.
    Mounted,
    /// A device, a socket, or a pipe.
    Special,
}

impl Kind {
    fn new(kind: FileType) -> Self {
        if kind.is_file() {
            Kind::Regular
        } else if kind.is_dir() {
            Kind::Folder
        } else if kind.is_symlink() {
            Kind::Link
        } else {
            Kind::Special
        }
    }
}

/// The file system of the machine.
#[derive(Debug)]
pub(crate) struct System;

/// Unlocks when it is dropped, and not only when the last descriptor of its file is closed: a
/// process that is being forked at that moment has one too, until it runs another program.
struct Locked(File);

impl Drop for Locked {
    fn drop(&mut self) {
        // If it fails, closing the file does the same.
        let _ = self.0.unlock();
    }
}

impl NewFile for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

impl FileSystem for System {
    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        std::fs::canonicalize(path)
    }

    fn link_target(&self, path: &Path) -> io::Result<PathBuf> {
        std::fs::read_link(path)
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        let kind = Kind::new(std::fs::symlink_metadata(path)?.file_type());
        if kind == Kind::Regular && is_mounted(path) { Ok(Kind::Mounted) } else { Ok(kind) }
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = private(&mut options).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(Locked(file)))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>> {
        let file = private(OpenOptions::new().write(true).create_new(true)).open(path)?;
        Ok(Box::new(file))
    }

    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(bytes_max).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    #[cfg(unix)]
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        match File::open(folder)?.sync_all() {
            // Some file systems, most of them over a network, cannot sync a folder at all.
            Err(error) if cannot_sync(&error) => Ok(()),
            outcome => outcome,
        }
    }

    /// Only Unix can sync a folder; elsewhere the system orders a rename by itself.
    #[cfg(not(unix))]
    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

/// Returns whether an error says that this file system has no such call.
#[cfg(unix)]
fn cannot_sync(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
}

/// Returns whether another file is mounted at this path, as container runtimes do with single
/// files.
#[cfg(target_os = "linux")]
fn is_mounted(path: &Path) -> bool {
    use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
    let stated = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty());
    let root = StatxAttributes::MOUNT_ROOT;
    stated
        .is_ok_and(|file| file.stx_attributes_mask.intersection(file.stx_attributes).contains(root))
}

#[cfg(not(target_os = "linux"))]
fn is_mounted(_: &Path) -> bool {
    false
}

/// Only this user reads what is created.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}
