//! A store's life on a disk of which each call fails in turn, in each way, and what
//! `docs/backup.md` promises of that.
//!
//! - `simulated`: a file system in memory that fails on command, and that can lose what was not
//!   synced
//! - `life`: the steps of a store in these tests, and the checks of its backup
//! - `failing`: calls that fail while the process goes on
//! - `hanging`: calls that do not end
//! - `crashes`: the process, or the machine, ends at a call
//! - `writer`: what the thread that writes tells its store

mod crashes;
mod failing;
mod hanging;
mod life;
mod simulated;
mod writer;
