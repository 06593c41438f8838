//! The files of one store's backup, held by one process: opened, read, and begun anew.

use std::path::PathBuf;
use std::sync::Arc;

use samestate_proto::replication::{Image, StateMachine, last_action_of};
use samestate_proto::{Lineage, Version};

use super::file_system::{FileSystem, Lock};
use super::files::Files;
use super::journal::{self, Journal};
use super::seal::{Recipe, Seal};
use super::watched::{DiskWatch, Watched};
use super::whole::{self, About, Draft, Id, Whole};
use super::{Backup, BackupError};

/// The files of a backup, and the work of opening them.
pub(crate) struct BackupFiles {
    pub(super) files: Files,
    pub(super) about: About,
    pub(super) seal: Seal,
    pub(super) recipe: Recipe,
    watch: Arc<DiskWatch>,
    /// The lock, shared with the thread that writes a whole backup, so that no other writer runs
    /// beside it.
    lock: Arc<Lock>,
}

/// The contents of a backup that was restored.
pub(crate) struct Restored {
    /// The restored state and its version.
    pub(crate) image: Image,
    /// The encoded state there.
    pub(crate) state: Vec<u8>,
    /// The number of bytes at the journal's end that were half written and are dropped.
    pub(crate) torn: usize,
    whole: PathBuf,
    journal: PathBuf,
    blocks: Vec<(u64, Vec<u8>)>,
}

impl BackupFiles {
    /// Locks the files and reads what is there. Derives the key, if there is one.
    pub(crate) fn open(
        backup: &Backup,
        about: About,
    ) -> Result<(BackupFiles, Option<Restored>), BackupError> {
        let watch = DiskWatch::new(backup.hangs_after);
        let system = Watched { system: Arc::clone(&backup.system), watch: Arc::clone(&watch) };
        let system: Arc<dyn FileSystem> = Arc::new(system);
        let files = Files::find(&system, &backup.path)?;
        let lock = Arc::new(files.lock()?);
        let passphrase = backup.passphrase();
        let path = &files.whole;
        let Some(start) = files.read(path, whole::HEADER_BYTES as u64)? else {
            if files.read(&files.journal, 0)?.is_some() {
                return Err(BackupError::JournalAlone(files.journal));
            }
            let (seal, recipe) = Seal::begin(passphrase, path)?;
            return Ok((BackupFiles { files, about, seal, recipe, watch, lock }, None));
        };
        whole::check(&start, path)?;
        // What is no backup may be longer than the memory. One byte more shows that there is more.
        let bytes_max = whole::begun(&start).map_or(0, |(_, bytes)| bytes.saturating_add(1));
        let bytes = files.read(path, bytes_max.max(start.len() as u64))?.unwrap_or_default();
        let (whole, seal) = whole::read(bytes, path, &about, |recipe| {
            let plain = passphrase.is_some() && !recipe.is_keyed();
            match plain && !backup.accept_plaintext {
                true => Err(BackupError::NotEncrypted(path.clone())),
                false => Seal::resume(passphrase, recipe, path),
            }
        })?;
        let mut desk = BackupFiles { files, about, recipe: whole.recipe, seal, watch, lock };
        desk.finish_replacement()?;
        let journal = desk.read_journal()?;
        if journal.is_none() && !whole.closed && !backup.accept_missing_journal {
            return Err(BackupError::JournalMissing(desk.files.journal));
        }
        let restored = restored(&desk.files, &desk.seal, whole, journal)?;
        if passphrase.is_some() && !desk.recipe.is_keyed() {
            (desk.seal, desk.recipe) = Seal::begin(passphrase, &desk.files.whole)?;
        }
        Ok((desk, Some(restored)))
    }

    /// The calls to the disk that are under way.
    pub(crate) fn watch(&self) -> Arc<DiskWatch> {
        Arc::clone(&self.watch)
    }

    fn read_journal(&self) -> Result<Option<Vec<u8>>, BackupError> {
        let path = &self.files.journal;
        let start = self.files.read(path, journal::HEADER_BYTES as u64)?;
        start.map_or(Ok(()), |start| journal::base_of(&start, path).map(drop))?;
        self.files.read(path, u64::MAX)
    }

    /// Makes a whole backup and an empty journal behind it, in the place of what is there. Returns
    /// the journal, and the length of the whole backup in bytes. `closed`: nothing follows.
    pub(super) fn begin(
        &mut self,
        image: &Image,
        state: &[u8],
        closed: bool,
    ) -> Result<(Journal, u64), BackupError> {
        self.finish_replacement()?;
        let journal = self.next_journal()?;
        let drafted = self.drafting(journal.base()).write(image, state, closed);
        let bytes = drafted.inspect_err(|_| self.discard())?;
        Ok((self.put_in_place(journal)?, bytes))
    }

    /// Creates the journal behind the next whole backup, beside the one that is there.
    pub(super) fn next_journal(&self) -> Result<Journal, BackupError> {
        let path = &self.files.journal_new;
        let created = Journal::create(&self.files, path, self.new_id()?);
        created.inspect_err(|_| self.files.discard(path))
    }

    fn new_id(&self) -> Result<Id, BackupError> {
        let mut id = Id::default();
        let filled = getrandom::fill(&mut id);
        let failed = |error: getrandom::Error| BackupError::Key {
            path: self.files.whole.clone(),
            why: error.to_string(),
        };
        filled.map_err(failed).map(|()| id)
    }

