//! Reports about strangers, few enough to be read.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// At most this many in ...
const SAID_MAX: u32 = 20;
/// ... each span of this length.
const SPAN: Duration = Duration::from_secs(10);

/// Lets the first reports of each span through, and counts the others: whoever can connect can
/// make a server complain, as often as it likes.
#[derive(Debug)]
pub(super) struct Complaints {
    started: Instant,
    quota: Mutex<Quota>,
}

#[derive(Debug, Default)]
struct Quota {
    began: Duration,
    said: u32,
    unsaid: u64,
}

impl Default for Complaints {
    fn default() -> Self {
        Complaints { started: Instant::now(), quota: Mutex::default() }
    }
}

impl Complaints {
    /// What is to be said of `text`, if anything.
    pub(super) fn weigh(&self, text: String) -> Option<String> {
        self.quota.lock().weigh(text, self.started.elapsed())
    }
}

impl Quota {
    fn weigh(&mut self, text: String, now: Duration) -> Option<String> {
        if now.saturating_sub(self.began) >= SPAN {
            self.began = now;
            self.said = 0;
        }
        if self.said >= SAID_MAX {
            self.unsaid += 1;
            return None;
        }
        self.said += 1;
        match std::mem::take(&mut self.unsaid) {
            0 => Some(text),
            unsaid => Some(format!("{text} (and {unsaid} more reports, not shown)")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_reports_is_counted_and_not_shown() {
        let mut quota = Quota::default();
        let mut weigh = |seconds| quota.weigh("no".into(), Duration::from_secs(seconds));
        let shown = (0..100).filter_map(|_| weigh(3)).count();
        assert_eq!(shown, SAID_MAX as usize);
        let next = weigh(13).expect("another span");
        assert_eq!(next, "no (and 80 more reports, not shown)");
        assert_eq!(weigh(13).as_deref(), Some("no"));
    }
}
