//! The files of one store's backup, held by one process: opened, read, and begun anew.

use std::path::PathBuf;

use super::files::{self, Files, Lock};
use super::journal::{self, Journal};
use super::seal::{Recipe, Seal};
use super::whole::{self, About, Draft, Id, Whole};
use super::{Backup, BackupError};
use crate::replication::{Image, Machine};

/// What a store's life begins with, and where it is kept.
pub(crate) struct Desk {
    pub(super) files: Files,
    pub(super) about: About,
    pub(super) seal: Seal,
    pub(super) recipe: Recipe,
    /// The journal on disk goes on from this whole backup; zeros if there is none.
    pub(super) beside: Id,
    _lock: Lock,
}

/// What an earlier life left.
pub(crate) struct Restored {
    /// Where it stood.
    pub(crate) image: Image,
    /// The encoded state there.
    pub(crate) state: Vec<u8>,
    /// How many bytes at the journal's end were half written, and are dropped.
    pub(crate) torn: usize,
    whole: PathBuf,
    journal: PathBuf,
    blocks: Vec<(u64, Vec<u8>)>,
}

impl Desk {
    /// Locks the files and reads what is there. Derives the key, if there is one.
    pub(crate) fn open(
        backup: &Backup,
        about: About,
    ) -> Result<(Desk, Option<Restored>), BackupError> {
        let files = Files::of(&backup.path);
        let lock = files.lock()?;
        let passphrase = backup.passphrase();
        let journal = files::read(&files.journal)?;
        let Some(bytes) = files::read(&files.whole)? else {
            if journal.is_some() {
                return Err(BackupError::JournalAlone(files.journal));
            }
            let (seal, recipe) = Seal::begin(passphrase, &files.whole)?;
            let desk = Desk { files, about, seal, recipe, beside: Id::default(), _lock: lock };
            return Ok((desk, None));
        };
        let path = &files.whole;
        let (whole, seal) = whole::read(bytes, path, &about, |recipe| {
            let plain = passphrase.is_some() && !recipe.is_keyed();
            match plain && !backup.accept_plaintext {
                true => Err(BackupError::NotEncrypted(path.clone())),
                false => Seal::resume(passphrase, recipe, path),
            }
        })?;
        let (beside, restored) = restored(&files, &seal, whole, journal)?;
        let Restoring { recipe, restored } = restored;
        let (seal, recipe) = match passphrase.is_some() && !recipe.is_keyed() {
            true => Seal::begin(passphrase, &files.whole)?,
            false => (seal, recipe),
        };
        Ok((Desk { files, about, seal, recipe, beside, _lock: lock }, Some(restored)))
    }

    /// Makes a whole backup and an empty journal behind it, in the place of what is there. Returns
    /// the journal, and the length of the whole backup in bytes.
    pub(super) fn begin(
        &mut self,
        image: &Image,
        state: &[u8],
    ) -> Result<(Journal, u64), BackupError> {
        let id = self.new_id()?;
        let draft = self.drafting(id);
        let bytes = draft.write(image, state)?;
        let journal = Journal::create(&self.files.journal_new, id)?;
        Ok((self.put_in_place(journal)?, bytes))
    }

    /// An id for the next whole backup.
    pub(super) fn new_id(&self) -> Result<Id, BackupError> {
        let mut id = Id::default();
        let filled = getrandom::fill(&mut id);
        let failed = |error: getrandom::Error| BackupError::Key {
            path: self.files.whole.clone(),
            why: error.to_string(),
        };
        filled.map_err(failed).map(|()| id)
    }

    /// What it takes to write a whole backup elsewhere.
    pub(super) fn drafting(&self, id: Id) -> Drafting {
        Drafting {
            id,
            previous: self.beside,
            about: self.about.clone(),
            seal: self.seal.clone(),
            recipe: self.recipe,
            files: self.files.clone(),
        }
    }

    /// Puts the whole backup that was written, and the journal that goes on from it, in their
    /// places. In between, the old journal still serves the new backup.
    pub(super) fn put_in_place(&mut self, mut journal: Journal) -> Result<Journal, BackupError> {
        self.files.replace(&self.files.whole_new, &self.files.whole)?;
        self.files.replace(&self.files.journal_new, &self.files.journal)?;
        self.beside = journal.base();
        journal.moved(&self.files.journal);
        Ok(journal)
    }

    /// Takes away what was to be put in place and came to nothing, so that it takes no room.
    pub(super) fn discard(&self) {
        for path in [&self.files.whole_new, &self.files.journal_new] {
            // They are no part of the backup, and are overwritten by the next.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Writes a whole backup beside the old one, in any thread.
pub(super) struct Drafting {
    id: Id,
    previous: Id,
    about: About,
    seal: Seal,
    recipe: Recipe,
    files: Files,
}

impl Drafting {
    /// Returns its length in bytes, once it is on disk.
    pub(super) fn write(self, image: &Image, state: &[u8]) -> Result<u64, BackupError> {
        let Drafting { id, previous, about, .. } = &self;
        let draft = Draft { about, id: *id, previous: *previous, image, state };
        let unencodable = |why| BackupError::Unencodable { path: self.files.whole.clone(), why };
        let bytes = draft.bytes(&self.seal, &self.recipe).map_err(unencodable)?;
        files::write(&self.files.whole_new, &bytes)?;
        Ok(bytes.len() as u64)
    }
}

struct Restoring {
    recipe: Recipe,
    restored: Restored,
}

/// Puts together the whole backup and its journal. Returns the id that the journal bears, too.
fn restored(
    files: &Files,
    seal: &Seal,
    whole: Whole,
    journal: Option<Vec<u8>>,
) -> Result<(Id, Restoring), BackupError> {
    let Whole { id, previous, image, state, recipe } = whole;
    let path = &files.journal;
    let (beside, blocks, torn) = match journal {
        None => (Id::default(), Vec::new(), 0),
        Some(bytes) => {
            let base = journal::base_of(&bytes, path)?;
            if base != id && base != previous {
                return Err(BackupError::JournalOfAnother(path.clone()));
            }
            let read = journal::read(bytes, path, seal)?;
            (base, read.blocks, read.torn)
        }
    };
    let (whole, journal) = (files.whole.clone(), path.clone());
    let restored = Restored { image, state, torn, whole, journal, blocks };
    Ok((beside, Restoring { recipe, restored }))
}

impl Restored {
    /// The state of the whole backup.
    pub(crate) fn decode<M: Machine>(&self) -> Result<M::State, BackupError> {
        let path = || self.whole.clone();
        M::decode_state(&self.state).map_err(|why| BackupError::Undecodable { path: path(), why })
    }

    /// Goes on from there by the journal. `machine` is in the state of the whole backup.
    pub(crate) fn replay<M: Machine>(&mut self, machine: &mut M) -> Result<(), BackupError> {
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
