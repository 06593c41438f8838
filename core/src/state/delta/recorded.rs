//! The keys that were touched since a recording began.

/// The most keys that are recorded. A change of more is found by comparing all entries, which
/// takes no longer then.
const TOUCHED_MAX: usize = 4096;

/// The record of a persistent collection's changes, while there is one.
///
/// `T` is the tree at the beginning. A patch is made against the value from before the action, and
/// the record is of use only if it began at just that tree: a reducer may have put another
/// collection in this place. Clones take the record along, so a reducer that changes a clone and
/// puts it back is followed too.
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

    /// Records a key, which `key` makes only if there is a recording.
    pub(in crate::state) fn touch(&mut self, key: impl FnOnce() -> K) {
        let Some(record) = &mut self.0 else { return };
        if record.touched.len() < TOUCHED_MAX {
            record.touched.push(key());
        } else {
            self.0 = None;
        }
    }

    /// Returns the keys touched since `began` was true of the tree.
    pub(in crate::state) fn since(&self, began: impl Fn(&T) -> bool) -> Option<&[K]> {
        let record = self.0.as_deref().filter(|record| began(&record.base))?;
        Some(&record.touched)
    }
}
