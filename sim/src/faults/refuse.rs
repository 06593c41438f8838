//! `refuse`: the server's port is closed for a while.

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Fault, FaultSpec, Kind, Lasts, LinkFault, Planned, Spec, SpecTarget, Target, TimesMut,
};
use crate::scenario::{LinkRef, Span};
use crate::virtual_time::InjectedFault;

static KIND: Kind = Kind::of_link("refuse");

/// New connections of a link are refused for a while. Those that are open stay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RefuseSpec {
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
}

/// New connections of a link are refused for a while. Those that are open stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refuse {
    /// The link's position in [`Plan::links`](crate::scenario::Plan::links).
    pub link: usize,
    /// The time for which it lasts.
    pub lasts: Duration,
}

impl Spec for RefuseSpec {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn target(&self) -> SpecTarget<'_> {
        let lasts = self.lasts.get();
        SpecTarget::link(self.link.as_ref(), move |link| Fault::Refuse(Refuse { link, lasts }))
    }

    fn times_mut(&mut self) -> TimesMut<'_> {
        TimesMut { at: self.at.as_mut(), lasts: Some(&mut self.lasts) }
    }

    fn lasts(&self) -> Lasts {
        Lasts::For(self.lasts)
    }
}

impl Planned for Refuse {
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
        format!("new connections of {at} are refused for {}", Span(self.lasts))
    }

    fn spec(&self, name: String, at: Option<Span>) -> FaultSpec {
        FaultSpec::Refuse(RefuseSpec {
            link: Some(LinkRef::Name(name)),
            at,
            every: None,
            times: None,
            lasts: Span(self.lasts),
        })
    }

    fn simulated(&self, slot: usize) -> Option<(InjectedFault, &'static str)> {
        let fault = InjectedFault::Refuse { slot, lasts: self.lasts };
        Some((fault, "client refused"))
    }

    fn on_link(&self) -> Option<LinkFault> {
        Some(LinkFault::Refuse { lasts: self.lasts })
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_simulation_injects_it() {
        crate::faults::testing::is_injected("refuse: { link: ab, at: 500ms, for: 30ms }");
    }
}
