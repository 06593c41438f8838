//! The ways to watch a run that goes on.

use std::io::stderr;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use clap::Args;
use samestate_report::Record;
use samestate_report::live::{Event, LIVE, Line, RunEnd};

use super::args::OutputArgs;
use super::exit::ExitCode;
use super::output::{PAGE, RECORD};
use super::terminal::style;
use crate::live::{Dashboard, Feed, Feeds, MetricsFile, MetricsServer, Ndjson, Screen};
use crate::runner::Watching;
use crate::streams::note;

/// Outlets of a run that goes on.
#[derive(Args, Clone, Debug)]
pub(super) struct WatchArgs {
    /// Write what happens, and all measures twice a second, as JSON, a line each: to a file, or
    /// to standard output with `-`, where the summary is left out then
    #[arg(long, value_name = "PATH|-")]
    ndjson: Option<PathBuf>,

    /// Keep metrics for Prometheus: in a file, which is replaced each second, or at
    /// http://ADDR/metrics; ADDR is HOST:PORT, or a port of this machine alone, such as :9464
    #[arg(long, value_name = "FILE|ADDR")]
    metrics: Option<String>,

    /// Serve a page that shows the run while it goes on, at ADDR, or at a free port of this
    /// machine alone; its address is printed
    #[arg(long, value_name = "ADDR", num_args = 0..=1, require_equals = true)]
    dashboard: Option<Option<String>>,

    /// Serve the report there after the end too, until Ctrl-C
    #[arg(long, requires = "dashboard")]
    dashboard_linger: bool,

    /// Show identity, rate, lag and CPU as sparklines on the terminal; without a terminal, as a
    /// line each second
    #[arg(long, conflicts_with = "quiet")]
    live: bool,
}

/// The watchers of the runs of a program.
#[derive(Default)]
pub(super) struct Watchers {
    pub(super) feeds: Feeds,
    pub(super) dashboard: Option<Dashboard>,
    pub(super) screen: Option<Screen>,
}

impl WatchArgs {
    /// Checks that no two results share standard output.
    pub(super) fn check(&self, output: &mut OutputArgs, files: &[PathBuf]) -> Result<(), String> {
        let file = files.iter().find(|file| !file.exists());
        let address = file.and_then(|file| file.to_str()).filter(|file| file.contains(':'));
        if let Some(address) = address.filter(|text| ListenAt::read(text).is_some()) {
            return Err(format!(
                "{address} is no scenario file; for an address write --dashboard={address}"
            ));
        }
        if let Some(Some(place)) = &self.dashboard
            && ListenAt::read(place).is_none()
        {
            return Err(format!(
                "--dashboard: invalid address `{place}`: write HOST:PORT, or :PORT"
            ));
        }
        output.stdout_taken = self.ndjson.as_deref() == Some(Path::new("-"));
        if output.stdout_taken && output.json_to_stdout() {
            return Err("--ndjson - and --json - would mix on standard output: write one of them \
                        to a file"
                .to_owned());
        }
        Ok(())
    }

    fn begin_metrics(&self, place: &str, feeds: &mut Feeds) -> Result<(), String> {
        let failed = |error: std::io::Error| error.to_string();
        let Some(at) = ListenAt::read(place) else {
            return feeds.add("--metrics", MetricsFile::open(place.into())?).map_err(failed);
        };
        let server = MetricsServer::start(at.bind()?, &at.host).map_err(failed)?;
        note!("metrics: {}", server.url());
        feeds.add("--metrics", server).map_err(failed)
    }

    /// The way in which the runner itself shows its progress.
    pub(super) fn progress(&self, quiet: bool) -> Watching {
        match Watching::on_stderr(quiet) {
            Watching::Bar if self.live => Watching::Quiet,
            usual => usual,
        }
    }

    /// Returns whether the dashboard stays after the runs.
    pub(super) fn lingers(&self) -> bool {
        self.dashboard_linger
    }

