//! The page of a run that goes on, and the updates that renew it.
//!
//! The page has the charts of the report, drawn from a [`Board`]. Its script takes an update from
//! each event of the server, and at the end the report itself.

use maud::{Markup, PreEscaped, html};
use serde_json::{Value, json};

use super::page::{Content, badge, content, document, headlines};
use super::{over_time, topology};
use crate::live::Board;
use crate::record::Record;
use crate::units;

const SCRIPT: &str = include_str!("live.js");

/// Nothing from elsewhere but the events of the server that the page came from.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                      img-src data:; connect-src 'self'";

/// The most faults that are listed: the last.
const FAULTS_MAX: usize = 3;

/// The page of a run, as a browser gets it first.
#[derive(Clone, Copy, Debug)]
pub enum LivePage<'a> {
    /// The run goes on.
    Running(&'a Board),
    /// The runs are over: their records, and a sentence that says where the reports are.
    Over(&'a [Record], &'a str),
}

/// Renders the page.
pub fn live_page(page: LivePage<'_>) -> String {
    match page {
        LivePage::Running(board) => {
            let more = html! {
                script { (PreEscaped(SCRIPT)) }
                // Without a script the page loads itself anew.
                noscript { meta http-equiv="refresh" content="2"; }
            };
            document(&running(board), POLICY, &more)
        }
        LivePage::Over(records, place) => document(&over(records, place), POLICY, &html! {}),
    }
}

/// Renders what has changed, as the data of an event: JSON in one line.
pub fn live_update(board: &Board) -> String {
    update(running(board), false)
}

/// Renders the end of the runs: the page of their records, after a sentence that says where the
/// reports are.
pub fn final_update(records: &[Record], place: &str) -> String {
    update(over(records, place), true)
}

fn update(content: Content, done: bool) -> String {
    let Content { title, body, charts } = content;
    let charts = Value::Array(charts);
    json!({ "title": title, "html": body.into_string(), "data": charts, "done": done }).to_string()
}

fn over(records: &[Record], place: &str) -> Content {
    let content = content(records);
    let body = html! {
        div.contents { p.reason #live-over { (place) } }
        (content.body)
    };
    Content { body, ..content }
}

fn running(board: &Board) -> Content {
    let case = board.case();
    let charts = over_time::charts(&case, "live");
    let (markup, data) = match charts {
        Some(charts) => (charts.markup, charts.data),
        None => (html! { p.note { "The load has not begun." } }, Vec::new()),
    };
    let body = html! {
        main #live {
            (head(board))
            section #live-charts { h2 { "Over time" } (markup) }
            @if !case.topologies.is_empty() {
                section {
                    h2 { "Topology" }
                    p.note {
                        "Each node gets its copy from the node to its left. The colour is the \
                         cluster."
                    }
                    (topology::drawings(&case.topologies, "live"))
                }
            }
        }
    };
    let name = if board.scenario.is_empty() { "samestate" } else { &board.scenario };
    Content { title: format!("{name}: {}", state(board)), body, charts: data }
}

/// The state of the run in a word.
fn state(board: &Board) -> String {
    board.verdict.map_or_else(|| "running".to_owned(), |verdict| verdict.to_string())
}

fn head(board: &Board) -> Markup {
    let case = board.case();
    let start = &board.start;
    let when = board.at_seconds.map_or_else(String::new, |at| {
        let planned = units::duration(start.planned_seconds);
        format!(", {} into a load of {planned}", units::seconds(at.max(0.0)))
    });
    let sample = &board.sample;
    let faults: Vec<_> = case.faults.list.iter().rev().take(FAULTS_MAX).collect();
    html! {
        header #live-head {
            h1 {
                @match board.verdict {
                    Some(verdict) => { (badge(verdict)) }
                    None => span.badge.running { "running" },
                }
                " " (board.scenario)
            }
            @if !start.about.is_empty() { p.about { (start.about) } }
            div.reason.running {
                p #live-state {
                    "Phase " b { (board.phase) } (when)
                    @if sample.replicas > 0 {
                        ". " (sample.replicas_in_sync) " of " (sample.replicas)
                        " replicas are in sync"
                    }
                    "."
                }
                @if !faults.is_empty() {
                    ul {
                        @for fault in faults { li { (last_fault(fault)) } }
                    }
                }
            }
            @if start.cases > 1 || start.repeats > 1 {
                p {
                    "Case " (board.case_number) " of " (start.cases)
                    @if start.repeats > 1 {
                        ", repeat " (start.repeat) " of " (start.repeats)
                    }
                    ": " b { (board.with()) }
                }
                @for (with, verdict) in &board.judged {
                    p.meta { (badge(*verdict)) " " (with) }
                }
            }
            p.meta {
                "Seed " (start.seed) ", started " time { (start.started) }
                ". The figures are those so far; the report follows at the end."
            }
            (headlines(&case))
        }
    }
}

fn last_fault(fault: &crate::record::FaultDone) -> String {
    let (kind, at) = (&fault.kind, &fault.at);
    match (fault.injected_at_seconds, fault.ended_at_seconds) {
        (Some(from), Some(to)) => {
            format!("{kind} at {at}: {} to {}", units::seconds(from), units::seconds(to))
        }
        (Some(from), None) => format!("{kind} at {at}: since {}", units::seconds(from)),
        (None, _) => format!("{kind} at {at}: {}", fault.evidence),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::{CaseStart, Event, LIVE, Line, LiveStore, Sample};

    fn board() -> Board {
        let mut board = Board::default();
        let store = LiveStore { identical_percent: Some(87.5), ..LiveStore::default() };
        let stores = std::collections::BTreeMap::from([("tasks".to_owned(), store)]);
        let start = CaseStart { sample_seconds: 0.5, ..CaseStart::default() };
        for event in [Event::Start(start), Event::Sample(Sample { stores, ..<_>::default() })] {
            let (scenario, at_seconds) = ("<script>x</script>".to_owned(), Some(0.5));
            board.take(&Line {
                version: LIVE,
                scenario,
                case: 1,
                repeat: Some(1),
                at_seconds,
                event,
            });
        }
        board
    }

    #[test]
    fn a_page_of_a_run_that_goes_on_has_its_charts_and_may_ask_its_server_alone() {
        let page = live_page(LivePage::Running(&board()));
        assert!(page.contains("id=\"live-identity-0\"") && page.contains("connect-src 'self'"));
        assert!(page.contains("new EventSource(\"events\")"));
        assert!(!page.contains("<script>x"), "names are escaped");
        let first = live_page(LivePage::Running(&Board::default()));
        assert!(first.contains("The load has not begun."));
    }

    #[test]
    fn an_update_is_one_line_and_the_last_one_brings_the_report() {
        let update = live_update(&board());
        assert!(!update.contains('\n'));
        let update: Value = serde_json::from_str(&update).expect("it is JSON");
        assert_eq!(update["done"], json!(false));
        assert_eq!(update["data"][0]["id"], json!("live-identity-0"));
        let record = crate::Record::new("tasks", 1, crate::Kind::Processes, Vec::new());
        let last: Value = serde_json::from_str(&final_update(&[record], "It is in runs/tasks."))
            .expect("it is JSON");
        assert_eq!(last["done"], json!(true));
        let html = last["html"].as_str().unwrap_or_default();
        assert!(html.contains("It is in runs/tasks.") && html.contains("id=\"r0\""), "{html}");
    }
}
