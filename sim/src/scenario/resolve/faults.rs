//! When each fault strikes: timed, repeated, or drawn from the seed.

use std::num::NonZeroU32;
use std::time::Duration;

use super::Resolver;
use crate::scenario::LinkRef;
use crate::scenario::draws::{Draws, Purpose};
use crate::scenario::model::FaultSpec;
use crate::scenario::plan::{Fault, LinkPlan, TimedFault};
use crate::scenario::quantity::Span;

/// The most times that one fault strikes.
const TIMES_MAX: u32 = 100_000;

/// When a fault strikes, as written.
struct When {
    at: Option<Span>,
    every: Option<Span>,
    times: Option<NonZeroU32>,
    /// How long each lasts; one must be over before the next begins.
    lasts: Duration,
}

impl Resolver<'_> {
    pub(super) fn faults(&mut self, links: &[LinkPlan], end: Duration) -> Vec<TimedFault> {
        let scenario = self.scenario;
        let mut faults = Vec::new();
        for (index, spec) in scenario.faults.iter().enumerate() {
            let mut draws = Draws::new(scenario.seed, Purpose::Faults, index as u64);
            match spec {
                FaultSpec::Cut(cut) => {
                    let path = format!("faults.{index}.cut");
                    self.above_zero(&format!("{path}.for"), cut.lasts);
                    let lasts = cut.lasts.get();
                    let when = When { at: cut.at, every: cut.every, times: cut.times, lasts };
                    let candidates = self.cut_links(&path, cut.link.as_ref(), links);
                    for at in self.instants(&path, &when, end, &mut draws) {
                        if !candidates.is_empty() {
                            let link = candidates[draws.pick(candidates.len())];
                            faults.push(TimedFault { at, fault: Fault::Cut { link, lasts } });
                        }
                    }
                }
                FaultSpec::Kill(kill) => {
                    let path = format!("faults.{index}.kill");
                    let node = self.node(&format!("{path}.node"), &kill.node);
                    let restart_after = kill.restart_after.map(Span::get);
                    if restart_after.is_none() && (kill.every.is_some() || kill.times.is_some()) {
                        self.complain(
                            &path,
                            "a process that is killed again has to be started again between",
                            "add `restart_after`",
                        );
                    }
                    let lasts = restart_after.unwrap_or_default();
                    let when = When { at: kill.at, every: kill.every, times: kill.times, lasts };
                    for at in self.instants(&path, &when, end, &mut draws) {
                        if let Some(node) = node {
                            faults.push(TimedFault {
                                at,
                                fault: Fault::Kill { node, restart_after },
                            });
                        }
                    }
                }
            }
        }
        faults.sort_by_key(|fault| fault.at);
        faults
    }

    /// The links that a cut may be of.
    fn cut_links(&mut self, path: &str, link: Option<&LinkRef>, links: &[LinkPlan]) -> Vec<usize> {
        match link {
            Some(link) => self.link(&format!("{path}.link"), link, links).into_iter().collect(),
            None if self.scenario.links.is_empty() => {
                self.complain(path, "there is no link to cut", "add one under `links`");
                Vec::new()
            }
            None => links.iter().map(|link| link.index).collect(),
        }
    }

    /// When a fault strikes; each time is over before the next, and before the run's end.
    fn instants(
        &mut self,
        path: &str,
        when: &When,
        end: Duration,
        draws: &mut Draws,
    ) -> Vec<Duration> {
        if end.is_zero() {
            return Vec::new(); // the phases are wrong, and have been complained about
        }
        if let Some(times) = when.times
            && times.get() > TIMES_MAX
        {
            let message = format!("a fault strikes {TIMES_MAX} times at most");
            self.complain(&format!("{path}.times"), message, "");
            return Vec::new();
        }
        if let Some(at) = when.at {
            self.within_run(&format!("{path}.at"), at, end);
        }
        match (when.at, when.every, when.times) {
            (None, None, None) => {
                let help =
                    "write `at: 5s`, or `every: 2s`, or `times: 20` to draw them from the seed";
                self.complain(path, "the fault does not say when it strikes", help);
                Vec::new()
            }
            (Some(at), None, None) => vec![at.get()],
            (Some(_), None, Some(_)) => {
                let help = "add `every`, or leave out `at` to draw the instants from the seed";
                self.complain(path, "several times from one instant need a period", help);
                Vec::new()
            }
            (at, Some(every), times) => {
                self.repeated(path, at.unwrap_or(every).get(), every, times, when.lasts, end)
            }
            (None, None, Some(times)) => self.drawn(path, times, when.lasts, end, draws),
        }
    }

    fn repeated(
        &mut self,
        path: &str,
        first: Duration,
        every: Span,
        times: Option<NonZeroU32>,
        lasts: Duration,
        end: Duration,
    ) -> Vec<Duration> {
        let every_path = format!("{path}.every");
        if every.get() <= lasts {
            let message = format!("it strikes again each {every}, before {} are over", Span(lasts));
            self.complain(&every_path, message, "make the period longer");
            return Vec::new();
        }
        let limit = times.map_or(TIMES_MAX, NonZeroU32::get);
        let instants: Vec<Duration> = (0..limit)
            .map(|count| first + every.get() * count)
            .take_while(|at| *at + lasts <= end)
            .collect();
        match times {
            Some(times) if instants.len() < times.get() as usize => {
                let message = format!(
                    "it would strike {times} times, but only {} fit into the run of {}",
                    instants.len(),
                    Span(end)
                );
                self.complain(&every_path, message, "make the period shorter, or a phase longer");
            }
            None if instants.is_empty() => {
                let message = format!("it never strikes within the run of {}", Span(end));
                self.complain(&every_path, message, "make the period shorter, or a phase longer");
            }
            _ => {}
        }
        instants
    }

    /// The run is divided into as many equal parts as there are strikes, and one falls at random
    /// into each: spread over the run, never two at once.
    fn drawn(
        &mut self,
        path: &str,
        times: NonZeroU32,
        lasts: Duration,
        end: Duration,
        draws: &mut Draws,
    ) -> Vec<Duration> {
        let part = end / times.get();
        if part <= lasts {
            let message =
                format!("{times} times {} do not fit into the run of {}", Span(lasts), Span(end));
            self.complain(&format!("{path}.times"), message, "make it fewer, or a phase longer");
            return Vec::new();
        }
        (0..times.get()).map(|index| part * index + draws.below(part - lasts)).collect()
    }
}
