//! A plot with its axes, lines, bands and legend.
//!
//! The SVG has a fixed size and is stretched, lines excepted. Ticks are HTML beside it.

use std::fmt::Write;

use maud::{Markup, html};
use serde_json::{Value, json};

use super::scale::{Scale, Unit};

/// The size of a plot in its own units.
pub(super) const WIDTH: f64 = 1000.0;
pub(super) const HEIGHT: f64 = 100.0;

/// A band is at least this wide, so that a short fault of a long run is seen.
const BAND_MIN: f64 = 2.5;

/// The number of colours of lines. Further lines have the same colours, dashed.
const COLOURS: usize = 8;

/// A plot over one axis.
pub(super) struct Chart<'a> {
    /// The id of the figure, unique in the page.
    pub(super) id: String,
    /// The picture that it is a part of, by its name.
    pub(super) figure: String,
    pub(super) title: String,
    /// A sentence about the plotted values.
    pub(super) about: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) lines: Vec<Line>,
    pub(super) bands: &'a [Band],
    /// Low plots stand close to each other.
    pub(super) low: bool,
}

/// An axis with its unit.
#[derive(Clone)]
pub(super) struct Axis {
    pub(super) scale: Scale,
    pub(super) unit: Unit,
    /// The title of the axis, with the unit of what is counted.
    pub(super) title: String,
    /// Ticks with texts of their own; those of the scale if there are none.
    pub(super) ticks: Vec<(f64, String)>,
}

impl Axis {
    pub(super) fn new(scale: Scale, unit: Unit, title: impl Into<String>) -> Self {
        Self { scale, unit, title: title.into(), ticks: Vec::new() }
    }

    /// Places and texts of the ticks.
    pub(super) fn labels(&self, count: usize) -> Vec<(f64, String)> {
        let ticks = self.scale.ticks(count).into_iter();
        let own = ticks.map(|value| (self.scale.place(value), self.unit.show(value)));
        let given = self.ticks.iter();
        let given = given.map(|(value, text)| (self.scale.place(*value), text.clone()));
        if self.ticks.is_empty() { own.collect() } else { given.collect() }
    }
}

/// A line of a plot.
pub(super) struct Line {
    pub(super) name: String,
    /// Its colour, and beyond the number of colours its dashes.
    pub(super) colour: usize,
    pub(super) shape: Shape,
    /// Values over the axis; `None` is a gap.
    pub(super) points: Vec<(f64, Option<f64>)>,
    /// The figure beside its name in the legend.
    pub(super) note: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A line from point to point.
    Line,
    /// The same, thin.
    Thin,
    /// Steps: each point holds until the next. The space under it is filled.
    Filled,
    /// A line with a mark at each point.
    Marked,
    /// Marks without a line, for points far apart.
    Dots,
}

/// A stretch of the horizontal axis.
pub(super) struct Band {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) title: String,
    pub(super) kind: BandKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BandKind {
    Fault,
    Phase,
}

