//! A file system in memory that fails on command.
//!
//! As on a real disk, the bytes of a file survive a crash once the file is synced, and the names in
//! a folder once the folder is. Before that, any of them may survive, and any may not.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::backup::file_system::{FileSystem, Kind, Lock, NewFile};

/// The only folder.
pub(super) const FOLDER: &str = "/data";

/// A fault of one call, and perhaps of all calls after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The call fails, and nothing has happened.
    Error(ErrorKind),
    /// The call fails, but what it was to do has happened.
    Late(ErrorKind),
    /// A write takes half of its bytes, and then the disk is full. Other calls are as ever.
    Short,
    /// The machine stops: a write gets half of its bytes out, and nothing happens afterwards.
    Crash,
    /// A bug of the caller.
    Panic,
}

/// Handles to one file system; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Simulated(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    released: Condvar,
}

#[derive(Clone, Debug, Default)]
struct State {
    files: Vec<Contents>,
    names: BTreeMap<PathBuf, usize>,
    /// The names that are on disk for certain, and the changes since.
    kept: BTreeMap<PathBuf, usize>,
    changes: Vec<Change>,
    locked: BTreeSet<PathBuf>,
    calls: Vec<String>,
    fault: Option<(usize, Fault)>,
    /// The fault does not end by itself.
    lasts: bool,
    /// A short write is followed by an error.
    full: bool,
    syncs: usize,
    held: bool,
}

#[derive(Clone, Debug, Default)]
struct Contents {
    bytes: Vec<u8>,
    /// So many of them are on disk.
    synced: usize,
}

#[derive(Clone, Debug)]
enum Change {
    Name(PathBuf, usize),
    Unname(PathBuf),
    Rename(PathBuf, PathBuf, usize),
}

/// The fate of bytes that were not synced when the machine crashes.
#[derive(Clone, Copy, Debug)]
enum Tail {
    Nothing,
    Half,
    Zeros,
    All,
}

/// The fate of a call.
enum Fate {
    Done,
    Half,
    Fails(io::Error),
    FailsLate(io::Error),
}

impl Simulated {
    /// Lets the call of this number fail, counted from now on; `lasts`: and all that follow.
    pub(super) fn fail(&self, call: usize, fault: Fault, lasts: bool) {
        let mut state = self.0.state.lock();
        let call = state.calls.len() + call;
        (state.fault, state.lasts) = (Some((call, fault)), lasts || fault == Fault::Crash);
    }

    /// Lets all calls succeed from now on.
    pub(super) fn mend(&self) {
        let mut state = self.0.state.lock();
        (state.fault, state.lasts, state.full) = (None, false, false);
    }

    /// All calls until now, in words.
    pub(super) fn calls(&self) -> Vec<String> {
        self.0.state.lock().calls.clone()
    }

    /// Returns the number of syncs of files.
    pub(super) fn syncs(&self) -> usize {
        self.0.state.lock().syncs
    }

    /// Lets files take no end in being synced until that is taken back.
    pub(super) fn hold_syncs(&self, held: bool) {
        self.0.state.lock().held = held;
        self.0.released.notify_all();
    }

    /// Stops this disk for its present user, as if killed, and returns one with the same content.
    pub(super) fn taken_over(&self) -> Simulated {
        let mut state = self.0.state.lock();
        let next = State { locked: BTreeSet::new(), ..state.clone() };
        (state.fault, state.lasts) = (Some((0, Fault::Crash)), true);
        Simulated(Arc::new(Inner { state: Mutex::new(next), ..Inner::default() }))
    }

    /// Disks as a crash at this moment may leave them: any of the names that were not synced, and
    /// any part of the bytes.
    pub(super) fn after_a_crash(&self) -> Vec<Simulated> {
        let state = self.0.state.lock();
        assert!(state.changes.len() < 10, "too many disks: {:?}", state.changes);
        let mut disks = Vec::new();
        for chosen in 0..1_u32 << state.changes.len() {
            let mut names = state.kept.clone();
            for (number, change) in state.changes.iter().enumerate() {
                if chosen & (1 << number) != 0 {
                    change.apply(&mut names);
                }
            }
            let torn = state.files.iter().any(|file| file.synced < file.bytes.len());
            let tails = [Tail::Nothing, Tail::Half, Tail::Zeros, Tail::All];
            for tail in if torn { &tails[..] } else { &tails[..1] } {
                let files: Vec<_> = state.files.iter().map(|file| file.survives(*tail)).collect();
                let (kept, names) = (names.clone(), names.clone());
                let state = Mutex::new(State { files, names, kept, ..State::default() });
                disks.push(Simulated(Arc::new(Inner { state, ..Inner::default() })));
            }
        }
        disks
    }

