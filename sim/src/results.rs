//! The folder of a run's results: used by one run at a time, and cleared of an earlier run's files.
//!
//! A run claims its folder before it starts anything. A folder that is not named by the user is
//! always a new one. A folder that is named is locked for as long as the run lasts: a run that
//! finds it locked takes the same name with `-2`, `-3` and so on. So runs that begin at the same
//! time never write into one folder.
//!
//! The files of a run are listed in the file `.samestate`. The next run in the same folder removes
//! what is listed there and nothing else. A file that is in the way and not listed is an error.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

/// The list of the files that runs wrote, and the lock of the present run.
const LIST: &str = ".samestate";

/// The most folders of one name that are tried.
const NUMBERS_MAX: u32 = 10_000;

/// The reason why a folder cannot be used for results.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FolderError {
    /// It cannot be made.
    #[error("failed to make the folder {path} for the results; --out names another")]
    Make { path: PathBuf, source: io::Error },
    /// It is there, and cannot be written into.
    #[error("failed to write into the folder {path} for the results; --out names another")]
    Write { path: PathBuf, source: io::Error },
    /// An earlier run's file cannot be removed.
    #[error("failed to remove {path}, which an earlier run wrote")]
    Clear { path: PathBuf, source: io::Error },
    /// There is a file that no run wrote, and this one would overwrite it.
    #[error("{path} is in the way: no run wrote it there; move it, or choose another --out")]
    InTheWay { path: PathBuf },
    /// All numbers are taken.
    #[error("{path} and {NUMBERS_MAX} folders with a number after that name are in use")]
    Taken { path: PathBuf },
}

/// A folder that this run alone writes into, until it is dropped.
#[derive(Debug)]
pub(crate) struct ResultsFolder {
    path: PathBuf,
    /// Locked.
    list: File,
}

impl ResultsFolder {
    /// Makes a folder that was not there before: `path`, or with a number after it.
    ///
    /// # Errors
    ///
    /// Returns [`FolderError`] if it cannot be made.
    pub(crate) fn fresh(path: &Path) -> Result<Self, FolderError> {
        let fail = |source| FolderError::Make { path: path.to_owned(), source };
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(fail)?;
        }
        for path in numbered(path) {
            match fs::create_dir(&path) {
                Ok(()) => {
                    if let Some(folder) = Self::lock(&path)? {
                        return Ok(folder);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(fail(error)),
            }
        }
        Err(FolderError::Taken { path: path.to_owned() })
    }

    /// Takes the folder `path`, or, if another run is using it, one with a number after that name.
    /// What an earlier run wrote there is removed.
    ///
    /// # Errors
    ///
    /// Returns [`FolderError`] if it cannot be made or cleared.
    pub(crate) fn named(path: &Path) -> Result<Self, FolderError> {
        for path in numbered(path) {
            fs::create_dir_all(&path)
                .map_err(|source| FolderError::Make { path: path.clone(), source })?;
            if let Some(mut folder) = Self::lock(&path)? {
                folder.clear()?;
                return Ok(folder);
            }
        }
        Err(FolderError::Taken { path: path.to_owned() })
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Announces files that the run is about to write, as paths within the folder.
    ///
    /// # Errors
    ///
    /// Returns [`FolderError::InTheWay`] if there is such a file already.
    pub(crate) fn will_write(
        &mut self,
        files: impl IntoIterator<Item = PathBuf>,
    ) -> Result<(), FolderError> {
        let mut listed = String::new();
        for file in files {
            let path = self.path.join(&file);
            if path.symlink_metadata().is_ok() {
                return Err(FolderError::InTheWay { path });
            }
            listed += &format!("{}\n", file.display());
        }
        let written = self.list.write_all(listed.as_bytes());
        written.map_err(|source| FolderError::Write { path: self.path.clone(), source })
    }

    /// `None`: another run has the lock.
    fn lock(path: &Path) -> Result<Option<Self>, FolderError> {
        let fail = |source| FolderError::Write { path: path.to_owned(), source };
        let list = path.join(LIST);
        let list = OpenOptions::new().create(true).read(true).append(true).open(list);
        let list = list.map_err(fail)?;
        match list.try_lock() {
            Err(TryLockError::WouldBlock) => Ok(None),
            // On a file system without locks, runs that share the folder are not kept apart.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Some(Self { path: path.to_owned(), list })),
        }
    }

    /// Removes what is listed, and empties the list.
    fn clear(&mut self) -> Result<(), FolderError> {
        let fail = |source| FolderError::Write { path: self.path.clone(), source };
        let mut listed = String::new();
        self.list.read_to_string(&mut listed).map_err(fail)?;
        let mut folders = Vec::new();
        for file in listed.lines().map(Path::new).filter(|file| is_within(file)) {
            let path = self.path.join(file);
            if !self.holds(&path) {
                continue;
            }
            match fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(FolderError::Clear { path, source });
                }
                _ => {}
            }
            let within = |folder: &&Path| !folder.as_os_str().is_empty();
            folders.extend(file.ancestors().skip(1).take_while(within).map(Path::to_owned));
        }
        // The innermost first; one that holds something else stays.
        folders.sort_by_key(|folder| std::cmp::Reverse(folder.components().count()));
        for folder in folders {
            let _ = fs::remove_dir(self.path.join(folder));
        }
        self.list.set_len(0).map_err(fail)
    }

