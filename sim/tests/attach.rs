//! The console as its user has it: the program itself, in a pipe and on a terminal, attached to a
//! log that this process serves.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use samestate::{ClientConfig, Mode, ServerConfig, Store, create_store};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

const DEADLINE: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Record {
    r#type: String,
    text: String,
}

fn newest(state: &mut Record, record: &Record) {
    state.clone_from(record);
}

/// A served log, in a folder that goes with it.
struct Log {
    folder: tempfile::TempDir,
    runtime: Runtime,
    store: Option<Store<Record, Record>>,
}

impl Log {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let runtime = Runtime::new().expect("a runtime");
        let mut log = Log { folder, runtime, store: None };
        log.serve(Mode::Action);
        log
    }

    fn serve(&mut self, mode: Mode) {
        let server = ServerConfig::unix(self.folder.path().join("s")).login("admin", "secret");
        self.store = Some(self.runtime.block_on(async {
            let store = create_store("log", newest).mode(mode).on_error(|_| {}).open().await;
            let store = store.expect("it opens");
            store.create_server(server).await.expect("it listens");
            store
        }));
    }

    fn stop(&mut self) {
        let store = self.store.take().expect("it is served");
        self.runtime.block_on(store.close(Duration::from_secs(1))).expect("it closes");
    }

    /// Dispatches a record here.
    fn log(&self, kind: &str, text: &str) {
        let store = self.store.as_ref().expect("it is served");
        let record = Record { r#type: kind.into(), text: text.into() };
        self.runtime.block_on(store.dispatch(record)).expect("it applies");
    }

    fn address(&self) -> String {
        format!("unix:{}", self.folder.path().join("s").display())
    }

    fn attach(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_samestate"));
        command.args(["attach", &self.address(), "--store", "log", "--login", "admin"]);
        command.env("SAMESTATE_PASSWORD", "secret").env("XDG_STATE_HOME", self.folder.path());
        command
    }

    fn script(&self, lines: &str) -> (Option<i32>, String, String) {
        ended(self.attach(), lines)
    }

    /// The console on a terminal of its own, which `script` of util-linux gives it.
    fn terminal(&self, password: Option<&str>) -> Terminal {
        let attach = self.attach();
        let words: Vec<_> = [attach.get_program()].into_iter().chain(attach.get_args()).collect();
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        let mut command = Command::new("script");
        command.args(["-qefc", &words.join(" "), "/dev/null"]);
        command.env("XDG_STATE_HOME", self.folder.path()).env("TERM", "xterm");
        command.env_remove("NO_COLOR").env_remove("SAMESTATE_PASSWORD");
        if let Some(password) = password {
            command.env("SAMESTATE_PASSWORD", password);
        }
        Terminal::begin(command)
    }
}

/// Runs a command with these lines as its input: exit code, output, complaints.
fn ended(command: Command, lines: &str) -> (Option<i32>, String, String) {
    let mut command = assert_cmd::Command::from_std(command);
    let output = command.timeout(DEADLINE).write_stdin(lines).output().expect("it ends in time");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A program on a terminal.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    bytes: Receiver<Vec<u8>>,
    shown: String,
}

impl Terminal {
    fn begin(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("`script` of util-linux is installed");
        let keys = child.stdin.take().expect("piped");
        let mut screen = child.stdout.take().expect("piped");
        let (sender, bytes) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(len @ 1..) = screen.read(&mut buffer) {
                if sender.send(buffer[..len].to_vec()).is_err() {
                    return;
                }
            }
        });
        Terminal { child, keys, bytes, shown: String::new() }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the terminal is there");
    }

    /// Waits until this is shown, and forgets what was shown up to there.
    fn until(&mut self, wanted: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(at) = self.shown.find(wanted) {
                let rest = self.shown.split_off(at + wanted.len());
                return std::mem::replace(&mut self.shown, rest);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.bytes.recv_timeout(left) {
                Ok(bytes) => self.shown += &String::from_utf8_lossy(&bytes),
                Err(error) => panic!("{wanted:?} is not shown ({error}): {:?}", self.shown),
            }
        }
    }

    fn enter(&mut self, line: &str) {
        self.press(line);
        self.press("\r");
    }

    fn exit_code(mut self) -> Option<i32> {
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        panic!("the console does not end: {:?}", self.shown);
    }
}

