//! A record to a file and back.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Record, SCHEMA};

/// An error of a record that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The file could not be opened or read.
    #[error("cannot read the record {path}; give the path of a record.json")]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file is no JSON.
    #[error("{place} is not JSON; give the path of a record.json")]
    NotJson {
        /// The file, or what stands for it.
        place: String,
        /// The error of the JSON parser, with its position.
        source: serde_json::Error,
    },
    /// The file is JSON, and no record.
    #[error(
        "{place} is not a record: it has no `schema`; give the path of a record.json that \
         `samestate run` or `samestate simulate` wrote"
    )]
    NotARecord {
        /// The file, or what stands for it.
        place: String,
    },
    /// A folder has no record in it.
    #[error("there is no record.json in {path} or below it; give the folder of a run")]
    NoneThere {
        /// The folder.
        path: PathBuf,
    },
    /// The record is of another schema.
    #[error(
        "{place} is a record of schema {found}, and this version reads schema {SCHEMA}: read it \
         with the version of samestate that wrote it, or run the scenario again"
    )]
    OtherSchema {
        /// The file, or what stands for it.
        place: String,
        /// The schema it says it has.
        found: String,
    },
    /// The record says schema 1, and a field is missing or has the wrong type.
    #[error(
        "{place} says it is a record of schema {SCHEMA}, and is not shaped like one; compare it \
         with reports/record.schema.json"
    )]
    Shape {
        /// The file, or what stands for it.
        place: String,
        /// The field that is wrong, and the expected type.
        source: serde_json::Error,
    },
    /// The file could not be written.
    #[error("cannot write {path}; nothing was left behind there")]
    Write {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

impl Record {
    /// Reads a record from a file.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, RecordError> {
        let path = path.as_ref();
        let json =
            fs::read(path).map_err(|source| RecordError::Read { path: path.to_owned(), source })?;
        Self::from_json(&json, &path.display().to_string())
    }

    /// Reads the records of several files and folders, in their order.
    ///
    /// A file may hold one record or several, one after the other or in a list. Of a folder, its
    /// `record.json` is read, or, if it has none, all that lie below it, in the order of their
    /// paths. A folder without any, such as one of baselines, is read file by file: all `*.json`.
    ///
    /// # Errors
    ///
    /// Returns [`RecordError::NoneThere`] for a folder without a record, and what is wrong with
    /// the first file that is no record.
    pub fn read_all<P: AsRef<Path>>(
        places: impl IntoIterator<Item = P>,
    ) -> Result<Vec<Self>, RecordError> {
        let mut records = Vec::new();
        for place in places {
            let place = place.as_ref();
            let unreadable = |source| RecordError::Read { path: place.to_owned(), source };
            if !place.is_dir() {
                records.extend(read_several(place)?);
                continue;
            }
            let mut files = Vec::new();
            find_records(place, 0, &mut files).map_err(unreadable)?;
            if files.is_empty() {
                files = json_files(place).map_err(unreadable)?;
            }
            if files.is_empty() {
                return Err(RecordError::NoneThere { path: place.to_owned() });
            }
            for file in files {
                records.extend(read_several(&file)?);
            }
        }
        Ok(records)
    }

    /// Reads a record from JSON; `place` is what errors call it.
    pub fn from_json(json: &[u8], place: &str) -> Result<Self, RecordError> {
        let value: serde_json::Value = serde_json::from_slice(json)
            .map_err(|source| RecordError::NotJson { place: place.to_owned(), source })?;
        Self::from_value(value, place)
    }

    fn from_value(value: serde_json::Value, place: &str) -> Result<Self, RecordError> {
        let place = || place.to_owned();
        match value.get("schema") {
            None => return Err(RecordError::NotARecord { place: place() }),
            Some(found) if found.as_u64() != Some(u64::from(SCHEMA)) => {
                return Err(RecordError::OtherSchema { place: place(), found: found.to_string() });
            }
            Some(_) => {}
        }
        Self::deserialize(value).map_err(|source| RecordError::Shape { place: place(), source })
    }

    /// Writes the record, whole or not at all: beside its place first, then renamed into it.
    /// Folders that are missing are made, so that a run's measurements are not lost over one.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), RecordError> {
        let path = path.as_ref();
        write_whole(path, self.to_json().as_bytes())
    }
}

/// Writes a file whole or not at all: beside its place first, then renamed into it. Folders that
/// are missing are made.
///
/// # Errors
///
/// Returns [`RecordError::Write`] if it cannot be written.
pub fn write_whole(path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), RecordError> {
    let path = path.as_ref();
    write_beside(path, bytes).map_err(|source| RecordError::Write { path: path.to_owned(), source })
}

/// The file of a run's record in its folder.
const RECORD: &str = "record.json";

/// So deep below a folder its records are looked for.
const DEPTH_MAX: usize = 8;

