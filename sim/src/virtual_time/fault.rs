//! What can go wrong, as values.

use std::time::Duration;

/// One thing that goes wrong. The link of a node is the one to its upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The link of a node ends; what is on its way up or down may be lost, or arrive still.
    Cut {
        /// The node below it.
        node: usize,
        /// What is on its way up is lost.
        loses_up: bool,
        /// What is on its way down is lost.
        loses_down: bool,
    },
    /// Nothing arrives over the link of a node for a while.
    Stall {
        /// The node below it.
        node: usize,
        /// Up.
        up: bool,
        /// Down.
        down: bool,
        /// For how long.
        lasts: Duration,
    },
    /// Nothing arrives over the link of a node any more, and neither end is told.
    Swallow {
        /// The node below it.
        node: usize,
    },
    /// A bit of what arrives next over the link of a node is flipped.
    Corrupt {
        /// The node below it.
        node: usize,
        /// On its way up, or down.
        up: bool,
    },
    /// A node cannot connect to its upstream for a while, and its link ends.
    Partition {
        /// The node below.
        node: usize,
        /// For how long.
        lasts: Duration,
    },
    /// A process is killed, and started again after a while.
    Kill {
        /// Which.
        node: usize,
        /// Its peers are not told.
        silent: bool,
        /// A sequencer goes on from its backup, if it has one.
        from_backup: bool,
        /// How long it is gone.
        lasts: Duration,
    },
    /// A process that is a sequencer keeps what it has now as its backup.
    Backup {
        /// Which.
        node: usize,
    },
    /// A process stands still for a while.
    Pause {
        /// Which.
        node: usize,
        /// For how long.
        lasts: Duration,
    },
    /// A node follows another one from now on. A sequencer becomes its client.
    Follow {
        /// Which.
        node: usize,
        /// Its upstream.
        upstream: usize,
    },
    /// The copy of a node that is no sequencer goes wrong at the next action, unnoticed.
    Slip {
        /// Which.
        node: usize,
    },
    /// The next action fails at a node.
    Fail {
        /// Which.
        node: usize,
    },
}
