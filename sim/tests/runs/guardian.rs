//! The guardian by itself: whatever it has started is gone when its socket ends.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::marked::{
    MARK, PATIENCE, assert_empty, mark, marked, temp_folder, until, until_none_is_left,
};

struct Guardian {
    child: Child,
    socket: BufReader<UnixStream>,
    folder: String,
}

impl Guardian {
    fn start(mark: &str, temp: &std::path::Path) -> Self {
        let (ours, theirs) = UnixStream::pair().expect("a socket pair");
        let child = Command::new(env!("CARGO_BIN_EXE_samestate"))
            .arg("guardian")
            .env(MARK, mark)
            .env("TMPDIR", temp)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()
            .expect("it starts");
        ours.set_read_timeout(Some(PATIENCE)).expect("settable");
        let mut guardian = Self { child, socket: BufReader::new(ours), folder: String::new() };
        let home = guardian.report();
        guardian.folder = home["home"]["folder"].as_str().expect("a folder").to_owned();
        guardian
    }

    fn order(&mut self, order: &Value) {
        let socket = self.socket.get_mut();
        writeln!(socket, "{order}").expect("it listens");
    }

    fn launch(&mut self, script: &str) -> u64 {
        let log = format!("{}/logs/script.log", self.folder);
        self.order(&json!({ "launch": {
            "name": "script", "program": "/bin/sh", "args": ["-c", script], "log": log,
        }}));
        let report = self.report();
        report["launched"]["pid"].as_u64().unwrap_or_else(|| panic!("{report}"))
    }

    fn report(&mut self) -> Value {
        let mut line = String::new();
        self.socket.read_line(&mut line).expect("a report in time");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }
}

fn stop(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("not zero");
    kill_process(pid, Signal::STOP).expect("ours to stop");
}

#[test]
fn children_orphans_stopped_processes_and_the_folder_go_with_the_socket() {
    let (mark, temp) = (mark("guardian-all"), temp_folder("all"));
    let mut guardian = Guardian::start(&mark, &temp);
    // A child, a grandchild in a session of its own, and an orphan.
    guardian.launch("sleep 1001 & setsid sleep 1002 & (sleep 1003 &) ; wait");
    let sleepers = until("all three sleep", || {
        let sleepers: Vec<_> =
            marked(&mark).into_iter().filter(|one| one.command.starts_with("sleep")).collect();
        (sleepers.len() == 3).then_some(sleepers)
    });
    stop(sleepers[0].pid);
    drop(guardian.socket);
    let status = guardian.child.wait().expect("ours");
    assert!(status.success(), "{status}");
    until_none_is_left(&mark);
    assert_empty(&temp);
}

#[test]
fn the_end_of_a_process_is_reported_with_its_cause() {
    let (mark, temp) = (mark("guardian-ends"), temp_folder("ends"));
    let mut guardian = Guardian::start(&mark, &temp);
    let pid = guardian.launch("exit 3");
    assert_eq!(guardian.report(), json!({ "ended": { "pid": pid, "how": { "exited": 3 } } }));
    let pid = guardian.launch("exec sleep 1004");
    guardian.order(&json!({ "kill": { "pid": pid } }));
    let mut reports = [guardian.report(), guardian.report()];
    reports.sort_by_key(|report| report.get("ended").is_some());
    assert_eq!(reports[0], json!({ "killed": { "pid": pid, "alive": true } }));
    assert_eq!(reports[1], json!({ "ended": { "pid": pid, "how": { "signal": 9 } } }));
    guardian.order(&json!({ "kill": { "pid": std::process::id() } }));
    let stranger = guardian.report();
    assert_eq!(stranger["killed"]["alive"], false, "it kills nothing that is not its own");
    drop(guardian.socket);
    assert!(guardian.child.wait().expect("ours").success());
    assert_empty(&temp);
}

#[test]
fn what_cannot_be_started_is_reported_and_signals_do_not_end_the_guardian() {
    let (mark, temp) = (mark("guardian-signals"), temp_folder("signals"));
    let mut guardian = Guardian::start(&mark, &temp);
    let log = format!("{}/logs/none.log", guardian.folder);
    guardian.order(&json!({ "launch": {
        "name": "none", "program": "/does/not/exist", "args": [], "log": log,
    }}));
    let report = guardian.report();
    let error = report["not_launched"]["error"].as_str().unwrap_or_else(|| panic!("{report}"));
    assert!(error.starts_with("/does/not/exist: "), "{error}");
    let own = Pid::from_child(&guardian.child);
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        kill_process(own, signal).expect("ours");
    }
    let pid = guardian.launch("exec sleep 1005");
    assert!(pid > 0, "it still obeys");
    drop(guardian.socket);
    assert!(guardian.child.wait().expect("ours").success());
    until_none_is_left(&mark);
    assert_empty(&temp);
}