    /// Begins the outlets that were asked for.
    pub(super) fn begin(&self) -> Result<Watchers, String> {
        let Watchers { mut feeds, mut dashboard, .. } = Watchers::default();
        if let Some(path) = &self.ndjson {
            let failed = |error| format!("--ndjson: failed to write {}: {error}", path.display());
            let outlet = Ndjson::open(path).map_err(failed)?;
            feeds.add("--ndjson", outlet).map_err(failed)?;
        }
        if let Some(place) = &self.metrics {
            self.begin_metrics(place, &mut feeds).map_err(|why| format!("--metrics: {why}"))?;
        }
        if let Some(at) = &self.dashboard {
            let begun = begin_dashboard(at.as_deref().unwrap_or(":0"), &mut feeds);
            dashboard = Some(begun.map_err(|why| format!("--dashboard: {why}"))?);
        }
        let screen = self.live.then(|| Screen::new(|| style(&stderr())));
        if let Some(screen) = &screen {
            let begun = feeds.add("--live", screen.clone());
            begun.map_err(|error| format!("--live: {error}"))?;
        }
        Ok(Watchers { feeds, dashboard, screen })
    }
}

fn begin_dashboard(place: &str, feeds: &mut Feeds) -> Result<Dashboard, String> {
    let at = ListenAt::read(place).ok_or("it was no address")?;
    let failed = |error: std::io::Error| error.to_string();
    let dashboard = Dashboard::start(at.bind()?, &at.host).map_err(failed)?;
    note!("dashboard: {}", dashboard.url());
    feeds.add("--dashboard", dashboard.outlet()).map_err(failed)?;
    Ok(dashboard)
}

/// An address to listen at.
struct ListenAt {
    host: String,
    port: u16,
}

impl ListenAt {
    /// Reads `HOST:PORT`, `:PORT` or `PORT`; `None` if it is something else.
    fn read(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
        let port = port.parse().ok().filter(|_| port.bytes().all(|b| b.is_ascii_digit()))?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let odd = |c: char| c == '/' || c == ':' || c.is_whitespace();
        match (host, bare) {
            ("", _) => Some(Self { host: "127.0.0.1".to_owned(), port }),
            (_, Some(v6)) => Some(Self { host: v6.to_owned(), port }),
            _ if host.contains(odd) => None,
            _ => Some(Self { host: host.to_owned(), port }),
        }
    }

    fn bind(&self) -> Result<TcpListener, String> {
        let Self { host, port } = self;
        TcpListener::bind((host.as_str(), *port)).map_err(|error| {
            format!("failed to listen at {host}:{port}: {error}; port 0 is any that is free")
        })
    }
}

/// Tells the end of a run, whose results are in `folder`. Returns the path of its page.
pub(super) fn tell_end(
    feed: &Feed,
    record: &Record,
    folder: &Path,
    code: ExitCode,
) -> Option<String> {
    let path = |name: &str| {
        let path = folder.join(name);
        path.is_file().then(|| path.display().to_string())
    };
    let page = path(PAGE);
    let event = Event::End(RunEnd {
        verdict: record.verdict,
        exit_code: code as u8,
        wall_seconds: record.wall_seconds,
        record: path(RECORD),
        report: page.clone(),
    });
    let (scenario, case) = (record.scenario.clone(), record.cases.len());
    feed.tell(Line { version: LIVE, scenario, case, repeat: None, at_seconds: None, event });
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_port_and_anything_else_is_a_file() {
        let read = |text| ListenAt::read(text).map(|at| format!("{} {}", at.host, at.port));
        for (text, expected) in [
            ("9464", "127.0.0.1 9464"),
            (":0", "127.0.0.1 0"),
            ("0.0.0.0:80", "0.0.0.0 80"),
            ("[::1]:80", "::1 80"),
            ("bench.lan:80", "bench.lan 80"),
        ] {
            assert_eq!(read(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["metrics.prom", "./9464", "out/a:80", "a:b", "host:99999", "::1:80", ":+80"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
