//! The way of a line from a run to those who watch it.
//!
//! Each outlet has a thread and a bounded queue of its own. A line that finds a queue full is lost
//! to that outlet, and counted: a reader that is slow, or gone, never holds up the run.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use samestate_report::live::Line;

use crate::streams::note;

/// The most lines that wait for an outlet.
const LINES_WAITING_MAX: usize = 1024;

/// The time that outlets have at the end for the lines that still wait.
const END_MAX: Duration = Duration::from_secs(2);

/// A place where the lines of runs go.
pub(crate) trait Outlet: Send {
    /// Takes a line.
    ///
    /// # Errors
    ///
    /// Returns why the outlet takes no more: it is not asked again.
    fn take(&mut self, line: &Line) -> Result<(), Closed>;

    /// The interval at which [`Outlet::tick`] is called while no line comes.
    fn every(&self) -> Option<Duration> {
        None
    }

    /// Does what time alone demands.
    ///
    /// # Errors
    ///
    /// As [`Outlet::take`].
    fn tick(&mut self) -> Result<(), Closed> {
        Ok(())
    }

    /// No more lines come.
    ///
    /// # Errors
    ///
    /// As [`Outlet::take`].
    fn end(&mut self) -> Result<(), Closed> {
        Ok(())
    }
}

/// The reason why an outlet takes no more lines.
#[derive(Debug)]
pub(crate) enum Closed {
    /// Its reader has seen enough.
    ByReader(String),
    /// It failed: the results are not complete.
    Failed(String),
}

/// The outlets of the runs of a program. A feed without any does nothing.
#[derive(Debug, Default)]
pub(crate) struct Feeds {
    outlets: Vec<Running>,
    failed: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Running {
    name: String,
    queue: Queue,
    ended: Receiver<Ended>,
}

/// The end of an outlet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// It took all lines that reached it.
    Complete,
    /// It closed before, and the reason was told then.
    Told,
}

/// The queue of an outlet, and the number of lines that did not fit in.
#[derive(Clone, Debug)]
struct Queue {
    lines: SyncSender<Arc<Line>>,
    lost: Arc<AtomicU64>,
}

/// The runs' side of the outlets; the default has none.
#[derive(Clone, Debug, Default)]
pub struct Feed(Arc<[Queue]>);

impl Feeds {
    /// Begins an outlet; `name` is the option that asked for it.
    pub(crate) fn add(&mut self, name: &str, mut outlet: impl Outlet + 'static) -> io::Result<()> {
        let (lines, taken) = sync_channel(LINES_WAITING_MAX);
        let (end, ended) = sync_channel(1);
        let (failed, option) = (Arc::clone(&self.failed), name.to_owned());
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            // A queue without a receiver is never full: what a closed outlet gets is not lost.
            let attended = attend(&mut outlet, &taken);
            drop(taken);
            let attended = attended.and_then(|()| outlet.end());
            let mut end_of_it = Ended::Complete;
            if let Err(closed) = attended {
                end_of_it = Ended::Told;
                match closed {
                    Closed::ByReader(why) => note!("note: {option}: {why}; the run goes on"),
                    Closed::Failed(why) => {
                        failed.store(true, Ordering::Relaxed);
                        note!("error: {option}: {why}; the run goes on");
                    }
                }
            }
            let _ = end.send(end_of_it);
        })?;
        let queue = Queue { lines, lost: Arc::default() };
        self.outlets.push(Running { name: name.to_owned(), queue, ended });
        Ok(())
    }

    /// The side of the runs.
    pub(crate) fn feed(&self) -> Feed {
        Feed(self.outlets.iter().map(|outlet| outlet.queue.clone()).collect())
    }

    /// Lets the outlets take what still waits. All feeds have to be dropped before. Returns whether
    /// all lines went where they should.
    pub(crate) fn end(self) -> bool {
        let until = Instant::now() + END_MAX;
        let mut all_good = true;
        for Running { name, queue, ended } in self.outlets {
            let Queue { lines, lost } = queue;
            drop(lines);
            let left = until.saturating_duration_since(Instant::now());
            let ended = ended.recv_timeout(left).ok();
            let losses = losses(ended, lost.load(Ordering::Relaxed));
            losses.iter().for_each(|loss| note!("error: {name}: {loss}"));
            all_good &= losses.is_empty();
        }
        all_good && !self.failed.load(Ordering::Relaxed)
    }
}

