//! The options of a store's backup.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "encryption")]
use zeroize::Zeroizing;

use super::file_system::{FileSystem, System};
use super::watched::HANGS_AFTER;

/// The number of seconds of changes that may be lost by default.
const SECONDS_USUAL: f64 = 1.0;

/// The allowed paces in seconds: from a millisecond to a year.
const SECONDS: RangeInclusive<f64> = 0.001..=365.0 * 86_400.0;

/// The allowed paces in actions.
const ACTIONS: RangeInclusive<u64> = 1..=1_000_000_000;

/// The length of a journal below which no whole backup is written because of it.
const JOURNAL_BYTES_MIN: u64 = 1 << 20;

/// The first delay before a failed backup is tried again.
const RETRY: Duration = Duration::from_millis(250);

/// The place of a store's backup, and how much of the store may be lost.
///
/// ```
/// use samestate::Backup;
///
/// let backup = Backup::at("tasks.backup").every_seconds(0.5);
/// # let _ = backup;
/// ```
#[derive(Clone)]
#[must_use = "hand it to `StoreBuilder::backup`"]
pub struct Backup {
    pub(super) path: PathBuf,
    #[cfg(feature = "encryption")]
    pub(super) key: Option<Zeroizing<String>>,
    pub(super) accept_plaintext: bool,
    pub(super) accept_missing_journal: bool,
    seconds: Option<f64>,
    actions: Option<u64>,
    pub(super) journal_bytes_min: u64,
    pub(super) retry: Duration,
    pub(super) hangs_after: Duration,
    pub(super) system: Arc<dyn FileSystem>,
}

/// The times at which records are due on disk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// So long after the first record that is not on disk.
    Seconds(Duration),
    /// As soon as there are this many actions.
    Actions(u64),
}

/// An option with a value that cannot work.
pub(crate) struct Misfit {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) allowed: String,
}

impl Backup {
    /// Creates a backup at this path, in a folder that exists. `<path>.journal` and `<path>.lock`
    /// lie beside it, and for a while also `<path>.new` and `<path>.journal.new`.
    ///
    /// Symbolic links are followed when the store opens, and all files lie beside the file that the
    /// links lead to. A path where such files cannot lie is refused then, before any file is
    /// created.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Backup {
            path: path.into(),
            #[cfg(feature = "encryption")]
            key: None,
            accept_plaintext: false,
            accept_missing_journal: false,
            seconds: None,
            actions: None,
            journal_bytes_min: JOURNAL_BYTES_MIN,
            retry: RETRY,
            hangs_after: HANGS_AFTER,
            system: Arc::new(System),
        }
    }

    /// Encrypts and authenticates the files: XChaCha20-Poly1305 under a key that Argon2id (RFC
    /// 9106) derives from this passphrase, once each time the store opens. Without a key, any
    /// reader of the files can read the state, and a checksum detects damage but no forgery.
    #[cfg(feature = "encryption")]
    pub fn key(mut self, passphrase: impl Into<String>) -> Self {
        self.key = Some(Zeroizing::new(passphrase.into()));
        self
    }

    /// Accepts a backup that is not encrypted although there is a key now, and encrypts it from
    /// then on. Without this option, such a backup is an error, because anyone could have written
    /// it.
    #[cfg(feature = "encryption")]
    pub fn accept_plaintext(mut self) -> Self {
        self.accept_plaintext = true;
        self
    }

    /// Accepts a whole backup whose journal is missing although its store was not closed. Without
    /// this option, such a backup is an error: all actions since the whole backup are lost with the
    /// journal.
    pub fn accept_missing_journal(mut self) -> Self {
        self.accept_missing_journal = true;
        self
    }

    /// Sets how many seconds of changes may be lost: 0.001 to 31,536,000, which is a year. Takes
    /// precedence over [`Backup::every_actions`]. Default: 1 s, if neither is set.
    #[doc(alias = "updateTimeout")]
    pub fn every_seconds(mut self, seconds: impl Into<f64>) -> Self {
        self.seconds = Some(seconds.into());
        self
    }

    /// Sets how many actions may be lost, beside those that are being written: 1 to 1,000,000,000.
    #[doc(alias = "updateCount")]
    pub fn every_actions(mut self, actions: u64) -> Self {
        self.actions = Some(actions);
        self
    }

    /// Sets the length that a journal has at least before a whole backup is made, in bytes. For
    /// tests.
    #[doc(hidden)]
    pub fn journal_bytes_min(mut self, bytes: u64) -> Self {
        self.journal_bytes_min = bytes;
        self
    }

    /// Sets the file system, and the first delay before a failed call is repeated.
    #[cfg(test)]
    pub(super) fn on(mut self, system: Arc<dyn FileSystem>, retry: Duration) -> Self {
        (self.system, self.retry) = (system, retry);
        self
    }

    /// Sets the time after which a call to the disk counts as hanging.
    #[cfg(test)]
    pub(super) fn hangs_after(mut self, after: Duration) -> Self {
        self.hangs_after = after;
        self
    }

    /// The passphrase, if one was given.
    pub(super) fn passphrase(&self) -> Option<&[u8]> {
        #[cfg(feature = "encryption")]
        return self.key.as_ref().map(|key| key.as_bytes());
        #[cfg(not(feature = "encryption"))]
        None
    }

    pub(crate) fn pace(&self) -> Pace {
        match (self.seconds, self.actions) {
            (None, Some(actions)) => Pace::Actions(actions.max(1)),
            (seconds, _) => {
                let seconds = seconds.filter(|seconds| SECONDS.contains(seconds));
                Pace::Seconds(Duration::from_secs_f64(seconds.unwrap_or(SECONDS_USUAL)))
            }
        }
    }

    /// Returns the first option that has a value that cannot work.
    pub(crate) fn misfit(&self) -> Option<Misfit> {
        let range = |name, value: &dyn fmt::Debug, allowed: &dyn fmt::Debug, unit: &str| {
            let allowed = format!("{allowed:?} {unit}").replace("..=", " to ");
            Misfit { name, value: format!("{value:?}"), allowed }
        };
        let seconds = self.seconds.filter(|seconds| !SECONDS.contains(seconds));
        let seconds = seconds.map(|seconds| range("every_seconds", &seconds, &SECONDS, "seconds"));
        let actions = self.actions.filter(|actions| !ACTIONS.contains(actions));
        let actions = actions.map(|actions| range("every_actions", &actions, &ACTIONS, "actions"));
        let key = self.passphrase().is_some_and(<[u8]>::is_empty).then(|| Misfit {
            name: "key",
            value: "an empty text".into(),
            allowed: "a passphrase of 1 byte or more".into(),
        });
        seconds.or(actions).or(key)
    }
}

impl fmt::Debug for Backup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backup")
            .field("path", &self.path)
            .field("encrypted", &self.passphrase().is_some())
            .field("pace", &self.pace())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_win_over_actions() {
        assert_eq!(Backup::at("x").pace(), Pace::Seconds(Duration::from_secs(1)));
        assert_eq!(Backup::at("x").every_actions(5).pace(), Pace::Actions(5));
        let both = Backup::at("x").every_actions(5).every_seconds(0.25);
        assert_eq!(both.pace(), Pace::Seconds(Duration::from_millis(250)));
    }

    #[cfg(feature = "encryption")]
    #[test]
    fn a_passphrase_is_never_printed() {
        let shown = format!("{:?}", Backup::at("x").key("swordfish"));
        assert!(shown.contains("encrypted: true") && !shown.contains("swordfish"), "{shown}");
    }
}
