//! The metrics of a store, as one value.

#[cfg(feature = "prometheus")]
use std::sync::Arc;

use samestate_proto::replication::{Counters, Gauges, LinkGauge, Resolution};
use samestate_proto::{Mode, Version};
use serde::Serialize;

use crate::DispatchError;
use crate::link::{LinkEndpoint, LinkHandle, Side, Traffic};
use crate::store::Role;
use crate::store::dispatch::future::Outcome;
use crate::store::driver::shared::Shared;
use crate::store::handle::store::Store;
use crate::store::reducer::machine::{Action, State};

/// The metrics of a store at one moment. All counts are since it opened, in this process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StoreMetrics {
    /// The store's name.
    pub store: String,
    /// The version of its state here.
    pub version: Version,
    /// In sync with the sequencer.
    pub connected: bool,
    /// This process is the sequencer.
    pub sequencer: bool,
    /// The roles of the store in this process.
    pub roles: Vec<Role>,
    /// The link to its server or master, while there is one.
    pub upstream: Option<LinkMetrics>,
    /// The links of its clients and workers, while they are there.
    pub downstream: Vec<LinkMetrics>,
    /// All links to an upstream there ever were.
    pub upstream_total: LinkTotals,
    /// All links from downstream there ever were.
    pub downstream_total: LinkTotals,
    /// Dispatches made here, by outcome.
    pub dispatches: DispatchMetrics,
    /// The counters of the protocol: snapshots, divergences, heals and more.
    pub counters: Counters,
    /// The size of the entries in the log, in bytes.
    pub log_bytes: u64,
    /// The limit of `log_bytes`.
    pub log_bytes_max: u64,
    /// The number of dispatches of this process that are under way.
    pub window_used: u64,
    /// The limit of `window_used`. Past it, a dispatch is `Busy`.
    pub window: u64,
    /// Subscriptions, those that streams hold included.
    pub subscribers: u64,
    /// The store's backup, where it writes one.
    pub backup: Option<BackupMetrics>,
}

/// One link of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LinkMetrics {
    /// The name of the peer, as in the events and in `on_error`.
    pub peer: String,
    /// Its follower asked for the store, and was taken.
    pub attached: bool,
    /// The mode of the link; `None` until it is known.
    pub mode: Option<Mode>,
    /// The number of versions that the follower of this link is behind. Downstream: what has not
    /// been sent yet. Upstream: behind the version that the upstream named last, twice a second
    /// while it is idle; `None` until it has.
    pub lag_versions: Option<u64>,
    /// The traffic of the link.
    pub traffic: Traffic,
}

/// All links of one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LinkTotals {
    /// Links that have ended, for whatever reason.
    pub ended: u64,
    /// The traffic of these links and of those that have ended.
    pub traffic: Traffic,
}

/// Dispatches made in this process, by what they came to. Each counts once, when that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DispatchMetrics {
    /// Applied.
    pub ok: u64,
    /// Refused by the reducer.
    pub rejected: u64,
    /// Refused: too many were under way.
    pub busy: u64,
    /// Refused: not in sync.
    pub not_connected: u64,
    /// Dispatches whose outcome is unknown.
    pub unknown: u64,
    /// Refused: too long, or not encodable.
    pub invalid: u64,
    /// Refused: the disk takes nothing, and the store is durable.
    pub stalled: u64,
    /// Refused: the store is poisoned.
    pub poisoned: u64,
    /// Refused by middleware.
    pub refused: u64,
}

/// The backup of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BackupMetrics {
    /// Writes that are on disk: of the journal, and of the whole.
    pub writes: u64,
    /// Writes of the journal that did not get there.
    pub failures: u64,
    /// All actions up to this number are on disk.
    pub saved_seq: u64,
    /// The disk takes nothing.
    pub stalled: bool,
}

