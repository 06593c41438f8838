//! A limit of the reports that clients can cause before they log in.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The largest number of reports in a [`SPAN`].
const SAID_MAX: u32 = 20;
/// The length of the span in which reports are counted.
const SPAN: Duration = Duration::from_secs(10);

/// The time for which a report about one subject is not repeated.
const REMEMBERED_FOR: Duration = Duration::from_secs(3600);
/// The number of other subjects after which a subject is forgotten sooner.
const REMEMBERED_MAX: usize = 1024;

/// Lets the first reports of each span through, and counts the others, because any peer that can
/// connect can cause as many reports as it likes.
#[derive(Debug)]
pub(super) struct RateLimiter {
    started: Instant,
    said_max: u32,
    span: Duration,
    quota: Mutex<Quota>,
}

#[derive(Debug, Default)]
struct Quota {
    began: Duration,
    said: u32,
    unsaid: u64,
}

impl Default for RateLimiter {
    fn default() -> Self {
        RateLimiter::new(SAID_MAX, SPAN)
    }
}

impl RateLimiter {
    /// Lets so many through in each span of this length.
    pub(super) fn new(said_max: u32, span: Duration) -> Self {
        RateLimiter { started: Instant::now(), said_max, span, quota: Mutex::default() }
    }

    /// Returns the text to report instead of `text`, if any.
    pub(super) fn admit(&self, text: String) -> Option<String> {
        self.admit_at(text, self.started.elapsed())
    }

    fn admit_at(&self, text: String, now: Duration) -> Option<String> {
        let mut quota = self.quota.lock();
        if now.saturating_sub(quota.began) >= self.span {
            quota.began = now;
            quota.said = 0;
        }
        if quota.said >= self.said_max {
            quota.unsaid += 1;
            return None;
        }
        quota.said += 1;
        match std::mem::take(&mut quota.unsaid) {
            0 => Some(text),
            unsaid => Some(format!("{text} (and {unsaid} more reports, not shown)")),
        }
    }
}

/// The subjects of which something was said lately.
#[derive(Debug)]
pub(super) struct Once<K> {
    started: Instant,
    said: Mutex<BTreeMap<K, Duration>>,
}

impl<K> Default for Once<K> {
    fn default() -> Self {
        Once { started: Instant::now(), said: Mutex::new(BTreeMap::new()) }
    }
}

impl<K: Ord + Copy> Once<K> {
    /// Returns whether nothing was said of this subject lately; from now on something was.
    pub(super) fn is_new(&self, subject: K) -> bool {
        self.is_new_at(subject, self.started.elapsed())
    }

    fn is_new_at(&self, subject: K, now: Duration) -> bool {
        let mut said = self.said.lock();
        said.retain(|_, at| now.saturating_sub(*at) < REMEMBERED_FOR);
        if said.contains_key(&subject) {
            return false;
        }
        if said.len() >= REMEMBERED_MAX {
            let oldest = said.iter().min_by_key(|(_, at)| **at).map(|(subject, _)| *subject);
            oldest.map(|oldest| said.remove(&oldest));
        }
        said.insert(subject, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_reports_is_counted_and_not_shown() {
        let complaints = RateLimiter::default();
        let admit = |seconds| complaints.admit_at("no".into(), Duration::from_secs(seconds));
        let shown = (0..100).filter_map(|_| admit(3)).count();
        assert_eq!(shown, SAID_MAX as usize);
        let next = admit(13).expect("another span");
        assert_eq!(next, "no (and 80 more reports, not shown)");
        assert_eq!(admit(13).as_deref(), Some("no"));
    }

    #[test]
    fn of_each_subject_something_is_said_once_in_a_while_and_memory_is_bounded() {
        let once = Once::default();
        assert!(once.is_new_at(1, Duration::ZERO) && once.is_new_at(2, Duration::ZERO));
        assert!(!once.is_new_at(1, REMEMBERED_FOR - Duration::from_nanos(1)));
        assert!(once.is_new_at(1, REMEMBERED_FOR));
        for subject in 0..10 * REMEMBERED_MAX {
            once.is_new_at(subject, REMEMBERED_FOR * 3);
        }
        assert_eq!(once.said.lock().len(), REMEMBERED_MAX);
    }
}
