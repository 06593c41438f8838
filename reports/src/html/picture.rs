//! A figure of a record as a picture of its own: one SVG file, with title, axes and colours.
//!
//! The drawings are those of the page. Texts are laid out by an estimate of their width, since the
//! font is the viewer's.

use std::collections::BTreeSet;

use maud::{Markup, PreEscaped, html};

use super::chart::{self, BandKind, Chart, Line, Shape};
use super::{latency, matrix, over_time};
use crate::overview;
use crate::record::{Case, Kind, Record};
use crate::units;

/// The colours and the rules that pictures share with the page.
const DRAWING: &str = include_str!("drawing.css");

/// The rules of a picture alone.
const STYLE: &str = "\
text { font: 13px system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif; \
fill: var(--dim); }
text.title { font-size: 18px; font-weight: 650; fill: var(--ink); }
text.panel { font-size: 14.5px; font-weight: 650; fill: var(--ink); }
text.name { font-weight: 600; fill: var(--ink); }
text.small { font-size: 12px; }
rect.page { fill: var(--raised); stroke: var(--line); }
rect.swatch { fill: var(--c); }
line.axis { stroke: var(--dim); }
line.edge { stroke: var(--bad); stroke-width: 2; }
";

/// The width of a picture.
const WIDTH: f64 = 760.0;

/// The space around everything.
const MARGIN: f64 = 22.0;

/// The place of the vertical axis.
const LEFT: f64 = 84.0;

/// The height of a line of text.
const ROW: f64 = 20.0;

/// The width of a letter of plain text, on average.
const LETTER: f64 = 6.7;

/// Lists the names of the figures that a record has.
///
/// A record of one case has those over time, such as `identity`. A record of several cases has one
/// for each measure and each axis that is a number, and the figures of each case after its number,
/// as in `2/identity`.
pub fn figures(record: &Record) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut add = |name: String| {
        if !names.contains(&name) {
            names.push(name);
        }
    };
    for chart in matrix_charts(record) {
        add(chart.figure);
    }
    for (at, case) in record.cases.iter().enumerate() {
        let before = if record.cases.len() > 1 { format!("{}/", at + 1) } else { String::new() };
        with_figures(case, |charts| {
            charts.iter().for_each(|chart| add(format!("{before}{}", chart.figure)));
        });
    }
    names
}

/// Draws a figure of a record by its name; `None` if the record has no such figure.
///
/// The picture is light or dark as its viewer prefers, and needs no other file.
pub fn picture(record: &Record, name: &str) -> Option<String> {
    let over_axis: Vec<_> =
        matrix_charts(record).into_iter().filter(|chart| chart.figure == name).collect();
    if !over_axis.is_empty() {
        return Some(draw(record, None, &over_axis.iter().collect::<Vec<_>>()));
    }
    let (case, name) = match name.split_once('/') {
        Some((number, name)) if record.cases.len() > 1 => {
            (record.cases.get(number.parse::<usize>().ok()?.checked_sub(1)?)?, name)
        }
        _ if record.cases.len() == 1 => (&record.cases[0], name),
        _ => return None,
    };
    with_figures(case, |charts| {
        let wanted: Vec<&Chart<'_>> = charts.iter().copied().filter(|c| c.figure == name).collect();
        (!wanted.is_empty()).then(|| draw(record, Some(case), &wanted))
    })
}

fn matrix_charts(record: &Record) -> Vec<Chart<'static>> {
    if record.cases.len() > 1 { matrix::charts(&record.cases) } else { Vec::new() }
}

