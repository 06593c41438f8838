//! A file system whose calls are watched, so that a disk that hangs is noticed.
//!
//! A call to a disk that hangs never returns, so the thread that made it can report nothing. Each
//! call is noted before it begins and taken off the list when it ends; the store looks at the list
//! from its own timer.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::file_system::{FileSystem, Kind, Lock, NewFile};

/// A disk hangs if one call to it has taken this long, and a second more for each
/// [`BYTES_PER_SECOND`] that the call has to bring to the disk.
pub(super) const HANGS_AFTER: Duration = Duration::from_secs(10);

/// The slowest disk of which no large write is taken for a hang, in bytes a second.
const BYTES_PER_SECOND: u64 = 8 << 20;

/// A disk that hangs is looked at this often.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The shortest interval at which a disk is looked at.
const LOOK_MIN: Duration = Duration::from_millis(1);

/// The calls to one file system that are under way.
#[derive(Debug)]
pub(crate) struct DiskWatch {
    hangs_after: Duration,
    calls: Mutex<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    next: u64,
    under_way: BTreeMap<u64, Call>,
    /// The start of the call that was reported to hang.
    reported: Option<Instant>,
}

#[derive(Debug)]
struct Call {
    what: &'static str,
    path: Arc<Path>,
    since: Instant,
    within: Duration,
}

/// A call that takes too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hang {
    pub(crate) what: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) waited: Duration,
}

/// A change that the operator has not heard of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DiskNews {
    /// A call takes too long.
    Hangs(Hang),
    /// No call does any more. The first that did had begun so long ago.
    Answers(Duration),
}

impl DiskWatch {
    pub(super) fn new(hangs_after: Duration) -> Arc<Self> {
        Arc::new(DiskWatch { hangs_after, calls: Mutex::default() })
    }

    /// Returns the call that has taken too long, the one that began first.
    pub(crate) fn hang(&self) -> Option<Hang> {
        self.calls.lock().hang(Instant::now())
    }

    /// Returns what has changed since the last time it was asked.
    pub(crate) fn news(&self) -> Option<DiskNews> {
        let (mut calls, now) = (self.calls.lock(), Instant::now());
        match (calls.hang(now), calls.reported) {
            (Some(hang), None) => {
                calls.reported = now.checked_sub(hang.waited);
                Some(DiskNews::Hangs(hang))
            }
            (None, Some(since)) => {
                calls.reported = None;
                Some(DiskNews::Answers(now.saturating_duration_since(since)))
            }
            _ => None,
        }
    }

    /// Returns when [`DiskWatch::news`] may have something to say. A call that begins later hangs
    /// later.
    pub(crate) fn next_look(&self) -> Instant {
        let (calls, now) = (self.calls.lock(), Instant::now());
        if calls.reported.is_some() {
            return now + LOOK_EVERY;
        }
        let hangs_at = calls.under_way.values().map(|call| call.since + call.within);
        hangs_at.fold(now + self.hangs_after, Instant::min).max(now + LOOK_MIN)
    }

    /// Makes a call that brings so many bytes to the disk.
    fn call<R>(
        &self,
        what: &'static str,
        path: &Arc<Path>,
        bytes: u64,
        call: impl FnOnce() -> R,
    ) -> R {
        let mut calls = self.calls.lock();
        let number = calls.next;
        calls.next += 1;
        let within = self.hangs_after + Duration::from_secs(bytes / BYTES_PER_SECOND);
        let (path, since) = (Arc::clone(path), Instant::now());
        calls.under_way.insert(number, Call { what, path, since, within });
        drop(calls);
        let _ended = Ended { watch: self, number };
        call()
    }
}

impl Calls {
    fn hang(&self, now: Instant) -> Option<Hang> {
        self.under_way.values().find_map(|call| {
            let waited = now.saturating_duration_since(call.since);
            let hang = || Hang { what: call.what, path: call.path.to_path_buf(), waited };
            (waited >= call.within).then(hang)
        })
    }
}

/// Takes a call off the list, also if it panics.
struct Ended<'a> {
    watch: &'a DiskWatch,
    number: u64,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.watch.calls.lock().under_way.remove(&self.number);
    }
}

/// A file system, and the watch on its calls.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) system: Arc<dyn FileSystem>,
    pub(super) watch: Arc<DiskWatch>,
}

impl Watched {
    fn call<R>(&self, what: &'static str, path: &Path, call: impl FnOnce() -> R) -> R {
        self.watch.call(what, &Arc::from(path), 0, call)
    }
}

impl FileSystem for Watched {
    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.call("resolve", path, || self.system.resolve(path))
    }

    fn link_target(&self, path: &Path) -> io::Result<PathBuf> {
        self.call("follow", path, || self.system.link_target(path))
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        self.call("look for", path, || self.system.kind(path))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        self.call("lock", path, || self.system.lock(path))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>> {
        let file = self.call("create", path, || self.system.create(path))?;
        let (path, watch) = (Arc::from(path), Arc::clone(&self.watch));
        Ok(Box::new(WatchedFile { file, path, unsynced: 0, watch }))
    }

    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
        self.call("read", path, || self.system.read(path, bytes_max))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call("replace", to, || self.system.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call("remove", path, || self.system.remove(path))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.call("sync the folder", folder, || self.system.sync_folder(folder))
    }
}

struct WatchedFile {
    file: Box<dyn NewFile>,
    path: Arc<Path>,
    /// Bytes that were written since the last sync.
    unsynced: u64,
    watch: Arc<DiskWatch>,
}

impl Write for WatchedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let all = self.unsynced.saturating_add(bytes.len() as u64);
        let written = self.watch.call("write", &self.path, all, || self.file.write(bytes))?;
        self.unsynced = self.unsynced.saturating_add(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl NewFile for WatchedFile {
    fn sync(&mut self) -> io::Result<()> {
        self.watch.call("sync", &self.path, self.unsynced, || self.file.sync())?;
        self.unsynced = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(10);

    fn watch() -> (Arc<DiskWatch>, Arc<Path>) {
        (DiskWatch::new(AFTER), Arc::from(Path::new("/data/list.backup")))
    }

    #[test]
    fn a_call_that_has_ended_never_hangs() {
        let watch = DiskWatch::new(Duration::ZERO);
        let path = Arc::from(Path::new("/data/list.backup"));
        assert!(watch.call("sync", &path, 0, || watch.hang()).is_some());
        assert_eq!(watch.hang(), None);
        let panics = std::panic::AssertUnwindSafe(|| watch.call("sync", &path, 0, || panic!()));
        assert!(std::panic::catch_unwind(panics).is_err());
        assert_eq!(watch.hang(), None);
    }

    #[test]
    fn a_large_write_has_more_time() {
        let (watch, path) = watch();
        let second = Duration::from_secs(1);
        let hangs = |passed| watch.calls.lock().hang(Instant::now() + passed).is_some();
        watch.call("sync", &path, 3 * BYTES_PER_SECOND, || {
            assert!(!hangs(AFTER + second * 2) && hangs(AFTER + second * 3));
        });
        watch.call("sync", &path, 0, || assert!(!hangs(AFTER - second) && hangs(AFTER)));
    }
}
