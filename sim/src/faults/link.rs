//! The forms that all faults of a link have, for both runners.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    pub(super) fn is_both(&self) -> bool {
        *self == Self::Both
    }
}

/// One direction over a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OneDirection {
    /// From the clients to the server.
    Up,
    /// From the server to the clients.
    Down,
}

/// The directions that a fault strikes, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ways {
    /// From the clients to the server.
    pub up: bool,
    /// From the server to the clients.
    pub down: bool,
}

impl Ways {
    /// The direction, to append to a sentence.
    pub(super) fn in_words(self) -> &'static str {
        match (self.up, self.down) {
            (true, false) => " upwards",
            (false, true) => " downwards",
            _ => "",
        }
    }
}

impl From<Direction> for Ways {
    fn from(direction: Direction) -> Self {
        Self { up: direction != Direction::Down, down: direction != Direction::Up }
    }
}

impl From<OneDirection> for Ways {
    fn from(direction: OneDirection) -> Self {
        Self { up: direction == OneDirection::Up, down: direction == OneDirection::Down }
    }
}

impl From<Ways> for Direction {
    fn from(ways: Ways) -> Self {
        match (ways.up, ways.down) {
            (true, false) => Self::Up,
            (false, true) => Self::Down,
            _ => Self::Both,
        }
    }
}

/// A property that a link gets for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Nothing arrives until it is over, and all of it then.
    Hold,
    /// Each byte takes so much longer.
    Delay(Duration),
    /// Each part of the bytes takes longer by a time that is drawn up to this one.
    Jitter(Duration),
    /// The number of bytes a second that arrive over each connection.
    Bandwidth(u64),
    /// The number of bytes a second that the receiver reads; 0 for none at all.
    Reader(u64),
}

/// A fault of a link, as a proxy injects it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkFault {
    /// The connections are severed, and refused for a while.
    Cut { lasts: Duration },
    /// The connections are severed.
    Reset,
    /// Nothing arrives any more over the connections, and neither end is told.
    HalfOpen,
    /// A bit of the next bytes is flipped.
    Corrupt { up: bool },
    /// New connections are refused for a while.
    Refuse { lasts: Duration },
    /// The connections are severed, and the server asks for another password for a while.
    OtherPassword { lasts: Duration },
    /// The link has another property for a while.
    Shape { ways: Ways, shape: Shape, lasts: Duration },
}