#[test]
fn e02_a_script_reads_and_changes_the_state_with_each_outcome_on_a_line() {
    let log = Log::new();
    log.log("LOG", "here");
    let (code, out, err) =
        log.script("P\n{\"type\":\"WARN\",\"text\":\"disk\"}\nP .text\n\nP\nexit\nP\n");
    let lines: Vec<_> = out.lines().collect();
    let expected = [
        r#"{"text":"here","type":"LOG"}"#,
        "applied at e1:2",
        r#""disk""#,
        r#"{"text":"disk","type":"WARN"}"#,
    ];
    assert_eq!((lines, err.as_str(), code), (expected.to_vec(), "", Some(0)));
    let state = log.store.as_ref().expect("it is served").state();
    assert_eq!(state.text, "disk", "what a console dispatches is applied everywhere");
}

#[test]
fn e02_a_script_that_watches_is_told_every_action_before_it_ends() {
    let log = Log::new();
    let records: String =
        (0..50).map(|n| format!("{{\"type\":\"HTTP\",\"text\":\"{n}\"}}\n")).collect();
    let (code, out, _) = log.script(&format!("watch\n{records}"));
    let told: Vec<_> = out.lines().filter(|line| line.contains(" HTTP ")).collect();
    let expected: Vec<_> = (0..50).map(|n| format!("e1:{} HTTP  {n}", n + 1)).collect();
    assert_eq!((told, code), (expected.iter().map(String::as_str).collect(), Some(0)));
}

