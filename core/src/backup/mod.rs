//! A store's state on disk: written while it changes, restored when it opens.
//!
//! Two files, a third that is only locked, and one that is seldom there:
//!
//! - `<path>`: the whole state at one version, with its lineage and the sessions. Replaced as one:
//!   written beside, synced, renamed, and its folder synced.
//! - `<path>.journal`: what was ordered since, in blocks that are only ever appended, each synced
//!   before the next is begun. When it has outgrown the state, a new whole backup is made beside
//!   the running journal, and both are replaced.
//! - `<path>.lock`: so that two processes never write one backup.
//! - `<path>.superseded`: only if another node was promoted in place of the one that kept these.
//!
//! The input may be any file at all: every length is checked against the bytes that are there, and
//! every fault has an error of its own. What is promised: the last good backup is there until the
//! next is whole, and a restore gives what was written or an error, never something else.
//!
//! - `options`: the options of a backup
//! - `file_system`: the calls to the system, so that a test can let each fail
//! - `watched`: the same calls, watched, so that a disk that hangs is noticed
//! - `files`: the paths of the files, the lock, atomic replacement of a file
//! - `seal`: encryption, or a checksum
//! - `whole`: the file of a whole state
//! - `journal`: the file of what came since
//! - `backup_files`: both together: opened, read, and begun anew
//! - `queue`: the records of a store, and the times at which they are due
//! - `writer`: the thread that writes
//! - `superseded`: the file that keeps a superseded backup from being ordered from

mod backup_files;
mod error;
mod file_system;
mod files;
#[cfg(samestate_fuzzing)]
pub(crate) mod fuzzed;
mod journal;
mod options;
mod queue;
mod seal;
mod superseded;
#[cfg(test)]
mod tests;
mod watched;
mod whole;
mod writer;

pub(crate) use backup_files::BackupFiles;
pub use error::BackupError;
pub use options::Backup;
pub(crate) use options::Misfit;
pub(crate) use queue::JournalQueue;
pub(crate) use watched::{DiskNews, DiskWatch, Hang};
pub(crate) use whole::About;
pub(crate) use writer::{BackupWriter, Held, PreparedBackup, Source};
