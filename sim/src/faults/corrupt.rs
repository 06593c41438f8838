//! `corrupt`: a bit is flipped on its way over a link.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Fault, FaultSpec, Kind, LinkFault, OneDirection, Planned, Spec, SpecTarget, Target, TimesMut,
};
use crate::scenario::{LinkRef, Span};
use crate::virtual_time::InjectedFault;

static KIND: Kind = Kind::new("corrupt");

/// A bit of what arrives next over a link is flipped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CorruptSpec {
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
    /// The direction.
    pub direction: OneDirection,
}

/// A bit of what arrives next over a link is flipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Corrupt {
    /// The link's position in [`Plan::links`](crate::scenario::Plan::links).
    pub link: usize,
    /// True for bytes that arrive at the server, false for those at the clients.
    pub up: bool,
}

impl Spec for CorruptSpec {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn target(&self) -> SpecTarget<'_> {
        let up = self.direction == OneDirection::Up;
        SpecTarget::link(self.link.as_ref(), move |link| Fault::Corrupt(Corrupt { link, up }))
    }

    fn times_mut(&mut self) -> TimesMut<'_> {
        TimesMut { at: self.at.as_mut(), lasts: None }
    }
}

impl Planned for Corrupt {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn target(&self) -> Target<'_> {
        Target::Link(self.link)
    }

    fn line(&self, at: &str) -> String {
        let way = if self.up { "up" } else { "down" };
        format!("a bit is flipped on its way {way} over {at}")
    }

    fn spec(&self, name: String, at: Option<Span>) -> FaultSpec {
        let link = Some(LinkRef::Name(name));
        let direction = if self.up { OneDirection::Up } else { OneDirection::Down };
        FaultSpec::Corrupt(CorruptSpec { link, at, every: None, times: None, direction })
    }

    fn simulated(&self, slot: usize) -> Option<(InjectedFault, &'static str)> {
        let fault = InjectedFault::Corrupt { slot, up: self.up };
        Some((fault, "bit to flip"))
    }

    fn on_link(&self) -> Option<LinkFault> {
        Some(LinkFault::Corrupt { up: self.up })
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_simulation_injects_it() {
        crate::faults::testing::is_injected("corrupt: { link: ab, at: 500ms, direction: down }");
    }
}
