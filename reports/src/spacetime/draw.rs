//! The drawing: one SVG. Every element carries its own heights, which the page's script scales.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::axis::{Axis, Break};
use super::model::{Mark, MarkKind, Message, MessageKind, SpaceTime, Span, VersionPoint};
use crate::units;

/// The width left of the first lane's own, for the time.
const AXIS_PX: f64 = 104.0;
/// The width of a lane's shading.
const SPAN_PX: f64 = 18.0;
/// The width of the arc of a message to its own sender.
const LOOP_PX: f64 = 34.0;
/// The length of a lost message's line; its time of arrival is unknown.
const LOST_PX: f64 = 22.0;
/// The distance of the times written on the axis.
const TICK_PX: f64 = 24.0;
/// A violation's text in the drawing ends here; the page's head has it whole.
const VIOLATION_CHARS: usize = 72;

/// A run with a place for everything in it.
pub(super) struct Drawing<'a> {
    trace: &'a SpaceTime,
    axis: Axis,
    lane_px: f64,
    /// The number of messages, marks, versions and spans that name an unknown lane.
    pub(super) left_out: usize,
}

impl<'a> Drawing<'a> {
    pub(super) fn new(trace: &'a SpaceTime) -> Self {
        let lanes = trace.lanes.len();
        let instants: BTreeSet<u64> = (trace.messages.iter())
            .flat_map(|message| std::iter::once(message.sent_us).chain(message.arrived_us))
            .chain(trace.marks.iter().map(|mark| mark.at_us))
            .chain(trace.versions.iter().map(|point| point.at_us))
            .chain(trace.spans.iter().flat_map(|span| [span.from_us, span.to_us]))
            .collect();
        let left_out = [
            trace.messages.iter().filter(|it| it.from.max(it.to) >= lanes).count(),
            trace.marks.iter().filter(|it| it.lane >= lanes).count(),
            trace.versions.iter().filter(|it| it.lane >= lanes).count(),
            trace.spans.iter().filter(|it| it.lane >= lanes).count(),
        ];
        Self {
            trace,
            axis: Axis::new(&instants, median_flight_us(&trace.messages)),
            lane_px: match lanes {
                0..=3 => 260.0,
                4..=6 => 200.0,
                7..=9 => 160.0,
                _ => 132.0,
            },
            left_out: left_out.iter().sum(),
        }
    }

    /// The middle of a lane.
    pub(super) fn x(&self, lane: usize) -> f64 {
        AXIS_PX + self.lane_px * (lane as f64 + 0.5)
    }

    pub(super) fn lane_px(&self) -> f64 {
        self.lane_px
    }

    pub(super) fn width(&self) -> f64 {
        AXIS_PX + self.lane_px * self.trace.lanes.len() as f64
    }

    pub(super) fn svg(&self) -> Markup {
        let (trace, lanes) = (self.trace, self.trace.lanes.len());
        let (width, height) = (px(self.width()), px(self.axis.height()));
        let violations = || {
            trace.marks.iter().filter(|mark| mark.kind == MarkKind::Violation && mark.lane < lanes)
        };
        let others = |mark: &&Mark| mark.kind != MarkKind::Violation && mark.lane < lanes;
        html! {
            svg #diagram xmlns="http://www.w3.org/2000/svg" width=(width) height=(height)
                role="img" aria-label=(format!("space-time diagram of {}", trace.title)) {
                (definitions())
                g.ticks { @for (at_us, y) in self.axis.ticks(TICK_PX) { (self.tick(at_us, y)) } }
                g.lanes { @for lane in 0..lanes { (self.lane(lane)) } }
                g.breaks { @for gap in self.axis.breaks() { (self.gap(gap)) } }
                g.spans {
                    @for span in trace.spans.iter().filter(|it| it.lane < lanes) {
                        (self.span(span))
                    }
                }
                g.rules { @for mark in violations() { (self.rule(mark)) } }
                g.messages {
                    @for message in trace.messages.iter().filter(|it| it.from.max(it.to) < lanes) {
                        (self.message(message))
                    }
                }
                g.versions {
                    @for point in trace.versions.iter().filter(|it| it.lane < lanes) {
                        (self.version(point))
                    }
                }
                g.marks {
                    @for mark in trace.marks.iter().filter(others) { (self.mark(mark, None)) }
                    @for (number, mark) in violations().enumerate() {
                        (self.mark(mark, Some(number + 1)))
                    }
                }
            }
        }
    }

