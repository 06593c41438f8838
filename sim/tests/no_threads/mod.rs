//! The program where the system gives it no thread.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output};

/// The limit of processes does not hold for root, so the program runs as this user: `nobody`.
const NOBODY: u32 = 65_534;

/// The program in a place that every user may enter.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let everyone = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(folder.path(), everyone).expect("it is ours");
        let place = Place(folder);
        std::fs::copy(env!("CARGO_BIN_EXE_samestate"), place.path("samestate")).expect("a copy");
        let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/one-cluster.yaml");
        std::fs::copy(scenario, place.path("one.yaml")).expect("a copy");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs the program with a limit of so many processes and threads of its user.
    fn run(&self, limit: u32, args: &[&str]) -> Output {
        let mut command = Command::new("bash");
        command.args(["-c", &format!("ulimit -u {limit} && exec ./samestate \"$@\""), "bash"]);
        command.args(args).current_dir(self.0.path());
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.output().expect("bash is there")
    }
}

#[test]
fn a_process_that_can_start_no_thread_ends_with_an_error_that_names_the_limit() {
    let place = Place::new();
    let verbs: [&[&str]; 4] = [
        &["run", "one.yaml"],
        &["simulate", "one.yaml"],
        &["attach", "unix:s", "--store", "tasks"],
        &["node", "--run", ".", "--cluster", "main"],
    ];
    for verb in verbs {
        let ended = place.run(1, verb);
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{verb:?}: {said}");
        assert!(said.contains("cannot start") && said.contains("`ulimit -u`"), "{verb:?}: {said}");
        assert!(!said.contains("panicked"), "{verb:?}: {said}");
    }
}