impl DispatchMetrics {
    /// Each outcome with its count.
    pub fn by_outcome(&self) -> [(&'static str, u64); 9] {
        [
            ("ok", self.ok),
            ("rejected", self.rejected),
            ("busy", self.busy),
            ("not_connected", self.not_connected),
            ("unknown", self.unknown),
            ("invalid", self.invalid),
            ("stalled", self.stalled),
            ("poisoned", self.poisoned),
            ("refused", self.refused),
        ]
    }

    pub(crate) fn resolved(&mut self, resolution: &Resolution) {
        match resolution {
            Resolution::Ok(_) => self.ok += 1,
            Resolution::Rejected(_) => self.rejected += 1,
            Resolution::OutcomeUnknown => self.unknown += 1,
        }
    }

    /// One that never was under way.
    pub(crate) fn refused(&mut self, error: &DispatchError) {
        match error {
            DispatchError::NotConnected => self.not_connected += 1,
            DispatchError::Busy(_) => self.busy += 1,
            DispatchError::Rejected(_) => self.rejected += 1,
            DispatchError::OutcomeUnknown => self.unknown += 1,
            DispatchError::Invalid(_) => self.invalid += 1,
            DispatchError::Stalled => self.stalled += 1,
            DispatchError::Poisoned | DispatchError::Unrestorable(_) => self.poisoned += 1,
            DispatchError::Refused(_) => self.refused += 1,
        }
    }
}

impl std::ops::AddAssign for DispatchMetrics {
    fn add_assign(&mut self, other: DispatchMetrics) {
        self.ok += other.ok;
        self.rejected += other.rejected;
        self.busy += other.busy;
        self.not_connected += other.not_connected;
        self.unknown += other.unknown;
        self.invalid += other.invalid;
        self.stalled += other.stalled;
        self.poisoned += other.poisoned;
        self.refused += other.refused;
    }
}

impl BackupMetrics {
    /// All up to `seq` is on disk; 0: a write failed.
    pub(crate) fn committed(&mut self, seq: u64) {
        match seq {
            0 => self.failures += 1,
            seq => {
                self.writes += 1;
                self.saved_seq = self.saved_seq.max(seq);
            }
        }
    }
}

/// The traffic of the links that have ended.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    upstream: LinkTotals,
    downstream: LinkTotals,
}

impl Ended {
    pub(crate) fn add(&mut self, handle: &dyn LinkHandle) {
        let meter = handle.meter();
        let totals = self.of(meter.side());
        totals.ended += 1;
        totals.traffic += meter.traffic();
    }

    fn of(&mut self, side: Side) -> &mut LinkTotals {
        match side {
            Side::Upstream => &mut self.upstream,
            Side::Downstream => &mut self.downstream,
        }
    }
}

impl<S: State, A: Action> Shared<S, A> {
    pub(crate) fn metrics(&self, roles: Vec<Role>) -> StoreMetrics {
        let (gauges, counters, mut dispatches) = self
            .with(|inner, _| (inner.replica.gauges(), inner.replica.counters(), inner.dispatches));
        dispatches += *self.decided.lock();
        let Gauges { upstream, downstream, .. } = gauges;
        let handles = self.handles.lock();
        let mut totals = Ended { ..*self.ended.lock() };
        for handle in handles.values() {
            totals.of(handle.meter().side()).traffic += handle.meter().traffic();
        }
        let link = |gauge: LinkGauge| {
            let meter = handles.get(&gauge.link)?.meter();
            Some(LinkMetrics {
                peer: meter.peer().to_owned(),
                attached: gauge.attached,
                mode: gauge.mode,
                lag_versions: gauge.lag,
                traffic: meter.traffic(),
            })
        };
        StoreMetrics {
            store: self.name().to_owned(),
            version: gauges.version,
            connected: gauges.connected,
            sequencer: gauges.sequencer,
            roles,
            upstream: upstream.and_then(link),
            downstream: downstream.into_iter().filter_map(link).collect(),
            upstream_total: totals.upstream,
            downstream_total: totals.downstream,
            dispatches,
            counters,
            log_bytes: gauges.log_bytes as u64,
            log_bytes_max: gauges.log_bytes_max as u64,
            window_used: gauges.under_way as u64,
            window: gauges.window as u64,
            subscribers: self.subscribers.count() as u64,
            backup: *self.backup.lock(),
        }
    }

    /// Counts a dispatch that was decided on outside of the store's lock, under a lock of its own:
    /// a middleware may refuse inside [`Store::read`], where the store's would never be had.
    pub(crate) fn counted(&self, outcome: Outcome) -> Outcome {
        if let Err(error) = &outcome {
            self.decided.lock().refused(error);
        }
        outcome
    }
}

impl<S: State, A: Action> Store<S, A> {
    /// Returns the metrics of the store. Takes the store's lock for a moment: as often as a person
    /// or a scraper looks, not as often as actions come. Not to be called inside [`Store::read`].
    ///
    /// ```
    /// # use samestate::create_store;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let add = |count: &mut i64, by: &i64| *count += by;
    /// let store = create_store("counter", add).open().await?;
    /// store.dispatch(5).await?;
    /// let metrics = store.metrics();
    /// assert_eq!((metrics.dispatches.ok, metrics.version.seq), (1, 1));
    /// println!("{}", serde_json::to_string_pretty(&metrics)?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn metrics(&self) -> StoreMetrics {
        self.shared.metrics(self.roles())
    }

    /// Returns the same for a caller that does not hold the store: `None` once the store is
    /// dropped.
    #[cfg(feature = "prometheus")]
    pub(crate) fn watcher(&self) -> impl Fn() -> Option<StoreMetrics> + Send + Sync + 'static {
        let (shared, upkeep) = (Arc::downgrade(&self.shared), Arc::downgrade(&self.upkeep));
        move || Some(shared.upgrade()?.metrics(upkeep.upgrade()?.roles()))
    }
}
