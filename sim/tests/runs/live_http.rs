//! Tests of the endpoints of a run that goes on: its metrics, and its dashboard.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use samestate_report::Record;
use serde_json::Value;

use crate::two_nodes::SHORT;

/// The longest that any of these tests waits for something.
const DEADLINE: Duration = Duration::from_secs(60);

/// A run that goes on.
struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    fn start(folder: &Path, args: &[&str]) -> Self {
        let scenario = SHORT.replace("300ms", "4s");
        fs::write(folder.join("tasks.yaml"), scenario).expect("writable");
        let mut child = Command::new(env!("CARGO_BIN_EXE_samestate"))
            .args(["run", "tasks.yaml", "--out", "out"])
            .args(args)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let errors = BufReader::new(child.stderr.take().expect("piped"));
        let (told, lines) = channel();
        thread::spawn(move || {
            errors.lines().map_while(Result::ok).all(|line| told.send(line).is_ok());
        });
        Running { child, lines }
    }

    /// Waits for a line with this beginning, and returns its rest.
    fn line(&self, begin: &str) -> String {
        let until = Instant::now() + DEADLINE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|_| panic!("no `{begin}`"));
            if let Some(rest) = line.strip_prefix(begin) {
                return rest.to_owned();
            }
        }
    }

    fn code(mut self) -> Option<i32> {
        let until = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be asked") {
                return status.code();
            }
            assert!(Instant::now() < until, "it does not end");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

fn address(url: &str) -> String {
    let rest = url.strip_prefix("http://").expect("a URL");
    rest.split('/').next().unwrap_or_default().to_owned()
}

fn ask(address: &str, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a time");
    stream.write_all(request.as_bytes()).expect("it reads");
    stream
}

fn get(address: &str, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let mut answer = String::new();
    ask(address, &request).read_to_string(&mut answer).expect("it answers");
    answer
}

