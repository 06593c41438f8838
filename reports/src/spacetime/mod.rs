//! A space-time diagram: all messages with sender, receiver and times, in one HTML file.
//!
//! Each replica is a lane, a vertical line; time flows down; a message is an arrow from the lane
//! and instant it was sent to those of its arrival. (The form is that of L. Lamport, "Time, Clocks,
//! and the Ordering of Events in a Distributed System", 1978, turned so that a long run scrolls as
//! a page does.)
//!
//! The input is a plain value, [`SpaceTime`]; the output is one file that loads nothing from the
//! network, and forbids the browser to do so. Without scripts it shows everything; a script adds
//! zoom, filters, and the label of what the pointer is on. Labels are text wherever they come from:
//! no markup in them is ever obeyed.
//!
//! - `model`: the value, and the names and colours' classes of its kinds.
//! - `axis`: from an instant to a height, with idle stretches drawn short.
//! - `draw`: the drawing itself.
//! - `page`: the page around the drawing.

mod axis;
mod draw;
mod model;
mod page;
#[cfg(test)]
mod tests;

pub use model::{
    Lane, Mark, MarkKind, Message, MessageKind, SpaceTime, Span, SpanKind, VersionPoint,
};
pub use page::html;
