//! The configuration that a replica gets when it is made.

use std::time::Duration;

use crate::Mode;
use crate::mutant::mutant;
use crate::wire::Codec;

/// The way in which copies are checked, or renewed, in mode `action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resync {
    /// Every this many actions all nodes compare their digests, and one that differs heals.
    Verify(u64),
    /// Every this many actions the sender cuts a snapshot for the links that stand just there.
    Snapshot(u64),
    /// Neither.
    Off,
}

impl Default for Resync {
    fn default() -> Self {
        Resync::Verify(100)
    }
}

/// The settings of a replica. All memory that it may use follows from these.
#[derive(Clone, Debug)]
pub struct Config {
    /// The store's declared name.
    pub store: String,
    /// The version of the shape of state and action, declared by the user: 1 unless set.
    pub schema_version: u32,
    /// The encoding of payloads.
    pub codec: Codec,
    /// The mode in which this node sends downstream. Default: [`Mode::default`].
    pub mode: Mode,
    /// The way in which copies are checked in mode `action`. Default: `Verify(100)`.
    pub resync: Resync,
    /// The share of one core that digests may take; `Verify` stretches its interval to keep it.
    /// 0.01, which is 1 %, unless set.
    pub verify_budget: f64,
    /// The log holds at most this many bytes of entries: 16 MiB unless set.
    pub log_bytes_max: usize,
    /// While a snapshot is on its way, and until the link that got it has caught up, the log keeps
    /// the entries after it beyond `log_bytes_max`: up to the length of the snapshot, and at most
    /// this many bytes. 64 MiB unless set.
    pub catch_up_bytes_max: usize,
    /// The maximum length of an encoded action, in bytes. Default: 4 MiB.
    pub action_bytes_max: usize,
    /// The maximum length of an encoded state, in bytes. Default: 1 GiB.
    pub snapshot_bytes_max: usize,
    /// The maximum number of a node's dispatches under way. Default: 4,096. Past it, a dispatch is
    /// `Busy`.
    pub window: usize,
    /// The maximum number of bytes of a node's dispatches under way. Default: 8 MiB.
    pub window_bytes: usize,
    /// The time after which an unresolved dispatch resolves as `OutcomeUnknown`; `None` for no
    /// limit. Default: 30 s. A large action gets more time: a second for each 64 KiB.
    pub dispatch_deadline: Option<Duration>,
    /// The time after which an idle link sends a heartbeat. Default: 500 ms.
    pub heartbeat: Duration,
    /// The time after which a silent link is cut. Default: 5 s.
    pub dead_after: Duration,
    /// A link that has not moved for this long may fall off the log: 250 ms unless set.
    pub stall_grace: Duration,
    /// The time that dispatches wait for links that move but near the end of the log: for all links
    /// together at most this long in a hundred times this long. Then the links may fall off the
    /// log. Default: 1 s. For links that carry 4 MiB a second or more there is no limit.
    pub pressure_grace: Duration,
    /// The maximum number of sessions that the sequencer remembers. Default: 4,096.
    pub sessions_max: usize,
    /// A client keeps what it needs to continue the sessions of other nodes if it is promoted.
    /// False unless set.
    pub standby: bool,
    /// The maximum number of actions that subscribers may be behind before they are told of a jump.
    /// Default: 4,096.
    pub events_max: usize,
    /// The maximum number of bytes of encoded actions that subscribers may be behind. Default:
    /// 16 MiB.
    pub events_bytes_max: usize,
}

impl Config {
    /// The defaults, for a store of this name.
    pub fn new(store: impl Into<String>) -> Self {
        Config {
            store: store.into(),
            schema_version: 1,
            codec: Codec::default(),
            mode: Mode::default(),
            resync: Resync::default(),
            verify_budget: 0.01,
            log_bytes_max: 16 << 20,
            catch_up_bytes_max: 64 << 20,
            action_bytes_max: 4 << 20,
            snapshot_bytes_max: 1 << 30,
            window: 4096,
            window_bytes: 8 << 20,
            dispatch_deadline: Some(Duration::from_secs(30)),
            heartbeat: Duration::from_millis(500),
            dead_after: Duration::from_secs(5),
            stall_grace: Duration::from_millis(250),
            pressure_grace: Duration::from_secs(1),
            sessions_max: 4096,
            standby: false,
            events_max: 4096,
            events_bytes_max: 16 << 20,
        }
    }

    /// The largest body of a frame that a logged-in peer may send, in bytes.
    pub fn frame_bytes_max(&self) -> usize {
        let room = if mutant!(FramesOfActionsAlone) { 0 } else { 256 << 10 };
        self.action_bytes_max.saturating_add(room)
    }

    /// Returns the deadline of a dispatch that is made now, if it has one.
    pub(super) fn deadline(&self, now: Duration) -> Option<Duration> {
        now.checked_add(self.dispatch_deadline?)
    }
}