    fn tick(&self, at_us: u64, y: f64) -> Markup {
        let micros = format!("{:06}", at_us % 1_000_000);
        let (millis, rest) = micros.split_at(3);
        html! {
            line x1=(px(AXIS_PX - 6.0)) x2=(px(self.width())) y1=(px(y)) y2=(px(y)) {}
            text x=(px(AXIS_PX - 10.0)) y=(px(y)) dy="3.5" {
                (format!("{}.{millis}", at_us / 1_000_000)) tspan { (rest) }
            }
        }
    }

    fn lane(&self, lane: usize) -> Markup {
        let (x, bottom) = (px(self.x(lane)), px(self.axis.height()));
        html! { line x1=(x) x2=(x) y1="0" y2=(bottom) {} }
    }

    fn gap(&self, gap: &Break) -> Markup {
        let (top, bottom) = (gap.top + 7.0, gap.bottom - 7.0);
        html! {
            rect x=(px(AXIS_PX)) width=(px(self.width() - AXIS_PX))
                y=(px(top)) height=(px(bottom - top)) {}
            text x=(px(AXIS_PX - 10.0)) y=(px((top + bottom) / 2.0)) dy="3.5" {
                "⋮ " (units::microseconds(gap.idle_us as f64))
            }
        }
    }

    fn span(&self, span: &Span) -> Markup {
        let (top, bottom) = (self.axis.y(span.from_us), self.axis.y(span.to_us.max(span.from_us)));
        let x = self.x(span.lane);
        let height = (bottom - top).max(2.0);
        html! {
            g.item.(span.kind.class()) {
                title {
                    (titled(span.kind.word(), &span.label)) "\n" (self.name(span.lane)) ", "
                    (instant(span.from_us)) " to " (instant(span.to_us)) " ("
                    (units::microseconds(span.to_us.saturating_sub(span.from_us) as f64)) ")"
                }
                rect x=(px(x - SPAN_PX / 2.0)) width=(px(SPAN_PX))
                    y=(px(top)) height=(px(height)) {}
            }
        }
    }

    /// The line across all lanes on which a violation lies.
    fn rule(&self, mark: &Mark) -> Markup {
        let y = px(self.axis.y(mark.at_us));
        html! { line.k-violation x1=(px(AXIS_PX)) x2=(px(self.width())) y1=(y) y2=(y) {} }
    }

    fn message(&self, message: &Message) -> Markup {
        let (x1, to) = (self.x(message.from), self.x(message.to));
        let y1 = self.axis.y(message.sent_us);
        let lost = message.arrived_us.is_none();
        let own = message.from == message.to;
        let (x2, y2) = match message.arrived_us {
            Some(at_us) if own => (x1 + LOOP_PX, self.axis.y(at_us)),
            Some(at_us) => (to, self.axis.y(at_us)),
            None if own => (x1 + LOOP_PX, y1 + LOST_PX),
            None => (f64::midpoint(x1, to), y1 + LOST_PX),
        };
        let class = message.kind.class();
        html! {
            g.item.message.(class).lost[lost] data-lane=(px(self.lane_px)) {
                title {
                    (titled(message.kind.word(), &message.label)) "\n"
                    (self.name(message.from)) " → " (self.name(message.to)) "\n"
                    (instant(message.sent_us)) " → " (flight(message))
                }
                line x1=(px(x1)) y1=(px(y1)) x2=(px(x2)) y2=(px(y2))
                    marker-end=[(!lost).then(|| format!("url(#{class})"))] {}
                @if lost { path.cross transform=(translate(x2, y2)) d="M-4,-4L4,4M-4,4L4,-4" {} }
                text.label { (message.label) }
            }
        }
    }

    fn version(&self, point: &VersionPoint) -> Markup {
        // Below the instant: arrows come from above, so that there is room whence ever they come.
        let (x, y) = (self.x(point.lane), self.axis.y(point.at_us));
        html! { text.version x=(px(x + 6.0)) y=(px(y)) dy="13" { (point.version) } }
    }

