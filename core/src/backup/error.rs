//! Errors of a backup.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use samestate_proto::Version;
use samestate_proto::replication::ReplayFault;
use samestate_proto::wire::Codec;
use thiserror::Error;

/// An error of a backup that cannot be read or written. What was on disk before is still there.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The path cannot be that of a backup.
    #[error("invalid backup path `{}`: {why}", path.display())]
    InvalidPath {
        /// The path of the backup.
        path: PathBuf,
        /// The reason, and what to do.
        why: String,
    },
    /// The folder of the backup does not exist.
    #[error("the folder of backup `{}` does not exist: create it first", .0.display())]
    MissingFolder(PathBuf),
    /// The system does not allow this process to write there.
    #[error(
        "backup `{}` cannot be written here; its folder must be readable and writable by this \
         process, since a backup is written beside and then renamed",
        path.display()
    )]
    NotWritable {
        /// The path of the backup.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The disk is full.
    #[error(
        "no room to write backup `{}`, which needs room for the state twice and for its journal; \
         the last good one is still there",
        path.display()
    )]
    DiskFull {
        /// The path of the backup.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Another process, or another store of this process, has opened the backup.
    #[error(
        "backup `{}` is in use by another process or store: each needs a path of its own. It is \
         free once the other is closed or has ended",
        .0.display()
    )]
    InUse(PathBuf),
    /// The system returned another error.
    #[error("failed to {what} `{}`", path.display())]
    Io {
        /// The call that failed.
        what: &'static str,
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file is not a backup of Samestate.
    #[error(
        "`{}` is not a backup of a store: its first bytes are others. Nothing was written; choose \
         another path, or move the file away",
        .0.display()
    )]
    Foreign(PathBuf),
    /// A later release wrote the file.
    #[error(
        "backup `{}` has format {found}, this release reads formats up to {known}: open it with \
         the release that wrote it, or a later one",
        path.display()
    )]
    NewerFormat {
        /// The path of the file.
        path: PathBuf,
        /// The format of the file.
        found: u16,
        /// The newest that this release knows.
        known: u16,
    },
    /// It ends too early.
    #[error(
        "backup `{}` is cut short: {have} bytes of {want}. It was not written so; restore the \
         files from a copy, or move them away to begin anew",
        path.display()
    )]
    Truncated {
        /// The path of the file.
        path: PathBuf,
        /// Its length, in bytes.
        have: u64,
        /// The smallest valid length, in bytes.
        want: u64,
    },
    /// Its bytes are not those that were written.
    #[error(
        "backup `{}` was changed after it was written, or is damaged ({part}): restore the files \
         from a copy, or move them away to begin anew",
        path.display()
    )]
    Damaged {
        /// The path of the file.
        path: PathBuf,
        /// The part of the file that is damaged.
        part: &'static str,
    },
    /// It was encrypted under another key.
    #[error("the key does not open backup `{}`: it was encrypted under another", .0.display())]
    WrongKey(PathBuf),
    /// It is encrypted, and no key was given.
    #[error("backup `{}` is encrypted: give its key with `Backup::key`", .0.display())]
    KeyNeeded(PathBuf),
    /// It is encrypted, and this build cannot read that.
    #[error(
        "backup `{}` is encrypted, and this program was built without the feature `encryption` of \
         the crate `samestate`",
        .0.display()
    )]
    EncryptionMissing(PathBuf),
    /// It is not encrypted, though a key was given.
    #[error(
        "a key is given, but backup `{}` is not encrypted, so that anybody could have written it: \
         to go on from it all the same, say `Backup::accept_plaintext` once",
        .0.display()
    )]
    NotEncrypted(PathBuf),
    /// The key cannot be made of the passphrase.
    #[error("the key of backup `{}` cannot be derived: {why}", path.display())]
    Key {
        /// The path of the backup.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// It is of another store.
    #[error(
        "backup `{}` is of store `{found}`, not of `{ours}`: each store needs a path of its own",
        path.display()
    )]
    OtherStore {
        /// The path of the file.
        path: PathBuf,
        /// The store that wrote it.
        found: String,
        /// This store.
        ours: String,
    },
    /// Its state and actions have another shape.
    #[error(
        "backup `{}` has schema_version {found}, this store {ours}: open it with the program that \
         wrote it, or convert it by a store of the old version",
        path.display()
    )]
    OtherSchema {
        /// The path of the file.
        path: PathBuf,
        /// Of the backup.
        found: u32,
        /// Of this store.
        ours: u32,
    },
    /// Its actions are encoded otherwise.
    #[error("backup `{}` is encoded as {found:?}, this store as {ours:?}", path.display())]
    OtherCodec {
        /// The path of the file.
        path: PathBuf,
        /// Of the backup.
        found: Codec,
        /// Of this store.
        ours: Codec,
    },
    /// A client that is promoted would overwrite actions that it never got.
    #[error(
        "backup `{}` holds what this store has not: it is at {kept:#}, this store at {version:#}. \
         Move its files away to promote this store, or open the store from them without a client",
        path.display()
    )]
    Ahead {
        /// The path of the backup.
        path: PathBuf,
        /// The version that the files lead to.
        kept: Version,
        /// The version of the store.
        version: Version,
    },
    /// There is a journal, but not its whole backup.
    #[error(
        "there is a journal `{}` without the backup that it goes on from: put that back, or move \
         the journal away to begin anew",
        .0.display()
    )]
    JournalAlone(PathBuf),
    /// The journal belongs to another backup.
    #[error(
        "journal `{}` goes on from another backup than the one beside it: one of the two was \
         replaced. Put back the right one; to go on without the actions of the journal, move it \
         away and say `Backup::accept_missing_journal` once",
        .0.display()
    )]
    JournalOfAnother(PathBuf),
    /// The journal of a backup that was not closed is missing.
    #[error(
        "journal `{}` is missing, and its store was not closed: what was written since the whole \
         backup, acknowledged actions included, is in that journal alone. Put it back; to go on \
         without, say `Backup::accept_missing_journal` once",
        .0.display()
    )]
    JournalMissing(PathBuf),
    /// The state is no state of this store's type.
    #[error("the state in backup `{}` cannot be decoded: {why}", path.display())]
    Undecodable {
        /// The path of the file.
        path: PathBuf,
        /// The message of the decoder.
        why: String,
    },
    /// The actions of the journal do not apply.
    #[error(
        "journal `{}` cannot be replayed; if the reducer has changed since, give the store another \
         `schema_version` next time, and close it first",
        path.display()
    )]
    Replay {
        /// The path of the file.
        path: PathBuf,
        /// The fault that was found.
        #[source]
        fault: ReplayFault,
    },
    /// The data that is kept with the state cannot be encoded.
    #[error("backup `{}` cannot be encoded: {why}", path.display())]
    Unencodable {
        /// The path of the backup.
        path: PathBuf,
        /// The message of the encoder.
        why: String,
    },
    /// The state does not survive its codec, so it does not take the place of what is on disk.
    #[error(
        "backup `{}` ends before its store: {why}. The last good backup is still there",
        path.display()
    )]
    Unrestorable {
        /// The path of the backup.
        path: PathBuf,
        /// The part that does not survive the codec, with the message of the encoder or decoder.
        why: String,
    },
    /// The disk hangs, so the backup was not finished when its store was closed.
    #[error(
        "the backup is not finished: the disk has taken {waited:.1?} to {what} `{}`, without an \
         answer. What was on disk before is still there. The files stay locked until the disk \
         answers; if this process still runs then, it finishes the backup",
        path.display()
    )]
    DiskHangs {
        /// The purpose of the call.
        what: &'static str,
        /// The path of the file or folder.
        path: PathBuf,
        /// The time that the call has taken so far.
        waited: Duration,
    },
    /// A bug: the thread that writes the backup ended by itself.
    #[error(
        "the writer of the backup is gone: what it wrote before is on disk, the rest may not be"
    )]
    WriterGone,
}

impl BackupError {
    /// Returns the kind of the system's error, if the system refused something.
    pub(crate) fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            BackupError::NotWritable { source, .. }
            | BackupError::DiskFull { source, .. }
            | BackupError::Io { source, .. } => Some(source.kind()),
            _ => None,
        }
    }

    /// An error of the system, by what it means here.
    pub(super) fn from_io(what: &'static str, path: &Path, source: io::Error) -> Self {
        use io::ErrorKind as Kind;
        let path = path.to_path_buf();
        match source.kind() {
            Kind::PermissionDenied | Kind::ReadOnlyFilesystem => {
                BackupError::NotWritable { path, source }
            }
            Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => {
                BackupError::DiskFull { path, source }
            }
            _ => BackupError::Io { what, path, source },
        }
    }
}

/// The folder of a file.
pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
