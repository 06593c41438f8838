//! A found violation, as a scenario file to keep and to run again.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::Shrunk;
use crate::faults::outages::without_collisions;
use crate::scenario::Scenario;

/// The comment in the file of a scenario that does not fail each time.
const BY_CHANCE: &str = "\
# It does not fail each time, so run it several times. Something outside the simulation decides:
# a reducer that reads a clock, a random number, or the order of a hash map.
";

/// The found violation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The invariant that is violated: `I2`.
    pub invariant: String,
    /// A description of the violation, in a line.
    pub detail: String,
    /// The origin: `seed 7 of the swarm`, or a file and a seed.
    pub origin: String,
    /// The program that knows the reducers of the scenario: `samestate`.
    pub program: String,
}

/// The reason why the file of a finding could not be written.
#[derive(Debug, thiserror::Error)]
pub enum FoundError {
    /// A value of the scenario has no form in YAML.
    #[error("failed to write what was found as YAML")]
    Yaml(#[from] serde_saphyr::SerializeError),
    /// The file, or its folder, cannot be written.
    #[error("failed to write what was found to {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

/// Writes what is left of a finding to a file of its own, whose `about` names the invariant and the
/// command that runs it again.
///
/// # Errors
///
/// If the file or its folder cannot be written.
pub fn write_found(path: &Path, shrunk: &Shrunk, found: &Found) -> Result<(), FoundError> {
    let text = found_text(shrunk, found, path)?;
    let failed = |source| FoundError::Write { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::write(path, text).map_err(failed)
}

/// The text of that file. `path` is what the command in it names.
///
/// # Errors
///
/// If a value of the scenario has no form in YAML.
pub fn found_text(
    shrunk: &Shrunk,
    found: &Found,
    path: &Path,
) -> Result<String, serde_saphyr::SerializeError> {
    let Found { invariant, detail, origin, program } = found;
    let command = format!("{program} simulate {}", path.display());
    let detail = in_one_line(detail);
    let about = format!(
        "Violated {invariant} when it was found ({origin}): {detail} Run it again: {command}"
    );
    let chance = match shrunk.is_certain {
        true => "",
        false => BY_CHANCE,
    };
    // A file does not have faults of which nothing comes.
    let faults = without_collisions(shrunk.scenario.faults.clone());
    let named = Scenario { about, faults, ..shrunk.scenario.clone() };
    Ok(format!(
        "# The smallest scenario found that violated {invariant}.\n#   {command}\n{chance}{}",
        named.without_passwords().to_yaml()?
    ))
}

/// A line that ends as a sentence does.
fn in_one_line(text: &str) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if !line.ends_with(['.', '!', '?']) {
        line.push('.');
    }
    line
}
