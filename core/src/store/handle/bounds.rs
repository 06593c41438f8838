//! The bounds of all options, which are checked when a store opens, a server listens, a client
//! connects and a cluster forks. What is not bounded here may have any value.

use std::fmt;
use std::time::Duration;

use samestate_proto::Mode;
use samestate_proto::replication::{Config, Resync};

use crate::backup::{Backup, Misfit};
use crate::store::{Error, Result};

/// The name of a store has at most this many bytes, as that of a file: users name backups by it.
const NAME_BYTES_MAX: usize = 255;
/// An error shows this much of a name.
const NAME_CHARS_SHOWN: usize = 64;

/// Shorter spans are below what a timer can do.
const SPAN_MIN: Duration = Duration::from_millis(1);

/// An action, and the window of a node, hold at most this many bytes.
const BYTES_MAX: usize = 1 << 30;

/// The log of a store holds at most this many bytes, and as many beyond that for slow followers.
const LOG_BYTES_MAX: u64 = 1 << 40;

/// A node has at most this many dispatches under way.
const WINDOW_MAX: usize = 1 << 24;

/// Copies are checked or renewed after at most this many actions, if they are.
const RESYNC_MAX: u64 = 1_000_000_000;

/// A cluster has at most this many workers at a time.
const WORKERS_MAX: usize = 20_000;

fn check(name: &'static str, value: impl fmt::Debug, fits: bool, allowed: &str) -> Result<()> {
    match fits {
        true => Ok(()),
        false => {
            Err(Error::Options { name, value: format!("{value:?}"), allowed: allowed.to_owned() })
        }
    }
}

pub(crate) fn of_store(config: &Config, has_patches: bool) -> Result<()> {
    of_name(&config.store)?;
    let is_sent = config.mode != Mode::Delta || has_patches;
    let allowed = "Snapshot and Action; for Delta call `delta()`, which needs a state that \
                   implements `samestate::state::Delta`";
    check("mode", config.mode, is_sent, allowed)?;
    let heartbeat = config.heartbeat;
    check("liveness (heartbeat)", heartbeat, heartbeat >= SPAN_MIN, "1 ms or more")?;
    let dead_after = config.dead_after;
    check(
        "liveness (dead_after)",
        dead_after,
        dead_after >= heartbeat.saturating_mul(2),
        &format!("twice the heartbeat, {heartbeat:?}, or more"),
    )?;
    if let Some(deadline) = config.dispatch_deadline {
        check("dispatch_deadline", deadline, deadline >= SPAN_MIN, "1 ms or more")?;
    }
    let budget = config.verify_budget;
    check("verify_budget", budget, budget > 0.0 && budget <= 1.0, "more than 0, and 1 at most")?;
    let bytes = format!("1 to {BYTES_MAX} bytes");
    let fits = |size: usize| (1..=BYTES_MAX).contains(&size);
    let action = config.action_bytes_max;
    check("action_bytes_max", Bytes(action), fits(action), &bytes)?;
    let window = config.window;
    let fits = (1..=WINDOW_MAX).contains(&window);
    check("window", window, fits, &format!("1 to {WINDOW_MAX}"))?;
    let logs = [
        ("log_bytes_max", config.log_bytes_max),
        ("catch_up_bytes_max", config.catch_up_bytes_max),
    ];
    for (name, size) in logs {
        let fits = size as u64 <= LOG_BYTES_MAX;
        check(name, Bytes(size), fits, &format!("{LOG_BYTES_MAX} bytes at most"))?;
    }
    let resync = config.resync;
    let fits = match resync {
        Resync::Verify(every) | Resync::Snapshot(every) => (1..=RESYNC_MAX).contains(&every),
        Resync::Off => true,
    };
    check("resync", resync, fits, &format!("every 1 to {RESYNC_MAX} actions, or `Resync::Off`"))
}

pub(crate) fn of_backup(backup: &Backup) -> Result<()> {
    match backup.misfit() {
        None => Ok(()),
        Some(Misfit { name, value, allowed }) => Err(Error::Options { name, value, allowed }),
    }
}

/// A name goes over links, into logs and metrics, and has to be found again by other processes.
fn of_name(name: &str) -> Result<()> {
    let is_name = name.len() <= NAME_BYTES_MAX
        && !name.trim().is_empty()
        && !name.chars().any(char::is_control);
    let shown: String = name.chars().take(NAME_CHARS_SHOWN).collect();
    let allowed = format!("1 to {NAME_BYTES_MAX} bytes, not blank, without control characters");
    check("name of the store", (shown, Bytes(name.len())), is_name, &allowed)
}

/// Checks the number of a worker that is to be forked.
pub(crate) fn of_worker(number: usize) -> Result<()> {
    let fits = number > 0 && u32::try_from(number).is_ok();
    check("number of the worker", number, fits, "1 to 4294967295")
}

/// Checks how many workers are to be forked beside those that run.
pub(crate) fn of_workers(count: usize, running: usize) -> Result<()> {
    let room = WORKERS_MAX.saturating_sub(running);
    check(
        "count of workers to fork",
        count,
        count <= room,
        &format!("0 to {room}: a cluster has at most {WORKERS_MAX} workers, and {running} run"),
    )
}

/// A number of bytes, as it is written in an error.
struct Bytes(usize);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_be_printed_and_is_short() {
        let longest = "n".repeat(NAME_BYTES_MAX);
        for name in ["tasks", "größe", "a b", "a\"b\\c", "a{b}", "../x", &longest] {
            of_name(name).expect(name);
        }
        let too_long = "ö".repeat(NAME_BYTES_MAX / 2 + 1);
        for name in ["", " \u{a0}", "a\nb", "\0", "a\u{9b}31m", &too_long] {
            let error = of_name(name).expect_err("no name").to_string();
            assert!(error.starts_with("invalid option `name of the store`: "), "{error}");
            assert!(!error.contains('\n') && error.len() < 400, "{error}");
        }
    }
}
