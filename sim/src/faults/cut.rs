//! `cut`: a link is down for a while.

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Fault, FaultSpec, Kind, Lasts, LinkFault, Planned, Spec, SpecTarget, Target, TimesMut,
};
use crate::scenario::{LinkRef, Span};

static KIND: Kind = Kind::new("cut");

/// The connections of a link are cut, and refused for a while.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CutSpec {
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
    /// The time for which the link stays down.
    #[serde(rename = "for")]
    pub lasts: Span,
}

/// All connections of a link are cut, and refused for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// The link's position in [`Plan::links`](crate::scenario::Plan::links).
    pub link: usize,
    /// The time for which it stays down.
    pub lasts: Duration,
}

impl Spec for CutSpec {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn target(&self) -> SpecTarget<'_> {
        let lasts = self.lasts.get();
        SpecTarget::link(self.link.as_ref(), move |link| Fault::Cut(Cut { link, lasts }))
    }

    fn times_mut(&mut self) -> TimesMut<'_> {
        TimesMut { at: self.at.as_mut(), lasts: Some(&mut self.lasts) }
    }

    fn lasts(&self) -> Lasts {
        Lasts::For(self.lasts)
    }
}

impl Planned for Cut {
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
        format!("cut {at} for {}", Span(self.lasts))
    }

    fn spec(&self, name: String, at: Option<Span>) -> FaultSpec {
        let (link, lasts) = (Some(LinkRef::Name(name)), Span(self.lasts));
        FaultSpec::Cut(CutSpec { link, at, every: None, times: None, lasts })
    }

    fn on_link(&self) -> Option<LinkFault> {
        Some(LinkFault::Cut { lasts: self.lasts })
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_simulation_injects_it() {
        crate::faults::testing::is_injected("cut: { link: ab, at: 500ms, for: 10ms }");
    }
}
