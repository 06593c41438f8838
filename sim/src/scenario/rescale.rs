//! `--duration`: the same run, shorter or longer.
//!
//! Phases marked `fixed` keep their length; the others share what is left in the proportion they
//! had. What happens at an instant happens at the same point of its phase, and what repeats
//! strikes as often as before. An outage shrinks with a shorter run, so that it still fits, but
//! does not grow with a longer one: eight hours of soak need no outage of minutes.

use std::time::Duration;

use super::error::Problem;
use super::model::{Arrival, Scenario};
use super::quantity::Span;
use crate::faults::TimesMut;

impl Scenario {
    /// Returns the length of all phases together.
    pub fn duration(&self) -> Span {
        let total = self
            .phases
            .iter()
            .fold(Duration::ZERO, |total, phase| total.saturating_add(phase.duration.get()));
        Span(total)
    }

    /// Makes all phases together last `duration`.
    pub(super) fn rescale(&mut self, duration: Span) -> Result<(), Problem> {
        let before: Vec<Duration> = self.phases.iter().map(|phase| phase.duration.get()).collect();
        let fixed: Duration =
            self.phases.iter().filter(|phase| phase.fixed).map(|phase| phase.duration.get()).sum();
        let elastic = self.duration().get().saturating_sub(fixed);
        if elastic.is_zero() {
            return Err(Problem::new("`--duration` has no phase to rescale: all are `fixed`"));
        }
        let Some(left) = duration.get().checked_sub(fixed).filter(|left| !left.is_zero()) else {
            return Err(Problem::new(format!(
                "`--duration {duration}` leaves no time: the phases marked `fixed` last {} already",
                Span(fixed)
            )));
        };
        let factor = left.as_secs_f64() / elastic.as_secs_f64();
        for phase in self.phases.iter_mut().filter(|phase| !phase.fixed) {
            phase.duration = scaled(phase.duration, factor);
            let end = phase.duration.get();
            for load in &mut phase.load {
                let Arrival::At(instants) = &mut load.arrival else { continue };
                for at in instants {
                    let moved = scaled(*at, factor).get();
                    *at = Span(moved.min(end.saturating_sub(Duration::from_nanos(1))));
                }
            }
        }
        let after: Vec<Duration> = self.phases.iter().map(|phase| phase.duration.get()).collect();
        let move_to = |at: &mut Span| *at = Span(moved(at.get(), &before, &after));
        let shrunk = |span: &mut Span| *span = scaled(*span, factor.min(1.0));
        for event in &mut self.events {
            move_to(&mut event.at);
        }
        for fault in &mut self.faults {
            let TimesMut { at, lasts } = fault.times_mut();
            at.into_iter().for_each(move_to);
            lasts.into_iter().for_each(shrunk);
            fault.every_mut().into_iter().for_each(|every| *every = scaled(*every, factor));
        }
        Ok(())
    }
}

/// To the microsecond downwards, so that rounding never makes things that fitted not fit.
fn scaled(span: Span, factor: f64) -> Span {
    let micros = (span.get().as_secs_f64() * factor * 1e6).floor() as u64;
    Span(Duration::from_micros(micros.max(1)))
}

/// The instant at the same point of the same phase once the phases' lengths have changed.
fn moved(at: Duration, before: &[Duration], after: &[Duration]) -> Duration {
    let mut start_before = Duration::ZERO;
    let mut start_after = Duration::ZERO;
    for (old, new) in before.iter().zip(after) {
        if at < start_before + *old {
            let part = (at - start_before).as_secs_f64() / old.as_secs_f64();
            let micros = (new.as_secs_f64() * part * 1e6).floor() as u64;
            return start_after + Duration::from_micros(micros);
        }
        start_before += *old;
        start_after += *new;
    }
    start_after + (at - start_before) // after the end, where validation refuses it
}
