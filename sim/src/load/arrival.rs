//! Instants of dispatches and samples, drawn from the seed alone.
//!
//! An open loop's instants do not wait for answers. Each but a list of instants begins at an offset
//! drawn from the seed, so that two loads with one period do not beat against each other or against
//! the sampler, whose instants are jittered. Instants are counted from the phase's start, never
//! fall, and are each reckoned from their number rather than from the one before, so that no
//! rounding adds up.

use std::time::Duration;

use rand::SeedableRng;
use rand_pcg::Pcg64;

use crate::scenario::draws::{Draws, Purpose};
use crate::scenario::{Arrival, Ramp, Span};

/// The intended instants of a load within its phase, from the phase's start.
///
/// A closed loop has none: it dispatches when answers come.
#[derive(Clone, Debug)]
pub struct Arrivals {
    pattern: Pattern,
    length: Duration,
    number: u64,
}

#[derive(Clone, Debug)]
enum Pattern {
    /// `of` at once, each `every` seconds, the first `offset` seconds in.
    Even { offset: f64, every: f64, of: u64 },
    /// Independent of each other; `at` is the last one's instant.
    Poisson { per_second: f64, at: f64, draws: Draws },
    /// A rate that goes evenly from one to another; `offset` is a part of one dispatch.
    Ramp { ramp: Ramp, offset: f64 },
    /// Just these, which are left.
    At(std::vec::IntoIter<Span>),
    /// No intended instants.
    Closed,
}

impl Arrivals {
    /// The instants of a load in a phase of that length. `stream` tells loads apart: two loads
    /// of one seed have the number that [`LoadPlan`](crate::scenario::LoadPlan) gives them.
    pub fn new(arrival: &Arrival, length: Duration, seed: u64, stream: u64) -> Self {
        let mut draws = Draws::new(seed, Purpose::Arrivals, stream);
        let mut even =
            |every: f64, of: u64| Pattern::Even { offset: draws.unit() * every, every, of };
        let pattern = match arrival {
            Arrival::Every(every) => even(every.get().as_secs_f64(), 1),
            Arrival::Rate(rate) => even(1.0 / rate.get(), 1),
            Arrival::Burst(burst) => {
                even(burst.every.get().as_secs_f64(), u64::from(burst.of.get()))
            }
            Arrival::Poisson(rate) => Pattern::Poisson { per_second: rate.get(), at: 0.0, draws },
            Arrival::Ramp(ramp) => Pattern::Ramp { ramp: *ramp, offset: draws.unit() },
            Arrival::At(instants) => Pattern::At(instants.clone().into_iter()),
            Arrival::Closed(_) => Pattern::Closed,
        };
        Self { pattern, length, number: 0 }
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let number = self.number;
        let length = self.length.as_secs_f64();
        let seconds = match &mut self.pattern {
            Pattern::Even { offset, every, of } => *offset + *every * (number / *of) as f64,
            Pattern::Poisson { per_second, at, draws } => {
                *at -= (1.0 - draws.unit()).ln() / *per_second;
                *at
            }
            Pattern::Ramp { ramp, offset } => ramp_instant(ramp, length, number as f64 + *offset)?,
            Pattern::At(left) => return left.next().map(Span::get).filter(|at| *at < self.length),
            Pattern::Closed => return None,
        };
        // A zero period would never end; validation refuses it, and so does this.
        let at = Duration::try_from_secs_f64(seconds).ok().filter(|at| *at < self.length)?;
        let is_endless = matches!(self.pattern, Pattern::Even { every, .. } if every <= 0.0);
        self.number += 1;
        (!is_endless).then_some(at)
    }
}

/// Returns the time at which a rate that goes evenly from `from` to `to` over `length` seconds has
/// made `count` dispatches: the root of `from·t + (to - from)·t²/(2·length) = count`, in the form
/// that stays exact if the two rates are nearly the same. `None` if it never makes so many.
fn ramp_instant(ramp: &Ramp, length: f64, count: f64) -> Option<f64> {
    let from = ramp.from.get();
    let growth = (ramp.to.get() - from) / length;
    let square = from * from + 2.0 * growth * count;
    (square >= 0.0).then(|| 2.0 * count / (from + square.sqrt()))
}

