//! The outlet of `--metrics`: a file that is replaced, or an endpoint.

use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use samestate_proto::with_causes;
use samestate_report::live::{Line, RunMetrics};
use samestate_report::write_whole;

use super::feed::{Closed, Outlet};
use super::server::{Page, Server, Site};

/// The interval at which the file is replaced.
const EVERY: Duration = Duration::from_secs(1);

/// The type of the text.
pub(super) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Keeps a file of metrics.
pub(crate) struct MetricsFile {
    path: PathBuf,
    metrics: RunMetrics,
    written: Instant,
}

impl MetricsFile {
    /// Begins with a file that says that nothing runs yet.
    ///
    /// # Errors
    ///
    /// Returns why it cannot be written.
    pub(crate) fn open(path: PathBuf) -> Result<Self, String> {
        let mut file = Self { path, metrics: RunMetrics::default(), written: Instant::now() };
        file.write()?;
        Ok(file)
    }

    fn write(&mut self) -> Result<(), String> {
        self.written = Instant::now();
        let text = self.metrics.text();
        write_whole(&self.path, text.as_bytes()).map_err(|error| with_causes(&error))
    }
}

impl Outlet for MetricsFile {
    fn take(&mut self, line: &Line) -> Result<(), Closed> {
        self.metrics.take(line);
        self.tick()
    }

    fn every(&self) -> Option<Duration> {
        Some(EVERY)
    }

    fn tick(&mut self) -> Result<(), Closed> {
        if self.written.elapsed() < EVERY {
            return Ok(());
        }
        self.write().map_err(Closed::Failed)
    }

    fn end(&mut self) -> Result<(), Closed> {
        self.write().map_err(Closed::Failed)
    }
}

/// The metrics of the newest lines, for those who ask.
#[derive(Debug, Default)]
pub(super) struct Shared(Mutex<RunMetrics>);

impl Site for Shared {
    fn page(&self, path: &str) -> Option<Page> {
        (path == "/metrics").then(|| Page::Text(OPEN_METRICS, self.0.lock().text()))
    }
}

/// Serves metrics.
pub(crate) struct MetricsServer {
    metrics: Arc<Shared>,
    server: Server,
}

impl MetricsServer {
    /// Serves at a listener; `host` is the name that the user gave the address.
    pub(crate) fn start(listener: TcpListener, host: &str) -> io::Result<Self> {
        let metrics = Arc::<Shared>::default();
        let server = Server::start(listener, host, Arc::clone(&metrics) as Arc<dyn Site>)?;
        Ok(Self { metrics, server })
    }

    /// The address of the page.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/metrics", self.server.address())
    }
}

impl Outlet for MetricsServer {
    fn take(&mut self, line: &Line) -> Result<(), Closed> {
        self.metrics.0.lock().take(line);
        Ok(())
    }
}