impl Chart<'_> {
    /// Renders the figure.
    pub(super) fn markup(&self) -> Markup {
        let title_id = format!("{}-title", self.id);
        let (x_labels, y_labels) = (self.x.labels(6), self.y.labels(if self.low { 2 } else { 4 }));
        html! {
            figure.chart.low[self.low] #(self.id) {
                figcaption {
                    h4 { (self.title) }
                    p { (self.about) }
                    @if self.lines.len() > 1 || self.lines.iter().any(|l| !l.note.is_empty()) {
                        ul.legend {
                            @for line in &self.lines { (legend(line)) }
                        }
                    }
                }
                div.axes {
                    span.axis-title.of-y { (self.y.title) }
                    div.y-labels aria-hidden="true" {
                        @for (place, text) in &y_labels {
                            span style=(format!("bottom:{:.2}%", place * 100.0)) { (text) }
                        }
                    }
                    div.plot {
                        (self.svg(&title_id, &x_labels, &y_labels))
                    }
                    div.x-labels aria-hidden="true" {
                        @for (place, text) in &x_labels {
                            @let style = format!("left:{:.2}%", place * 100.0);
                            span.last[*place > 0.96] style=(style) { (text) }
                        }
                    }
                    span.axis-title.of-x { (self.x.title) }
                }
            }
        }
    }

    /// The values of both axes, in words.
    pub(super) fn spoken(&self) -> String {
        format!("{}: {} over {}", self.title, self.y.title, self.x.title)
    }

    fn svg(&self, title_id: &str, x: &[(f64, String)], y: &[(f64, String)]) -> Markup {
        html! {
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none"
                role="img" aria-labelledby=(title_id) {
                title id=(title_id) { (self.spoken()) }
                (self.plot(x, y))
            }
        }
    }

    /// Bands, grid and lines, in an area of [`WIDTH`] and [`HEIGHT`].
    pub(super) fn plot(&self, x: &[(f64, String)], y: &[(f64, String)]) -> Markup {
        html! {
            g.bands {
                @for band in self.bands { (self.band(band)) }
            }
            g {
                @for (place, _) in y {
                    @let y = units_down(*place);
                    line.grid-line x1="0" x2=(WIDTH) y1=(y) y2=(y) {}
                }
                @for (place, _) in x {
                    @let x = format!("{:.1}", place * WIDTH);
                    line.grid-line x1=(x) x2=(x) y1="0" y2=(HEIGHT) {}
                }
            }
            @for line in &self.lines { (self.line(line)) }
        }
    }

    fn band(&self, band: &Band) -> Markup {
        let from = self.x.scale.place(band.from) * WIDTH;
        let width = (self.x.scale.place(band.to) * WIDTH - from).max(BAND_MIN);
        let class = match band.kind {
            BandKind::Fault => "fault",
            BandKind::Phase => "phase",
        };
        html! {
            rect class=(class) x=(format!("{from:.1}")) y="0" width=(format!("{width:.1}"))
                height=(HEIGHT) { title { (band.title) } }
        }
    }

    fn line(&self, line: &Line) -> Markup {
        let place = |(x, y): (f64, f64)| {
            (self.x.scale.place(x) * WIDTH, HEIGHT - self.y.scale.place(y) * HEIGHT)
        };
        let mut path = String::new();
        let mut area = String::new();
        for run in runs(&line.points) {
            match line.shape {
                Shape::Filled => steps(&run, place, &mut path, &mut area),
                _ => joined(&run, place, &mut path),
            }
        }
        let class = class(line.colour);
        let thin = line.shape == Shape::Thin;
        html! {
            g class=(class) {
                @if !area.is_empty() { path.area d=(area) {} }
                @if line.shape != Shape::Dots { path.line.thin[thin] d=(path) {} }
                @if matches!(line.shape, Shape::Marked | Shape::Dots) {
                    @for (x, y) in line.points.iter().filter_map(|(x, y)| Some((*x, (*y)?))) {
                        @let (x, y) = place((x, y));
                        // A line of no length, with round ends: a dot, however it is stretched.
                        path.dot.small[line.shape == Shape::Dots] d=(format!("M{x:.1} {y:.1}h0")) {}
                    }
                }
            }
        }
    }

    /// The data that the script reads.
    pub(super) fn data(&self) -> Value {
        let xs = |line: &Line| line.points.iter().map(|(x, _)| rounded(*x)).collect::<Vec<_>>();
        let first = self.lines.first().map(xs).unwrap_or_default();
        let lines = self.lines.iter().map(|line| {
            let ys: Vec<_> = line.points.iter().map(|(_, y)| *y).collect();
            let own = Some(xs(line)).filter(|own| *own != first);
            json!({ "name": line.name, "class": class(line.colour), "xs": own, "ys": ys })
        });
        let (low, high) = self.x.scale.ends();
        json!({ "id": self.id, "unit": self.y.unit.name(), "x": self.x.unit.name(),
                "low": low, "high": high, "log": self.x.scale.is_log(),
                "xs": first, "lines": lines.collect::<Vec<_>>() })
    }
}

fn rounded(x: f64) -> f64 {
    (x * 1e4).round() / 1e4
}

fn units_down(place: f64) -> String {
    format!("{:.1}", HEIGHT - place * HEIGHT)
}

pub(super) fn class(colour: usize) -> String {
    let dashed = if colour >= COLOURS { " dashed" } else { "" };
    format!("c{}{dashed}", colour % COLOURS)
}

fn legend(line: &Line) -> Markup {
    html! {
        li class=(class(line.colour)) {
            span.swatch.thin[line.shape == Shape::Thin] aria-hidden="true" {}
            b { (line.name) }
            @if !line.note.is_empty() { " " span.note { (line.note) } }
        }
    }
}

/// The stretches of a line without a gap.
fn runs(points: &[(f64, Option<f64>)]) -> Vec<Vec<(f64, f64)>> {
    let mut runs = vec![Vec::new()];
    for (x, y) in points {
        match (y, runs.last_mut()) {
            (Some(y), Some(run)) => run.push((*x, *y)),
            (None, Some(run)) if !run.is_empty() => runs.push(Vec::new()),
            _ => {}
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

fn joined(run: &[(f64, f64)], place: impl Fn((f64, f64)) -> (f64, f64), path: &mut String) {
    for (at, point) in run.iter().enumerate() {
        let (x, y) = place(*point);
        let _ = write!(path, "{}{x:.1} {y:.1}", if at == 0 { "M" } else { "L" });
    }
    if run.len() == 1 {
        path.push_str("h0.5");
    }
}

/// Draws steps. Equal neighbours are one step.
fn steps(
    run: &[(f64, f64)],
    place: impl Fn((f64, f64)) -> (f64, f64),
    path: &mut String,
    area: &mut String,
) {
    let width = match run {
        [first, second, ..] => second.0 - first.0,
        _ => 0.0,
    };
    let (first_x, first_y) = place(run[0]);
    let last_x = place((run[run.len() - 1].0 + width, 0.0)).0;
    let mut top = format!("{first_x:.1} {first_y:.1}");
    let mut at_y = first_y;
    for point in &run[1..] {
        let (x, y) = place(*point);
        if (y - at_y).abs() > 0.05 {
            let _ = write!(top, "H{x:.1}V{y:.1}");
            at_y = y;
        }
    }
    let _ = write!(top, "H{last_x:.1}");
    let _ = write!(path, "M{top}");
    let _ = write!(area, "M{first_x:.1} {HEIGHT}L{top}V{HEIGHT}Z");
}
