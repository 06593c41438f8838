//! Metrics in the OpenMetrics text format 1.0
//! (<https://prometheus.io/docs/specs/om/open_metrics_spec/>), which Prometheus has read since 2.5.
//!
//! Names follow <https://prometheus.io/docs/practices/naming/>. Labels are few: a store, a side, an
//! outcome. No label names a peer, because there may be thousands; [`crate::Store::metrics`] lists
//! the peers one by one.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use samestate_proto::replication::Counters;

use crate::link::{LinkCounts, LinkStats};
use crate::store::{BackupMetrics, LinkMetrics, LinkTotals, StoreMetrics};

/// The text for these stores, and for the links of the whole process.
pub(super) fn text(stores: Vec<StoreMetrics>) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("samestate");
    registry.register_collector(Box::new(Scrape { stores, links: LinkStats::process().counts() }));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Scrape {
    stores: Vec<StoreMetrics>,
    links: LinkCounts,
}

/// The direction in which a metric changes.
#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

use Kind::{Counter, Gauge};

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page { encoder, stores: &self.stores };
        page.standing()?;
        page.work()?;
        page.links()?;
        page.protocol()?;
        page.backups()?;
        page.process(self.links)
    }
}

struct Page<'a, 'e> {
    encoder: DescriptorEncoder<'e>,
    stores: &'a [StoreMetrics],
}

impl Page<'_, '_> {
    /// Writes the versions and the status of each store.
    fn standing(&mut self) -> fmt::Result {
        let help = "1: the store is in sync with its sequencer, and takes dispatches";
        self.gauge("connected", help, |store| u64::from(store.connected))?;
        let help = "1: this process orders the store's actions";
        self.gauge("sequencer", help, |store| u64::from(store.sequencer))?;
        let help = "1 for each role that the store has in this process";
        let roles = |store: &StoreMetrics| {
            let roles = store.roles.iter().map(|role| ([("role", role.to_string())], 1));
            roles.collect::<Vec<_>>()
        };
        self.family(Gauge, "role", help, None, roles)?;
        let help = "How many actions the state here has had since the store was empty";
        self.gauge("version_seq", help, |store| store.version.seq)?;
        let help = "The life of the sequencer that the state here comes from, as a number";
        self.gauge("version_epoch", help, |store| store.version.epoch.number.into())?;
        self.gauge("subscribers", "Subscriptions", |store| store.subscribers)
    }

    /// Writes the dispatches of this process, and the memory that is held for them.
    fn work(&mut self) -> fmt::Result {
        let help = "Dispatches made in this process, by what they came to";
        let outcomes = |store: &StoreMetrics| {
            let outcomes = store.dispatches.by_outcome();
            outcomes.map(|(outcome, count)| ([("outcome", outcome)], count))
        };
        self.family(Counter, "dispatches", help, None, outcomes)?;
        let help = "Dispatches made in this process that are under way";
        self.gauge("window_used", help, |store| store.window_used)?;
        let help = "The most dispatches that may be under way";
        self.gauge("window_size", help, |store| store.window)?;
        let help = "The entries kept for links that are behind";
        self.bytes(Gauge, "log", help, |store| vec![([], store.log_bytes)])?;
        let help = "The most that they may be";
        self.bytes(Gauge, "log_max", help, |store| vec![([], store.log_bytes_max)])
    }

    fn links(&mut self) -> fmt::Result {
        let help = "Links that are attached now";
        let links = |store: &StoreMetrics| {
            sides(store).map(|(side, links, _)| {
                let attached = links.iter().filter(|link| link.attached).count();
                ([("side", side)], attached as u64)
            })
        };
        self.family(Gauge, "links", help, None, links)?;
        let help = "How many versions the slowest follower on a link is behind; absent while \
                    that is not known";
        let lags = |store: &StoreMetrics| {
            let lags = sides(store).map(|(side, links, _)| {
                let lag = links.iter().filter_map(|link| link.lag_versions).max();
                Some(([("side", side)], lag?))
            });
            lags.into_iter().flatten().collect::<Vec<_>>()
        };
        self.family(Gauge, "link_lag_versions", help, None, lags)?;
        let help = "Links that have ended, for whatever reason";
        let ended = |store: &StoreMetrics| {
            sides(store).map(|(side, _, totals)| ([("side", side)], totals.ended))
        };
        self.family(Counter, "links_ended", help, None, ended)?;
        let help = "Bytes of the store's frames on its links";
        self.bytes(Counter, "link", help, |store| {
            both_ways(store, |totals| (totals.traffic.bytes_sent, totals.traffic.bytes_received))
        })?;
        let help = "The store's frames on its links";
        self.family(Counter, "link_frames", help, None, |store| {
            both_ways(store, |totals| (totals.traffic.frames_sent, totals.traffic.frames_received))
        })
    }

    /// Every counter of the protocol, under its own name.
    fn protocol(&mut self) -> fmt::Result {
        for (at, (name, help)) in Counters::described().enumerate() {
            let help = help.trim_end_matches('.');
            let count = |store: &StoreMetrics| {
                let named = store.counters.named().nth(at);
                [([], named.map_or(0, |named| named.1))]
            };
            self.family::<_, 0, &str>(Counter, name, help, None, count)?;
        }
        Ok(())
    }

