//! A run as a trace for profiler viewers: the JSON that ui.perfetto.dev and `chrome://tracing`
//! read (the Trace Event Format).
//!
//! A [`Timeline`] has tracks, grouped by process. On a track stand slices that do not overlap.
//! Spans may overlap, and flows lead from one slice to another. Times are in nanoseconds; the file
//! has microseconds, counted from the first event.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// The most events of a file; what is added after them is left out, and counted.
pub const EVENTS_MAX: usize = 150_000;

/// A trace that is being put together.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    groups: Vec<String>,
    tracks: BTreeMap<(usize, u64), String>,
    events: Vec<Event>,
    spans: u64,
    flows: u64,
    left_out: u64,
}

/// A group of tracks: a process, or the run itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group(usize);

/// A track of a group, on which slices stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Track {
    group: Group,
    number: u64,
}

/// Notes on an event: names with values.
pub type Notes = Vec<(&'static str, Value)>;

#[derive(Clone, Debug)]
struct Event {
    at_ns: u64,
    /// Orders events of one instant: what ends comes before what begins.
    rank: u8,
    fields: Map<String, Value>,
}

impl Timeline {
    /// Adds a group of tracks. Viewers show groups in the order in which they were added.
    pub fn group(&mut self, name: impl Into<String>) -> Group {
        self.groups.push(name.into());
        Group(self.groups.len())
    }

    /// Adds a track to a group.
    pub fn track(&mut self, group: Group, name: impl Into<String>) -> Track {
        let number = self.tracks.keys().filter(|(of, _)| *of == group.0).count() as u64 + 1;
        self.tracks.insert((group.0, number), name.into());
        Track { group, number }
    }

    /// Adds a slice. Slices of one track must not overlap.
    pub fn slice(&mut self, on: Track, name: &str, (from, to): (u64, u64), notes: Notes) {
        let mut fields = fields("X", name, on.group, Some(on.number));
        fields.insert("dur".to_owned(), json!(us(to.saturating_sub(from))));
        fields.insert("args".to_owned(), args(notes));
        self.push(from, 2, fields);
    }

    /// Adds a span, which may overlap others of its category.
    pub fn span(
        &mut self,
        group: Group,
        category: &str,
        name: &str,
        (from, to): (u64, u64),
        notes: Notes,
    ) {
        if !self.has_room(2) {
            return;
        }
        self.spans += 1;
        for (phase, at_ns, rank) in [("b", from, 1), ("e", to.max(from), 3)] {
            let mut fields = fields(phase, name, group, None);
            fields.insert("cat".to_owned(), json!(category));
            fields.insert("id".to_owned(), json!(format!("{:#x}", self.spans)));
            if phase == "b" {
                fields.insert("args".to_owned(), args(notes.clone()));
            }
            self.push(at_ns, rank, fields);
        }
    }

    /// Adds a flow from the slice that contains an instant of one track to that of another.
    pub fn flow(&mut self, name: &str, from: (Track, u64), to: (Track, u64)) {
        if to.1 < from.1 || !self.has_room(2) {
            return; // no arrow leads back in time
        }
        self.flows += 1;
        for (phase, (track, at_ns), rank) in [("s", from, 2), ("f", to, 3)] {
            let mut fields = fields(phase, name, track.group, Some(track.number));
            fields.insert("cat".to_owned(), json!("flow"));
            fields.insert("id".to_owned(), json!(self.flows));
            if phase == "f" {
                fields.insert("bp".to_owned(), json!("e"));
            }
            self.push(at_ns, rank, fields);
        }
    }

    /// Adds a reading of a counter.
    pub fn counter(&mut self, group: Group, name: &str, at_ns: u64, value: f64) {
        let mut fields = fields("C", name, group, None);
        fields.insert("args".to_owned(), json!({ "value": value }));
        self.push(at_ns, 2, fields);
    }

    /// The number of events that were left out, as there were too many.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    fn has_room(&mut self, events: usize) -> bool {
        let has_room = self.events.len() + events <= EVENTS_MAX;
        self.left_out += if has_room { 0 } else { events as u64 };
        has_room
    }

    fn push(&mut self, at_ns: u64, rank: u8, fields: Map<String, Value>) {
        if self.has_room(1) {
            self.events.push(Event { at_ns, rank, fields });
        }
    }

    /// Renders the trace as JSON, its events in the order of their times. `about` is told of the
    /// whole trace.
    pub fn to_json(&self, about: Notes) -> String {
        let base_ns = self.events.iter().map(|event| event.at_ns).min().unwrap_or(0);
        let mut lines = Vec::with_capacity(self.events.len() + self.groups.len());
        for (at, name) in self.groups.iter().enumerate() {
            let group = Group(at + 1);
            lines.push(named("process_name", group, None, name));
            let mut order = fields("M", "process_sort_index", group, None);
            order.insert("args".to_owned(), json!({ "sort_index": at }));
            lines.push(Value::Object(order).to_string());
        }
        for ((group, number), name) in &self.tracks {
            lines.push(named("thread_name", Group(*group), Some(*number), name));
        }
        let mut events: Vec<&Event> = self.events.iter().collect();
        events.sort_by_key(|event| (event.at_ns, event.rank));
        for event in events {
            let mut fields = event.fields.clone();
            fields.insert("ts".to_owned(), json!(us(event.at_ns - base_ns)));
            lines.push(Value::Object(fields).to_string());
        }
        let mut about = about;
        about.push(("events_left_out", json!(self.left_out)));
        format!(
            "{{\"displayTimeUnit\":\"ms\",\"otherData\":{},\"traceEvents\":[\n{}\n]}}\n",
            args(about),
            lines.join(",\n")
        )
    }

    /// The groups that have an event, for tests of those that make a trace.
    pub fn groups_used(&self) -> BTreeSet<&str> {
        let numbers = self.events.iter().filter_map(|event| event.fields["pid"].as_u64());
        numbers.filter_map(|number| Some(&**self.groups.get(number as usize - 1)?)).collect()
    }
}

