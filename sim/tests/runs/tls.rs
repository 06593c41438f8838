//! Links with `tls: true`: real processes that use TLS only, with certificates of the run's own.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use samestate_report::{Case, Record};

const DEADLINE: Duration = Duration::from_secs(60);

/// A server with workers, clients from the start and later, cuts, and a server that is killed.
const BROKEN: &str = r#"
version: 1
logins: { app: "12345" }
stores: { tasks: { reducer: ring, mode: action, backup: { every_actions: 20 } } }
clusters: { one: { workers: 0 }, two: { workers: 1 }, late: { workers: 0 } }
links:
  - name: link
    store: tasks
    server: one.master
    tcp: 22985
    tls: true
    client: two.master
    login: app
    backoff_max: 100ms
phases:
  - name: steady
    duration: 5s
    load:
      - { at: one.master, store: tasks, arrival: { rate: 50/s } }
      - { at: "two.worker[1]", store: tasks, arrival: { rate: 50/s } }
faults:
  - cut: { link: link, at: 1s, for: 300ms }
  - kill: { node: one.master, at: 3s, restart_after: 200ms }
events:
  - { at: 2s, create_client: { client: late.master, link: link } }
"#;

fn samestate() -> Command {
    Command::new(env!("CARGO_BIN_EXE_samestate"))
}

/// A run that has begun.
struct Running {
    child: Child,
    folder: tempfile::TempDir,
}

impl Running {
    fn new(file: &Path, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let child = samestate()
            .args([Path::new("run"), file, Path::new("--out"), &folder.path().join("out")])
            .arg("--quiet")
            .args(more)
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        Running { child, folder }
    }

    /// Waits until it is over. 6: the machine was too busy to load it as planned.
    fn case(self) -> Case {
        let output = self.child.wait_with_output().expect("it ends");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(0 | 6)), "{}\n{told}", output.status);
        let out = self.folder.path().join("out");
        assert_no_key_in(&out);
        let json = std::fs::read(out.join("record.json")).expect("a record");
        let mut cases = Record::from_json(&json, "record.json").expect("a record").cases;
        assert_eq!(cases.len(), 1);
        cases.remove(0)
    }
}

/// Nothing under a folder holds a private key.
fn assert_no_key_in(folder: &Path) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            assert_no_key_in(&path);
        } else {
            let bytes = std::fs::read(&path).expect("a file");
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains("PRIVATE KEY"), "{}", path.display());
        }
    }
}

/// Returns the answer of a server to a console without TLS, once it is there.
fn answer_to_plaintext(port: u16) -> String {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let mut attach = samestate();
        attach.args(["attach", &format!("127.0.0.1:{port}"), "--store", "tasks"]);
        attach.args(["--timeout", "200ms"]).stdin(Stdio::null());
        let output = attach.output().expect("it starts");
        assert_eq!(output.status.code(), Some(1), "nobody without TLS is let in");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if !said.contains("was not reached") {
            return said;
        }
        assert!(Instant::now() < deadline, "the server does not listen: {said}");
    }
}

#[test]
fn a_link_with_tls_is_cut_loses_its_server_and_gets_a_late_client_and_loses_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("broken.yaml");
    std::fs::write(&file, BROKEN).expect("writable");
    let running = Running::new(&file, &[]);
    let said = answer_to_plaintext(22985);
    assert!(said.contains("the server speaks nothing but TLS"), "{said}");
    let case = running.case();
    assert!(case.violations.is_empty(), "{:#?}", case.violations);
    assert_eq!(case.stores["tasks"].transport.as_deref(), Some("ipc, tcp+tls"));
    assert_eq!(case.stores["tasks"].replicas, Some(4), "the late one is there");
    let faults = &case.faults;
    assert_eq!((faults.planned, faults.injected), (2, 2), "{faults:#?}");
    let cut = &faults.list[0].evidence;
    assert!(cut.contains("1 connection severed after"), "{faults:#?}");
    assert!(cut.contains("connected again at"), "{faults:#?}");
    assert!(faults.list[1].evidence.contains("in sync again as pid"), "{faults:#?}");
    assert!(case.dispatches.ok > 100, "{:#?}", case.dispatches);
    assert_eq!((case.dispatches.lost, case.dispatches.duplicated), (Some(0), Some(0)));
}

#[test]
fn the_shipped_scenario_holds_and_says_that_it_spoke_tls() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/two-clusters-tls.yaml");
    let case = Running::new(&file, &["--duration", "5s"]).case();
    assert!(case.violations.is_empty(), "{:#?}", case.violations);
    for store in case.stores.values() {
        assert_eq!(store.transport.as_deref(), Some("ipc, tcp+tls"));
    }
    assert_eq!((case.faults.planned, case.faults.injected), (2, 2), "{:#?}", case.faults);
}
