//! `wrong_password`: a server asks for another password for a while.

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Fault, FaultSpec, Kind, Lasts, LinkFault, Mistake, Planned, Spec, SpecTarget, Target, TimesMut,
};
use crate::scenario::{LinkRef, LinkSpec, Scenario, Span};
use crate::virtual_time::InjectedFault;

static KIND: Kind = Kind::of_link("wrong_password");

/// A link's server asks for another password for a while. Its connections end, and its clients, who
/// know the old password, are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WrongPasswordSpec {
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

/// A link's server asks for another password for a while. Its connections end, and its clients, who
/// know the old password, are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrongPassword {
    /// The link's position in [`Plan::links`](crate::scenario::Plan::links).
    pub link: usize,
    /// The time for which it lasts.
    pub lasts: Duration,
}

impl Spec for WrongPasswordSpec {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn target(&self) -> SpecTarget<'_> {
        let lasts = self.lasts.get();
        SpecTarget::link(self.link.as_ref(), move |link| {
            Fault::WrongPassword(WrongPassword { link, lasts })
        })
    }

    fn times_mut(&mut self) -> TimesMut<'_> {
        TimesMut { at: self.at.as_mut(), lasts: Some(&mut self.lasts) }
    }

    fn lasts(&self) -> Lasts {
        Lasts::For(self.lasts)
    }

    fn mistake(&self, scenario: &Scenario) -> Option<Mistake> {
        let named = |link: &&LinkSpec| match &self.link {
            Some(LinkRef::Name(name)) => link.name.as_ref() == Some(name),
            Some(LinkRef::Index(index)) => scenario.links.get(*index) == Some(*link),
            None => true,
        };
        let mut links = scenario.links.iter().filter(named);
        links.any(|link| link.login.is_none()).then_some(Mistake {
            message: "the link has no login, so there is no password that could be wrong",
            help: "add `login` to the link, and its password to `logins`",
        })
    }
}

impl Planned for WrongPassword {
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
        format!("the server of {at} asks for another password for {}", Span(self.lasts))
    }

    fn spec(&self, name: String, at: Option<Span>) -> FaultSpec {
        FaultSpec::WrongPassword(WrongPasswordSpec {
            link: Some(LinkRef::Name(name)),
            at,
            every: None,
            times: None,
            lasts: Span(self.lasts),
        })
    }

    fn simulated(&self, slot: usize) -> Option<(InjectedFault, &'static str)> {
        let lasts = self.lasts;
        let fault = InjectedFault::Cut { slot, loses_up: true, loses_down: true, lasts };
        Some((fault, "client refused"))
    }

    fn on_link(&self) -> Option<LinkFault> {
        Some(LinkFault::OtherPassword { lasts: self.lasts })
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_simulation_injects_it() {
        crate::faults::testing::is_injected("wrong_password: { link: ab, at: 500ms, for: 30ms }");
    }
}