fn fields(phase: &str, name: &str, group: Group, track: Option<u64>) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("ph".to_owned(), json!(phase));
    fields.insert("name".to_owned(), json!(name));
    fields.insert("pid".to_owned(), json!(group.0));
    fields.insert("tid".to_owned(), json!(track.unwrap_or(0)));
    fields
}

fn named(what: &str, group: Group, track: Option<u64>, name: &str) -> String {
    let mut fields = fields("M", what, group, track);
    fields.insert("args".to_owned(), json!({ "name": name }));
    Value::Object(fields).to_string()
}

fn args(notes: Notes) -> Value {
    Value::Object(notes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Nanoseconds as microseconds, to the nanosecond.
fn us(ns: u64) -> Value {
    if ns.is_multiple_of(1000) { json!(ns / 1000) } else { json!(ns as f64 / 1e3) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline() -> Timeline {
        let mut timeline = Timeline::default();
        let run = timeline.group("run");
        let node = timeline.group("alpha \"master\"");
        let track = timeline.track(node, "dispatches");
        let other = timeline.track(node, "applied");
        timeline.span(run, "fault", "cut", (5_000, 9_000), vec![("evidence", json!("a\nb"))]);
        timeline.span(run, "fault", "pause", (4_000, 7_500), vec![]);
        timeline.slice(track, "tasks 1", (4_000, 4_500), vec![]);
        timeline.slice(other, "tasks 1", (6_000, 6_001), vec![]);
        timeline.flow("tasks 1", (track, 4_000), (other, 6_000));
        timeline.flow("never", (track, 4_000), (other, 3_000));
        timeline.counter(node, "CPU", 4_100, 12.5);
        timeline
    }

    #[test]
    fn events_stand_in_the_order_of_time_and_each_begin_has_its_end() {
        let json = timeline().to_json(vec![("scenario", json!("tasks"))]);
        let trace: Value = serde_json::from_str(&json).expect("it is JSON");
        let events = trace["traceEvents"].as_array().expect("a list");
        let timed: Vec<&Value> = events.iter().filter(|event| event["ph"] != "M").collect();
        let times: Vec<f64> = timed.iter().filter_map(|event| event["ts"].as_f64()).collect();
        assert_eq!(times.len(), timed.len());
        assert!(times.is_sorted() && times[0] == 0.0, "{times:?}");
        let mut open: BTreeMap<String, &Value> = BTreeMap::new();
        for event in &timed {
            let key = event["id"].to_string();
            match event["ph"].as_str() {
                Some("b" | "s") => assert!(open.insert(key, event).is_none()),
                Some("e") => {
                    assert_eq!(open.remove(&key).map(|begin| &begin["name"]), Some(&event["name"]))
                }
                Some("f") => {
                    assert_eq!(open.remove(&key).map(|begin| &begin["ph"]), Some(&json!("s")))
                }
                _ => {}
            }
        }
        assert!(open.is_empty(), "{open:?}");
        assert_eq!(events.iter().filter(|event| event["ph"] == "s").count(), 1, "no way back");
        assert_eq!(trace["otherData"]["scenario"], "tasks");
    }

    #[test]
    fn a_trace_stays_bounded_and_says_what_it_left_out() {
        let mut timeline = Timeline::default();
        let run = timeline.group("run");
        for at in 0..EVENTS_MAX as u64 {
            timeline.span(run, "fault", "cut", (at, at + 1), vec![]);
        }
        assert_eq!(timeline.events.len(), EVENTS_MAX);
        assert_eq!(timeline.left_out(), EVENTS_MAX as u64);
        let json = timeline.to_json(vec![]);
        assert!(json.len() < EVENTS_MAX * 200);
        assert_eq!(json.matches("\"ph\":\"b\"").count(), json.matches("\"ph\":\"e\"").count());
        assert!(json.contains(&format!("\"events_left_out\":{EVENTS_MAX}")));
    }
}
