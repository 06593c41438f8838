//! `samestate run` leaves no process, no socket and no folder behind, however it ends.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use samestate_report::{Record, Verdict};

use crate::marked::{
    MARK, Marked, assert_empty, mark, marked, temp_folder, until, until_none_is_left,
};

/// Two clusters over a Unix socket: four processes, and a link that would leave a file.
const SCENARIO: &str = r#"
version: 1
stores: { tasks: { reducer: ring, mode: action } }
clusters: { one: { workers: 1 }, two: { workers: 1 } }
links: [ { store: tasks, server: one.master, unix: tasks.sock, client: two.master } ]
phases:
  - name: steady
    duration: 2s
    load: [ { at: "two.worker[1]", store: tasks, arrival: { every: 20ms } } ]
"#;

/// The number of processes of the scenario's nodes.
const NODES: usize = 4;

struct Run {
    child: Child,
    stderr: BufReader<ChildStderr>,
    mark: String,
    temp: PathBuf,
    out: tempfile::TempDir,
}

impl Run {
    fn start(test: &str, scenario: &str, args: &[&str]) -> Self {
        let (mark, temp) = (mark(test), temp_folder(test));
        let out = tempfile::tempdir().expect("a temporary folder");
        let file = out.path().join("scenario-of-test.yaml");
        std::fs::write(&file, scenario).expect("writable");
        let mut child = Command::new(env!("CARGO_BIN_EXE_samestate"))
            .args([Path::new("run"), &file, Path::new("--out"), &out.path().join("out")])
            .args(args)
            .env(MARK, &mark)
            .env("TMPDIR", &temp)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0) // as a terminal's foreground job has one
            .spawn()
            .expect("it starts");
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        Self { child, stderr, mark, temp, out }
    }

    /// Waits until the load has begun.
    fn until_steady(&mut self) -> Vec<Marked> {
        let mut told = String::new();
        loop {
            let mut line = String::new();
            let bytes = self.stderr.read_line(&mut line).expect("text");
            assert!(bytes > 0, "it ended before the load began:\n{told}");
            if line.contains(": steady") {
                break;
            }
            told += &line;
        }
        let nodes: Vec<_> = marked(&self.mark)
            .into_iter()
            .filter(|one| one.command.contains(" node --run "))
            .collect();
        assert_eq!(nodes.len(), NODES, "{nodes:#?}");
        nodes
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is there");
    }

    /// Waits for the end, and asserts that nothing is left.
    fn end(mut self) -> Ended {
        let mut told = String::new();
        self.stderr.read_to_string(&mut told).expect("text");
        let status = self.child.wait().expect("ours");
        until_none_is_left(&self.mark);
        until("the temporary folder is empty", || {
            std::fs::read_dir(&self.temp).expect("readable").next().is_none().then_some(())
        });
        assert_empty(&self.temp);
        let path = self.out.path().join("out/record.json");
        Ended { status, told, record: Record::read(path).ok(), out: self.out }
    }
}

struct Ended {
    status: ExitStatus,
    told: String,
    record: Option<Record>,
    out: tempfile::TempDir,
}

fn send(node: &Marked, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(node.pid).expect("a pid")).expect("not zero");
    kill_process(pid, signal).expect("it is there");
}

#[test]
fn a_run_that_goes_well_leaves_its_folder_alone() {
    let ended = Run::start("well", SCENARIO, &[]).end();
    assert!(matches!(ended.status.code(), Some(0 | 6)), "{}\n{}", ended.status, ended.told);
    let record = ended.record.expect("a record");
    assert_eq!(record.cases[0].processes.len(), NODES);
    let out = ended.out.path().join("out");
    assert!(out.join("scenario.yaml").is_file());
    for node in ["one.master", "one.worker[1]", "two.master", "two.worker[1]"] {
        assert!(out.join(format!("logs/{node}.log")).is_file(), "{node}");
    }
}

