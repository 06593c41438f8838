//! The trace, for people: the messages, and the events that followed.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

/// The kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A dispatch was made, or refused.
    Dispatch,
    /// Actions were applied.
    Applied,
    /// The state was replaced.
    Jumped,
    /// A dispatch was answered.
    Resolved,
    /// A connection was made, or ended.
    Link,
    /// A replica is in sync, or is not any more.
    InSync(bool),
    /// A process starts, or ends.
    Up(bool),
    /// A process stands still, or continues.
    Paused(bool),
    /// Something was broken on purpose.
    Fault,
    /// A replica reports something to its operator.
    Report,
    /// An invariant does not hold.
    Violation,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Moment {
    /// The kind of the event.
    pub what: What,
    /// In words.
    pub text: String,
    /// The version of the replica after it, where it has another one.
    pub version: Option<String>,
}

impl Moment {
    pub(super) fn new(what: What, text: impl Into<String>) -> Self {
        Moment { what, text: text.into(), version: None }
    }

    pub(super) fn dispatch(text: String) -> Self {
        Moment::new(What::Dispatch, text)
    }

    pub(super) fn violation(text: String) -> Self {
        Moment::new(What::Violation, format!("VIOLATION {text}"))
    }

    pub(super) fn at(self, version: impl fmt::Debug) -> Self {
        Moment { version: Some(format!("{version:?}")), ..self }
    }
}

/// A moment, when and where it was.
#[derive(Clone, Debug)]
pub struct Stamped {
    /// The time, in virtual time.
    pub at: Duration,
    /// The slot; `None` for all slots.
    pub slot: Option<usize>,
    /// The event.
    pub moment: Moment,
}

/// A message from one slot to another.
#[derive(Clone, Debug)]
pub struct Flight {
    /// The sender.
    pub from: usize,
    /// The receiver.
    pub to: usize,
    /// The time of sending.
    pub sent: Duration,
    /// The time of reading; `None` for a message that was lost, or is on its way.
    pub arrived: Option<Duration>,
    /// Its name: the first word of the text.
    pub name: String,
    /// The text of the record.
    pub text: String,
}

/// The last events.
#[derive(Debug)]
pub struct Trace {
    moments: VecDeque<Stamped>,
    flights: VecDeque<Flight>,
    /// The number of the first of these.
    first_flight: u64,
    max: usize,
}

/// A message is told with at most this many characters.
const TEXT_MAX: usize = 200;

impl Trace {
    /// Keeps at most `max` moments, and as many messages.
    pub(super) fn new(max: usize) -> Self {
        let (moments, flights) = (VecDeque::new(), VecDeque::new());
        Trace { moments, flights, first_flight: 0, max: max.max(1) }
    }

    /// Something happened.
    pub(super) fn moment(&mut self, at: Duration, slot: Option<usize>, moment: Moment) {
        if self.moments.len() == self.max {
            self.moments.pop_front();
        }
        self.moments.push_back(Stamped { at, slot, moment });
    }

    /// A message was sent. Returns its number.
    pub(super) fn sent(&mut self, at: Duration, from: usize, to: usize, text: String) -> u64 {
        if self.flights.len() == self.max {
            self.flights.pop_front();
            self.first_flight += 1;
        }
        let cut = text.char_indices().nth(TEXT_MAX).map_or(text.len(), |(at, _)| at);
        let name = text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        let (name, text) = (name.to_owned(), text[..cut].to_owned());
        self.flights.push_back(Flight { from, to, sent: at, arrived: None, name, text });
        self.first_flight + self.flights.len() as u64 - 1
    }

    /// A message was read.
    pub(super) fn arrived(&mut self, flight: u64, at: Duration) {
        let index = flight.checked_sub(self.first_flight).map(|at| at as usize);
        if let Some(flight) = index.and_then(|index| self.flights.get_mut(index)) {
            flight.arrived = Some(at);
        }
    }

    /// Returns the events, in their order.
    pub fn moments(&self) -> impl Iterator<Item = &Stamped> {
        self.moments.iter()
    }

    /// Returns the messages, in their order.
    pub fn flights(&self) -> impl Iterator<Item = &Flight> {
        self.flights.iter()
    }

    /// A line for each moment and each message, in the order of time; `names` are the slots'.
    pub fn lines<'a>(&'a self, names: &'a [String]) -> impl Iterator<Item = String> + 'a {
        let name = |slot: usize| names.get(slot).map_or("?", String::as_str);
        let width = names.iter().map(String::len).max().unwrap_or(0);
        let moments = self.moments.iter().map(move |stamped| {
            let slot = stamped.slot.map_or("--", name);
            (stamped.at, format!("{slot:<width$}  {}", stamped.moment.text))
        });
        let flights = self.flights.iter().flat_map(move |flight| {
            let (from, to) = (name(flight.from), name(flight.to));
            let sent = (flight.sent, format!("{from:<width$}  says to {to}: {}", flight.text));
            let arrived = flight.arrived.map(|at| {
                let ms = flight.sent.as_secs_f64() * 1e3;
                (at, format!("{to:<width$}  hears {} of {from}, sent at {ms:.3}", flight.name))
            });
            [Some(sent), arrived].into_iter().flatten()
        });
        let mut lines: Vec<_> = moments.chain(flights).collect();
        lines.sort_by_key(|line| line.0);
        lines.into_iter().map(|(at, line)| format!("{:>12.3} ms  {line}", at.as_secs_f64() * 1e3))
    }
}
