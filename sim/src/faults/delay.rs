//! `delay`: all bytes over a link arrive later for a while.

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Direction, Fault, FaultSpec, Kind, Lasts, LinkFault, Mistake, Planned, Shape, Spec, SpecTarget,
    Target, TimesMut, Ways,
};
use crate::scenario::{LinkRef, Scenario, Span};
use crate::virtual_time::InjectedFault;

static KIND: Kind = Kind::of_link("delay");

/// All bytes over a link arrive later for a while.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DelaySpec {
    /// The link; without it, one is drawn from the seed each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkRef>,
    /// The time, from the run's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Span>,
    /// The time from one to the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// The number of strikes in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<NonZeroU32>,
    /// The time for which it lasts.
    #[serde(rename = "for")]
    pub lasts: Span,
    /// The time by which they arrive later.
    pub by: Span,
    /// The direction; both by default.
    #[serde(default, skip_serializing_if = "Direction::is_both")]
    pub direction: Direction,
}

/// All bytes over a link arrive later for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delay {
    /// The link's position in [`Plan::links`](crate::scenario::Plan::links).
    pub link: usize,
    /// The time by which they arrive later.
    pub by: Duration,
    /// The directions that it strikes.
    pub ways: Ways,
    /// The time for which it lasts.
    pub lasts: Duration,
}

impl Spec for DelaySpec {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn target(&self) -> SpecTarget<'_> {
        let (ways, by, lasts) = (self.direction.into(), self.by.get(), self.lasts.get());
        SpecTarget::link(self.link.as_ref(), move |link| {
            Fault::Delay(Delay { link, by, ways, lasts })
        })
    }

    fn times_mut(&mut self) -> TimesMut<'_> {
        TimesMut { at: self.at.as_mut(), lasts: Some(&mut self.lasts) }
    }

    fn lasts(&self) -> Lasts {
        Lasts::For(self.lasts)
    }

    fn mistake(&self, _: &Scenario) -> Option<Mistake> {
        self.by.get().is_zero().then_some(Mistake {
            message: "a delay of zero delays nothing",
            help: "write for example `by: 50ms`",
        })
    }

    fn simplify(&mut self) {
        self.direction = Direction::Both;
    }
}

impl Planned for Delay {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn target(&self) -> Target<'_> {
        Target::Link(self.link)
    }

    fn lasts(&self) -> Option<Duration> {
        Some(self.lasts)
    }

    fn line(&self, at: &str) -> String {
        format!("delay {at}{} by {} for {}", self.ways.in_words(), Span(self.by), Span(self.lasts))
    }

    fn spec(&self, name: String, at: Option<Span>) -> FaultSpec {
        FaultSpec::Delay(DelaySpec {
            link: Some(LinkRef::Name(name)),
            at,
            every: None,
            times: None,
            by: Span(self.by),
            direction: self.ways.into(),
            lasts: Span(self.lasts),
        })
    }

    fn simulated(&self, slot: usize) -> Option<(InjectedFault, &'static str)> {
        let Self { ways, lasts, .. } = *self;
        let shape = Shape::Delay(self.by);
        Some((InjectedFault::Shape { slot, ways, shape, lasts }, "connection delayed"))
    }

    fn on_link(&self) -> Option<LinkFault> {
        let shape = Shape::Delay(self.by);
        Some(LinkFault::Shape { ways: self.ways, shape, lasts: self.lasts })
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_simulation_injects_it() {
        crate::faults::testing::is_injected(
            "delay: { link: ab, at: 500ms, for: 30ms, by: 5ms, direction: up }",
        );
    }
}
