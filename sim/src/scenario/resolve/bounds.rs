//! The extremes of a scenario: sizes that no machine holds, loads that no process makes, and
//! bounds that no measure can meet.
//!
//! Each check names the bound and the largest value that keeps it.

use std::num::NonZeroU64;
use std::time::Duration;

use samestate_proto::replication::Config;
use samestate_report::{Metric, Unit};

use super::Resolver;
use crate::scenario::model::{Arrival, LoadSpec, Resync, StoreSpec};
use crate::scenario::quantity::{Rate, Size, Span};

/// The memory that the dispatches under way may take together in one phase.
const UNDER_WAY_BYTES_MAX: u64 = 1 << 30;

/// The number of bytes that a dispatch under way takes besides its payload, which is there as a
/// value and encoded.
const DISPATCH_BYTES: u64 = 1 << 10;

/// The number of bytes that an action carries by default; no reducer's own choice is larger.
const PAYLOAD_BYTES_USUAL: u64 = 64;

/// The highest rate of a load: no process dispatches more often.
const RATE_PER_SECOND_MAX: f64 = 1e7;

/// The most dispatches of a run: each leaves some bytes for the checks at its end.
const DISPATCHES_MAX: f64 = 1e9;

/// The most samples of an observation.
const SAMPLES_MAX: u128 = 10_000_000;

/// The most bytes of a store's log.
const LOG_BYTES_MAX: u64 = 1 << 40;

/// The largest number of actions after which a copy is checked, or a backup written.
const EVERY_ACTIONS_MAX: u64 = 1_000_000_000;

/// The shortest timer of a protocol.
pub(super) const TIMER_MIN: Duration = Duration::from_millis(1);

/// The number of bytes that a name may have: it is a part of file names, of which a file system
/// takes 255 bytes.
const NAME_BYTES_MAX: usize = 80;

/// The number of bytes that a label of a report may have.
const LABEL_BYTES_MAX: usize = 200;

/// The dispatches of a run, as far as they are checked.
#[derive(Debug, Default)]
pub(super) struct Demand {
    /// The bytes of those that are under way at once in a phase.
    under_way_bytes: u64,
    /// The open loops' dispatches of all phases so far.
    dispatches: f64,
    is_too_much: bool,
}

impl Demand {
    /// Begins with the next phase.
    pub(super) fn next_phase(&mut self) {
        self.under_way_bytes = 0;
    }
}