/// The records that lie in a folder, or, if none does, below it.
fn find_records(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let own = folder.join(RECORD);
    if own.is_file() {
        found.push(own);
        return Ok(());
    }
    if depth == DEPTH_MAX {
        return Ok(());
    }
    let entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    let mut below: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
    below.retain(|path| path.is_dir() && !path.is_symlink());
    below.sort();
    below.iter().try_for_each(|folder| find_records(folder, depth + 1, found))
}

/// The JSON files of a folder, in the order of their names.
fn json_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    let mut files: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "json") && path.is_file());
    files.sort();
    Ok(files)
}

/// The records of a file: one, several one after the other, or a list.
fn read_several(path: &Path) -> Result<Vec<Record>, RecordError> {
    let json =
        fs::read(path).map_err(|source| RecordError::Read { path: path.to_owned(), source })?;
    let place = path.display().to_string();
    let mut records = Vec::new();
    for value in serde_json::Deserializer::from_slice(&json).into_iter() {
        match value.map_err(|source| RecordError::NotJson { place: place.clone(), source })? {
            serde_json::Value::Array(values) => {
                for value in values {
                    records.push(Record::from_value(value, &place)?);
                }
            }
            value => records.push(Record::from_value(value, &place)?),
        }
    }
    if records.is_empty() { Err(RecordError::NotARecord { place }) } else { Ok(records) }
}

/// Writes `bytes` beside `path` and renames them into it.
fn write_beside(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "the path does not end in a file's name")
    })?;
    let mut beside_name = std::ffi::OsString::from(".");
    beside_name.push(name);
    beside_name.push(format!(".{}.part", std::process::id()));
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(folder) = folder {
        fs::create_dir_all(folder)?;
    }
    if path.metadata().is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        // A device or a pipe is written to, and not replaced.
        return fs::write(path, bytes);
    }
    let beside = path.with_file_name(beside_name);
    let written = File::create(&beside)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // The first error is the one to tell; what cannot be removed was hardly written.
        let _ = fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::sample;

    /// A folder that is gone when the test ends.
    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("the system has a folder for temporary files")
    }

    #[test]
    fn a_record_written_is_the_record_read_and_nothing_stays_beside_it() {
        let folder = folder();
        let path = folder.path().join("runs/today/record.json");
        for record in [
            sample::two_clusters(),
            sample::big_store(),
            sample::disconnect_failed(),
            sample::virtual_inconclusive(),
        ] {
            record.write(&path).expect("the folder is made");
            assert_eq!(Record::read(&path).expect("just written"), record);
        }
        let left: Vec<_> = fs::read_dir(path.parent().expect("it has one"))
            .expect("it is there")
            .map(|entry| entry.expect("readable").file_name())
            .collect();
        assert_eq!(left, ["record.json"]);
    }

    #[test]
    fn a_path_that_cannot_be_written_is_named() {
        let folder = folder();
        let error = sample::two_clusters().write(folder.path()).expect_err("it is a folder");
        assert!(error.to_string().contains(&folder.path().display().to_string()), "{error}");
        assert!(fs::read_dir(folder.path()).expect("still there").next().is_none());
    }

    #[test]
    fn what_is_not_a_record_is_refused_with_a_next_step() {
        let said = |json: &str| {
            Record::from_json(json.as_bytes(), "x.json").expect_err("no record").to_string()
        };
        let of_newer = said(r#"{"schema": 2, "anything": true}"#);
        assert!(of_newer.contains("x.json is a record of schema 2"), "{of_newer}");
        assert!(of_newer.contains("this version reads schema 1"), "{of_newer}");
        assert!(said(r#"{"schema": "one"}"#).contains(r#"schema "one""#));
        assert!(said(r#"{"version": 1}"#).contains("has no `schema`"));
        assert!(said("version: 1").contains("x.json is not JSON"));
        let short = Record::from_json(br#"{"schema": 1, "scenario": "x"}"#, "x.json");
        let RecordError::Shape { source, .. } = short.expect_err("a field is missing") else {
            panic!("it says it is a record")
        };
        assert!(source.to_string().contains("missing field `seed`"), "{source}");
        let missing = Record::read("/nowhere/record.json").expect_err("not there").to_string();
        assert!(missing.contains("/nowhere/record.json"), "{missing}");
    }

    #[test]
    fn fields_of_a_newer_version_are_skipped() {
        let mut value: serde_json::Value =
            serde_json::from_str(&sample::two_clusters().to_json()).expect("its own JSON");
        value["tomorrow"] = 1.into();
        value["cases"][0]["identical"]["tomorrow_percent"] = 1.into();
        let read = Record::from_json(value.to_string().as_bytes(), "newer").expect("it reads");
        assert_eq!(read, sample::two_clusters());
    }
}
