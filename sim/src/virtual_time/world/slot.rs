//! Places: hosts, where processes live one after another, and slots, where each of them has a
//! replica of one store.

use std::time::Duration;

use samestate_proto::replication::{Config, Image, Replica};

use super::Event;
use super::disk::{Disk, DiskTrouble};
use crate::faults::KillMoment;
use crate::invariants::Witness;
use crate::virtual_time::check::Tap;
use crate::virtual_time::machine::{ErasedMachine, Kind, Mishap, Still};
use crate::virtual_time::network::Shaped;

/// The properties of a host, whatever process lives there.
#[derive(Clone, Debug, Default)]
pub struct HostSpec {
    /// The name of the host.
    pub name: String,
    /// Its clock runs fast by so many nanoseconds a millisecond, or slow.
    pub drift_ppm: i64,
}

/// The properties of a slot, whatever replica is there.
#[derive(Clone, Debug)]
pub struct SlotSpec {
    /// The name of the host.
    pub name: String,
    /// The host, by its number.
    pub host: usize,
    /// The reducer.
    pub kind: Kind,
    /// The settings of its replica.
    pub config: Config,
    /// The upstream; `None` for a sequencer.
    pub upstream: Option<Upstream>,
    /// The longest wait between two attempts to connect.
    pub backoff_max: Duration,
    /// Its subscriber takes what it is told only at a tick.
    pub slow_subscriber: bool,
    /// The number of actions between backups, if it is a sequencer.
    pub backup_every: Option<u64>,
    /// True if the slot is a durable sequencer: nothing leaves it that is not on its disk.
    pub durable: bool,
}

/// The upstream of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// The slot.
    pub slot: usize,
    /// The link of the scenario that leads there; none within a cluster.
    pub link: Option<usize>,
}

impl Upstream {
    /// That slot, by no link of a scenario.
    pub fn slot(slot: usize) -> Self {
        Upstream { slot, link: None }
    }
}

/// A host.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) spec: HostSpec,
    pub(super) slots: Vec<usize>,
    pub(super) incarnation: u32,
    pub(super) alive: bool,
    /// True if the process will be restarted, if it is not alive.
    pub(super) restarts: bool,
    /// It is to be killed at this moment.
    pub(super) aimed: Option<KillMoment>,
    /// It stands still until then.
    pub(super) paused_until: Option<Duration>,
    /// The events that came while it stood still.
    pub(super) backlog: Vec<Event>,
    pub(super) sent_bytes: u64,
    pub(super) received_bytes: u64,
}

impl Host {
    pub(super) fn new(spec: HostSpec) -> Self {
        Host {
            spec,
            slots: Vec::new(),
            incarnation: 0,
            alive: false,
            restarts: true,
            aimed: None,
            paused_until: None,
            backlog: Vec::new(),
            sent_bytes: 0,
            received_bytes: 0,
        }
    }

    /// Returns the time by the host's own clock.
    pub(super) fn clock(&self, now: Duration) -> Duration {
        if self.spec.drift_ppm == 0 {
            return now;
        }
        let ns = now.as_nanos() as i128;
        let drifted = ns + ns * i128::from(self.spec.drift_ppm) / 1_000_000;
        Duration::from_nanos(u64::try_from(drifted).unwrap_or_default())
    }
}

/// A replica, and what is around it in its process.
pub(super) struct Running {
    pub(super) replica: Replica<ErasedMachine>,
    pub(super) tap: Tap,
    pub(super) mishap: Mishap,
    /// The connection to its upstream.
    pub(super) upstream: Option<u64>,
    /// The slot that it last had a connection to.
    pub(super) attached_to: Option<Upstream>,
    /// An attempt to connect is scheduled.
    pub(super) connecting: bool,
    pub(super) backoff: Duration,
    /// The seq at which the sequencer was backed up last.
    pub(super) backed_up: u64,
    dispatched: u32,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a replica at {:?}", self.replica.version())
    }
}

/// The wait before the second attempt to connect.
pub(super) const BACKOFF_MIN: Duration = Duration::from_millis(4);

impl Running {
    pub(super) fn new(replica: Replica<ErasedMachine>, tap: Tap, mishap: Mishap) -> Self {
        let backed_up = replica.version().seq;
        Running {
            replica,
            tap,
            mishap,
            upstream: None,
            attached_to: None,
            connecting: false,
            backoff: BACKOFF_MIN,
            backed_up,
            dispatched: 0,
        }
    }
}

/// A slot.
#[derive(Debug)]
pub(super) struct ReplicaSlot {
    pub(super) spec: SlotSpec,
    pub(super) running: Option<Running>,
    pub(super) backup: Option<(Image, Still)>,
    /// The disk from which its next incarnation begins, if it is durable.
    pub(super) disk: Option<Disk>,
    pub(super) disk_trouble: DiskTrouble,
    /// It cannot connect before then.
    pub(super) blocked_until: Duration,
    /// The properties that its connections have for a while.
    pub(super) shapes: Vec<Shaped>,
    /// The witness of its replica, if the case has a record.
    pub(super) witness: Option<Witness>,
}

impl ReplicaSlot {
    pub(super) fn new(spec: SlotSpec) -> Self {
        ReplicaSlot {
            spec,
            running: None,
            backup: None,
            disk: None,
            disk_trouble: DiskTrouble::default(),
            blocked_until: Duration::ZERO,
            shapes: Vec::new(),
            witness: None,
        }
    }

    /// The id of its next action.
    pub(super) fn next_id(&mut self, origin: u64) -> Option<u64> {
        let running = self.running.as_mut()?;
        running.dispatched += 1;
        Some(origin << 32 | u64::from(running.dispatched))
    }
}

/// Returns the beginning of the ids of a slot's actions, in this incarnation of its host.
pub(super) fn origin(slot: usize, incarnation: u32) -> u64 {
    (slot as u64 + 1) << 16 | u64::from(incarnation & 0xffff)
}
