//! The keys that were touched since a recording began.

use std::sync::atomic::{AtomicU64, Ordering};

/// The maximum number of keys that are recorded. A larger change is found by comparing all entries,
/// which is then no slower.
const TOUCHED_MAX: usize = 4096;

/// The keys that were touched in a persistent collection, while they are recorded.
///
/// A patch is made against the value before the action, which was cloned after the recording
/// started. The record is used only if both values have it from the same start, because a reducer
/// may have replaced the collection with another one. A clone has a copy of the record, so the
/// record is also right if a reducer changes a clone and stores the clone in the state.
///
/// The record does not hold the tree at its start. A collection that a reducer moves to where the
/// recording does not end, such as a history in the state, would hold that tree forever.
#[derive(Clone)]
pub(in crate::state) struct Recorded<K>(Option<Box<Record<K>>>);

#[derive(Clone)]
struct Record<K> {
    /// The number of the recording, unique in this process.
    began: u64,
    touched: Vec<K>,
}

impl<K> Default for Recorded<K> {
    fn default() -> Self {
        Recorded(None)
    }
}

impl<K> Recorded<K> {
    /// Starts a recording, or ends it.
    pub(in crate::state) fn set(&mut self, recording: bool) {
        static BEGUN: AtomicU64 = AtomicU64::new(0);
        self.0 = recording.then(|| {
            let began = BEGUN.fetch_add(1, Ordering::Relaxed);
            Box::new(Record { began, touched: Vec::new() })
        });
    }

    /// Records the key that `key` returns. `key` is called only during a recording.
    pub(in crate::state) fn touch(&mut self, key: impl FnOnce() -> K) {
        let Some(record) = &mut self.0 else { return };
        if record.touched.len() < TOUCHED_MAX {
            record.touched.push(key());
        } else {
            self.0 = None;
        }
    }

    /// Returns the recorded keys, if a collection with the record `before` is the one at the start
    /// of the recording.
    pub(in crate::state) fn since(&self, before: &Self) -> Option<&[K]> {
        let (record, before) = (self.0.as_deref()?, before.0.as_deref()?);
        let is_beginning = before.began == record.began && before.touched.is_empty();
        is_beginning.then_some(&record.touched)
    }
}