    fn mark(&self, mark: &Mark, violation: Option<usize>) -> Markup {
        let (x, y) = (self.x(mark.lane), self.axis.y(mark.at_us));
        // Beyond the middle the text goes to the left, so that it stays on the page.
        let left = mark.kind == MarkKind::Violation && mark.lane * 2 >= self.trace.lanes.len();
        let text = match mark.kind {
            MarkKind::Violation => shortened(&mark.label, VIOLATION_CHARS),
            MarkKind::Jumped | MarkKind::Fault | MarkKind::Report => mark.label.clone(),
            MarkKind::Dispatch | MarkKind::Applied | MarkKind::Resolved => String::new(),
        };
        html! {
            g.item.mark.(mark.kind.class()) transform=(translate(x, y))
                id=[violation.map(|number| format!("violation-{number}"))] {
                title {
                    (titled(mark.kind.word(), &mark.label)) "\n"
                    (self.name(mark.lane)) ", " (instant(mark.at_us))
                }
                (shape(mark.kind))
                @if !text.is_empty() {
                    text.label.left[left] x=(if left { "-12" } else { "12" })
                        dy=(if violation.is_some() { "18" } else { "3.5" }) { (text) }
                }
            }
        }
    }

    fn name(&self, lane: usize) -> &str {
        self.trace.lanes.get(lane).map_or("", |lane| lane.name.as_str())
    }
}

/// The shape of a mark, around the origin. Kinds differ in shape, not in colour alone.
pub(super) fn shape(kind: MarkKind) -> Markup {
    html! {
        @match kind {
            MarkKind::Dispatch => circle.hollow r="4" {},
            MarkKind::Applied => circle r="2.6" {},
            MarkKind::Resolved => path.stroke d="M-4,0L-1,3.2L4.5,-3.6" {},
            MarkKind::Jumped => path d="M-5,-5H5L0,0ZM-5,0H5L0,5.5Z" {},
            MarkKind::Fault => path d="M1.5,-8L-5,1.2H-0.8L-2,8L5,-1.6H0.6Z" {},
            MarkKind::Report => path d="M-4,-6H6L3,-2.5L6,1H-2.4V7H-4Z" {},
            MarkKind::Violation => {
                circle.halo r="13" {}
                path d="M0,-9L9,7H-9Z" {}
                path.bang d="M0,-4V2M0,3.6V5.2" {}
            },
        }
    }
}

/// Arrow heads, one a kind, and the hatching of spans.
fn definitions() -> Markup {
    html! {
        defs {
            @for kind in MessageKind::ALL {
                marker.(kind.class()) id=(kind.class()) viewBox="0 0 8 8" refX="7.4" refY="4"
                    markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto" {
                    path d="M0.5,0.8L7.6,4L0.5,7.2Z" {}
                }
            }
            pattern #hatch-down width="6" height="6" patternUnits="userSpaceOnUse"
                patternTransform="rotate(45)" {
                rect width="6" height="6" {}
                line x1="0" y1="0" x2="0" y2="6" {}
            }
            pattern #hatch-paused width="5" height="5" patternUnits="userSpaceOnUse" {
                rect width="5" height="5" {}
                line x1="0" y1="0" x2="5" y2="0" {}
            }
        }
    }
}

/// The median time on the way, lost messages left out; a millisecond if there is none.
fn median_flight_us(messages: &[Message]) -> u64 {
    let arrived = messages.iter().filter_map(|it| it.arrived_us?.checked_sub(it.sent_us));
    let mut flights: Vec<u64> = arrived.collect();
    flights.sort_unstable();
    flights.get(flights.len() / 2).copied().unwrap_or(1_000)
}

fn flight(message: &Message) -> String {
    match message.arrived_us {
        None => "lost".to_owned(),
        Some(at_us) => {
            let took = units::microseconds(at_us.saturating_sub(message.sent_us) as f64);
            format!("{} ({took})", instant(at_us))
        }
    }
}

fn titled(word: &str, label: &str) -> String {
    if label.is_empty() { word.to_owned() } else { format!("{word}: {label}") }
}

/// An instant, in seconds to the microsecond.
pub(super) fn instant(at_us: u64) -> String {
    format!("{}.{:06} s", at_us / 1_000_000, at_us % 1_000_000)
}

fn shortened(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
    }
}

fn translate(x: f64, y: f64) -> String {
    format!("translate({} {})", px(x), px(y))
}

/// A length, to a tenth of a pixel.
fn px(length: f64) -> String {
    let text = format!("{length:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}
