//! The service as its users see it: real processes, and one of them killed in the middle.
//! Nothing here waits for a time to pass: only for a line, or the end of a process, or a deadline.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

const WITHIN: Duration = Duration::from_secs(30);

/// A process, in a group of its own with those that it forks. Nothing of the group outlives this.
struct Process {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
}

impl Process {
    fn start(arguments: &[&str]) -> Process {
        Process::run(Path::new(env!("CARGO_BIN_EXE_flags")), arguments)
    }

    fn run(program: &Path, arguments: &[&str]) -> Process {
        let mut child = Command::new(program)
            .args(arguments)
            .env("USER", "ada")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let out = lines(child.stdout.take().unwrap());
        let err = lines(child.stderr.take().unwrap());
        Process { child, out, err }
    }

    /// The next line on standard output.
    fn line(&self) -> String {
        self.out.recv_timeout(WITHIN).unwrap_or_else(|error| {
            panic!("no line: {error}; it said {:?}", self.err.try_iter().collect::<Vec<_>>())
        })
    }

    /// Waits until standard error says this.
    fn until_said(&self, wanted: &str) {
        let deadline = Instant::now() + WITHIN;
        while !self.err.recv_timeout(deadline - Instant::now()).unwrap().contains(wanted) {}
    }

    /// To all of the group, as a terminal does with a Ctrl-C.
    fn signal(&self, signal: &str) {
        kill(signal, &format!("-{}", self.child.id()));
    }

    /// Waits until it has ended, and all that it forked: they share its standard output. Returns
    /// what else was printed there, and what was said on standard error.
    fn ended(&mut self) -> (ExitStatus, Vec<String>, String) {
        let (out, err) = (until_closed(&self.out), until_closed(&self.err));
        (self.child.wait().unwrap(), out, err.join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal("KILL");
        let _ = self.child.wait();
    }
}

fn kill(signal: &str, whom: &str) {
    let mut kill = Command::new("kill");
    kill.args(["-s", signal, "--", whom]).stderr(Stdio::null()).status().unwrap();
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (send, lines) = channel();
    thread::spawn(move || {
        BufReader::new(from).lines().map_while(Result::ok).try_for_each(|line| send.send(line))
    });
    lines
}

fn until_closed(lines: &Receiver<String>) -> Vec<String> {
    let (deadline, mut all) = (Instant::now() + WITHIN, Vec::new());
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => all.push(line),
            Err(RecvTimeoutError::Disconnected) => return all,
            Err(RecvTimeoutError::Timeout) => panic!("it has not ended; so far {all:?}"),
        }
    }
}

/// A service with a folder of its own, at an address that the system chose.
struct Service {
    folder: TempDir,
    server: Process,
    address: String,
    /// The process id of worker 1.
    worker: String,
}

impl Service {
    fn start() -> Service {
        Service::serve(folder(), "127.0.0.1:0")
    }

    fn serve(folder: TempDir, address: &str) -> Service {
        Service::run(Path::new(env!("CARGO_BIN_EXE_flags")), folder, address)
    }

    fn run(program: &Path, folder: TempDir, address: &str) -> Service {
        let path = |name| folder.path().join(name).to_str().unwrap().to_owned();
        let (backup, password) = (path("backup"), path("password"));
        let link = ["--address", address, "--password-file", &password];
        let arguments = [&["serve", "--backup", &backup], &link[..]].concat();
        let server = Process::run(program, &arguments);
        let mut said = [server.line(), server.line(), server.line()];
        said.sort(); // the address first, and then the two workers
        let [address, worker, _] = said.map(|line| last_word(&line));
        Service { folder, server, address, worker }
    }

    fn start_client(&self, arguments: &[&str], password: &str) -> Process {
        let password = self.folder.path().join(password);
        let link = ["--address", &self.address, "--password-file", password.to_str().unwrap()];
        Process::start(&[arguments, &link].concat())
    }

    /// Runs a client to its end: what it printed, or what it complained of.
    fn client(&self, arguments: &[&str]) -> Result<Vec<String>, String> {
        let (status, out, err) = self.start_client(arguments, "password").ended();
        if status.success() { Ok(out) } else { Err(err) }
    }

    /// `kill -9`: the workers are not killed, and have to end by themselves.
    fn kill(&mut self) {
        kill("KILL", &self.server.child.id().to_string());
        assert!(!self.server.ended().0.success());
    }

    fn restart(self) -> Service {
        Service::serve(self.folder, &self.address)
    }
}

fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("password"), "secret\n").unwrap();
    fs::write(folder.path().join("wrong"), "guessed\n").unwrap();
    folder
}

fn last_word(line: &str) -> String {
    line.rsplit(' ').next().unwrap_or_default().to_owned()
}

