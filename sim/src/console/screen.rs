//! Output of lines that no command waits for: changes that are watched, and the state of the link.
//! A thread writes them, so that a terminal that is stopped stops nothing else.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

/// At most this many lines wait; those beyond are counted, and not shown.
const WAITING_MAX: usize = 4096;

/// A handle: clones write to the same place.
#[derive(Clone)]
pub(crate) struct Screen {
    lines: SyncSender<String>,
    dropped: Arc<AtomicU64>,
}

impl Screen {
    /// Begins a thread that calls `write` with each line, its end included. The thread ends after
    /// the last handle.
    pub(crate) fn begin(
        mut write: impl FnMut(String) + Send + 'static,
    ) -> std::io::Result<(Screen, JoinHandle<()>)> {
        let (lines, waiting) = sync_channel::<String>(WAITING_MAX);
        let dropped = Arc::<AtomicU64>::default();
        let count = Arc::clone(&dropped);
        let thread = std::thread::Builder::new().name("screen".into()).spawn(move || {
            for line in waiting {
                write(line + "\n");
                let missed = count.swap(0, Ordering::Relaxed);
                if missed > 0 {
                    write(format!("... {missed} more lines than could be shown ...\n"));
                }
            }
        })?;
        Ok((Screen { lines, dropped }, thread))
    }

    /// On standard output, for scripts.
    pub(crate) fn plain() -> std::io::Result<(Screen, JoinHandle<()>)> {
        Screen::begin(|line| {
            let mut out = std::io::stdout().lock();
            // Who reads no more has seen enough.
            let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
        })
    }

    /// Writes a line soon. Never waits.
    pub(crate) fn say(&self, line: String) {
        if let Err(TrySendError::Full(_)) = self.lines.try_send(line) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_that_is_stopped_stops_nobody_and_is_told_what_it_missed() {
        let (go_on, stopped) = sync_channel::<()>(0);
        let (written, lines) = std::sync::mpsc::channel();
        let (screen, thread) = Screen::begin(move |line| {
            let _ = stopped.recv();
            let _ = written.send(line);
        })
        .expect("a thread");
        for number in 0..WAITING_MAX + 100 {
            screen.say(number.to_string());
        }
        drop((screen, go_on));
        thread.join().expect("no panic");
        let lines: Vec<_> = lines.into_iter().collect();
        let missed = lines.iter().find(|line| line.contains("more lines than could be shown"));
        assert!(missed.is_some() && lines.len() <= WAITING_MAX + 3, "{}", lines.len());
    }
}
