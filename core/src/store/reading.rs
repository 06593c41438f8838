//! Reads that nest, and dispatches made inside them.
//!
//! A reader holds the state's lock. A dispatch at the sequencer changes the state at once, so one
//! made inside a read waits, on this thread, until the outermost read ends.

use std::cell::{Cell, RefCell};

type Deferred = Box<dyn FnOnce()>;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static DEFERRED: RefCell<Vec<Deferred>> = const { RefCell::new(Vec::new()) };
}

/// Whether this thread is inside a read.
pub(super) fn inside() -> bool {
    DEPTH.get() > 0
}

/// Does `later` when the outermost read of this thread ends.
pub(super) fn defer(later: Deferred) {
    DEFERRED.with_borrow_mut(|deferred| deferred.push(later));
}

/// Marks a read; its end, by return or by panic, does what was deferred if it is the outermost.
pub(super) struct Reading;

impl Reading {
    pub(super) fn begin() -> Self {
        DEPTH.set(DEPTH.get() + 1);
        Reading
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        if DEPTH.get() == 0 {
            for later in DEFERRED.take() {
                later();
            }
        }
    }
}