impl Resolver<'_> {
    /// Complains of a load that no process or memory is up to.
    pub(super) fn demand(
        &mut self,
        path: &str,
        spec: &LoadSpec,
        length: Duration,
        demand: &mut Demand,
    ) {
        if let Some(payload) = spec.payload {
            self.payload(&format!("{path}.payload"), payload);
        }
        let path = format!("{path}.arrival");
        let seconds = length.as_secs_f64();
        let per_second = match &spec.arrival {
            Arrival::Every(every) => {
                self.period(&format!("{path}.every"), *every, 1, "write at least `100ns`")
            }
            Arrival::Rate(rate) => self.rate(&format!("{path}.rate"), *rate),
            Arrival::Poisson(rate) => self.rate(&format!("{path}.poisson"), *rate),
            Arrival::Ramp(ramp) => {
                let from = self.rate(&format!("{path}.ramp.from"), ramp.from);
                f64::midpoint(from, self.rate(&format!("{path}.ramp.to"), ramp.to))
            }
            Arrival::Burst(burst) => {
                let count = burst.of.get();
                let of = format!("{path}.burst.of");
                self.under_way(&of, "dispatches at once", count, spec, demand);
                let help = "write smaller bursts, or a longer `every`";
                self.period(&format!("{path}.burst.every"), burst.every, count, help)
            }
            Arrival::Closed(closed) => {
                let (path, count) = (format!("{path}.closed.in_flight"), closed.in_flight.get());
                self.under_way(&path, "dispatches in flight", count, spec, demand);
                0.0
            }
            Arrival::At(_) => 0.0,
        };
        demand.dispatches += per_second.min(RATE_PER_SECOND_MAX) * seconds;
        if demand.dispatches > DISPATCHES_MAX && !std::mem::replace(&mut demand.is_too_much, true) {
            let message = format!(
                "the loads up to this one make about {:.1e} dispatches: a run makes at most {:.0e}",
                demand.dispatches, DISPATCHES_MAX
            );
            self.complain(&path, message, "write a lower rate, or a shorter phase");
        }
    }

    /// Complains of a payload that makes an action too large for its store.
    pub(super) fn payload(&mut self, path: &str, payload: Size) {
        let most = payload_max();
        if payload > most {
            let message =
                format!("a payload of {payload} is too large: an action has 4MiB at most");
            self.complain(path, message, format!("write at most `{most}`"));
        }
    }

    /// Complains of a state that is too large to be sent to a node that joins.
    pub(super) fn state_size(&mut self, path: &str, size: Size) {
        let most = state_max();
        if size > most {
            let message = format!("a state of {size} is too large to be sent to a node that joins");
            self.complain(path, message, format!("write at most `{most}`"));
        }
    }

    /// Complains of limits of a store that the library refuses.
    pub(super) fn store_limits(&mut self, path: &str, spec: &StoreSpec) {
        if let Some(size) = spec.log_bytes.filter(|size| size.0 > LOG_BYTES_MAX) {
            let message = format!("a log of {size} is too large");
            let help = format!("write at most `{}`", Size(LOG_BYTES_MAX));
            self.complain(&format!("{path}.log_bytes"), message, help);
        }
        let every = spec.backup.and_then(|backup| backup.every_actions);
        self.actions(&format!("{path}.backup.every_actions"), every);
        match spec.resync {
            Some(Resync::Verify(every)) => {
                self.actions(&format!("{path}.resync.verify"), Some(every));
            }
            Some(Resync::Snapshot(every)) => {
                self.actions(&format!("{path}.resync.snapshot"), Some(every));
            }
            Some(Resync::Off) | None => {}
        }
    }

    fn actions(&mut self, path: &str, every: Option<NonZeroU64>) {
        if let Some(every) = every.filter(|every| every.get() > EVERY_ACTIONS_MAX) {
            let message = format!("every {every} actions is too seldom");
            self.complain(path, message, format!("write at most {EVERY_ACTIONS_MAX}"));
        }
    }

    fn under_way(
        &mut self,
        path: &str,
        what: &str,
        count: u32,
        spec: &LoadSpec,
        demand: &mut Demand,
    ) {
        let payload = spec.payload.map_or(PAYLOAD_BYTES_USUAL, |size| size.0.min(payload_max().0));
        let each = DISPATCH_BYTES + 2 * payload;
        let needed = each * u64::from(count);
        let left = UNDER_WAY_BYTES_MAX - demand.under_way_bytes;
        if needed > left {
            let message = format!(
                "{count} {what} of {each} bytes each take {}, and those of a phase {} at most",
                about(needed),
                Size(UNDER_WAY_BYTES_MAX)
            );
            self.complain(path, message, format!("write at most {} here", (left / each).max(1)));
        }
        demand.under_way_bytes += needed.min(left);
    }

    /// The events per second of a rate; complains if they are too many.
    fn rate(&mut self, path: &str, rate: Rate) -> f64 {
        if rate.get() > RATE_PER_SECOND_MAX {
            let most = format!("{RATE_PER_SECOND_MAX}/s");
            let message = format!("no process dispatches more than {most}");
            self.complain(path, message, format!("write at most `{most}`"));
        }
        rate.get()
    }

    /// The events per second of so many a period; complains if the period is zero, or they are
    /// too many.
    fn period(&mut self, path: &str, every: Span, count: u32, help: &str) -> f64 {
        self.above_zero(path, every);
        if every.get().is_zero() {
            return 0.0;
        }
        let per_second = f64::from(count) / every.get().as_secs_f64();
        if per_second > RATE_PER_SECOND_MAX {
            let message = format!("no process dispatches more than {RATE_PER_SECOND_MAX}/s");
            self.complain(path, message, help);
        }
        per_second
    }

    /// Complains of an observation that takes more samples than can be kept.
    pub(super) fn samples(&mut self, path: &str, every: Span, end: Duration) {
        self.above_zero(path, every);
        let samples = end.as_nanos().checked_div(every.get().as_nanos()).unwrap_or_default();
        if samples > SAMPLES_MAX {
            let least = u64::try_from(end.as_nanos().div_ceil(SAMPLES_MAX)).unwrap_or(u64::MAX);
            let message = format!("{samples} samples are too many: a run takes {SAMPLES_MAX}");
            let least = Span(Duration::from_nanos(least));
            self.complain(path, message, format!("write at least `{least}`, or a shorter run"));
        }
    }

    /// Complains of a timer that would fire all the time.
    pub(super) fn timer(&mut self, path: &str, span: Span) {
        if span.get() < TIMER_MIN {
            let least = Span(TIMER_MIN);
            let message = format!("{span} is too short for a timer of the protocol");
            self.complain(path, message, format!("write at least `{least}`"));
        }
    }

    /// Complains of a bound that is outside of what a measure can be.
    pub(super) fn possible(&mut self, path: &str, name: &str, bounds: [(&str, Option<f64>); 3]) {
        let unit = Metric::named(name).map(Metric::unit);
        for (key, bound) in bounds {
            let Some(bound) = bound else { continue };
            let is_whole = unit == Some(Unit::Count) && !name.ends_with("per_action");
            let message = match unit {
                _ if !bound.is_finite() => format!("`{key}` is not a finite number"),
                Some(_) if bound < 0.0 => format!("`{name}` is never below 0"),
                Some(Unit::Percent) if bound > 100.0 => {
                    format!("`{name}` is a percentage, and never above 100")
                }
                _ if key == "equals" && is_whole && bound.fract() != 0.0 => {
                    format!("`{name}` is a whole number, and never {bound}")
                }
                _ => continue,
            };
            self.complain(&format!("{path}.{key}"), message, "write a bound that it can be at");
        }
    }

    /// Complains of a name that cannot stand in paths, node names and file names.
    pub(super) fn good_name(&mut self, path: &str, name: &str) {
        let good = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || !name.chars().all(good) {
            self.complain_of_key(
                path,
                format!("`{name}` cannot be a name"),
                "a name is made of letters, digits, `-` and `_`",
            );
        } else if name.len() > NAME_BYTES_MAX {
            let message = format!("a name of {} bytes is too long: it names files", name.len());
            self.complain_of_key(path, message, format!("write {NAME_BYTES_MAX} bytes at most"));
        }
    }

    /// Complains of a name in reports that is empty, too long, or no text for a line.
    pub(super) fn good_label(&mut self, path: &str, label: &str) {
        let message = if label.trim().is_empty() {
            "the name is empty".to_owned()
        } else if label.len() > LABEL_BYTES_MAX {
            format!("a name of {} bytes is too long", label.len())
        } else if label.contains(char::is_control) {
            format!("`{label}` cannot be a name: it has a control character")
        } else {
            return;
        };
        let help = format!("write a name on one line, of {LABEL_BYTES_MAX} bytes at most");
        self.complain(path, message, help);
    }
}

/// The largest payload: the rest of an action is a key and a few bytes.
fn payload_max() -> Size {
    Size(Config::new("").action_bytes_max as u64 - (4 << 10))
}

/// The largest state: its form has keys and lengths besides its text.
fn state_max() -> Size {
    Size(Config::new("").snapshot_bytes_max as u64 / 4 * 3)
}

/// A size to two digits.
fn about(bytes: u64) -> String {
    let units = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB")];
    let bytes = bytes as f64;
    let unit = units.iter().find(|(factor, _)| bytes >= *factor);
    unit.map_or(format!("{bytes} B"), |(factor, unit)| format!("{:.1} {unit}", bytes / factor))
}
