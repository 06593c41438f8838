//! `jitter`: bytes over a link arrive later by changing times for a while.

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

static KIND: Kind = Kind::of_link("jitter");

/// Bytes over a link arrive later for a while, each part of them by a time that is drawn from the
/// seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JitterSpec {
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
    /// The longest time by which they arrive later.
    pub up_to: Span,
    /// The direction; both by default.
    #[serde(default, skip_serializing_if = "Direction::is_both")]
    pub direction: Direction,
}

/// Bytes over a link arrive later for a while, each part of them by a time that is drawn from the
/// seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jitter {
    /// The link's position in [`Plan::links`](crate::scenario::Plan::links).
    pub link: usize,
    /// The longest time by which they arrive later.
    pub up_to: Duration,
    /// The directions that it strikes.
    pub ways: Ways,
    /// The time for which it lasts.
    pub lasts: Duration,
}

impl Spec for JitterSpec {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn target(&self) -> SpecTarget<'_> {
        let (ways, up_to, lasts) = (self.direction.into(), self.up_to.get(), self.lasts.get());
        SpecTarget::link(self.link.as_ref(), move |link| {
            Fault::Jitter(Jitter { link, up_to, ways, lasts })
        })
    }

    fn times_mut(&mut self) -> TimesMut<'_> {
        TimesMut { at: self.at.as_mut(), lasts: Some(&mut self.lasts) }
    }

    fn lasts(&self) -> Lasts {
        Lasts::For(self.lasts)
    }

    fn mistake(&self, _: &Scenario) -> Option<Mistake> {
        self.up_to.get().is_zero().then_some(Mistake {
            message: "jitter of up to zero delays nothing",
            help: "write for example `up_to: 20ms`",
        })
    }

    fn simplify(&mut self) {
        self.direction = Direction::Both;
    }
}

impl Planned for Jitter {
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
        let (up_to, lasts) = (Span(self.up_to), Span(self.lasts));
        format!("delay {at}{} by up to {up_to} for {lasts}", self.ways.in_words())
    }

    fn spec(&self, name: String, at: Option<Span>) -> FaultSpec {
        FaultSpec::Jitter(JitterSpec {
            link: Some(LinkRef::Name(name)),
            at,
            every: None,
            times: None,
            up_to: Span(self.up_to),
            direction: self.ways.into(),
            lasts: Span(self.lasts),
        })
    }

    fn simulated(&self, slot: usize) -> Option<(InjectedFault, &'static str)> {
        let Self { ways, lasts, .. } = *self;
        let shape = Shape::Jitter(self.up_to);
        Some((InjectedFault::Shape { slot, ways, shape, lasts }, "connection delayed"))
    }

    fn on_link(&self) -> Option<LinkFault> {
        let shape = Shape::Jitter(self.up_to);
        Some(LinkFault::Shape { ways: self.ways, shape, lasts: self.lasts })
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_simulation_injects_it() {
        crate::faults::testing::is_injected(
            "jitter: { link: ab, at: 500ms, for: 30ms, up_to: 5ms }",
        );
    }
}