    /// Returns whether a path within the folder leads to nowhere else, by a symbolic link.
    fn holds(&self, path: &Path) -> bool {
        let real = path.parent().map(Path::canonicalize);
        match (real, self.path.canonicalize()) {
            (Some(Ok(real)), Ok(folder)) => real.starts_with(folder),
            _ => false,
        }
    }
}

/// The path, then with `-2`, `-3` and so on after its name.
fn numbered(path: &Path) -> impl Iterator<Item = PathBuf> + '_ {
    let with = |number: u32| {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!("-{number}"));
        path.with_file_name(name)
    };
    std::iter::once(path.to_owned()).chain((2..=NUMBERS_MAX).map(with))
}

/// Returns whether a path names something below the folder that it starts in.
fn is_within(path: &Path) -> bool {
    path.components().next().is_some()
        && path.components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &mut ResultsFolder, file: &str) {
        folder.will_write([PathBuf::from(file)]).expect("nothing is in the way");
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().expect("in the folder")).expect("it can be made");
        fs::write(path, "text").expect("writable");
    }

    #[test]
    fn runs_at_one_time_never_share_a_folder() {
        let temp = tempfile::tempdir().expect("a temporary folder");
        for claim in [ResultsFolder::fresh, ResultsFolder::named] {
            let wanted = temp.path().join("deep").join(format!("{claim:p}"));
            let claimed: Vec<ResultsFolder> = std::thread::scope(|scope| {
                let claims: Vec<_> = (0..8).map(|_| scope.spawn(|| claim(&wanted))).collect();
                let joined = claims.into_iter().map(|claim| claim.join().expect("no panic"));
                joined.collect::<Result<_, _>>().expect("there is room")
            });
            let mut paths: Vec<&Path> = claimed.iter().map(ResultsFolder::path).collect();
            paths.sort();
            paths.dedup();
            assert_eq!(paths.len(), 8, "{paths:?}");
            assert!(paths.contains(&&*wanted), "{paths:?}");
        }
    }

    #[test]
    fn a_folder_is_cleared_of_an_earlier_runs_files_and_of_nothing_else() {
        let temp = tempfile::tempdir().expect("a temporary folder");
        let path = temp.path().join("same");
        let mut first = ResultsFolder::named(&path).expect("it can be made");
        write(&mut first, "record.json");
        write(&mut first, "logs/case-1/alpha.master.log");
        write(&mut first, "logs/beta.master.log");
        fs::write(path.join("notes.txt"), "the user's own").expect("writable");
        fs::write(path.join("logs/mine.log"), "the user's own").expect("writable");
        drop(first);
        let mut second = ResultsFolder::named(&path).expect("it is free again");
        assert_eq!(second.path(), path);
        assert!(!path.join("record.json").exists());
        assert!(!path.join("logs/case-1").exists());
        assert!(!path.join("logs/beta.master.log").exists());
        assert!(path.join("notes.txt").is_file() && path.join("logs/mine.log").is_file());
        write(&mut second, "record.json");
    }

    #[test]
    fn a_file_that_no_run_wrote_is_neither_removed_nor_overwritten() {
        let temp = tempfile::tempdir().expect("a temporary folder");
        fs::write(temp.path().join("record.json"), "the user's own").expect("writable");
        let mut folder = ResultsFolder::named(temp.path()).expect("it is there");
        let error = folder.will_write(["record.json".into()]).expect_err("it is in the way");
        assert!(error.to_string().contains("record.json is in the way"), "{error}");
        assert!(temp.path().join("record.json").is_file());
    }

    #[test]
    fn a_list_that_leads_elsewhere_removes_nothing_there() {
        let temp = tempfile::tempdir().expect("a temporary folder");
        let (path, other) = (temp.path().join("same"), temp.path().join("other"));
        fs::create_dir_all(&path).expect("it can be made");
        fs::create_dir_all(&other).expect("it can be made");
        fs::write(other.join("kept.log"), "the user's own").expect("writable");
        std::os::unix::fs::symlink(&other, path.join("logs")).expect("links can be made");
        let list = format!("../other/kept.log\n{}\nlogs/kept.log\n", other.display());
        fs::write(path.join(LIST), list).expect("writable");
        ResultsFolder::named(&path).expect("nothing to clear");
        assert!(other.join("kept.log").is_file());
    }

    #[test]
    fn a_file_in_the_place_of_the_folder_is_an_error() {
        let temp = tempfile::tempdir().expect("a temporary folder");
        fs::write(temp.path().join("a"), "in the way").expect("writable");
        for path in [temp.path().join("a"), temp.path().join("a/b")] {
            let error = ResultsFolder::named(&path).expect_err("a file is no folder");
            assert!(error.to_string().contains("failed to make the folder"), "{error}");
        }
    }
}