/// Names the losses of an outlet; none if it closed, which was told when it did. `ended` is
/// `None` if it has not ended yet.
fn losses(ended: Option<Ended>, lost: u64) -> Vec<String> {
    if ended == Some(Ended::Told) {
        return Vec::new();
    }
    let mut losses = Vec::new();
    if lost > 0 {
        losses.push(format!("{lost} lines were lost, as its reader was too slow"));
    }
    if ended.is_none() {
        losses.push("the last lines were lost, as its reader does not read".to_owned());
    }
    losses
}

fn attend(outlet: &mut impl Outlet, lines: &Receiver<Arc<Line>>) -> Result<(), Closed> {
    loop {
        let line = match outlet.every() {
            Some(every) => lines.recv_timeout(every),
            None => lines.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match line {
            Ok(line) => outlet.take(&line)?,
            Err(RecvTimeoutError::Timeout) => outlet.tick()?,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

impl Feed {
    /// Returns whether anybody watches.
    pub(crate) fn is_watched(&self) -> bool {
        !self.0.is_empty()
    }

    /// Tells all outlets a line.
    pub(crate) fn tell(&self, line: Line) {
        let line = Arc::new(line);
        for Queue { lines, lost } in self.0.iter() {
            if let Err(TrySendError::Full(_)) = lines.try_send(Arc::clone(&line)) {
                lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use samestate_report::live::{Event, LIVE, RunEnd};

    use super::*;

    struct Stuck(Receiver<()>);

    impl Outlet for Stuck {
        fn take(&mut self, _line: &Line) -> Result<(), Closed> {
            let _ = self.0.recv();
            Ok(())
        }
    }

    struct Broken;

    impl Outlet for Broken {
        fn take(&mut self, _line: &Line) -> Result<(), Closed> {
            Err(Closed::Failed("no space".to_owned()))
        }
    }

    fn line() -> Line {
        let event = Event::End(RunEnd::default());
        Line {
            version: LIVE,
            scenario: "tasks".into(),
            case: 1,
            repeat: Some(1),
            at_seconds: None,
            event,
        }
    }

    #[test]
    fn an_outlet_that_is_stuck_loses_lines_and_holds_up_nothing() {
        let (release, stuck) = channel();
        let mut feeds = Feeds::default();
        feeds.add("stuck", Stuck(stuck)).expect("a thread");
        let feed = feeds.feed();
        for _ in 0..LINES_WAITING_MAX + 100 {
            feed.tell(line());
        }
        assert!(feeds.outlets[0].queue.lost.load(Ordering::Relaxed) >= 99);
        drop((release, feed));
        assert!(!feeds.end(), "lines were lost");
    }

    #[test]
    fn an_outlet_that_was_slow_and_then_failed_is_told_once() {
        struct SlowThenBroken(Receiver<()>);
        impl Outlet for SlowThenBroken {
            fn take(&mut self, _line: &Line) -> Result<(), Closed> {
                let _ = self.0.recv();
                Err(Closed::Failed("no space".to_owned()))
            }
        }
        let (release, slow) = channel();
        let mut feeds = Feeds::default();
        feeds.add("slow", SlowThenBroken(slow)).expect("a thread");
        let feed = feeds.feed();
        for _ in 0..LINES_WAITING_MAX + 100 {
            feed.tell(line());
        }
        let lost = feeds.outlets[0].queue.lost.load(Ordering::Relaxed);
        assert!(lost > 0, "the queue was full");
        drop((release, feed));
        let ended = feeds.outlets[0].ended.recv().expect("it ends");
        assert_eq!(losses(Some(ended), lost), Vec::<String>::new(), "its failure was told");
        assert_eq!(losses(Some(Ended::Complete), lost).len(), 1);
        assert_eq!(losses(None, lost).len(), 2);
    }

    #[test]
    fn an_outlet_that_failed_is_told_at_the_end() {
        let mut feeds = Feeds::default();
        feeds.add("broken", Broken).expect("a thread");
        let feed = feeds.feed();
        (0..LINES_WAITING_MAX * 2).for_each(|_| feed.tell(line()));
        drop(feed);
        assert!(!feeds.end());
        assert!(Feeds::default().end(), "no outlet, no fault");
    }
}
