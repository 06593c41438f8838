//! The surroundings of the drawing: heading, violations, legend with filters, names of lanes.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::draw::{self, Drawing};
use super::model::{MarkKind, MessageKind, SpaceTime, SpanKind};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
/// Nothing from elsewhere, whatever a label may contain.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";
/// More violations than these are counted, not listed.
const VIOLATIONS_MAX: usize = 8;

/// The diagram as one HTML file that needs no other and no network.
///
/// ```
/// use samestate_report::spacetime::{self, Lane, Message, MessageKind, SpaceTime};
///
/// let lane = |name: &str| Lane { name: name.into(), detail: "tasks, action".into() };
/// let page = spacetime::html(&SpaceTime {
///     title: "one-cluster, seed 42".into(),
///     lanes: vec![lane("alpha.master"), lane("alpha.worker[1]")],
///     messages: vec![Message {
///         from: 0,
///         to: 1,
///         sent_us: 100,
///         arrived_us: Some(350),
///         kind: MessageKind::Entries,
///         label: "Entries 4..7".into(),
///     }],
///     ..SpaceTime::default()
/// });
/// assert!(page.contains("Entries 4..7"));
/// ```
pub fn html(trace: &SpaceTime) -> String {
    let drawing = Drawing::new(trace);
    let width = drawing.lane_px();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="color-scheme" content="light dark";
                title { (trace.title) }
                style { (PreEscaped(STYLE)) (PreEscaped(filter_rules())) }
            }
            body {
                header {
                    h1 { (trace.title) }
                    @if !trace.subtitle.is_empty() { p.subtitle { (trace.subtitle) } }
                    (violations(trace))
                    (controls(trace))
                    @if drawing.left_out > 0 {
                        p.left-out {
                            (drawing.left_out)
                            " of what was given names a lane that is not there, and is not drawn."
                        }
                    }
                }
                main {
                    div.names style=(format!("width:{}px", drawing.width())) {
                        @for (at, lane) in trace.lanes.iter().enumerate() {
                            @let left = drawing.x(at) - width / 2.0;
                            div.name style=(format!("left:{left}px;width:{width}px")) {
                                b title=(lane.name) { (lane.name) }
                                span { (lane.detail) }
                            }
                        }
                    }
                    (drawing.svg())
                }
                div #tip hidden {}
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

fn violations(trace: &SpaceTime) -> Markup {
    let lanes = &trace.lanes;
    let all = trace.marks.iter().filter(|mark| mark.kind == MarkKind::Violation);
    let shown: Vec<_> = all.filter_map(|mark| Some((mark, lanes.get(mark.lane)?))).collect();
    html! {
        @if !shown.is_empty() {
            ol.violations {
                @for (number, (mark, lane)) in shown.iter().enumerate().take(VIOLATIONS_MAX) {
                    li {
                        a href=(format!("#violation-{}", number + 1)) {
                            span.what { (mark.label) }
                            span.where { (lane.name) ", " (draw::instant(mark.at_us)) }
                        }
                    }
                }
                @if shown.len() > VIOLATIONS_MAX {
                    li { (format!("and {} more", shown.len() - VIOLATIONS_MAX)) }
                }
            }
        }
    }
}

/// The legend, which is the filter too: only kinds that occur, with how often they do.
fn controls(trace: &SpaceTime) -> Markup {
    let messages = MessageKind::ALL.iter().map(|&kind| {
        let count = trace.messages.iter().filter(|it| it.kind == kind).count();
        let head = format!("url(#{})", kind.class());
        let sample = html! { line x1="1" y1="7" x2="23" y2="7" marker-end=(head) {} };
        (kind.class(), kind.word(), count, sample)
    });
    let marks = MarkKind::ALL.iter().map(|&kind| {
        let count = trace.marks.iter().filter(|it| it.kind == kind).count();
        (
            kind.class(),
            kind.word(),
            count,
            html! { g.mark transform="translate(12 7)" { (draw::shape(kind)) } },
        )
    });
    let spans = SpanKind::ALL.iter().map(|&kind| {
        let count = trace.spans.iter().filter(|it| it.kind == kind).count();
        (kind.class(), kind.word(), count, html! { rect x="4" y="0" width="16" height="14" {} })
    });
    html! {
        form.controls {
            @for (class, word, count, sample) in messages.chain(marks).chain(spans) {
                @if count > 0 {
                    label.filter {
                        input type="checkbox" data-hides=(class) checked;
                        svg width="24" height="14" aria-hidden="true" {
                            g.item.(class) { (sample) }
                        }
                        (word) small { (count) }
                    }
                }
            }
            label.filter { input #labels type="checkbox" checked; "labels" }
            label.zoom {
                "zoom"
                input #zoom type="range" min="-2" max="3" step="0.05" value="0" aria-label="zoom";
                output #factor { "100 %" }
            }
        }
    }
}

/// A rule for each kind, which hides it while the drawing has the class.
fn filter_rules() -> String {
    let messages = MessageKind::ALL.iter().map(|kind| kind.class());
    let marks = MarkKind::ALL.iter().map(|kind| kind.class());
    let spans = SpanKind::ALL.iter().map(|kind| kind.class());
    messages.chain(marks).chain(spans).fold(String::new(), |rules, class| {
        rules + "#diagram.no-" + class + " ." + class + "{display:none}\n"
    })
}
