//! A subscriber that keeps everything, for the whole process: some of it comes from threads of
//! their own. Tests tell their events apart by what these name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::watch;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

const DEADLINE: Duration = Duration::from_secs(10);

/// One event, with the fields of its span.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) level: Level,
    pub(super) target: String,
    pub(super) message: String,
    pub(super) fields: Fields,
    pub(super) span: Fields,
}

impl Line {
    /// A field of the event, or of its span.
    pub(super) fn field(&self, name: &str) -> &str {
        let found = self.fields.0.get(name).or_else(|| self.span.0.get(name));
        found.map_or("", String::as_str)
    }

    /// Returns whether the line is this event.
    pub(super) fn is(&self, target: &str, message: &str) -> bool {
        self.target == format!("samestate::{target}") && self.message == message
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Fields(BTreeMap<String, String>);

impl Fields {
    pub(super) fn is(&self, name: &str, value: &str) -> bool {
        self.0.get(name).is_some_and(|found| found == value)
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

struct Capture(watch::Sender<Vec<Line>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Capture {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).expect("the span lives");
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let span = context.event_span(event).and_then(|span| {
            let extensions = span.extensions();
            extensions.get::<Fields>().cloned()
        });
        let line = Line {
            level: *event.metadata().level(),
            target: event.metadata().target().to_owned(),
            message: fields.0.remove("message").unwrap_or_default(),
            fields,
            span: span.unwrap_or_default(),
        };
        self.0.send_modify(|lines| lines.push(line));
    }
}

/// The events that this process has logged since the first call.
pub(super) struct Log(watch::Receiver<Vec<Line>>);

impl Log {
    pub(super) fn begin() -> Log {
        static LINES: OnceLock<watch::Receiver<Vec<Line>>> = OnceLock::new();
        let lines = LINES.get_or_init(|| {
            let (sender, receiver) = watch::channel(Vec::new());
            let subscriber = tracing_subscriber::registry().with(Capture(sender));
            tracing::subscriber::set_global_default(subscriber).expect("it is the first");
            receiver
        });
        Log(lines.clone())
    }

    /// The lines that `wanted` picks, in order.
    pub(super) fn lines(&self, wanted: impl Fn(&Line) -> bool) -> Vec<Line> {
        self.0.borrow().iter().filter(|line| wanted(line)).cloned().collect()
    }

    /// Waits for a line; the first that is wanted.
    pub(super) async fn line(&mut self, wanted: impl Fn(&Line) -> bool) -> Line {
        self.nth(0, wanted).await
    }

    /// Waits for the line that is wanted after so many others that are.
    pub(super) async fn nth(&mut self, before: usize, wanted: impl Fn(&Line) -> bool) -> Line {
        let found = tokio::time::timeout(DEADLINE, async {
            loop {
                if let Some(line) = self.lines(&wanted).into_iter().nth(before) {
                    return line;
                }
                self.0.changed().await.expect("the log lives");
            }
        });
        let found = found.await;
        found.unwrap_or_else(|_| panic!("it is not logged, but {:#?}", self.lines(|_| true)))
    }

    /// All that was ever logged, as text.
    pub(super) fn text(&self) -> String {
        format!("{:?}", self.0.borrow())
    }
}