fn with_figures<R>(case: &Case, draw: impl FnOnce(&[&Chart<'_>]) -> R) -> R {
    let distribution = latency::chart(case, "p");
    over_time::with_charts(case, "p", |charts| {
        let all: Vec<&Chart<'_>> = charts.iter().chain(&distribution).collect();
        draw(&all)
    })
}

/// A picture whose parts are put one under the other.
struct Page {
    parts: Vec<Markup>,
    /// The place of the next part.
    down: f64,
}

impl Page {
    fn text(&mut self, class: &str, x: f64, text: &str) {
        self.down += ROW;
        let y = self.down - 5.0;
        self.parts.push(html! { text class=(class) x=(x) y=(y) { (text) } });
    }

    /// Adds a text of as many rows as it needs.
    fn texts(&mut self, class: &str, text: &str) {
        for row in wrapped(text, (WIDTH - 2.0 * MARGIN) / LETTER) {
            self.text(class, MARGIN, &row);
        }
    }
}

fn draw(record: &Record, case: Option<&Case>, charts: &[&Chart<'_>]) -> String {
    let mut page = Page { parts: Vec::new(), down: MARGIN - 4.0 };
    let single = charts.len() == 1;
    let what = if single { &charts[0].title } else { common(charts) };
    let mut title = format!("{}: {}", record.scenario, lower(what));
    if let Some(case) = case.filter(|_| record.cases.len() > 1) {
        title += &format!(", {}", overview::title(case, &overview::axes(&record.cases)).join(" "));
    }
    page.text("title", MARGIN, &title);
    page.down += 4.0;
    page.texts("about", &format!("{}{}", sentence(&record.about), sentence(&charts[0].about)));
    faults(&mut page, charts[0]);
    for (at, chart) in charts.iter().enumerate() {
        page.down += 8.0;
        panel(&mut page, chart, !single, at + 1 == charts.len());
    }
    page.down += 6.0;
    page.texts("small", &origin(record));
    let height = page.down + MARGIN - 8.0;
    let spoken: Vec<String> = charts.iter().map(|chart| chart.spoken()).collect();
    let picture = html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {WIDTH} {height}"))
            width=(WIDTH) height=(height) role="img" aria-labelledby="title about" {
            title id="title" { (title) }
            desc id="about" { (spoken.join("; ")) }
            style { (PreEscaped(DRAWING)) (PreEscaped(STYLE)) }
            rect.page x="0.5" y="0.5" width=(WIDTH - 1.0) height=(height - 1.0) rx="8" {}
            @for part in &page.parts { (part) }
        }
    };
    picture.into_string() + "\n"
}

/// The number of the faults, with what a band stands for.
fn faults(page: &mut Page, chart: &Chart<'_>) {
    let faults: Vec<_> = chart.bands.iter().filter(|band| band.kind == BandKind::Fault).collect();
    if faults.is_empty() {
        return;
    }
    let kinds: BTreeSet<&str> =
        faults.iter().filter_map(|band| band.title.split_once(" at ")).map(|two| two.0).collect();
    let kinds = kinds.into_iter().collect::<Vec<_>>().join(", ");
    let plural = if faults.len() == 1 { "" } else { "s" };
    let y = page.down + 4.0;
    page.parts.push(html! {
        rect.fault x=(MARGIN) y=(y) width="14" height="12" {}
        line.edge x1=(MARGIN) x2=(MARGIN) y1=(y) y2=(y + 12.0) {}
    });
    let text =
        format!("{} fault{plural} ({kinds}), each from its injection to its end", faults.len());
    page.text("small", MARGIN + 22.0, &text);
}

/// Adds a plot with its legend and its axes.
fn panel(page: &mut Page, chart: &Chart<'_>, titled: bool, last: bool) {
    if titled {
        page.text("panel", MARGIN, &chart.title);
    }
    legend(page, &chart.lines);
    page.text("small", MARGIN, &chart.y.title);
    page.down += 6.0;
    let (width, height) = (WIDTH - MARGIN - LEFT, if chart.low { 110.0 } else { 210.0 });
    let (x_labels, y_labels) = (chart.x.labels(6), chart.y.labels(if chart.low { 2 } else { 4 }));
    let top = page.down;
    let view = format!("0 0 {} {}", chart::WIDTH, chart::HEIGHT);
    page.parts.push(html! {
        svg x=(LEFT) y=(top) width=(width) height=(height) viewBox=(view)
            preserveAspectRatio="none" overflow="visible" {
            (chart.plot(&x_labels, &y_labels))
        }
        line.axis x1=(LEFT) x2=(LEFT + width) y1=(top + height) y2=(top + height) {}
        @for (place, text) in &y_labels {
            text.small x=(LEFT - 8.0) y=(top + height * (1.0 - place) + 4.0)
                text-anchor="end" { (text) }
        }
        @for (place, text) in &x_labels {
            @let anchor = match place {
                _ if *place < 0.02 => "start",
                _ if *place > 0.96 => "end",
                _ => "middle",
            };
            text.small x=(format!("{:.1}", LEFT + place * width)) y=(top + height + 17.0)
                text-anchor=(anchor) { (text) }
        }
        @if last {
            text.small x=(LEFT + width) y=(top + height + 35.0) text-anchor="end" {
                (chart.x.title)
            }
        }
    });
    page.down += height + if last { 40.0 } else { 22.0 };
}

/// Adds the lines' names, as many in a row as fit.
fn legend(page: &mut Page, lines: &[Line]) {
    if lines.len() < 2 && lines.iter().all(|line| line.note.is_empty()) {
        return;
    }
    let mut x = MARGIN;
    page.down += ROW;
    for line in lines {
        // Bold letters are wider.
        let name = line.name.chars().count() as f64 * (LETTER + 0.8);
        let note = line.note.chars().count() as f64 * LETTER;
        let width = 22.0 + name + note + 26.0;
        if x > MARGIN && x + width > WIDTH {
            (x, page.down) = (MARGIN, page.down + ROW);
        }
        let y = page.down - 5.0;
        let thick = if line.shape == Shape::Thin { 1.5 } else { 3.0 };
        page.parts.push(html! {
            rect class=(format!("swatch {}", chart::class(line.colour)))
                x=(x) y=(y - 5.0 - thick / 2.0) width="14" height=(thick) rx="1.5" {}
            text x=(x + 21.0) y=(y) {
                tspan style="font-weight:600;fill:var(--ink)" { (line.name) }
                @if !line.note.is_empty() { tspan dx="7" { (line.note) } }
            }
        });
        x += width;
    }
}

/// The machine, and the command that made the record.
fn origin(record: &Record) -> String {
    let machine = &record.machine;
    let mut origin = match record.kind {
        Kind::Virtual => "Virtual time".to_owned(),
        Kind::Processes if machine.cpu.is_empty() => "Real processes".to_owned(),
        Kind::Processes => {
            let cores = units::count(f64::from(machine.cores));
            let plural = if machine.cores == 1 { "" } else { "s" };
            format!("Real processes on {cores} core{plural} of {}", machine.cpu)
        }
    };
    if machine.debug_build {
        origin += ", an unoptimised build: its costs say nothing";
    }
    if let Some(repeats) = record.cases.iter().map(|case| case.repeats.len()).max()
        && repeats > 1
    {
        origin += &format!(", medians of {repeats} repeats");
    }
    origin + "."
}

/// The part of the titles of several charts that is the same: `Identity` of `Identity: tasks`.
fn common<'a>(charts: &'a [&Chart<'_>]) -> &'a str {
    charts.first().map_or("", |chart| chart.title.split(':').next().unwrap_or_default())
}

/// A text with a full stop and a space; nothing if there is none.
fn sentence(text: &str) -> String {
    let text = text.trim().trim_end_matches('.');
    if text.is_empty() { String::new() } else { format!("{text}. ") }
}

/// A title in the middle of a sentence. `CPU` stays as it is.
fn lower(title: &str) -> String {
    let mut letters = title.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(title.chars().skip(1)).collect()
        }
        _ => title.to_owned(),
    }
}

/// Rows of at most so many letters, broken between words.
fn wrapped(text: &str, most: f64) -> Vec<String> {
    let mut rows = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(row) = rows.last_mut() else { continue };
        if !row.is_empty() && (row.chars().count() + 1 + word.chars().count()) as f64 > most {
            rows.push(word.to_owned());
            continue;
        }
        if !row.is_empty() {
            row.push(' ');
        }
        row.push_str(word);
    }
    rows
}