#[test]
fn e02_a_store_in_mode_snapshot_is_read_changed_and_watched_too() {
    let mut log = Log::new();
    log.stop();
    log.serve(Mode::Snapshot);
    let (code, out, err) = log.script("watch\n{\"type\":\"DEBUG\",\"text\":\"x\"}\nP\n");
    assert!(out.contains("applied at e1:1") && out.contains("the state is now DEBUG x"), "{out}");
    assert!(out.contains(r#"{"text":"x","type":"DEBUG"}"#), "{out}");
    assert_eq!((err.as_str(), code), ("", Some(0)));
}

#[test]
fn e02_a_line_that_fails_is_explained_with_the_help_and_the_rest_goes_on() {
    let log = Log::new();
    let (code, out, err) = log.script("frobnicate\n{\"type\":3}\nP .nothing\nP .text\n");
    assert_eq!((out.as_str(), code), ("\"\"\n", Some(1)));
    assert!(err.contains("error: `frobnicate` is no command, and no JSON value"), "{err}");
    assert!(err.contains("error: rejected: the action cannot be decoded"), "{err}");
    assert!(err.contains("there is no `nothing` in `.`, which has text, type"), "{err}");
    assert_eq!(err.matches("Commands:\n").count(), 1, "under what is no command alone: {err}");
}

#[test]
fn e02_a_wrong_password_and_a_missing_one_are_said_clearly() {
    let log = Log::new();
    let mut wrong = log.attach();
    wrong.env("SAMESTATE_PASSWORD", "wrong");
    let (code, out, err) = ended(wrong, "P\n");
    assert_eq!((out.as_str(), code), ("", Some(1)));
    assert!(err.contains("refuses: ") && err.contains("login"), "{err}");

    let mut none = log.attach();
    none.env_remove("SAMESTATE_PASSWORD");
    let (code, _, err) = ended(none, "P\n");
    assert_eq!(code, Some(2));
    assert!(err.contains("--password-file"), "{err}");

    let file = log.folder.path().join("password");
    std::fs::write(&file, "secret\n").expect("writable");
    let mut from_file = log.attach();
    from_file.arg("--password-file").arg(&file).env("SAMESTATE_PASSWORD", "wrong");
    let (code, _, err) = ended(from_file, "P\n");
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("others may read the password file"), "{err}");
}

#[test]
fn e02_a_server_that_is_not_there_and_a_store_that_is_not_there_end_a_script_in_time() {
    let log = Log::new();
    let mut elsewhere = Command::new(env!("CARGO_BIN_EXE_samestate"));
    let nowhere = format!("unix:{}", log.folder.path().join("nobody").display());
    elsewhere.args(["attach", &nowhere, "--store", "log", "--timeout", "300ms"]);
    let (code, _, err) = ended(elsewhere, "P\n");
    assert_eq!(code, Some(1));
    assert!(err.contains("was not reached") && err.contains("No such file"), "{err}");

    let mut other = Command::new(env!("CARGO_BIN_EXE_samestate"));
    other.args(["attach", &log.address(), "--store", "logs", "--login", "admin"]);
    other.args(["--timeout", "300ms"]).env("SAMESTATE_PASSWORD", "secret");
    let (code, _, err) = ended(other, "P\n");
    assert_eq!(code, Some(1));
    assert!(err.contains("store `logs` was not reached"), "{err}");
}

#[test]
fn e02_a_script_that_is_to_wait_no_time_is_refused_with_the_bound() {
    for (time, says) in [("0s", "`0s` must be above zero"), ("5", "`5` has no unit")] {
        let mut never = Command::new(env!("CARGO_BIN_EXE_samestate"));
        never.args(["attach", ":1", "--store", "log", "--timeout", time]);
        let (code, _, err) = ended(never, "P\n");
        assert_eq!(code, Some(2), "{err}");
        assert!(err.contains("--timeout") && err.contains(says), "{err}");
    }
}

#[test]
fn e02_a_console_on_a_terminal_keeps_its_prompt_while_its_server_goes_and_comes_back() {
    let mut log = Log::new();
    log.log("LOG", "here");
    let mut terminal = log.terminal(Some("secret"));
    terminal.until("attached to store `log`");
    terminal.until("CLI> ");
    terminal.enter("--help");
    terminal.until("print the state of the store");
    terminal.until("CLI> ");
    terminal.enter("P");
    terminal.until("\"text\": \"here\",\r\n");
    terminal.enter("frobnicate");
    terminal.until("error: `frobnicate` is no command");
    terminal.until("Commands:");
    terminal.enter("watch");
    terminal.until("watch is on");
    log.log("ERROR", "it burns");
    terminal.until("\u{1b}[31mERROR\u{1b}[0m it burns");
    terminal.enter("{\"type\":\"LOG\",\"text\":\"mine\"}");
    terminal.until("applied at e1:3");

    log.stop();
    terminal.until("not connected: dispatches are refused until the server is back");
    terminal.enter("{\"type\":\"LOG\",\"text\":\"lost\"}");
    terminal.until("error: not connected");
    terminal.enter("P");
    terminal.until("not connected: the last state that came is of e1:1");
    terminal.until("\"text\": \"here\"");
    log.serve(Mode::Action);
    terminal.until("connected again");
    terminal.enter("{\"type\":\"LOG\",\"text\":\"new\"}");
    terminal.until("applied at e1:1");
    terminal.enter("status");
    terminal.until("connected  yes");
    // Between two prompts the terminal itself takes control characters.
    terminal.until("CLI> ");
    terminal.press("\u{4}");
    terminal.until("The console is closed; the store goes on.");
    assert_eq!(terminal.exit_code(), Some(0));
    assert_eq!(log.store.as_ref().expect("it is served").state().text, "new");

    let history = log.folder.path().join("samestate/console_history");
    let lines = std::fs::read_to_string(&history).expect("it was kept");
    assert!(lines.contains("frobnicate"), "{lines}");
    assert_eq!(mode_of(&history) & 0o777, 0o600, "nobody else reads it");
}

fn mode_of(path: &Path) -> u32 {
    std::fs::metadata(path).expect("it is there").permissions().mode()
}

#[test]
fn e02_a_password_is_asked_for_without_an_echo_and_two_interrupts_close_the_console() {
    let log = Log::new();
    let mut terminal = log.terminal(None);
    terminal.until("password of admin: ");
    terminal.enter("secret");
    let shown = terminal.until("CLI> ");
    assert!(!shown.contains("secret"), "{shown}");
    terminal.press("\u{3}");
    terminal.until("Ctrl-C again");
    terminal.until("CLI> ");
    terminal.press("\u{3}");
    terminal.until("The console is closed");
    assert_eq!(terminal.exit_code(), Some(0));
}

#[test]
fn e02_a_console_on_a_terminal_waits_for_a_server_that_is_not_up_yet() {
    let mut log = Log::new();
    log.stop();
    let mut terminal = log.terminal(Some("secret"));
    terminal.until("failed to connect to its server");
    log.serve(Mode::Action);
    terminal.until("CLI> ");
    // A typed client hears what the console says.
    let client = ClientConfig::unix(log.folder.path().join("s")).login("admin", "secret");
    let typed = create_store("log", newest).client(client);
    let typed = log.runtime.block_on(typed.open()).expect("it comes in sync");
    terminal.enter("{\"type\":\"LOG\",\"text\":\"to all\"}");
    terminal.until("applied at e1:1");
    let mut changes = typed.watch();
    log.runtime.block_on(async {
        while typed.read(|record| record.text != "to all") {
            changes.changed().await;
        }
    });
    terminal.enter("quit");
    terminal.until("The console is closed");
    assert_eq!(terminal.exit_code(), Some(0));
}
