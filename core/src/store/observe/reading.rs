//! Reads that nest, dispatches made inside them, and calls where none may be made.
//!
//! A reader holds the state's lock. A dispatch at the sequencer changes the state at once, so one
//! made inside a read waits, on this thread, until the outermost read ends.
//!
//! A step holds the store's own lock, and the state's while the reducer runs. A reducer that calls
//! a store would wait for a lock that its own thread holds, or that a thread holds which waits for
//! this one: it panics instead, and so does a call inside a read that would wait.

use std::cell::{Cell, RefCell};

type Deferred = Box<dyn FnOnce()>;

thread_local! {
    static STEPPING: Cell<bool> = const { Cell::new(false) };
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static DEFERRED: RefCell<Vec<Deferred>> = const { RefCell::new(Vec::new()) };
}

/// Returns whether this thread is inside a read.
pub(crate) fn inside() -> bool {
    DEPTH.get() > 0
}

/// Does `later` when the outermost read of this thread ends.
pub(crate) fn defer(later: Deferred) {
    DEFERRED.with_borrow_mut(|deferred| deferred.push(later));
}

/// Marks a step of a store on this thread.
pub(crate) struct Stepping;

impl Stepping {
    /// Begins a step of the store of this name; panics inside another step, or inside a read.
    pub(crate) fn begin(store: &str) -> Self {
        may_call(store);
        assert!(
            !inside(),
            "store `{store}` was called inside `read`, where it may only be read, dispatched to \
             and asked for its version and `connected`; call it after the read has ended"
        );
        STEPPING.set(true);
        Stepping
    }
}

impl Drop for Stepping {
    fn drop(&mut self) {
        STEPPING.set(false);
    }
}

/// Panics inside a step: the store of this name must not be called there.
pub(crate) fn may_call(store: &str) {
    assert!(
        !STEPPING.get(),
        "store `{store}` was called by a reducer, which must not call a store (nor must \
         `Serialize`, `Clone` or `Drop` of a state or an action). Dispatch from a subscriber or a \
         middleware instead"
    );
}

/// Marks a read; its end, by return or by panic, does what was deferred if it is the outermost.
pub(crate) struct Reading;

impl Reading {
    pub(crate) fn begin() -> Self {
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