/// Asks until the answer has a text.
fn wait_for(address: &str, path: &str, text: &str) -> String {
    let until = Instant::now() + DEADLINE;
    loop {
        let answer = get(address, path);
        if answer.contains(text) {
            return answer;
        }
        assert!(Instant::now() < until, "no `{text}` in {answer}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

#[test]
fn metrics_are_served_while_the_run_goes_on_and_nothing_else_is() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let run = Running::start(temp.path(), &["--metrics", ":0"]);
    let at = address(&run.line("metrics: "));
    let name = "samestate_run_dispatches_total{store=\"tasks\",outcome=\"ok\"}";
    let answer = wait_for(&at, "/metrics", name);
    assert!(answer.contains("application/openmetrics-text; version=1.0.0"), "{answer}");
    assert!(answer.ends_with("\n# EOF\n"), "{answer}");
    assert!(answer.contains("samestate_run_active 1.0\n"), "{answer}");
    for path in ["/", "/events", "/metrics/", "/../metrics", "//metrics"] {
        assert_eq!(status(&get(&at, path)), "404", "{path}");
    }
    for (request, code) in [
        ("GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned(), "403"),
        (format!("GET /metrics HTTP/1.1\r\nHost: {at}\r\nOrigin: http://a.b\r\n\r\n"), "403"),
        (format!("POST /metrics HTTP/1.1\r\nHost: {at}\r\nContent-Length: 9\r\n\r\n"), "405"),
        (
            format!("GET /metrics HTTP/1.1\r\nHost: {at}\r\nA: {}\r\n\r\n", "a".repeat(20_000)),
            "431",
        ),
    ] {
        let mut answer = [0; 12];
        ask(&at, &request).read_exact(&mut answer).expect("it answers");
        assert_eq!(status(&String::from_utf8_lossy(&answer)), code, "{request:.60}");
    }
    assert!(matches!(run.code(), Some(0 | 6)));
}

#[test]
fn a_file_of_metrics_is_always_whole_and_tells_the_end() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let run = Running::start(temp.path(), &["--metrics", "run.prom"]);
    let path = temp.path().join("run.prom");
    let until = Instant::now() + DEADLINE;
    loop {
        let text = fs::read_to_string(&path).unwrap_or_else(|_| "# EOF\n".to_owned());
        assert!(text.ends_with("# EOF\n"), "{text}");
        if text.contains("samestate_run_process_cpu_seconds_total{process=\"main.master\"}") {
            break;
        }
        assert!(Instant::now() < until, "{text}");
        thread::sleep(Duration::from_millis(5));
    }
    assert!(matches!(run.code(), Some(0 | 6)));
    let text = fs::read_to_string(&path).expect("it stays");
    assert!(text.contains("samestate_run_active 0.0\n"), "{text}");
    assert!(text.contains("samestate_run_cases_judged_total{verdict="), "{text}");
}

#[test]
fn a_dashboard_is_renewed_and_ends_with_the_report_whoever_else_connects() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let run = Running::start(temp.path(), &["--dashboard"]);
    let at = address(&run.line("dashboard: "));
    let page = get(&at, "/");
    assert!(page.contains("connect-src 'self'") && page.contains("x-frame-options: DENY"));
    assert_eq!(status(&get(&at, "/record.json")), "404");
    assert_eq!(status(&get(&at, "/metrics")), "200");
    // Peers that ask for nothing, and some that read nothing of what they asked for.
    let idle: Vec<_> = (0..100).map(|_| TcpStream::connect(&at).expect("it listens")).collect();
    let request = format!("GET /events HTTP/1.1\r\nHost: {at}\r\n\r\n");
    let stuck: Vec<_> = (0..20).map(|_| ask(&at, &request)).collect();
    let events = BufReader::new(ask(&at, &request));
    let updates = events.lines().map_while(Result::ok).filter_map(|line| {
        let data = line.strip_prefix("data: ")?.to_owned();
        Some(serde_json::from_str::<Value>(&data).expect("it is JSON"))
    });
    let mut seen = 0;
    let mut last = Value::Null;
    for update in updates {
        seen += 1;
        last = update;
    }
    assert!(seen >= 6, "{seen} updates in four seconds");
    assert_eq!(last["done"], Value::Bool(true), "{last:.300}");
    let html = last["html"].as_str().unwrap_or_default();
    assert!(html.contains("out/report.html") && html.contains("All measures"));
    assert!(matches!(run.code(), Some(0 | 6)), "nobody ended the run");
    drop((idle, stuck));
    let record = Record::read(temp.path().join("out/record.json")).expect("it was written");
    assert_eq!(record.cases[0].dispatches.lost, Some(0));
}

#[test]
fn a_dashboard_that_lingers_shows_the_report_until_it_is_interrupted() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let args = ["--duration", "500ms", "--dashboard=127.0.0.1:0", "--dashboard-linger"];
    let run = Running::start(temp.path(), &args);
    let at = address(&run.line("dashboard: "));
    run.line("the report stays at ");
    let page = get(&at, "/");
    assert!(page.contains("All measures") && !page.contains("EventSource"), "the report alone");
    let pid = rustix::process::Pid::from_child(&run.child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it is there");
    assert!(matches!(run.code(), Some(0 | 6)), "the run had ended before");
}

#[test]
fn addresses_that_cannot_be_are_refused_before_anything_starts() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port();
    for (args, code, what) in [
        (&[&*format!("--dashboard=:{port}")][..], 1, "in use"),
        (&["--metrics", &*format!("127.0.0.1:{port}")], 1, "in use"),
        (&["--dashboard=nonsense"], 2, "invalid address `nonsense`"),
        (&["--dashboard", "127.0.0.1:80"], 2, "write --dashboard=127.0.0.1:80"),
        (&["--metrics", "/dev/null/a"], 1, "/dev/null/a"),
        (&["--dashboard-linger"], 2, "--dashboard"),
    ] {
        let run = Running::start(temp.path(), args);
        let mut said = String::new();
        while let Ok(line) = run.lines.recv_timeout(DEADLINE) {
            said += &(line + "\n");
        }
        assert_eq!(run.code(), Some(code), "{said}");
        assert!(said.contains(what), "{said}");
        assert!(!temp.path().join("out/record.json").exists(), "{args:?}");
    }
}
