//! A scenario of three processes for two seconds, whose link is cut once.

use std::fs;
use std::path::Path;
use std::process::Command;

const SCENARIO: &str = r#"
version: 1
seed: 5
stores: { tasks: { reducer: ring, mode: action } }
clusters: { main: { workers: 1 }, other: { workers: 0 } }
links:
  - { name: wire, store: tasks, server: main.master, unix: wire.sock, client: other.master }
phases:
  - name: busy
    duration: 2s
    load: [ { at: main.master, store: tasks, arrival: { every: 20ms } } ]
faults:
  - cut: { link: wire, at: 700ms, for: 300ms }
expect:
  - { metric: dispatches.lost, max: 0 }
"#;

/// Returns the command of a verb with this scenario, whose results go to `out`.
pub(crate) fn command(folder: &Path, verb: &str, args: &[&str]) -> Command {
    fs::write(folder.join("tasks.yaml"), SCENARIO).expect("writable");
    let mut command = Command::new(env!("CARGO_BIN_EXE_samestate"));
    command.args([verb, "tasks.yaml", "--out", "out"]).args(args).current_dir(folder);
    command
}
