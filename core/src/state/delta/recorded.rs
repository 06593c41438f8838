//! The keys that were touched since a recording began.

/// The maximum number of keys that are recorded. A larger change is found by comparing all entries,
/// which is then no slower.
const TOUCHED_MAX: usize = 4096;

/// The keys that were touched in a persistent collection, while they are recorded.
///
/// `T` is the tree at the start of the recording. A patch is made against the value before the
/// action. The record is used only if it started from that very tree, because a reducer may have
/// replaced the collection with another one. A clone has a copy of the record, so the record is
/// also right if a reducer changes a clone and stores the clone in the state.
#[derive(Clone)]
pub(in crate::state) struct Recorded<T, K>(Option<Box<Record<T, K>>>);

#[derive(Clone)]
struct Record<T, K> {
    base: T,
    touched: Vec<K>,
}

impl<T, K> Default for Recorded<T, K> {
    fn default() -> Self {
        Recorded(None)
    }
}

impl<T, K> Recorded<T, K> {
    pub(in crate::state) fn begin(&mut self, base: T) {
        self.0 = Some(Box::new(Record { base, touched: Vec::new() }));
    }

    pub(in crate::state) fn end(&mut self) {
        self.0 = None;
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

    /// Returns the recorded keys, if `began` is true of the tree at the start of the recording.
    pub(in crate::state) fn since(&self, began: impl Fn(&T) -> bool) -> Option<&[K]> {
        let record = self.0.as_deref().filter(|record| began(&record.base))?;
        Some(&record.touched)
    }
}