    fn backups(&mut self) -> fmt::Result {
        let help = "Writes of a backup that are on disk";
        self.backup(Counter, "backup_writes", help, |backup| backup.writes)?;
        let help = "Writes of a backup's journal that did not get to the disk";
        self.backup(Counter, "backup_failures", help, |backup| backup.failures)?;
        let help = "All actions up to this number are on disk";
        self.backup(Gauge, "backup_saved_seq", help, |backup| backup.saved_seq)?;
        let help = "1: the disk takes nothing";
        self.backup(Gauge, "backup_stalled", help, |backup| u64::from(backup.stalled))
    }

    /// The links of all stores together, as the sockets see them.
    fn process(&mut self, links: LinkCounts) -> fmt::Result {
        let both = |sent, received| [("sent", sent), ("received", received)];
        let help = "Bytes on all links of this process, logins and encryption included";
        let bytes = both(links.bytes_written, links.bytes_read);
        self.alone("process_link", help, Some(&Unit::Bytes), bytes)?;
        let help = "System calls that sent or received on all links of this process";
        self.alone("process_link_calls", help, None, both(links.writes, links.reads))
    }

    fn gauge(
        &mut self,
        name: &str,
        help: &str,
        value: impl Fn(&StoreMetrics) -> u64,
    ) -> fmt::Result {
        self.family::<_, 0, &str>(Gauge, name, help, None, |store| [([], value(store))])
    }

    fn bytes<I, const N: usize>(
        &mut self,
        kind: Kind,
        name: &str,
        help: &str,
        values: impl Fn(&StoreMetrics) -> I,
    ) -> fmt::Result
    where
        I: IntoIterator<Item = ([(&'static str, &'static str); N], u64)>,
    {
        self.family(kind, name, help, Some(&Unit::Bytes), values)
    }

    fn backup(
        &mut self,
        kind: Kind,
        name: &str,
        help: &str,
        value: impl Fn(&BackupMetrics) -> u64,
    ) -> fmt::Result {
        self.family::<_, 0, &str>(kind, name, help, None, |store| {
            store.backup.as_ref().map(|backup| ([], value(backup)))
        })
    }

    /// One metric: for each store, values with what labels they have beside the store's name.
    fn family<I, const N: usize, L: AsRef<str>>(
        &mut self,
        kind: Kind,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        values: impl Fn(&StoreMetrics) -> I,
    ) -> fmt::Result
    where
        I: IntoIterator<Item = ([(&'static str, L); N], u64)>,
    {
        let values = self.stores.iter().flat_map(|store| {
            let of_store = values(store).into_iter().map(|(labels, value)| {
                let more = labels.iter().map(|(key, label)| (*key, label.as_ref().to_owned()));
                let first = std::iter::once(("store", store.store.clone()));
                (first.chain(more).collect(), value)
            });
            of_store.collect::<Vec<(Vec<(&str, String)>, u64)>>()
        });
        write(&mut self.encoder, kind, name, help, unit, values)
    }

    /// One counter that is no store's, by direction.
    fn alone(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        values: [(&str, u64); 2],
    ) -> fmt::Result {
        let values = values
            .into_iter()
            .map(|(direction, value)| (vec![("direction", direction.to_owned())], value));
        write(&mut self.encoder, Counter, name, help, unit, values)
    }
}

/// Writes a metric that has any value.
fn write(
    encoder: &mut DescriptorEncoder<'_>,
    kind: Kind,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    values: impl Iterator<Item = (Vec<(&'static str, String)>, u64)>,
) -> fmt::Result {
    let mut values = values.peekable();
    if values.peek().is_none() {
        return Ok(());
    }
    let metric_type = match kind {
        Counter => ConstCounter::new(0_u64).metric_type(),
        Gauge => ConstGauge::new(0_u64).metric_type(),
    };
    let mut metric = encoder.encode_descriptor(name, help, unit, metric_type)?;
    for (labels, value) in values {
        let labels = Labels(labels);
        let metric = metric.encode_family(&labels)?;
        match kind {
            Counter => ConstCounter::new(value).encode(metric)?,
            Gauge => ConstGauge::new(value).encode(metric)?,
        }
    }
    Ok(())
}

#[derive(Debug)]
struct Labels(Vec<(&'static str, String)>);

impl EncodeLabelSet for Labels {
    fn encode(
        &self,
        encoder: &mut prometheus_client::encoding::LabelSetEncoder<'_>,
    ) -> fmt::Result {
        self.0.as_slice().encode(encoder)
    }
}

/// Both sides of a store, with its links there.
fn sides(store: &StoreMetrics) -> [(&'static str, &[LinkMetrics], LinkTotals); 2] {
    [
        ("upstream", store.upstream.as_slice(), store.upstream_total),
        ("downstream", &store.downstream, store.downstream_total),
    ]
}

/// Returns the sent and received counts of both sides.
fn both_ways(
    store: &StoreMetrics,
    of: impl Fn(&LinkTotals) -> (u64, u64),
) -> Vec<([(&'static str, &'static str); 2], u64)> {
    let sides = sides(store).into_iter().flat_map(|(side, _, totals)| {
        let (sent, received) = of(&totals);
        let labels = |direction| [("side", side), ("direction", direction)];
        [(labels("sent"), sent), (labels("received"), received)]
    });
    sides.collect()
}
