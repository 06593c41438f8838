//! A process that is killed with `kill -9` at random moments, hundreds of times, on one backup: no
//! more is lost than was asked for.
//!
//! This very program is that process, when it is told so by its environment.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use samestate::{Backup, Store, create_store};

const LIVES: usize = 100;
const PATH: &str = "SAMESTATE_TEST_BACKUP";
const ACTIONS: &str = "SAMESTATE_TEST_ACTIONS";

type Count = Store<Vec<u64>, u64>;

fn opened(path: &Path, actions: Option<u64>) -> samestate::Result<Count> {
    let push = |list: &mut Vec<u64>, item: &u64| {
        list.push(*item);
        if list.len() > 100 {
            list.drain(..50);
        }
    };
    // Short, so that whole backups are made under fire too.
    let backup = Backup::at(path).every_actions(actions.unwrap_or(1)).journal_bytes_min(2048);
    let builder = create_store("list", push).on_error(|_| {}).backup(backup);
    match actions {
        None => builder.durable().start(),
        Some(_) => builder.start(),
    }
}

/// The child: says where it begins, and then every version that was acknowledged.
async fn child(path: &Path, actions: Option<u64>) -> Result<(), Box<dyn std::error::Error>> {
    let store = opened(path, actions)?;
    let mut out = std::io::stdout().lock();
    let state = store.state();
    let at = store.version().seq;
    let whole = state.last().copied().unwrap_or(0) == at;
    writeln!(out, "{} {}", if whole { "begins" } else { "broken" }, at)?;
    let journal = path.with_extension("backup.journal");
    let mut seen = fingerprint(&journal);
    for number in 1_u64.. {
        let next = store.version().seq + 1;
        let version = store.dispatch(next).await?;
        writeln!(out, "{}", version.seq)?;
        // Bounds what is under way: the next are only dispatched when these were due and written.
        if actions.is_some_and(|actions| number % actions == 0) {
            while fingerprint(&journal) == seen {
                std::thread::yield_now();
            }
            seen = fingerprint(&journal);
        }
    }
    Ok(())
}

/// Changes whenever something is written.
fn fingerprint(journal: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(journal).ok()?;
    Some((metadata.ino(), metadata.len()))
}

/// One life: where it began, and the last version that it acknowledged.
fn life(path: &Path, actions: Option<u64>, lives_for: Duration) -> (u64, u64) {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.env(PATH, path).stdout(Stdio::piped());
    if let Some(actions) = actions {
        command.env(ACTIONS, actions.to_string());
    }
    let mut child = command.spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let first = lines.next().expect("it opens").expect("it is text");
    let began = first.strip_prefix("begins ").expect("its state is whole");
    let began: u64 = began.parse().expect("a number");
    let killer = std::thread::spawn(move || {
        // No wait for anything: the moment of death is what is drawn.
        let until = Instant::now() + lives_for;
        while Instant::now() < until {
            std::thread::yield_now();
        }
        child.kill().expect("it runs until it is killed");
        child.wait().expect("it is dead")
    });
    let mut last = began;
    for line in lines {
        // The last line may be half written.
        last =
            line.ok().and_then(|line| line.parse().ok()).filter(|n| *n == last + 1).unwrap_or(last);
    }
    killer.join().expect("no panic");
    (began, last)
}

fn loses_at_most(actions: Option<u64>, lost_max: u64) {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("list.backup");
    let mut random = rand_pcg::Pcg64Mcg::seed_from_u64(7);
    let (mut acknowledged, mut dispatched, mut lost_most) = (0, 0, 0);
    for number in 0..LIVES {
        let lives_for = Duration::from_micros(random.random_range(0..20_000));
        let (began, last) = life(&path, actions, lives_for);
        let lost = u64::saturating_sub(acknowledged, began);
        assert!(lost <= lost_max, "life {number} begins at {began}, {acknowledged} was said");
        lost_most = lost_most.max(lost);
        dispatched += last - began;
        acknowledged = last;
    }
    assert!(dispatched > LIVES as u64, "only {dispatched} actions were dispatched");
    println!("{LIVES} lives, {dispatched} actions, at most {lost_most} lost at once");
}

fn main() {
    if let Ok(path) = std::env::var(PATH) {
        let actions = std::env::var(ACTIONS).ok().and_then(|actions| actions.parse().ok());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let outcome = runtime.expect("a runtime").block_on(child(Path::new(&path), actions));
        // Nobody reads any more: its parent is gone, or it is being killed.
        std::process::exit(i32::from(outcome.is_err()));
    }
    println!("a durable store that is killed loses nothing that it acknowledged");
    loses_at_most(None, 0);
    println!("a store backed up every 50 actions loses fewer, beside those under way");
    // A change of the journal may be a block or a new whole backup, so two rounds of 50 may wait
    // while two more are being written, beside one that is not due.
    loses_at_most(Some(50), 250);
}
