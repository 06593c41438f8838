//! `blackhole`: a link carries nothing for a while, and loses nothing.

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Direction, Fault, FaultSpec, Kind, Lasts, LinkFault, Planned, Shape, Spec, SpecTarget, Target,
    TimesMut, Ways,
};
use crate::scenario::{LinkRef, Span};
use crate::virtual_time::InjectedFault;

static KIND: Kind = Kind::new("blackhole");

/// Nothing arrives over a link for a while, and all of it later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlackholeSpec {
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
    /// The direction; both by default.
    #[serde(default, skip_serializing_if = "Direction::is_both")]
    pub direction: Direction,
}

/// Nothing arrives over a link for a while, and all of it later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blackhole {
    /// The link's position in [`Plan::links`](crate::scenario::Plan::links).
    pub link: usize,
    /// The directions in which nothing arrives.
    pub ways: Ways,
    /// The time for which it lasts.
    pub lasts: Duration,
}

impl Spec for BlackholeSpec {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn target(&self) -> SpecTarget<'_> {
        let lasts = self.lasts.get();
        let ways = self.direction.into();
        SpecTarget::link(self.link.as_ref(), move |link| {
            Fault::Blackhole(Blackhole { link, ways, lasts })
        })
    }

    fn times_mut(&mut self) -> TimesMut<'_> {
        TimesMut { at: self.at.as_mut(), lasts: Some(&mut self.lasts) }
    }

    fn lasts(&self) -> Lasts {
        Lasts::For(self.lasts)
    }

    fn simplify(&mut self) {
        self.direction = Direction::Both;
    }
}

impl Planned for Blackhole {
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
        format!("nothing arrives over {at}{} for {}", self.ways.in_words(), Span(self.lasts))
    }

    fn spec(&self, name: String, at: Option<Span>) -> FaultSpec {
        FaultSpec::Blackhole(BlackholeSpec {
            link: Some(LinkRef::Name(name)),
            at,
            every: None,
            times: None,
            lasts: Span(self.lasts),
            direction: self.ways.into(),
        })
    }

    fn simulated(&self, slot: usize) -> Option<(InjectedFault, &'static str)> {
        let Ways { up, down } = self.ways;
        let fault = InjectedFault::Blackhole { slot, up, down, lasts: self.lasts };
        Some((fault, "connection blackholed"))
    }

    fn on_link(&self) -> Option<LinkFault> {
        Some(LinkFault::Shape { ways: self.ways, shape: Shape::Hold, lasts: self.lasts })
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_simulation_injects_it() {
        crate::faults::testing::is_injected(
            "blackhole: { link: ab, at: 500ms, for: 30ms, direction: up }",
        );
    }
}
