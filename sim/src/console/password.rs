//! Sources of a password: a file, the environment, or the terminal; never the command line, where
//! every user of the machine could read it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use thiserror::Error;

use crate::streams::note;

/// The variable of the environment.
const VARIABLE: &str = "SAMESTATE_PASSWORD";

/// More of a file than this is no password.
const FILE_BYTES_MAX: u64 = 4096;

/// A password, which no `{:?}` shows.
pub(crate) struct Password(String);

/// An error of a password that cannot be read.
#[derive(Debug, Error)]
pub(crate) enum PasswordError {
    #[error("failed to read the password from {}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the password file {} begins with an empty line", .0.display())]
    Empty(PathBuf),
    #[error("{VARIABLE} is no text in UTF-8")]
    NoText,
    #[error(
        "a login needs a password: name a file with --password-file, set {VARIABLE}, or start the \
         console on a terminal, where it asks"
    )]
    Missing,
    #[error("failed to ask for the password")]
    Terminal(#[source] io::Error),
}

impl Password {
    /// The first line of `file`; or of the environment; or what is typed.
    pub(crate) fn find(file: Option<&Path>, login: &str) -> Result<Password, PasswordError> {
        if let Some(path) = file {
            return of_file(path);
        }
        match std::env::var(VARIABLE) {
            Ok(password) if !password.is_empty() => return Ok(Password(password)),
            Ok(_) | Err(std::env::VarError::NotPresent) => {}
            Err(std::env::VarError::NotUnicode(_)) => return Err(PasswordError::NoText),
        }
        if io::stdin().is_terminal() {
            ask(login).map_err(PasswordError::Terminal)
        } else {
            Err(PasswordError::Missing)
        }
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

fn of_file(path: &Path) -> Result<Password, PasswordError> {
    let fail = |source| PasswordError::File { path: path.to_owned(), source };
    let file = File::open(path).map_err(fail)?;
    let mode = file.metadata().map_err(fail)?.permissions().mode();
    if mode & 0o077 != 0 {
        let path = path.display();
        note!("warning: others may read the password file {path}: `chmod 600` it");
    }
    let mut line = String::new();
    BufReader::new(file.take(FILE_BYTES_MAX)).read_line(&mut line).map_err(fail)?;
    // Editors of some systems put a mark before a text.
    let password = line.trim_start_matches('\u{feff}').trim_end_matches(['\n', '\r']);
    match password {
        "" => Err(PasswordError::Empty(path.to_owned())),
        password => Ok(Password(password.to_owned())),
    }
}

/// Asks on the terminal, without an echo.
fn ask(login: &str) -> io::Result<Password> {
    let stdin = io::stdin();
    let before = tcgetattr(&stdin)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    let mut out = io::stderr();
    // Silent before it asks: who is quick shows nothing either.
    tcsetattr(&stdin, OptionalActions::Flush, &silent)?;
    let mut line = String::new();
    let read = write!(out, "password of {login}: ")
        .and_then(|()| out.flush())
        .and_then(|()| stdin.lock().read_line(&mut line));
    tcsetattr(&stdin, OptionalActions::Now, &before)?;
    writeln!(out)?;
    read?;
    match line.trim_end_matches(['\n', '\r']) {
        "" => Err(io::Error::other("none was given")),
        password => Ok(Password(password.to_owned())),
    }
}