    /// Notes a call, and decides what becomes of it.
    fn call(&self, call: String) -> Fate {
        let mut state = self.0.state.lock();
        let (number, write) = (state.calls.len(), call.starts_with("write"));
        state.calls.push(call);
        let Some((at, fault)) = state.fault else { return Fate::Done };
        let strikes = number == at || (number > at && state.lasts);
        match fault {
            Fault::Short if write && std::mem::take(&mut state.full) => {
                Fate::Fails(ErrorKind::StorageFull.into())
            }
            _ if !strikes => Fate::Done,
            Fault::Error(kind) => Fate::Fails(kind.into()),
            Fault::Late(kind) => Fate::FailsLate(kind.into()),
            Fault::Short if write => {
                state.full = true;
                Fate::Half
            }
            Fault::Short => Fate::Done,
            Fault::Crash if write && number == at => Fate::Half,
            Fault::Crash => Fate::Fails(io::Error::other("the machine has stopped")),
            Fault::Panic => {
                drop(state);
                panic!("a bug that a test put in")
            }
        }
    }

    /// A call that does something as a whole, or does not.
    fn does<R>(
        &self,
        call: String,
        act: impl FnOnce(&mut State) -> io::Result<R>,
    ) -> io::Result<R> {
        match self.call(call) {
            Fate::Fails(error) => Err(error),
            Fate::Done | Fate::Half => act(&mut self.0.state.lock()),
            Fate::FailsLate(error) => {
                let done = act(&mut self.0.state.lock());
                done.and(Err(error))
            }
        }
    }
}

impl Contents {
    fn survives(&self, tail: Tail) -> Contents {
        let (synced, len) = (self.synced, self.bytes.len());
        let mut bytes = self.bytes.clone();
        match tail {
            Tail::Nothing => bytes.truncate(synced),
            Tail::Half => bytes.truncate(synced + (len - synced) / 2),
            Tail::Zeros => bytes[synced..].fill(0),
            Tail::All => {}
        }
        Contents { synced: bytes.len(), bytes }
    }
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Change::Name(path, file) => drop(names.insert(path.clone(), *file)),
            Change::Unname(path) => drop(names.remove(path)),
            Change::Rename(from, to, file) => {
                names.remove(from);
                names.insert(to.clone(), *file);
            }
        }
    }
}

impl State {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.changes.push(change);
    }

    fn file(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn create(&mut self, path: &Path) -> usize {
        self.files.push(Contents::default());
        let file = self.files.len() - 1;
        self.change(Change::Name(path.to_path_buf(), file));
        file
    }
}

impl FileSystem for Simulated {
    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        let found = path == Path::new(FOLDER);
        self.does(format!("resolve {}", path.display()), |_| match found {
            true => Ok(path.to_path_buf()),
            false => Err(ErrorKind::NotFound.into()),
        })
    }

    fn link_target(&self, path: &Path) -> io::Result<PathBuf> {
        self.does(format!("follow {}", path.display()), |_| Err(ErrorKind::InvalidInput.into()))
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        self.does(format!("look {}", path.display()), |state| {
            state.file(path).map(|_| Kind::Regular)
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        self.does(format!("lock {}", path.display()), |state| {
            if state.file(path).is_err() {
                state.create(path);
            }
            let locked = state.locked.insert(path.to_path_buf());
            let lock = || Box::new(Locked(self.clone(), path.to_path_buf())) as Lock;
            Ok(locked.then(lock))
        })
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>> {
        self.does(format!("create {}", path.display()), |state| {
            if state.file(path).is_ok() {
                return Err(ErrorKind::AlreadyExists.into());
            }
            let file = state.create(path);
            Ok(Box::new(Open { system: self.clone(), file }) as Box<dyn NewFile>)
        })
    }

    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
        self.does(format!("read {}", path.display()), |state| {
            let bytes = &state.files[state.file(path)?].bytes;
            let len = bytes.len().min(usize::try_from(bytes_max).unwrap_or(usize::MAX));
            Ok(bytes[..len].to_vec())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.does(format!("rename {}", from.display()), |state| {
            let file = state.file(from)?;
            state.change(Change::Rename(from.to_path_buf(), to.to_path_buf(), file));
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.does(format!("remove {}", path.display()), |state| {
            state.file(path)?;
            state.change(Change::Unname(path.to_path_buf()));
            Ok(())
        })
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        assert_eq!(folder, Path::new(FOLDER));
        self.does("sync the folder".into(), |state| {
            state.kept = state.names.clone();
            state.changes.clear();
            Ok(())
        })
    }
}

struct Locked(Simulated, PathBuf);

impl Drop for Locked {
    fn drop(&mut self) {
        self.0.0.state.lock().locked.remove(&self.1);
    }
}

struct Open {
    system: Simulated,
    file: usize,
}

impl Write for Open {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (len, error) = match self.system.call(format!("write {} bytes", bytes.len())) {
            Fate::Fails(error) => return Err(error),
            Fate::Half => (bytes.len().div_ceil(2), None),
            Fate::Done => (bytes.len(), None),
            Fate::FailsLate(error) => (bytes.len(), Some(error)),
        };
        let mut state = self.system.0.state.lock();
        state.files[self.file].bytes.extend_from_slice(&bytes[..len]);
        error.map_or(Ok(len), Err)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl NewFile for Open {
    fn sync(&mut self) -> io::Result<()> {
        let file = self.file;
        let mut state = self.system.0.state.lock();
        while state.held {
            self.system.0.released.wait(&mut state);
        }
        drop(state);
        self.system.does("sync a file".into(), |state| {
            state.syncs += 1;
            let contents = &mut state.files[file];
            contents.synced = contents.bytes.len();
            Ok(())
        })
    }
}
