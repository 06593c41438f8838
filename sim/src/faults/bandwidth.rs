//! `bandwidth`: a link is slow for a while.

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Direction, Fault, FaultSpec, Kind, Lasts, LinkFault, Mistake, Planned, Shape, Spec, SpecTarget,
    Target, TimesMut, Ways,
};
use crate::scenario::{LinkRef, Scenario, Size, Span};
use crate::virtual_time::InjectedFault;

static KIND: Kind = Kind::of_link("bandwidth");

/// Each connection of a link carries a bounded number of bytes a second for a while.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BandwidthSpec {
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
    /// The number of bytes a second in each direction.
    pub bytes_per_second: Size,
    /// The direction; both by default.
    #[serde(default, skip_serializing_if = "Direction::is_both")]
    pub direction: Direction,
}

/// Each connection of a link carries a bounded number of bytes a second for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bandwidth {
    /// The link's position in [`Plan::links`](crate::scenario::Plan::links).
    pub link: usize,
    /// The number of bytes a second in each direction.
    pub bytes_per_second: u64,
    /// The directions that it strikes.
    pub ways: Ways,
    /// The time for which it lasts.
    pub lasts: Duration,
}

impl Spec for BandwidthSpec {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn target(&self) -> SpecTarget<'_> {
        let (ways, bytes_per_second, lasts) =
            (self.direction.into(), self.bytes_per_second.0, self.lasts.get());
        SpecTarget::link(self.link.as_ref(), move |link| {
            Fault::Bandwidth(Bandwidth { link, bytes_per_second, ways, lasts })
        })
    }

    fn times_mut(&mut self) -> TimesMut<'_> {
        TimesMut { at: self.at.as_mut(), lasts: Some(&mut self.lasts) }
    }

    fn lasts(&self) -> Lasts {
        Lasts::For(self.lasts)
    }

    fn mistake(&self, _: &Scenario) -> Option<Mistake> {
        (self.bytes_per_second.0 == 0).then_some(Mistake {
            message: "a bandwidth of zero carries nothing",
            help: "write for example `bytes_per_second: 10KB`, or use `blackhole`",
        })
    }

    fn simplify(&mut self) {
        self.direction = Direction::Both;
    }
}

impl Planned for Bandwidth {
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
        let (bytes, lasts) = (Size(self.bytes_per_second), Span(self.lasts));
        format!("{at} carries {bytes} a second{} for {lasts}", self.ways.in_words())
    }

    fn spec(&self, name: String, at: Option<Span>) -> FaultSpec {
        FaultSpec::Bandwidth(BandwidthSpec {
            link: Some(LinkRef::Name(name)),
            at,
            every: None,
            times: None,
            bytes_per_second: Size(self.bytes_per_second),
            direction: self.ways.into(),
            lasts: Span(self.lasts),
        })
    }

    fn simulated(&self, slot: usize) -> Option<(InjectedFault, &'static str)> {
        let Self { ways, lasts, .. } = *self;
        let shape = Shape::Bandwidth(self.bytes_per_second);
        Some((InjectedFault::Shape { slot, ways, shape, lasts }, "connection made slow"))
    }

    fn on_link(&self) -> Option<LinkFault> {
        let shape = Shape::Bandwidth(self.bytes_per_second);
        Some(LinkFault::Shape { ways: self.ways, shape, lasts: self.lasts })
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_simulation_injects_it() {
        crate::faults::testing::is_injected(
            "bandwidth: { link: ab, at: 500ms, for: 30ms, bytes_per_second: 20KB }",
        );
    }
}
