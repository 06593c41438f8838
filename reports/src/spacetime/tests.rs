//! A small run, a long one, and one that means ill.

use quick_xml::{Reader, events::Event};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use super::*;

fn lane(name: &str) -> Lane {
    Lane { name: name.into(), detail: "tasks, action".into() }
}

fn message(
    from: usize,
    to: usize,
    sent_us: u64,
    took_us: u64,
    kind: MessageKind,
    label: &str,
) -> Message {
    Message { from, to, sent_us, arrived_us: Some(sent_us + took_us), kind, label: label.into() }
}

fn mark(lane: usize, at_us: u64, kind: MarkKind, label: &str) -> Mark {
    Mark { lane, at_us, kind, label: label.into() }
}

/// A worker joins, dispatches, is cut off, reconnects and differs.
fn small() -> SpaceTime {
    let point = |lane, at_us, version: &str| VersionPoint { lane, at_us, version: version.into() };
    let mut trace = SpaceTime {
        title: "one-cluster, seed 42".into(),
        subtitle: "store tasks, mode action; 3.2 virtual seconds, shrunk from 840".into(),
        lanes: vec![lane("alpha.master"), lane("alpha.worker[1]"), lane("alpha.worker[2]")],
        messages: vec![
            message(1, 0, 1_000, 210, MessageKind::Handshake, "Attach"),
            message(0, 1, 1_260, 340, MessageKind::Snapshot, "Snapshot 1:0"),
            message(1, 0, 2_100, 220, MessageKind::Dispatch, "Dispatch #1"),
            message(0, 1, 2_330, 190, MessageKind::Entries, "Entries 1..1"),
            message(0, 2, 2_330, 240, MessageKind::Entries, "Entries 1..1"),
            message(0, 1, 2_390, 200, MessageKind::Answer, "Answer #1"),
            message(0, 1, 3_150_700, 230, MessageKind::Entries, "Entries 2..3"),
            message(0, 1, 3_151_300, 420, MessageKind::Heal, "Heal 1:3"),
            message(2, 2, 3_151_400, 100, MessageKind::Other, "Wake"),
        ],
        marks: vec![
            mark(1, 2_100, MarkKind::Dispatch, "Push(\"v1\")"),
            mark(0, 2_330, MarkKind::Applied, "1:1"),
            mark(1, 2_520, MarkKind::Applied, "1:1"),
            mark(1, 2_590, MarkKind::Resolved, "Ok 1:1"),
            mark(2, 2_700, MarkKind::Fault, "kill -9"),
            mark(1, 3_150_930, MarkKind::Report, "Diverged at 1:3"),
            mark(1, 3_151_720, MarkKind::Jumped, "1:3 to 1:3"),
            mark(
                1,
                3_151_800,
                MarkKind::Violation,
                "I2: at version 1:3 the digest is 9f3a, and 77c0 at alpha.master",
            ),
        ],
        versions: vec![
            point(0, 2_330, "1:1"),
            point(1, 1_600, "1:0"),
            point(1, 2_520, "1:1"),
            point(1, 3_150_930, "1:3"),
        ],
        spans: vec![
            Span {
                lane: 2,
                from_us: 2_700,
                to_us: 3_151_350,
                kind: SpanKind::Down,
                label: "killed".into(),
            },
            Span {
                lane: 1,
                from_us: 900,
                to_us: 1_600,
                kind: SpanKind::NotInSync,
                label: "joins".into(),
            },
            Span {
                lane: 0,
                from_us: 2_800,
                to_us: 3_150_600,
                kind: SpanKind::Paused,
                label: "stopped".into(),
            },
        ],
    };
    trace.messages.push(Message {
        arrived_us: None,
        ..message(0, 2, 2_760, 0, MessageKind::Entries, "Entries 2..2")
    });
    trace
}

/// Ten replicas, 1,500 messages, pauses between bursts.
fn long(seed: u64) -> SpaceTime {
    let mut random = Pcg64::seed_from_u64(seed);
    let mut trace = SpaceTime {
        title: format!("two-clusters, seed {seed}"),
        subtitle: "drawn at random".into(),
        lanes: (0..10)
            .map(|at| {
                lane(&format!("{}.worker[{}]", if at < 5 { "alpha" } else { "beta" }, at % 5))
            })
            .collect(),
        ..SpaceTime::default()
    };
    let mut now_us = 0;
    for number in 0..1_500_u64 {
        now_us += if random.random_ratio(1, 60) {
            random.random_range(100_000..9_000_000)
        } else {
            random.random_range(0..300)
        };
        let (from, kind) =
            (random.random_range(0..10), MessageKind::ALL[random.random_range(0..7)]);
        let to = (from + random.random_range(1..10)) % 10;
        let mut sent = message(
            from,
            to,
            now_us,
            random.random_range(80..900),
            kind,
            &format!("{} {number}", kind.word()),
        );
        if random.random_ratio(1, 40) {
            sent.arrived_us = None;
        }
        if let Some(at_us) = sent.arrived_us.filter(|_| number % 2 == 0) {
            trace.marks.push(mark(to, at_us, MarkKind::Applied, &format!("1:{number}")));
            trace.versions.push(VersionPoint { lane: to, at_us, version: format!("1:{number}") });
        }
        trace.messages.push(sent);
        if number % 100 == 50 {
            let lane = random.random_range(0..10);
            trace.marks.push(mark(lane, now_us, MarkKind::Fault, "cut"));
            let kind = SpanKind::ALL[random.random_range(0..3)];
            trace.spans.push(Span {
                lane,
                from_us: now_us,
                to_us: now_us + 20_000,
                kind,
                label: String::new(),
            });
        }
    }
    trace.marks.push(mark(
        7,
        now_us,
        MarkKind::Violation,
        "I3: dispatch 9 of session 4f is in the history twice",
    ));
    trace
}

