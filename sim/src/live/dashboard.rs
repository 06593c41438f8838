//! The outlet of `--dashboard`: the page of the run, renewed by server-sent events.
//!
//! Pages are drawn when a browser asks for them, and updates only while one listens. So a dashboard
//! that nobody looks at costs next to nothing.

use std::fmt;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use parking_lot::Mutex;
use samestate_report::Record;
use samestate_report::html::{LivePage, final_update, live_page, live_update};
use samestate_report::live::{Board, Event, Line, RunMetrics};
use tokio::sync::watch;

use super::feed::{Closed, Outlet};
use super::metrics::OPEN_METRICS;
use super::server::{Page, Server, Site};

/// The side of the outlet.
pub(crate) struct DashboardOutlet(Arc<Shared>);

/// A dashboard that is served until it is dropped.
pub(crate) struct Dashboard {
    shared: Arc<Shared>,
    server: Server,
}

struct Shared {
    state: Mutex<State>,
    /// The newest update.
    updates: watch::Sender<Arc<str>>,
}

#[derive(Default)]
struct State {
    board: Board,
    metrics: RunMetrics,
    records: Vec<Record>,
    /// The paths of the pages.
    places: Vec<String>,
    is_over: bool,
}

impl State {
    fn place(&self) -> String {
        match &*self.places {
            [] => "The run is over. Its report could not be written.".to_owned(),
            [one] => format!("The run is over. This report is in {one}."),
            several => format!("The runs are over. Their reports are in {}.", several.join(", ")),
        }
    }

    fn update(&self) -> Arc<str> {
        if self.is_over {
            final_update(&self.records, &self.place()).into()
        } else {
            live_update(&self.board).into()
        }
    }
}

impl Dashboard {
    /// Serves at a listener; `host` is the name that the user gave the address.
    pub(crate) fn start(listener: TcpListener, host: &str) -> io::Result<Self> {
        let (updates, _) = watch::channel(Arc::from(""));
        let shared = Arc::new(Shared { state: Mutex::default(), updates });
        let server = Server::start(listener, host, Arc::clone(&shared) as Arc<dyn Site>)?;
        Ok(Self { shared, server })
    }

    /// The outlet for the feed.
    pub(crate) fn outlet(&self) -> DashboardOutlet {
        DashboardOutlet(Arc::clone(&self.shared))
    }

    /// The address of the page.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.server.address())
    }

    /// Keeps the record of a run for the end, and the path of its page.
    pub(crate) fn keep(&self, record: &Record, page: Option<String>) {
        let mut state = self.shared.state.lock();
        state.records.push(record.clone());
        state.places.extend(page);
    }

    /// The runs are over: shows their reports.
    pub(crate) fn finish(&self) {
        let mut state = self.shared.state.lock();
        if !state.records.is_empty() {
            state.is_over = true;
            self.shared.updates.send_replace(state.update());
        }
    }
}

impl fmt::Debug for Dashboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dashboard").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Outlet for DashboardOutlet {
    fn take(&mut self, line: &Line) -> Result<(), Closed> {
        let mut state = self.0.state.lock();
        state.board.take(line);
        state.metrics.take(line);
        // Faults and processes are shown with the sample that follows.
        let shown = !matches!(line.event, Event::Fault(_) | Event::Process(_) | Event::End(_));
        if shown && self.0.updates.receiver_count() > 0 {
            self.0.updates.send_replace(state.update());
        }
        Ok(())
    }
}

impl Site for Shared {
    fn page(&self, path: &str) -> Option<Page> {
        let state = self.state.lock();
        match path {
            "/" => {
                let page = if state.is_over {
                    live_page(LivePage::Over(&state.records, &state.place()))
                } else {
                    live_page(LivePage::Running(&state.board))
                };
                Some(Page::Text("text/html; charset=utf-8", page))
            }
            "/events" => {
                let updates = self.updates.subscribe();
                self.updates.send_replace(state.update());
                Some(Page::Events(updates))
            }
            "/metrics" => Some(Page::Text(OPEN_METRICS, state.metrics.text())),
            _ => None,
        }
    }
}