#[cfg(test)]
mod tests {
    use quick_xml::Reader;
    use quick_xml::events::Event;

    use super::*;
    use crate::html::tests::drawn;
    use crate::record::sample;

    /// Reads a picture to its end; returns all its texts.
    fn texts(picture: &str) -> String {
        let mut reader = Reader::from_str(picture);
        let mut texts = String::new();
        loop {
            match reader.read_event().expect("well-formed XML") {
                Event::Text(text) => texts += &text.decode().expect("UTF-8"),
                Event::End(_) => texts.push('\n'),
                Event::Eof => return texts,
                _ => {}
            }
        }
    }

    #[test]
    fn a_picture_stands_alone_with_title_units_faults_and_all_stores() {
        let picture = picture(&drawn(), "identity").expect("the figure is there");
        let texts = texts(&picture);
        for expected in [
            "two-clusters: identity",
            "Identity: mirror",
            "Identity: tasks",
            "share of time, in percent",
            "time since the load began, in seconds",
            "1 fault (cut), each from its injection to its end",
        ] {
            assert!(texts.contains(expected), "{expected}: {texts}");
        }
        assert!(picture.contains("xmlns=") && picture.contains("prefers-color-scheme: dark"));
        assert!(!picture.contains("href") && !picture.contains("url("), "nothing from elsewhere");
    }

    #[test]
    fn each_figure_that_is_listed_can_be_drawn_and_no_other() {
        let mut sizes = sample::big_store_repeated();
        for (case, size) in sizes.cases.iter_mut().zip(["1MB", "10MB"]) {
            case.with.insert("stores.document.size".into(), serde_json::json!(size));
        }
        for record in [drawn(), sizes] {
            let names = figures(&record);
            assert!(!names.is_empty());
            for name in &names {
                texts(&picture(&record, name).expect(name));
            }
            for odd in ["", "identit", "0/identity", "9/identity", "x/identity", "1/", "/"] {
                assert_eq!(picture(&record, odd), None, "{odd}");
            }
        }
    }

    #[test]
    fn a_matrix_has_a_figure_for_each_measure_over_its_numbers() {
        let mut record = sample::big_store_repeated();
        for (case, size) in record.cases.iter_mut().zip(["1MB", "10MB"]) {
            case.with.insert("stores.document.size".into(), serde_json::json!(size));
        }
        assert!(figures(&record).contains(&"cost.cpu_us_per_action-over-size".to_owned()));
        let picture = picture(&record, "cost.cpu_us_per_action-over-size").expect("there");
        let texts = texts(&picture);
        assert!(texts.contains("big-store: CPU per action"), "{texts}");
        assert!(texts.contains("medians of 5 repeats"), "{texts}");
        assert!(texts.contains("snapshot") && texts.contains("10MB"), "{texts}");
    }

    #[test]
    fn names_of_a_scenario_are_text_and_never_markup() {
        let mut record = drawn();
        record.scenario = "<script>alert(1)</script>".into();
        let picture = picture(&record, "rate").expect("the figure is there");
        assert!(!picture.contains("<script"));
        texts(&picture);
    }
}
