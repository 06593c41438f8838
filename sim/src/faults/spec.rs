//! Faults as a scenario file writes them.

use std::num::NonZeroU32;

use super::{Fault, FaultSpec};
use crate::scenario::{LinkRef, NodeId, Scenario, Span};

/// The facts that hold for all faults of one kind.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// The key in a scenario file.
    pub(crate) key: &'static str,
    /// The reason why `run` cannot inject it; `None` if it can.
    pub(crate) run_lacks: Option<&'static str>,
    /// The state of a process while the fault lasts, if the fault stops a process.
    pub(crate) halt: Option<Halt>,
    /// A second fault of the kind at the same link, or one that begins while the link is cut, would
    /// have no effect of its own.
    pub(crate) alone_at_link: bool,
    /// The fault leaves a replica with a wrong state until a check of the copies finds it. It
    /// needs a store whose copies are checked, and a replica that is no root.
    pub(crate) spoils_state: bool,
}

impl Kind {
    /// A kind of fault that both runners inject, and that stops no process and spoils no state.
    pub(super) const fn new(key: &'static str) -> Self {
        Self { key, run_lacks: None, halt: None, alone_at_link: false, spoils_state: false }
    }

    /// A kind of fault of a link that is not to meet another of its kind, nor a cut.
    pub(super) const fn of_link(key: &'static str) -> Self {
        Self { alone_at_link: true, ..Self::new(key) }
    }
}

/// The state of a process that a fault has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Halt {
    /// It is gone; with a master, its workers are gone too.
    Down,
    /// It stands still.
    Still,
}

/// The reason why `run` injects no fault of a reducer.
pub(super) const TAMPERED_REDUCER: &str = "needs a reducer that is tampered with";

/// The questions that each kind of fault answers as written.
pub(crate) trait Spec {
    /// The facts of its kind.
    fn kind(&self) -> &'static Kind;

    /// The thing that it strikes, and the fault planned for that.
    fn target(&self) -> SpecTarget<'_>;

    /// Its times, to be changed.
    fn times_mut(&mut self) -> TimesMut<'_>;

    /// The time for which it lasts.
    fn lasts(&self) -> Lasts {
        Lasts::AtOnce
    }

    /// The names of the node and the store that it strikes, to be changed, unless it strikes a
    /// link.
    fn replica_mut(&mut self) -> Option<ReplicaMut<'_>> {
        None
    }

    /// Returns a mistake in the fault as a whole. Names and times are checked apart from it.
    fn mistake(&self, _: &Scenario) -> Option<Mistake> {
        None
    }

    /// Sets options back to their defaults, to find the simplest fault that still fails.
    fn simplify(&mut self) {}
}

/// The thing that a fault strikes, by its names, and the fault planned for that.
pub(crate) enum SpecTarget<'a> {
    /// A link; one is drawn each time if none is named.
    Link {
        /// The link.
        link: Option<&'a LinkRef>,
        /// Makes the planned fault.
        plan: Box<dyn Fn(usize) -> Fault + 'a>,
    },
    /// A worker of a cluster that is drawn each time.
    Worker {
        /// The cluster, or one worker of it.
        cluster: &'a str,
        /// Makes the planned fault.
        plan: Box<dyn Fn(NodeId) -> Fault + 'a>,
    },
    /// A node, or a store there; with the name `alpha.worker[*]`, each worker of the cluster.
    Node {
        /// The node.
        node: &'a str,
        /// The store.
        store: Option<&'a str>,
        /// Makes the planned fault.
        plan: Box<dyn Fn(NodeId) -> Fault + 'a>,
    },
}

impl<'a> SpecTarget<'a> {
    /// A link, or one that is drawn each time.
    pub(super) fn link(link: Option<&'a LinkRef>, plan: impl Fn(usize) -> Fault + 'a) -> Self {
        Self::Link { link, plan: Box::new(plan) }
    }

    /// A worker of a cluster.
    pub(super) fn worker(cluster: &'a str, plan: impl Fn(NodeId) -> Fault + 'a) -> Self {
        Self::Worker { cluster, plan: Box::new(plan) }
    }

    /// A node.
    pub(super) fn node(node: &'a str, plan: impl Fn(NodeId) -> Fault + 'a) -> Self {
        Self::Node { node, store: None, plan: Box::new(plan) }
    }

    /// A store at a node.
    pub(super) fn replica(
        node: &'a str,
        store: &'a str,
        plan: impl Fn(NodeId) -> Fault + 'a,
    ) -> Self {
        Self::Node { node, store: Some(store), plan: Box::new(plan) }
    }
}

/// The names of the node that a fault strikes, and of the store there.
pub(crate) struct ReplicaMut<'a> {
    /// The node.
    pub(crate) node: &'a mut String,
    /// The store, if it does not strike the node as a whole.
    pub(crate) store: Option<&'a mut String>,
}

/// The time for which a fault lasts, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lasts {
    /// It is over as soon as it has struck.
    AtOnce,
    /// For this long, which is more than zero.
    For(Span),
    /// Until the process is started again; for good, if `None`.
    UntilRestart(Option<Span>),
}

impl Lasts {
    /// The length of time, if it has an end.
    pub(crate) fn span(self) -> Option<Span> {
        match self {
            Self::AtOnce => Some(Span::default()),
            Self::For(span) => Some(span),
            Self::UntilRestart(span) => span,
        }
    }
}

/// The times of a fault, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct When {
    pub(crate) at: Option<Span>,
    pub(crate) every: Option<Span>,
    pub(crate) times: Option<NonZeroU32>,
}

/// The times of a fault, to be changed, where the file says them.
pub(crate) struct TimesMut<'a> {
    /// The instant.
    pub(crate) at: Option<&'a mut Span>,
    /// The time for which it lasts.
    pub(crate) lasts: Option<&'a mut Span>,
}

/// A mistake in a fault as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// The text for the user.
    pub(crate) message: &'static str,
    /// The way out.
    pub(crate) help: &'static str,
}

impl FaultSpec {
    /// Its key in a file.
    pub fn kind(&self) -> &'static str {
        self.spec().kind().key
    }

    /// Returns the time of its first strike, if the file gives one. Otherwise the instants are
    /// drawn from the seed.
    pub fn first_at(&self) -> Option<Span> {
        let when = self.when();
        when.at.or(when.every)
    }

    /// The link that it names, if it is a fault of a link.
    pub(crate) fn link(&self) -> Option<&LinkRef> {
        match self.spec().target() {
            SpecTarget::Link { link, .. } => link,
            SpecTarget::Worker { .. } | SpecTarget::Node { .. } => None,
        }
    }

    /// The store that it names, if it is a fault of a replica.
    pub(crate) fn store(&self) -> Option<&str> {
        match self.spec().target() {
            SpecTarget::Link { .. } | SpecTarget::Worker { .. } => None,
            SpecTarget::Node { store, .. } => store,
        }
    }

    /// Returns whether it leaves a replica with a wrong state until a check of the copies.
    pub(crate) fn spoils_state(&self) -> bool {
        self.spec().kind().spoils_state
    }

    /// Its times, to be changed.
    pub(crate) fn times_mut(&mut self) -> TimesMut<'_> {
        self.spec_mut().times_mut()
    }
}

/// Returns whether a key that is off by default can be left out.
pub(super) fn is_false(value: &bool) -> bool {
    !value
}
