//! E1: the article's log of a whole cluster, as the example that is shipped.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Instant;

use super::scene::{DEADLINE, Place};

/// The example's program; cargo builds it with the tests.
fn program() -> PathBuf {
    let tests = std::env::current_exe().expect("this program");
    let built = tests.parent().and_then(|deps| deps.parent()).expect("a folder of builds");
    let program = built.join("examples/logger");
    assert!(program.exists(), "build it: cargo build -p samestate --example logger");
    program
}

/// A process of the example. Dropped, it is killed.
struct Logger(Child);

impl Logger {
    fn start(args: &[&str]) -> (Self, mpsc::Receiver<String>) {
        let mut command = Command::new(program());
        let child = command.args(args).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("the example starts");
        let lines = BufReader::new(child.stdout.take().expect("its output"));
        let (sender, records) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        (Logger(child), records)
    }

    /// Returns the name under which the process writes its records.
    fn name(&self) -> String {
        format!("process {}", self.0.id())
    }

    /// Waits for a record of each of these words.
    fn until(records: &mpsc::Receiver<String>, words: &[&str]) {
        let (mut missing, deadline) = (words.to_vec(), Instant::now() + DEADLINE);
        while !missing.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            let record = records.recv_timeout(left);
            let record = record.unwrap_or_else(|_| panic!("no record of {missing:?}"));
            missing.retain(|word| !record.contains(word));
        }
    }

    /// Ends it as Ctrl-C does, and waits for the end of its output.
    fn interrupted(mut self, records: &mpsc::Receiver<String>) {
        let pid = rustix::process::Pid::from_raw(self.0.id().cast_signed()).expect("an id");
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
        let deadline = Instant::now() + DEADLINE;
        let left = || deadline.saturating_duration_since(Instant::now());
        while records.recv_timeout(left()) != Err(mpsc::RecvTimeoutError::Disconnected) {
            assert!(!left().is_zero(), "it goes on");
        }
        assert!(self.0.wait().expect("it ends").success(), "Ctrl-C ends it well");
    }
}

impl Drop for Logger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn e01_master_workers_and_clients_log_and_each_prints_all_records() {
    let place = Place::new();
    let address = format!("unix:{}", place.path().display());
    let (master, told) =
        Logger::start(&["-v", "--workers", "2", "--every", "20", "--server", &address]);
    Logger::until(&told, &["of master", "of worker", "LOG", "WARN", "ERROR", "HTTP", "DEBUG"]);
    let (client, client_told) = Logger::start(&["-v", "--every", "20", "--client", &address]);
    let everybody = [&*master.name(), "of worker", &*client.name()];
    Logger::until(&client_told, &everybody);
    Logger::until(&told, &everybody);
    client.interrupted(&client_told);
    master.interrupted(&told);
}
