//! `one_way`: a link carries bytes in one direction only.

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Fault, FaultSpec, Kind, Lasts, LinkFault, OneDirection, Planned, Shape, Spec, SpecTarget,
    Target, TimesMut, Ways,
};
use crate::scenario::{LinkRef, Span};
use crate::virtual_time::InjectedFault;

static KIND: Kind = Kind::of_link("one_way");

/// Bytes pass over a link in one direction only for a while; the others arrive later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OneWaySpec {
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
    /// The direction in which bytes still pass.
    pub direction: OneDirection,
}

/// Bytes pass over a link in one direction only for a while; the others arrive later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneWay {
    /// The link's position in [`Plan::links`](crate::scenario::Plan::links).
    pub link: usize,
    /// True if bytes still pass from the clients to the server, false for the other direction.
    pub up: bool,
    /// The time for which it lasts.
    pub lasts: Duration,
}

impl Spec for OneWaySpec {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn target(&self) -> SpecTarget<'_> {
        let (lasts, up) = (self.lasts.get(), self.direction == OneDirection::Up);
        SpecTarget::link(self.link.as_ref(), move |link| Fault::OneWay(OneWay { link, up, lasts }))
    }

    fn times_mut(&mut self) -> TimesMut<'_> {
        TimesMut { at: self.at.as_mut(), lasts: Some(&mut self.lasts) }
    }

    fn lasts(&self) -> Lasts {
        Lasts::For(self.lasts)
    }
}

impl Planned for OneWay {
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
        let way = if self.up { "upwards" } else { "downwards" };
        format!("bytes pass over {at} {way} only for {}", Span(self.lasts))
    }

    fn spec(&self, name: String, at: Option<Span>) -> FaultSpec {
        FaultSpec::OneWay(OneWaySpec {
            link: Some(LinkRef::Name(name)),
            at,
            every: None,
            times: None,
            direction: if self.up { OneDirection::Up } else { OneDirection::Down },
            lasts: Span(self.lasts),
        })
    }

    fn simulated(&self, slot: usize) -> Option<(InjectedFault, &'static str)> {
        let (up, down) = (!self.up, self.up);
        let fault = InjectedFault::Blackhole { slot, up, down, lasts: self.lasts };
        Some((fault, "connection open in one direction only"))
    }

    fn on_link(&self) -> Option<LinkFault> {
        let ways = Ways { up: !self.up, down: self.up };
        Some(LinkFault::Shape { ways, shape: Shape::Hold, lasts: self.lasts })
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_simulation_injects_it() {
        crate::faults::testing::is_injected(
            "one_way: { link: ab, at: 500ms, for: 30ms, direction: up }",
        );
    }
}
