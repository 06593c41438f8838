//! `reset`: the connections of a link are reset.

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Fault, FaultSpec, Kind, LinkFault, Planned, Spec, SpecTarget, Target, TimesMut};
use crate::scenario::{LinkRef, Span};
use crate::virtual_time::InjectedFault;

static KIND: Kind = Kind::new("reset");

/// The connections of a link are reset, and may be made again at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetSpec {
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

/// The connections of a link are reset, and may be made again at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reset {
    /// The link's position in [`Plan::links`](crate::scenario::Plan::links).
    pub link: usize,
}

impl Spec for ResetSpec {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn target(&self) -> SpecTarget<'_> {
        SpecTarget::link(self.link.as_ref(), |link| Fault::Reset(Reset { link }))
    }

    fn times_mut(&mut self) -> TimesMut<'_> {
        TimesMut { at: self.at.as_mut(), lasts: None }
    }
}

impl Planned for Reset {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn target(&self) -> Target<'_> {
        Target::Link(self.link)
    }

    fn line(&self, at: &str) -> String {
        format!("reset the connections of {at}")
    }

    fn spec(&self, name: String, at: Option<Span>) -> FaultSpec {
        FaultSpec::Reset(ResetSpec {
            link: Some(LinkRef::Name(name)),
            at,
            every: None,
            times: None,
        })
    }

    fn simulated(&self, slot: usize) -> Option<(InjectedFault, &'static str)> {
        let lasts = Duration::ZERO;
        let fault = InjectedFault::Cut { slot, loses_up: true, loses_down: true, lasts };
        Some((fault, "connection reset"))
    }

    fn on_link(&self) -> Option<LinkFault> {
        Some(LinkFault::Reset)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_simulation_injects_it() {
        crate::faults::testing::is_injected("reset: { link: ab, at: 500ms }");
    }
}
