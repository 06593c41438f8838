//! Processes that a test started, however far down: they all inherit its mark.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The longest time that any step may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The environment variable that holds a test's mark.
pub(crate) const MARK: &str = "SAMESTATE_TEST_MARK";

/// A mark that no other test has.
pub(crate) fn mark(test: &str) -> String {
    format!("{test}-{}", std::process::id())
}

/// A living process with a mark.
#[derive(Clone, Debug)]
pub(crate) struct Marked {
    pub(crate) pid: u32,
    pub(crate) command: String,
}

/// The living processes that bear `mark`.
pub(crate) fn marked(mark: &str) -> Vec<Marked> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("there is a /proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let read = |name: &str| std::fs::read(entry.path().join(name)).unwrap_or_default();
        let wanted = format!("{MARK}={mark}");
        let environment = read("environ");
        if environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes()) {
            let command = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
            // What has no command line any more is a zombie, or about to be one.
            if !command.is_empty() {
                found.push(Marked { pid, command });
            }
        }
    }
    found
}

/// Waits until `wanted` gives something.
pub(crate) fn until<T>(what: &str, mut wanted: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(got) = wanted() {
            return got;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until nothing that bears `mark` lives.
pub(crate) fn until_none_is_left(mark: &str) {
    let began = Instant::now();
    loop {
        let left = marked(mark);
        if left.is_empty() {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "still there: {left:#?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A temporary folder for a test's runs to make theirs in, so that what they leave can be seen.
pub(crate) fn temp_folder(test: &str) -> PathBuf {
    // Short: sockets have to fit in.
    let folder = PathBuf::from(format!("/tmp/ss-{}-{test}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("writable");
    folder
}

/// Asserts that a test's runs left nothing in their temporary folder, and removes it.
pub(crate) fn assert_empty(folder: &Path) {
    let left: Vec<_> = std::fs::read_dir(folder).expect("readable").flatten().collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    std::fs::remove_dir(folder).expect("empty");
}
