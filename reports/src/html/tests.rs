//! Pages of sample records: what they say, and what a hostile record cannot make them do.

use super::page;
use crate::record::{
    Case, FaultDone, Faults, Phase, ProcessSeries, Record, SERIES, Series, StoreSeries, Topology,
    TopologyNode, sample,
};

/// A record with everything that is drawn: two stores, two processes, faults and phases.
pub(super) fn drawn() -> Record {
    let mut record = sample::two_clusters();
    let case = &mut record.cases[0];
    let points = |value: f64| Some(vec![Some(value), None, Some(value * 2.0)]);
    let store = StoreSeries {
        identical_percent: Some(vec![Some(100.0), Some(0.0), Some(100.0)]),
        versions_behind_max: points(3.0),
        intended_per_s: points(7.0),
        issued_per_s: points(7.0),
        achieved_per_s: points(6.0),
        ..StoreSeries::default()
    };
    let process = ProcessSeries {
        name: "alpha.master".into(),
        cpu_percent: points(12.0),
        rss_bytes: points(9e6),
        ..ProcessSeries::default()
    };
    case.series = Some(Series {
        version: SERIES,
        begin_seconds: -0.5,
        bucket_seconds: 20.0,
        buckets: 3,
        stores: [("tasks".to_owned(), store.clone()), ("mirror".to_owned(), store)].into(),
        processes: vec![process],
    });
    case.phases = vec![Phase {
        name: "steady".into(),
        end_seconds: 60.0,
        loads: vec!["alpha.master into tasks: one every 500ms".into()],
        ..Phase::default()
    }];
    case.topologies = vec![Topology {
        stores: [(
            "tasks".to_owned(),
            vec![TopologyNode { name: "alpha.master".into(), ..TopologyNode::default() }],
        )]
        .into(),
        ..Topology::default()
    }];
    let fault = FaultDone {
        kind: "cut".into(),
        at: "tasks".into(),
        injected_at_seconds: Some(20.0),
        ended_at_seconds: Some(20.3),
        ..FaultDone::default()
    };
    case.faults = Faults { planned: 1, injected: 1, list: vec![fault] };
    record
}

#[test]
fn the_first_screen_has_the_verdict_and_its_reason() {
    let html = page(&[drawn()]);
    let first_section = html.find("<section>").expect("there are sections");
    let head = &html[..first_section];
    assert!(head.contains(r#"<span class="badge pass">pass</span>"#), "{head}");
    assert!(head.contains("It passed: "), "{head}");
    let html = page(&[sample::disconnect_failed()]);
    let head = &html[..html.find("<section>").expect("there are sections")];
    assert!(head.contains("dispatches.lost: expected at most 0, measured 2"), "{head}");
    assert!(head.contains("I2</b> was violated at beta.worker[1]"), "{head}");
}

#[test]
fn every_drawing_has_a_name_and_every_table_a_caption() {
    let html = page(&[drawn(), sample::big_store()]);
    let drawings = html.matches("<svg").count();
    assert!(drawings >= 8, "{drawings}");
    assert_eq!(html.matches(r#"role="img""#).count(), drawings);
    assert_eq!(html.matches("<title id=").count(), drawings);
    assert_eq!(html.matches("<table>").count(), html.matches("<caption>").count());
    assert!(html.contains(r#"class="fault""#), "the fault is a band");
}

#[test]
fn nothing_in_a_record_becomes_markup_or_script() {
    let evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'";
    let mut record = drawn();
    record.scenario = evil.into();
    record.about = evil.into();
    record.command = vec![evil.into()];
    record.file = Some(evil.into());
    let case = &mut record.cases[0];
    case.because = vec![evil.into()];
    case.phases[0].name = evil.into();
    case.phases[0].loads = vec![evil.into()];
    case.faults.list[0].kind = evil.into();
    case.faults.list[0].at = evil.into();
    let stores = std::mem::take(&mut case.stores);
    case.stores = stores.into_values().map(|store| (evil.to_owned(), store)).collect();
    case.processes[0].name = evil.into();
    for nodes in case.topologies[0].stores.values_mut() {
        nodes[0].name = evil.into();
        nodes[0].cluster = evil.into();
    }
    let series = case.series.as_mut().expect("it was given one");
    series.processes[0].name = evil.into();
    let stores = std::mem::take(&mut series.stores);
    series.stores = stores.into_values().map(|store| (evil.to_owned(), store)).collect();
    let html = page(&[record.clone(), record]);
    assert!(!html.contains("<script>alert") && !html.contains("<img"), "{html}");
    assert_eq!(html.matches("<script").count(), 2, "the data and the page's own");
}

#[test]
fn a_page_needs_nothing_but_itself() {
    let html = page(&[drawn(), sample::big_store(), sample::virtual_inconclusive()]);
    for outside in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!html.contains(outside), "{outside}");
    }
}

#[test]
fn a_record_without_series_or_with_series_that_do_not_add_up_is_shown_all_the_same() {
    for record in [
        sample::two_clusters(),
        sample::big_store(),
        sample::disconnect_failed(),
        sample::virtual_inconclusive(),
        Record::new("empty", 1, crate::Kind::Virtual, Vec::new()),
        Record::new("blank", 1, crate::Kind::Processes, vec![Case::default()]),
    ] {
        let html = page(&[record]);
        assert!(html.ends_with("</html>"), "{html}");
    }
    let mut record = drawn();
    record.cases[0].series.as_mut().expect("it was given one").version = SERIES + 1;
    let html = page(&[record]);
    assert!(html.contains("no series over time"), "{html}");
}

#[test]
fn figures_of_the_page_are_those_of_the_record() {
    let html = page(&[drawn()]);
    for figure in ["99.83 %", "400 µs", "898", "9 MB"] {
        assert!(html.contains(figure), "{figure}");
    }
}

#[test]
fn the_page_of_a_repeated_run_shows_intervals_and_each_repeat() {
    let page = page(&[sample::big_store_repeated()]);
    assert!(page.contains("95 % interval"), "the column of intervals");
    assert!(page.contains("120 µs ±1.3 %"), "the table of cases");
    assert_eq!(page.matches("<caption>Repeats</caption>").count(), 2, "a table for each case");
    assert!(page.contains("medians of 5 repeats"));
    assert!(!self::page(&[sample::big_store()]).contains("<caption>Repeats</caption>"));
}
