//! `blackhole`: a link carries nothing for a while, and loses nothing.

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Fault, FaultSpec, Kind, LOSSY_NETWORK, Lasts, Planned, Spec, SpecTarget, Target, TimesMut,
};
use crate::scenario::{LinkRef, Span};
use crate::virtual_time::InjectedFault;

static KIND: Kind = Kind { run_lacks: Some(LOSSY_NETWORK), ..Kind::new("blackhole") };

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

/// The direction over a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the clients to the server.
    Up,
    /// From the server to the clients.
    Down,
    /// Both ways.
    #[default]
    Both,
}

impl Direction {
    fn is_both(&self) -> bool {
        *self == Self::Both
    }
}

/// Nothing arrives over a link for a while, and all of it later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blackhole {
    /// The link's position in [`Plan::links`](crate::scenario::Plan::links).
    pub link: usize,
    /// Nothing arrives at the server.
    pub up: bool,
    /// Nothing arrives at the clients.
    pub down: bool,
    /// The time for which it lasts.
    pub lasts: Duration,
}

impl Spec for BlackholeSpec {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn target(&self) -> SpecTarget<'_> {
        let lasts = self.lasts.get();
        let up = self.direction != Direction::Down;
        let down = self.direction != Direction::Up;
        SpecTarget::link(self.link.as_ref(), move |link| {
            Fault::Blackhole(Blackhole { link, up, down, lasts })
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
        let way = match (self.up, self.down) {
            (true, false) => " upwards",
            (false, true) => " downwards",
            _ => "",
        };
        format!("nothing arrives over {at}{way} for {}", Span(self.lasts))
    }

    fn spec(&self, name: String, at: Option<Span>) -> FaultSpec {
        FaultSpec::Blackhole(BlackholeSpec {
            link: Some(LinkRef::Name(name)),
            at,
            every: None,
            times: None,
            lasts: Span(self.lasts),
            direction: match (self.up, self.down) {
                (true, false) => Direction::Up,
                (false, true) => Direction::Down,
                _ => Direction::Both,
            },
        })
    }

    fn simulated(&self, slot: usize) -> Option<(InjectedFault, &'static str)> {
        let fault =
            InjectedFault::Blackhole { slot, up: self.up, down: self.down, lasts: self.lasts };
        Some((fault, "connection blackholed"))
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