#[test]
fn a_flag_is_set_and_a_bad_one_is_rejected_in_words() {
    let service = Service::start();
    let refused = service.client(&["set", "beta", "on"]).unwrap_err();
    assert_eq!(refused, "flags: there is no flag `beta`: create it with --create");
    let refused = service.client(&["set", "Beta!", "on", "--create"]).unwrap_err();
    assert!(refused.contains("`Beta!` is no name for a flag"), "{refused}");

    let set = service.client(&["set", "beta", "on", "--create"]).unwrap();
    assert!(set[0].starts_with("beta is on at e1:"), "{set:?}");
    let refused = service.client(&["set", "beta", "on", "--create"]).unwrap_err();
    assert_eq!(refused, "flags: there is a flag `beta` already");
    service.client(&["set", "beta", "off", "--by", "bob"]).unwrap();
    let list = service.client(&["list"]).unwrap();
    assert!(list.contains(&"beta: off, by bob, changes: 1".to_owned()), "{list:?}");
}

#[test]
fn who_has_a_wrong_password_is_told_so_at_once() {
    let service = Service::start();
    let (status, out, err) = service.start_client(&["list"], "wrong").ended();
    assert!(!status.success() && out.is_empty());
    assert!(err.contains("the password is wrong"), "{err}");
}

#[test]
fn what_was_acknowledged_survives_a_kill_and_a_watcher_goes_on() {
    let mut service = Service::start();
    service.client(&["set", "beta", "off", "--create"]).unwrap();
    let mut watcher = service.start_client(&["watch", "beta"], "password");
    assert_eq!(watcher.line(), "beta: off, by ada, changes: 0");
    service.client(&["set", "beta", "on"]).unwrap();
    assert_eq!(watcher.line(), "beta: on, by ada, changes: 1");

    // Ten flags are made at once, and the server is killed as soon as one is acknowledged.
    let names: Vec<_> = (0..10).map(|number| format!("flag-{number}")).collect();
    let setting = |name| service.start_client(&["set", name, "on", "--create"], "password");
    let mut setters: Vec<_> = names.iter().map(|name| (name, setting(name))).collect();
    assert!(setters[0].1.line().starts_with("flag-0 is on at e1:"));
    service.kill();
    watcher.until_said("what is shown here may be old");

    // Those that were under way wait for it, and are set once.
    let service = service.restart();
    watcher.until_said("in sync again");
    setters.retain_mut(|(_, setter)| setter.ended().0.success());
    assert_eq!(setters[0].0, "flag-0");
    let list = service.client(&["list"]).unwrap();
    for (name, _) in &setters {
        assert!(list.contains(&format!("{name}: on, by ada, changes: 0")), "{name} in {list:?}");
    }

    // No line for what is as it was, nor for other flags and beats: the next is the next change.
    service.client(&["set", "beta", "off"]).unwrap();
    assert_eq!(watcher.line(), "beta: off, by ada, changes: 2");
    watcher.signal("INT");
    let (status, out, _) = watcher.ended();
    assert!(status.success() && out.is_empty(), "{status}, {out:?}");
}

#[test]
fn workers_beat_one_that_is_killed_is_replaced_and_ctrl_c_ends_them_all() {
    let mut service = Service::start();
    let first = service.worker.clone();
    kill("KILL", &first);
    service.server.until_said(&format!("worker 1, process {first}, has ended"));
    let replaced = service.server.line();
    assert!(replaced.starts_with("worker 1 is process ") && last_word(&replaced) != first);

    let deadline = Instant::now() + WITHIN;
    for worker in ["worker 1", "worker 2"] {
        let beats = |line: &String| line.starts_with(worker);
        while !service.client(&["list"]).unwrap().iter().any(beats) {
            assert!(Instant::now() < deadline, "{worker} does not beat");
        }
    }
    service.server.signal("INT");
    let (status, _, err) = service.server.ended();
    assert!(status.success() && err.is_empty(), "{status}, {err}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_worker_that_ends_after_a_deploy_is_replaced() {
    let folder = folder();
    let program = folder.path().join("flags");
    fs::copy(env!("CARGO_BIN_EXE_flags"), &program).unwrap();
    let mut service = Service::run(&program, folder, "127.0.0.1:0");
    let (release, first) = (program.with_extension("new"), service.worker.clone());
    fs::write(&release, "another release").unwrap();
    fs::rename(&release, &program).unwrap();
    kill("KILL", &first);
    service.server.until_said(&format!("worker 1, process {first}, has ended"));
    let replaced = service.server.line();
    assert!(replaced.starts_with("worker 1 is process ") && last_word(&replaced) != first);
    service.server.signal("INT");
    let (status, _, err) = service.server.ended();
    assert!(status.success() && err.is_empty(), "{status}, {err}");
}
