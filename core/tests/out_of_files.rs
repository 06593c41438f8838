//! A server in a process of its own that runs out of open files, and recovers.
//!
//! This very program is that server, when it is told so by its environment.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, setrlimit};
use samestate::{ClientConfig, Error, Mode, ServerConfig, Store, StoreBuilder, create_store};

const CHILD: &str = "SAMESTATE_TEST_SERVER";
/// So many files the server's process may have open.
const FILES: u64 = 64;
const DEADLINE: Duration = Duration::from_secs(60);

/// The commands to the server's process, and its answers.
const EXHAUST: &str = "exhaust";
const EXHAUSTED: &str = "exhausted";
const RELEASE: &str = "release";
const RELEASED: &str = "released";
const SAID: &str = "said ";

fn sum() -> StoreBuilder<u64, u64> {
    create_store("sum", |sum: &mut u64, by: &u64| *sum += by).mode(Mode::Action)
}

fn say(line: &str) {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).expect("the test listens");
}

/// The child: serves, and takes all files or gives them back on command, until its standard input
/// is closed.
async fn child() -> Result<(), Box<dyn std::error::Error>> {
    setrlimit(Resource::Nofile, Rlimit { current: Some(FILES), maximum: Some(FILES) })?;
    let store = sum().on_error(|event| say(&format!("{SAID}{event}"))).open().await?;
    let serving = store.create_server(ServerConfig::tcp("127.0.0.1:0")).await?;
    say(&serving.address().to_string());
    let told = tokio::task::spawn_blocking(|| {
        let mut files = Vec::new();
        for line in std::io::stdin().lines().map_while(Result::ok) {
            match line.as_str() {
                EXHAUST => {
                    files.extend(std::iter::from_fn(|| File::open("/dev/null").ok()));
                    say(EXHAUSTED);
                }
                _ => {
                    files.clear();
                    say(RELEASED);
                }
            }
        }
    });
    Ok(told.await?)
}

struct Served {
    process: Child,
    stdin: ChildStdin,
    address: SocketAddr,
    lines: Receiver<String>,
    /// The reports of the server.
    said: Vec<String>,
}

impl Served {
    fn start() -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
        command.env(CHILD, "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("it starts");
        let stdin = process.stdin.take().expect("it is piped");
        let stdout = BufReader::new(process.stdout.take().expect("it is piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut served = Served { process, stdin, address, lines, said: Vec::new() };
        served.address = served.answer().parse().expect("it says where it listens");
        served
    }

    /// The next line that is no report.
    fn answer(&mut self) -> String {
        loop {
            let line = self.lines.recv_timeout(DEADLINE).expect("it answers");
            match line.strip_prefix(SAID) {
                Some(said) => self.said.push(said.to_owned()),
                None => return line,
            }
        }
    }

    fn tell(&mut self, what: &str, answer: &str) {
        writeln!(self.stdin, "{what}").expect("it listens");
        assert_eq!(self.answer(), answer);
    }

    /// The reports with these words, once there is one.
    fn reports(&mut self, words: &str) -> Vec<String> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let found: Vec<_> =
                self.said.iter().filter(|said| said.contains(words)).cloned().collect();
            let wait = match found.is_empty() {
                true => deadline.saturating_duration_since(Instant::now()),
                false => Duration::ZERO,
            };
            match self.lines.recv_timeout(wait) {
                Ok(line) => self.said.extend(line.strip_prefix(SAID).map(str::to_owned)),
                Err(RecvTimeoutError::Timeout) if !found.is_empty() => return found,
                Err(error) => panic!("never said: {words}: {error}; {:?}", self.said),
            }
        }
    }

    fn client(&self) -> StoreBuilder<u64, u64> {
        let client =
            ClientConfig::tcp(self.address.to_string()).backoff_max(Duration::from_millis(100));
        sum().on_error(|_| {}).client(client)
    }

    async fn opened(&self) -> Store<u64, u64> {
        self.client().open_timeout(DEADLINE).open().await.expect("it comes in sync")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn applied(client: &Store<u64, u64>) {
    let outcome = tokio::time::timeout(DEADLINE, client.dispatch(1)).await;
    outcome.expect("before the deadline").expect("it is applied");
}

async fn a_server_without_files_says_so_once_and_goes_on_when_there_are_some() {
    let mut server = Served::start();
    let fewer = server.reports("the server takes 48 connections at most, not 10000");
    assert_eq!(fewer.len(), 1);
    assert!(fewer[0].contains("this process may have 64 files open"), "{fewer:?}");
    let good = server.opened().await;
    applied(&good).await;

    server.tell(EXHAUST, EXHAUSTED);
    // Long enough for several attempts to accept it, of ten a second.
    let late = server.client().open_timeout(Duration::from_secs(1)).open().await;
    assert!(matches!(late, Err(Error::NotInSync { .. })), "{late:?}");
    applied(&good).await;
    let reports = server.reports("failed to accept a connection");
    assert_eq!(reports.len(), 1, "{reports:?}");
    let advice = "this process may have 64 files open: raise that limit (`ulimit -n`), or look for \
                  files that it does not close";
    assert!(reports[0].contains("Too many open files"), "{reports:?}");
    assert!(reports[0].ends_with(advice), "{reports:?}");

    server.tell(RELEASE, RELEASED);
    let newcomer = server.opened().await;
    applied(&newcomer).await;
    applied(&good).await;
    assert_eq!(server.reports("failed to accept a connection").len(), 1, "{:?}", server.said);
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    if std::env::var(CHILD).is_ok() {
        let outcome = runtime.block_on(child());
        std::process::exit(i32::from(outcome.is_err()));
    }
    println!("a server without files says so once, and goes on when there are some");
    runtime.block_on(a_server_without_files_says_so_once_and_goes_on_when_there_are_some());
}