/// Returns the random generator for the actions of a load. `stream` is the load's, as for
/// [`Arrivals`].
pub fn random(seed: u64, stream: u64) -> Pcg64 {
    Pcg64::seed_from_u64(seed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// The instants at which something is sampled: one at random within each period, from the seed.
#[derive(Clone, Debug)]
pub struct Samplings {
    every: Duration,
    length: Duration,
    number: u32,
    draws: Draws,
}

impl Samplings {
    /// Instants for a run of that length. `stream` is the observation's position in the plan.
    pub fn new(every: Duration, length: Duration, seed: u64, stream: u64) -> Self {
        Self { every, length, number: 0, draws: Draws::new(seed, Purpose::Sampling, stream) }
    }
}

impl Iterator for Samplings {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.every.is_zero() {
            return None;
        }
        let at = self.every.checked_mul(self.number)? + self.draws.below(self.every);
        self.number = self.number.checked_add(1)?;
        (at < self.length).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::scenario::{Burst, Closed, Rate};

    fn rate(per_second: f64) -> Rate {
        Rate::per_second(per_second).expect("the test's own rate")
    }

    fn instants(arrival: Arrival, seconds: u64, stream: u64) -> Vec<Duration> {
        Arrivals::new(&arrival, Duration::from_secs(seconds), 42, stream).collect()
    }

    #[test]
    fn a_period_keeps_its_distance_from_an_offset_within_it() {
        let at = instants(Arrival::Every(Span::from_millis(55)), 60, 0);
        assert!(at[0] < Duration::from_millis(55));
        assert!((1_090..=1_091).contains(&at.len()), "{}", at.len());
        let drift = (at[1_000] - at[0]).as_nanos().abs_diff(55_000_000_000);
        assert!(drift <= 1, "{drift} ns");
    }

    #[test]
    fn one_seed_gives_one_schedule_and_streams_differ() {
        let poisson = || Arrival::Poisson(rate(200.0));
        assert_eq!(instants(poisson(), 5, 1), instants(poisson(), 5, 1));
        assert_ne!(instants(poisson(), 5, 1), instants(poisson(), 5, 2));
        let even = || Arrival::Rate(rate(10.0));
        assert_ne!(instants(even(), 1, 1)[0], instants(even(), 1, 2)[0]);
    }

    #[test]
    fn a_seeds_schedule_is_the_same_on_every_machine() {
        let at = instants(Arrival::Every(Span::from_secs(1)), 3, 7);
        let micros: Vec<_> = at.iter().map(Duration::as_micros).collect();
        assert_eq!(micros, PINNED);
    }

    #[test]
    fn poisson_arrivals_have_the_rate_that_was_asked_for() {
        let at = instants(Arrival::Poisson(rate(1_000.0)), 100, 3);
        assert!((99_000..101_000).contains(&at.len()), "{}", at.len());
        assert!(at.is_sorted());
    }

    #[test]
    fn a_burst_comes_all_at_once() {
        let burst = Burst { of: NonZeroU32::new(10).unwrap(), every: Span::from_secs(1) };
        let at = instants(Arrival::Burst(burst), 5, 4);
        assert_eq!(at.len(), 50);
        assert_eq!(at[0], at[9]);
        assert_eq!(at[10] - at[0], Duration::from_secs(1));
    }

    #[test]
    fn a_ramp_makes_the_mean_of_its_rates_upwards_and_downwards() {
        for (from, to) in [(10.0, 190.0), (190.0, 10.0), (100.0, 100.0)] {
            let ramp = Ramp { from: rate(from), to: rate(to) };
            let at = instants(Arrival::Ramp(ramp), 10, 5);
            assert!((999..=1_000).contains(&at.len()), "{from} to {to}: {}", at.len());
            let early = at.iter().filter(|at| at.as_secs() < 5).count();
            assert_eq!(early > 500, from > to, "{from} to {to}: {early}");
            assert!(at.is_sorted());
        }
    }

    #[test]
    fn a_list_of_instants_is_kept_to_the_nanosecond() {
        let nanos = [0, 12_345_678, 12_345_678, 999_999_999];
        let spans = nanos.iter().map(|nanos| Span(Duration::from_nanos(*nanos))).collect();
        let at = instants(Arrival::At(spans), 1, 8);
        assert_eq!(at, nanos.map(Duration::from_nanos));
    }

    #[test]
    fn a_closed_loop_has_no_intended_instants() {
        let closed = Closed { in_flight: NonZeroU32::new(8).unwrap() };
        assert!(instants(Arrival::Closed(closed), 5, 6).is_empty());
    }

    #[test]
    fn samples_fall_one_into_each_period_at_no_fixed_point() {
        let every = Duration::from_millis(50);
        let at: Vec<_> = Samplings::new(every, Duration::from_secs(5), 42, 0).collect();
        assert_eq!(at.len(), 100);
        let points: std::collections::BTreeSet<_> =
            at.iter().map(|at| at.as_nanos() % every.as_nanos()).collect();
        assert!(points.len() > 90);
    }

    const PINNED: &[u128] = &[675_281, 1_675_281, 2_675_281];
}
