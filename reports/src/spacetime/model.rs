//! The content of a diagram, as plain values.

/// A run, or a part of one, to be drawn. All instants are microseconds since the run began; a lane
/// is named by its place in [`lanes`](Self::lanes). Nothing has to be sorted. What names a lane
/// that is not there cannot be drawn: the page says how much that is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpaceTime {
    /// The heading: the scenario and its seed.
    pub title: String,
    /// A sentence below the heading.
    pub subtitle: String,
    /// The replicas, from left to right.
    pub lanes: Vec<Lane>,
    /// The messages that were sent.
    pub messages: Vec<Message>,
    /// The marks: events at one instant in one replica.
    pub marks: Vec<Mark>,
    /// The version of a replica, where it changes.
    pub versions: Vec<VersionPoint>,
    /// Stretches in which a replica was in an unusual condition.
    pub spans: Vec<Span>,
}

/// A replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// The process, as the scenario names it: `alpha.worker[1]`.
    pub name: String,
    /// A word or two below the name: `tasks, action`.
    pub detail: String,
}

/// A message on its way from one replica to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The sender's lane.
    pub from: usize,
    /// The receiver's lane.
    pub to: usize,
    /// The time of sending.
    pub sent_us: u64,
    /// The time of arrival; `None` if the message was lost.
    pub arrived_us: Option<u64>,
    /// The kind of the message; gives the colour and the filter.
    pub kind: MessageKind,
    /// A description of the message: `Entries 4..7`.
    pub label: String,
}

/// Something that happened at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The lane of the mark.
    pub lane: usize,
    /// The time of the mark.
    pub at_us: u64,
    /// The kind of the mark; gives the shape and the filter.
    pub kind: MarkKind,
    /// More of it.
    pub label: String,
}

/// A replica reached a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionPoint {
    /// The lane of the mark.
    pub lane: usize,
    /// The time of the mark.
    pub at_us: u64,
    /// The version, written along the lane: `1:42`.
    pub version: String,
}

/// A replica was in some condition for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The lane of the mark.
    pub lane: usize,
    /// The beginning.
    pub from_us: u64,
    /// The end; not before the beginning.
    pub to_us: u64,
    /// The kind of the condition; gives the shading and the filter.
    pub kind: SpanKind,
    /// More of it.
    pub label: String,
}

/// A closed list of kinds: each with a word for the legend and a class for the style sheet.
macro_rules! kinds {
    (
        $(#[$doc:meta])* $name:ident,
        $( $(#[$kind_doc:meta])* $kind:ident = $class:literal, $word:literal; )+
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $( $(#[$kind_doc])* $kind, )+ }

        impl $name {
            /// All kinds, in the legend's order.
            pub const ALL: &[Self] = &[$( Self::$kind, )+];

            /// The word for it in the legend.
            pub const fn word(self) -> &'static str {
                match self { $( Self::$kind => $word, )+ }
            }

            /// Its class in the style sheet.
            pub(super) const fn class(self) -> &'static str {
                match self { $( Self::$kind => $class, )+ }
            }
        }
    };
}

kinds! {
    /// The kind of a message.
    MessageKind,
    /// An action on its way to the sequencer.
    Dispatch = "m-dispatch", "dispatch";
    /// Entries of the log, on their way from it.
    Entries = "m-entries", "entries";
    /// The whole state.
    Snapshot = "m-snapshot", "snapshot";
    /// The outcome of a dispatch.
    Answer = "m-answer", "answer";
    /// A message before a link is in place.
    Handshake = "m-handshake", "handshake";
    /// A message that heals a replica that differs.
    Heal = "m-heal", "heal";
    /// Anything else: heartbeats, credit, status.
    Other = "m-other", "other message";
}

kinds! {
    /// The kind of an event at one instant.
    MarkKind,
    /// An action was dispatched here.
    Dispatch = "k-dispatch", "dispatched";
    /// Entries were applied here.
    Applied = "k-applied", "applied";
    /// A dispatch made here has its outcome.
    Resolved = "k-resolved", "resolved";
    /// The state changed otherwise than action by action.
    Jumped = "k-jumped", "jumped";
    /// Something was broken here on purpose.
    Fault = "k-fault", "fault";
    /// The replica reported something.
    Report = "k-report", "report";
    /// An invariant does not hold.
    Violation = "k-violation", "violation";
}

kinds! {
    /// The condition a replica was in.
    SpanKind,
    /// Its process did not run.
    Down = "s-down", "down";
    /// Its process was stopped, and let go on later.
    Paused = "s-paused", "paused";
    /// It had no link, or had not caught up: `connected` was false.
    NotInSync = "s-sync", "not in sync";
}
