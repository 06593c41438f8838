//! `half_open`: the connections of a link die, and neither end is told.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Fault, FaultSpec, Kind, LinkFault, Planned, Spec, SpecTarget, Target, TimesMut};
use crate::scenario::{LinkRef, Span};
use crate::virtual_time::InjectedFault;

static KIND: Kind = Kind::new("half_open");

/// Nothing arrives any more over a link's connections, and neither end is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HalfOpenSpec {
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
}

/// Nothing arrives any more over a link's connections, and neither end is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HalfOpen {
    /// The link's position in [`Plan::links`](crate::scenario::Plan::links).
    pub link: usize,
}

impl Spec for HalfOpenSpec {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn target(&self) -> SpecTarget<'_> {
        SpecTarget::link(self.link.as_ref(), |link| Fault::HalfOpen(HalfOpen { link }))
    }

    fn times_mut(&mut self) -> TimesMut<'_> {
        TimesMut { at: self.at.as_mut(), lasts: None }
    }
}

impl Planned for HalfOpen {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn target(&self) -> Target<'_> {
        Target::Link(self.link)
    }

    fn line(&self, at: &str) -> String {
        format!("the connections of {at} die, and no end is told")
    }

    fn spec(&self, name: String, at: Option<Span>) -> FaultSpec {
        let link = Some(LinkRef::Name(name));
        FaultSpec::HalfOpen(HalfOpenSpec { link, at, every: None, times: None })
    }

    fn simulated(&self, slot: usize) -> Option<(InjectedFault, &'static str)> {
        let fault = InjectedFault::HalfOpen { slot };
        Some((fault, "connection half open"))
    }

    fn on_link(&self) -> Option<LinkFault> {
        Some(LinkFault::HalfOpen)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_simulation_injects_it() {
        crate::faults::testing::is_injected("half_open: { link: ab, at: 500ms }");
    }
}
