//! Reads, and the delivery of changes.
//!
//! - `subscribers`: delivery of changes, by one notifier for each store
//! - `changes`: every change as a stream
//! - `watch`: the newest version as a stream
//! - `select`: parts of the state, and notices when they change
//! - `mailbox`: from the notifier to one task that waits
//! - `reading`: reads that nest, and dispatches made inside them

pub(crate) mod changes;
pub(crate) mod mailbox;
pub(crate) mod reading;
pub(crate) mod select;
pub(crate) mod subscribers;
pub(crate) mod watch;