#[test]
fn ctrl_c_keeps_a_partial_record_and_gives_no_verdict() {
    let mut run = Run::start("ctrl-c", SCENARIO, &["--duration", "1h"]);
    run.until_steady();
    kill_process_group(Pid::from_child(&run.child), Signal::INT).expect("it is there");
    let ended = run.end();
    assert_eq!(ended.status.code(), Some(130), "{}", ended.told);
    let record = ended.record.expect("a partial record");
    assert_eq!(record.verdict, Verdict::Interrupted);
    assert_eq!(record.cases[0].processes.len(), NODES);
}

#[test]
fn the_second_ctrl_c_ends_the_run_at_once_even_with_a_node_that_is_stopped() {
    let mut run = Run::start("twice", SCENARIO, &["--duration", "1h"]);
    let nodes = run.until_steady();
    send(&nodes[0], Signal::STOP);
    run.signal(Signal::INT);
    let mut line = String::new();
    while !line.contains("interrupted") {
        line.clear();
        assert!(run.stderr.read_line(&mut line).expect("text") > 0, "it says that it heard");
    }
    run.signal(Signal::INT);
    let ended = run.end();
    assert_eq!(ended.status.code(), Some(130), "{}", ended.told);
    assert_eq!(ended.record, None);
}

#[test]
fn ctrl_c_ends_the_run_while_it_starts() {
    let run = Run::start("early", SCENARIO, &[]);
    until("the guardian is there", || {
        marked(&run.mark).iter().any(|one| one.command.contains(" guardian")).then_some(())
    });
    run.signal(Signal::INT);
    let ended = run.end();
    assert_eq!(ended.status.code(), Some(130), "{}", ended.told);
}

#[test]
fn kill_9_of_the_runner_leaves_nothing_but_the_folder_that_it_claimed() {
    let mut run = Run::start("kill", SCENARIO, &["--duration", "1h"]);
    run.until_steady();
    run.signal(Signal::KILL);
    let ended = run.end();
    assert_eq!(ended.status.code(), None);
    let left = std::fs::read_dir(ended.out.path().join("out")).expect("the folder is claimed");
    let left: Vec<_> = left.map(|file| file.expect("a file").file_name()).collect();
    assert_eq!(left, [".samestate"], "no record and no log");
}

#[test]
fn kill_9_of_the_runner_leaves_nothing_even_with_nodes_that_are_stopped() {
    let mut run = Run::start("stopped", SCENARIO, &["--duration", "1h"]);
    for node in run.until_steady() {
        send(&node, Signal::STOP);
    }
    run.signal(Signal::KILL);
    assert_eq!(run.end().status.code(), None);
}

#[test]
fn a_nodes_crash_is_reported_and_the_run_goes_on_without_it() {
    let mut run = Run::start("crash", SCENARIO, &[]);
    let nodes = run.until_steady();
    let clients_master = nodes
        .iter()
        .filter(|node| node.command.contains("--cluster two"))
        .min_by_key(|node| node.pid)
        .expect("a master starts before its workers");
    send(clients_master, Signal::KILL);
    let ended = run.end();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.told);
    let crash = format!("two.master (pid {}) killed by signal 9", clients_master.pid);
    assert!(ended.told.contains(&crash), "{}", ended.told);
    assert!(!ended.told.contains("two.worker"), "it went with its master:\n{}", ended.told);
    let record = ended.record.expect("what could be collected");
    assert_eq!(record.verdict, Verdict::Fail);
    assert!(record.cases[0].because.iter().any(|why| why.contains(&crash)), "{record:#?}");
    let process = record.cases[0].processes.iter().find(|one| one.pid == Some(clients_master.pid));
    assert_eq!(process.and_then(|one| one.ended.as_deref()), Some("killed by signal 9"));
}

#[test]
fn a_port_that_is_taken_is_named_with_the_node_that_wanted_it() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = taken.local_addr().expect("bound").port();
    let scenario = SCENARIO.replace("unix: tasks.sock", &format!("tcp: {port}"));
    let ended = Run::start("port", &scenario, &[]).end();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.told);
    assert!(ended.told.contains("one.master"), "{}", ended.told);
    assert!(ended.told.contains(&port.to_string()), "{}", ended.told);
}
