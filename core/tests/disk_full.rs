//! A disk that is full: what a store says, what its dispatches come to, what is on disk then, and
//! that it goes on by itself once there is room.
//!
//! This very program is the process whose files may not grow past a limit, when it is told so by
//! its environment: the system then refuses to write, as it does on a full disk.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use samestate::{Backup, BackupError, DispatchError, Error, Store, StoreBuilder, create_store};

const DEADLINE: Duration = Duration::from_secs(60);
const PATH: &str = "SAMESTATE_TEST_BACKUP";
const DURABLE: &str = "SAMESTATE_TEST_DURABLE";

/// The length of the items, in bytes.
const ITEM_BYTES: usize = 1000;

/// After so many items the disk is certainly full.
const ITEMS_MAX: u64 = 2000;

type Items = Store<Vec<String>, String>;

fn items(path: &Path) -> StoreBuilder<Vec<String>, String> {
    let push = |list: &mut Vec<String>, item: &String| list.push(item.clone());
    create_store("items", push).backup(Backup::at(path).every_actions(1))
}

fn item(number: u64) -> String {
    format!("{number:0ITEM_BYTES$}")
}

/// The child: a line for each thing that happens. It goes on when it is told that there is room.
async fn child(path: &Path, durable: bool) -> Result<(), Box<dyn std::error::Error>> {
    let builder = items(path).on_error(|event| println!("said {event}"));
    let opened = match durable {
        true => builder.durable().start(),
        false => builder.start(),
    };
    let store = match opened {
        Ok(store) => store,
        Err(Error::Backup(BackupError::DiskFull { .. })) => {
            println!("full");
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    println!("open {}", store.state().len());
    if durable {
        until_stalled(&store).await
    } else {
        until_said(&store).await?
    };
    for line in std::io::stdin().lines() {
        match line?.as_str() {
            "room" => {
                let mut limit = getrlimit(Resource::Fsize);
                limit.current = limit.maximum;
                setrlimit(Resource::Fsize, limit)?;
                tokio::time::timeout(DEADLINE, store.until_connected(true)).await?;
            }
            "more" => println!("more {:?}", store.dispatch(item(0)).await.map(|at| at.seq)),
            _ => store.close(DEADLINE).await?,
        }
    }
    Ok(())
}

/// Dispatches until the store takes nothing.
async fn until_stalled(store: &Items) {
    for number in 1..=ITEMS_MAX {
        match store.dispatch(item(number)).await {
            Ok(version) => println!("ok {}", version.seq),
            Err(DispatchError::OutcomeUnknown) => println!("unknown {number}"),
            Err(DispatchError::Stalled) => return println!("stalled {number}"),
            Err(error) => return println!("another error: {error:?}"),
        }
    }
}

/// Dispatches what does not fit, once the first is on disk. All of it is taken: nothing was
/// promised of the disk.
async fn until_said(store: &Items) -> Result<(), Box<dyn std::error::Error>> {
    for number in 1..=100 {
        store.dispatch(item(number)).await?;
        let saved = || store.metrics().backup.is_some_and(|backup| backup.saved_seq > 0);
        let first_saved = async {
            while !saved() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, first_saved).await?;
    }
    println!("taken {}", store.state().len());
    Ok(())
}

/// A process whose files may have this many blocks of 512 bytes, and later any number.
struct Limited {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Limited {
    fn start(path: &Path, durable: bool, blocks: u32) -> Self {
        // The signal that would end the process is ignored, so that its writes fail instead.
        let script = format!(r#"trap "" XFSZ; ulimit -S -f {blocks}; exec "$0""#);
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &script]).arg(std::env::current_exe().expect("it has a path"));
        command.env(PATH, path).stdin(Stdio::piped()).stdout(Stdio::piped());
        if durable {
            command.env(DURABLE, "yes");
        }
        let mut child = command.spawn().expect("it starts");
        let stdin = child.stdin.take().expect("it is piped");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Limited { child, stdin, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("it goes on").expect("it is text")
    }

    /// The rest of the next line that begins so, and all that came before it.
    fn until(&mut self, word: &str) -> (String, Vec<String>) {
        let mut before = Vec::new();
        loop {
            let line = self.line();
            if let Some(rest) = line.strip_prefix(word) {
                return (rest.trim().to_owned(), before);
            }
            assert!(!line.starts_with("another"), "{line}");
            before.push(line);
        }
    }

    fn tell(&mut self, word: &str) {
        writeln!(self.stdin, "{word}").expect("it listens");
    }

    fn end(mut self) {
        self.tell("close");
        drop(self.stdin);
        assert!(self.child.wait().expect("it ends").success());
    }

    /// It ends by itself.
    fn ended(mut self) {
        drop(self.stdin);
        assert!(self.child.wait().expect("it ends").success());
    }

    fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is dead");
    }
}

/// Returns the numbers of the items in a copy of the files.
fn restored(path: &Path) -> Vec<u64> {
    let folder = tempfile::tempdir().expect("there is room");
    let copy = folder.path().join("copy");
    for suffix in ["", ".journal"] {
        let beside = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
        std::fs::copy(beside(path), beside(&copy)).expect("it is there");
    }
    let store = items(&copy).on_error(|_| {}).start().expect("the last good backup opens");
    store.state().iter().map(|item| item.parse().expect("a number")).collect()
}

fn number(text: &str) -> u64 {
    text.parse().expect("a number")
}

fn a_durable_store_stalls_keeps_what_it_acknowledged_and_goes_on(path: &Path) {
    let mut limited = Limited::start(path, true, 64);
    assert_eq!(limited.line(), "open 0");
    let (stalled, before) = limited.until("stalled");
    let (said, rest): (Vec<_>, Vec<_>) = before.iter().partition(|line| line.starts_with("said"));
    let said = said.first().expect("the operator is told");
    assert!(said.contains("no room to write backup") && said.contains("store `items`"), "{said}");
    let acknowledged = rest.iter().filter(|line| line.starts_with("ok")).count() as u64;
    assert!(acknowledged > 5, "{acknowledged}");
    assert_eq!(rest.last(), Some(&&format!("unknown {}", acknowledged + 1)));
    assert_eq!(number(&stalled), acknowledged + 2, "what is refused never applies");
    assert_eq!(restored(path), (1..=acknowledged).collect::<Vec<_>>());

    limited.tell("room");
    assert!(limited.until("said").0.contains("can be written again"));
    limited.tell("more");
    assert_eq!(limited.until("more").0, format!("Ok({})", acknowledged + 2));
    let expected: Vec<u64> = (1..=acknowledged + 1).chain([0]).collect();
    assert_eq!(restored(path), expected, "what was unknown is in the state, and so on disk");
    limited.end();
    assert_eq!(restored(path), expected);
}

fn a_durable_store_that_is_killed_while_the_disk_is_full_loses_nothing(path: &Path) {
    let mut limited = Limited::start(path, true, 64);
    assert_eq!(limited.line(), "open 0");
    let (_, before) = limited.until("stalled");
    let acknowledged = before.iter().filter(|line| line.starts_with("ok")).count() as u64;
    limited.kill();
    let kept: Vec<u64> = (1..=acknowledged).collect();
    assert_eq!(restored(path), kept);
    // It cannot even open, since a life begins with a backup; and it harms nothing.
    for _ in 0..2 {
        let mut limited = Limited::start(path, true, 4);
        assert_eq!(limited.until("full").0, "");
        limited.ended();
        assert_eq!(restored(path), kept);
        let left = |suffix: &str| PathBuf::from(format!("{}{suffix}", path.display())).exists();
        assert!(!left(".new"), "half a backup takes the room that is needed");
    }
    let store = items(path).on_error(|_| {}).start().expect("there is room");
    assert_eq!(store.state().len() as u64, acknowledged);
}

fn a_store_that_is_not_durable_goes_on_in_memory_and_writes_all_when_there_is_room(path: &Path) {
    let mut limited = Limited::start(path, false, 64);
    assert_eq!(limited.line(), "open 0");
    let (taken, mut before) = limited.until("taken");
    assert_eq!(taken, "100");
    if !before.iter().any(|line| line.starts_with("said")) {
        before.push(format!("said {}", limited.until("said").0));
    }
    assert!(before.iter().any(|line| line.contains("no room to write backup")), "{before:?}");
    let kept = restored(path);
    assert!(!kept.is_empty() && kept.len() < 100, "{}", kept.len());
    assert_eq!(kept, (1..=kept.len() as u64).collect::<Vec<_>>());
    limited.tell("room");
    assert!(limited.until("said").0.contains("can be written again"));
    limited.end();
    assert_eq!(restored(path), (1..=100).collect::<Vec<_>>());
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    if let Ok(path) = std::env::var(PATH) {
        let durable = std::env::var(DURABLE).is_ok();
        let outcome = runtime.block_on(child(Path::new(&path), durable));
        if let Err(error) = &outcome {
            println!("another error: {error}");
        }
        std::process::exit(i32::from(outcome.is_err()));
    }
    let _inside = runtime.enter();
    let play = |name: &str, test: &dyn Fn(&Path)| {
        println!("{name}");
        let folder = tempfile::tempdir().expect("there is room");
        test(&folder.path().join("items.backup"));
    };
    play(
        "a durable store on a full disk",
        &a_durable_store_stalls_keeps_what_it_acknowledged_and_goes_on,
    );
    play(
        "a durable store that is killed on a full disk",
        &a_durable_store_that_is_killed_while_the_disk_is_full_loses_nothing,
    );
    play(
        "a store that is not durable on a full disk",
        &a_store_that_is_not_durable_goes_on_in_memory_and_writes_all_when_there_is_room,
    );
}