/// Panics unless every element that has to end does, in its place.
fn assert_well_formed(page: &str) {
    let page = page.strip_prefix("<!DOCTYPE html>").expect("a page");
    let page = without(&without(page, "style"), "script");
    let mut reader = Reader::from_str(&page);
    // HTML leaves some elements open for good; all others have to match.
    reader.config_mut().check_end_names = false;
    let mut open = Vec::new();
    loop {
        match reader.read_event().expect("well-formed") {
            Event::Start(start) => {
                let name = String::from_utf8(start.name().as_ref().to_vec()).expect("a name");
                let mut attributes = start.html_attributes();
                assert!(attributes.all(|attribute| attribute.is_ok()), "{start:?}");
                match name.as_str() {
                    "meta" | "input" => {}
                    _ => open.push(name),
                }
            }
            Event::End(end) => {
                assert_eq!(
                    open.pop().map(String::into_bytes).as_deref(),
                    Some(end.name().as_ref())
                );
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(open, Vec::<String>::new());
}

/// The page without its one element `name`, whose inside is not markup.
fn without(page: &str, name: &str) -> String {
    let (before, rest) = page.split_once(&format!("<{name}>")).expect("a beginning");
    let (_, after) = rest.split_once(&format!("</{name}>")).expect("an end");
    format!("{before}{after}")
}

/// The drawing, an element a line.
fn drawing(page: &str) -> String {
    let (_, rest) = page.split_once("<main>").expect("a drawing");
    let (drawing, _) = rest.split_once("</main>").expect("its end");
    drawing.replace("><", ">\n<")
}

#[test]
fn a_small_run_is_drawn() {
    insta::assert_snapshot!(drawing(&html(&small())));
}

#[test]
fn every_page_is_well_formed() {
    for trace in [SpaceTime::default(), small(), long(1), long(2)] {
        assert_well_formed(&html(&trace));
    }
}

#[test]
fn markup_in_labels_stays_text() {
    let ill = "</text></svg><script>alert(1)</script>\"'&";
    let mut trace = small();
    (trace.title, trace.subtitle) = (ill.into(), ill.into());
    trace.lanes[0] = Lane { name: ill.into(), detail: ill.into() };
    trace.messages[0].label = ill.into();
    trace.marks.iter_mut().for_each(|mark| mark.label = ill.into());
    trace.versions[0].version = ill.into();
    trace.spans[0].label = ill.into();
    let page = html(&trace);
    assert_well_formed(&page);
    assert_eq!(page.matches("<script").count(), 1, "{page}");
    assert_eq!(page.matches("alert(1)").count(), page.matches("&lt;script&gt;alert(1)").count());
    assert!(page.matches("alert(1)").count() > 10);
}

#[test]
fn nothing_is_asked_of_the_network() {
    let page = html(&long(3)).replace("http://www.w3.org/2000/svg", "");
    for word in ["http:", "https:", "src=", "@import", "<link", "fetch("] {
        assert!(!page.contains(word), "{word}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn a_violation_stands_at_the_top_and_leads_to_its_place() {
    let page = html(&small());
    let (head, diagram) = page.split_once("<main>").expect("a drawing");
    assert!(head.contains("href=\"#violation-1\""), "{head}");
    assert!(head.contains("I2: at version 1:3"), "{head}");
    assert!(diagram.contains("id=\"violation-1\""), "{diagram}");
}

#[test]
fn what_names_no_lane_is_counted_and_not_drawn() {
    let mut trace = small();
    trace.messages[0].to = 3;
    trace.marks[0].lane = usize::MAX;
    let page = html(&trace);
    assert!(page.contains("2 of what was given names a lane that is not there"), "{page}");
    assert_eq!(page.matches("class=\"item message").count(), small().messages.len() - 1);
    assert!(!html(&small()).contains("a lane that is not there"));
}