    /// Returns the data that another thread needs to write a whole backup.
    pub(super) fn drafting(&self, id: Id) -> Drafting {
        Drafting {
            id,
            about: self.about.clone(),
            seal: self.seal.clone(),
            recipe: self.recipe,
            files: self.files.clone(),
            _lock: Arc::clone(&self.lock),
        }
    }

    /// Puts the whole backup that was written, and its journal, in their places. If the process
    /// ends in between, [`BackupFiles::finish_replacement`] completes the replacement.
    pub(super) fn put_in_place(&self, mut journal: Journal) -> Result<Journal, BackupError> {
        let files = &self.files;
        // A disk may keep renames in any order: both files are there before one takes its place.
        let whole =
            files.sync_folder().and_then(|()| files.replace(&files.whole_new, &files.whole));
        // The journal stays where it is: the rename may have happened in spite of an error.
        whole.inspect_err(|_| files.discard(&files.whole_new))?;
        files.replace(&files.journal_new, &files.journal)?;
        journal.moved(&files.journal);
        Ok(journal)
    }

    /// Puts the journal of the whole backup in its place, if only the whole backup has got there.
    pub(super) fn finish_replacement(&self) -> Result<(), BackupError> {
        let files = &self.files;
        let whole = files.read(&files.whole, whole::HEADER_BYTES as u64)?;
        let whole = whole.and_then(|start| whole::begun(&start)).map(|(id, _)| id);
        let next = files.read(&files.journal_new, journal::HEADER_BYTES as u64)?;
        let next = next.and_then(|start| journal::base_of(&start, &files.journal_new).ok());
        match whole.is_some() && whole == next {
            true => {
                files.sync_folder().and_then(|()| files.replace(&files.journal_new, &files.journal))
            }
            false => Ok(()),
        }
    }

    /// Takes away what was to be put in place and came to nothing, so that it takes no room.
    pub(super) fn discard(&self) {
        self.files.discard(&self.files.whole_new);
        self.files.discard(&self.files.journal_new);
    }
}

/// Writes a whole backup beside the old one, in any thread.
pub(super) struct Drafting {
    id: Id,
    about: About,
    seal: Seal,
    recipe: Recipe,
    files: Files,
    _lock: Arc<Lock>,
}

impl Drafting {
    /// Returns its length in bytes, once it is on disk.
    pub(super) fn write(
        self,
        image: &Image,
        state: &[u8],
        closed: bool,
    ) -> Result<u64, BackupError> {
        let draft = Draft { about: &self.about, id: self.id, closed, image, state };
        let unencodable = |why| BackupError::Unencodable { path: self.files.whole.clone(), why };
        let bytes = draft.bytes(&self.seal, &self.recipe).map_err(unencodable)?;
        self.files.write(&self.files.whole_new, &bytes)?;
        Ok(bytes.len() as u64)
    }
}

/// Puts together the whole backup and its journal.
fn restored(
    files: &Files,
    seal: &Seal,
    whole: Whole,
    journal: Option<Vec<u8>>,
) -> Result<Restored, BackupError> {
    let Whole { id, image, state, .. } = whole;
    let path = &files.journal;
    let (blocks, torn) = match journal {
        None => (Vec::new(), 0),
        Some(bytes) => {
            if journal::base_of(&bytes, path)? != id {
                return Err(BackupError::JournalOfAnother(path.clone()));
            }
            let read = journal::read(bytes, path, seal)?;
            (read.blocks, read.torn)
        }
    };
    let (whole, journal) = (files.whole.clone(), path.clone());
    Ok(Restored { image, state, torn, whole, journal, blocks })
}

impl Restored {
    /// The state of the whole backup.
    pub(crate) fn decode<M: StateMachine>(&self) -> Result<M::State, BackupError> {
        let path = || self.whole.clone();
        M::decode_state(&self.state).map_err(|why| BackupError::Undecodable { path: path(), why })
    }

    /// Returns the version that the files lead to.
    pub(crate) fn version(&self) -> Result<Version, BackupError> {
        let mut version = self.image.version;
        for (before, records) in &self.blocks {
            let last = last_action_of(*before, records)
                .map_err(|fault| BackupError::Replay { path: self.journal.clone(), fault })?;
            if last > version.seq {
                version =
                    Version { epoch: self.image.lineage.head().unwrap_or_default(), seq: last };
            }
        }
        Ok(version)
    }

    /// Returns an error if something would be lost when a store at `version` of this lineage takes
    /// the place of these files.
    pub(crate) fn loses_nothing_to(
        &self,
        lineage: &Lineage,
        version: Version,
    ) -> Result<(), BackupError> {
        let kept = self.version()?;
        // A sequencer that was started again, and ordered nothing since, has an epoch of its own.
        let ordered_in = self.image.lineage.epoch_of(kept.seq).unwrap_or(kept.epoch);
        let ordered = Version { epoch: ordered_in, ..kept };
        if kept.seq == 0 || (kept.seq <= version.seq && lineage.contains(ordered)) {
            return Ok(());
        }
        Err(BackupError::Ahead { path: self.whole.clone(), kept, version })
    }

    /// Goes on from there by the journal. `machine` is in the state of the whole backup.
    pub(crate) fn replay<M: StateMachine>(&mut self, machine: &mut M) -> Result<(), BackupError> {
        for (before, records) in std::mem::take(&mut self.blocks) {
            let replayed = self.image.replay(machine, before, &records);
            let path = || self.journal.clone();
            replayed.map_err(|fault| BackupError::Replay { path: path(), fault })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
