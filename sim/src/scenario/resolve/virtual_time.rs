//! The network, clocks and settings of a run in virtual time.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use samestate_proto::replication::Config;

use super::Resolver;
use crate::scenario::plan::VirtualTimePlan;
use crate::scenario::quantity::{Size, Span};

/// The longest that a byte may be under way.
const LATENCY_MAX: Duration = Duration::from_secs(60);

/// Bytes a second: a modem's worth, and more than any machine's memory carries.
const BANDWIDTH: RangeInclusive<u64> = 1_000..=1_000_000_000_000;

/// Bytes that one direction of a connection holds.
const BUFFER: RangeInclusive<u64> = 64..=1_000_000_000;

/// A clock that is a tenth fast or slow is broken.
const DRIFT_PPM_MAX: u32 = 100_000;

impl Resolver<'_> {
    pub(super) fn virtual_time(&mut self) -> VirtualTimePlan {
        let mut plan = VirtualTimePlan::default();
        let Some(spec) = &self.scenario.virtual_time else { return plan };
        let slow = spec.slow_subscribers.iter().enumerate();
        plan.slow_subscribers = slow
            .filter_map(|(index, name)| {
                self.node(&format!("virtual_time.slow_subscribers.{index}"), name)
            })
            .collect();
        for (key, span, into) in [
            ("latency", spec.latency, &mut plan.latency),
            ("jitter", spec.jitter, &mut plan.jitter),
        ] {
            let Some(span) = span else { continue };
            if span.get() > LATENCY_MAX {
                let message = format!("{span} is longer than any network takes");
                let help = format!("write at most `{}`", Span(LATENCY_MAX));
                self.complain(&format!("virtual_time.{key}"), message, help);
            }
            *into = span.get();
        }
        if let Some(size) = spec.bandwidth {
            self.in_bounds("bandwidth", size, &BANDWIDTH);
            plan.bandwidth_bytes_per_s = size.0;
        }
        if let Some(size) = spec.buffer {
            self.in_bounds("buffer", size, &BUFFER);
            plan.buffer_bytes = in_memory(size);
        }
        if let Some(ppm) = spec.clock_drift_ppm {
            if ppm > DRIFT_PPM_MAX {
                let message = format!("a clock runs fast or slow by at most {DRIFT_PPM_MAX} ppm");
                let help = format!("write at most {DRIFT_PPM_MAX}");
                self.complain("virtual_time.clock_drift_ppm", message, help);
            }
            plan.clock_drift_ppm = ppm;
        }
        for (key, span, is_timer, into) in [
            ("heartbeat", spec.heartbeat, true, &mut plan.heartbeat),
            ("dead_after", spec.dead_after, true, &mut plan.dead_after),
            ("stall_grace", spec.stall_grace, false, &mut plan.stall_grace),
            ("dispatch_deadline", spec.dispatch_deadline, false, &mut plan.dispatch_deadline),
        ] {
            let path = format!("virtual_time.{key}");
            match span {
                Some(span) if is_timer => self.timer(&path, span),
                Some(span) => self.above_zero(&path, span),
                None => {}
            }
            *into = span.map(Span::get);
        }
        self.heartbeat_before_death(&plan);
        if let Some(size) = spec.window_bytes {
            self.in_bounds("window_bytes", size, &(1..=u64::MAX));
        }
        let counted = |count: Option<NonZeroU32>| count.map(|count| count.get() as usize);
        plan.window = counted(spec.window);
        plan.window_bytes = spec.window_bytes.map(in_memory);
        plan.sessions_max = counted(spec.sessions);
        plan.events_max = counted(spec.events);
        plan
    }

    /// A peer that is taken for dead before it has to say that it lives is cut again and again.
    fn heartbeat_before_death(&mut self, plan: &VirtualTimePlan) {
        let usual = Config::new("");
        let heartbeat = plan.heartbeat.unwrap_or(usual.heartbeat);
        let dead_after = plan.dead_after.unwrap_or(usual.dead_after);
        if dead_after <= heartbeat {
            let key = if plan.dead_after.is_some() { "dead_after" } else { "heartbeat" };
            let message = format!(
                "a peer would be taken for dead after {} of silence, and says that it lives only \
                 each {}",
                Span(dead_after),
                Span(heartbeat)
            );
            let help = "make `dead_after` several times as long as `heartbeat`";
            self.complain(&format!("virtual_time.{key}"), message, help);
        }
    }

    fn in_bounds(&mut self, key: &str, size: Size, bounds: &RangeInclusive<u64>) {
        if !bounds.contains(&size.0) {
            let (least, most) = (Size(*bounds.start()), Size(*bounds.end()));
            let message = format!("`{key}` is out of bounds: {size}");
            let help = format!("write a size from `{least}` to `{most}`");
            self.complain(&format!("virtual_time.{key}"), message, help);
        }
    }
}

fn in_memory(size: Size) -> usize {
    usize::try_from(size.0).unwrap_or(usize::MAX)
}
