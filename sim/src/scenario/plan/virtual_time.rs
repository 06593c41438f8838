//! The parameters of a run in virtual time.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::NodeId;

/// The network, the clocks and the protocol's settings of a run in virtual time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualTimePlan {
    /// The shortest time that a byte is under way.
    pub latency: Duration,
    /// The longest additional time.
    pub jitter: Duration,
    /// The number of bytes a second that one direction of a connection carries.
    pub bandwidth_bytes_per_s: u64,
    /// The number of bytes that one direction of a connection holds.
    pub buffer_bytes: usize,
    /// The number of millionths that each process's clock runs fast or slow at most.
    pub clock_drift_ppm: u32,
    /// The time that a link may be idle before it sends a heartbeat. Of this and what follows,
    /// `None` stands for the library's default.
    pub heartbeat: Option<Duration>,
    /// The time that a peer may be silent before its link is cut.
    pub dead_after: Option<Duration>,
    /// The time that a link may stand still before it may fall off the log.
    pub stall_grace: Option<Duration>,
    /// The time that a dispatch may take before its outcome is unknown.
    pub dispatch_deadline: Option<Duration>,
    /// The number of dispatches that a node may have under way.
    pub window: Option<usize>,
    /// The number of bytes that they may have together.
    pub window_bytes: Option<usize>,
    /// The number of sessions that a sequencer remembers.
    pub sessions_max: Option<usize>,
    /// The number of actions that subscribers may be behind.
    pub events_max: Option<usize>,
    /// The nodes whose subscribers take what they are told only now and then.
    pub slow_subscribers: BTreeSet<NodeId>,
}

impl Default for VirtualTimePlan {
    fn default() -> Self {
        Self {
            latency: Duration::from_micros(200),
            jitter: Duration::from_micros(100),
            bandwidth_bytes_per_s: 100_000_000,
            buffer_bytes: 64 << 10,
            clock_drift_ppm: 0,
            heartbeat: None,
            dead_after: None,
            stall_grace: None,
            dispatch_deadline: None,
            window: None,
            window_bytes: None,
            sessions_max: None,
            events_max: None,
            slow_subscribers: BTreeSet::new(),
        }
    }
}
