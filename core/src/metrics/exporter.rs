//! The HTTP server that Prometheus scrapes.
//!
//! Any process that reaches the endpoint may read it, and do nothing else. A connection serves one
//! request, of at most [`REQUEST_BYTES_MAX`], within [`CONNECTION_WITHIN`]. There are at most
//! [`CONNECTIONS_MAX`]; a new one evicts the oldest. An honest scrape takes milliseconds, so slow
//! connections cannot keep one out.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};

use super::StoreMetrics;
use super::text::text;
use crate::link::{Address, LinkError, TcpListeners};
use crate::store::{Action, State, Store};
use crate::task::{self, Panicked, guarded};
use crate::{Error, Result};

const TARGET: &str = "samestate::metrics";

/// The head of a request, and what is read ahead.
const REQUEST_BYTES_MAX: usize = 8 << 10;

/// A connection that is not done by then is cut.
const CONNECTION_WITHIN: Duration = Duration::from_secs(10);

const CONNECTIONS_MAX: usize = 16;

/// The delay before the next attempt if the system has no connection to give.
const EXHAUSTED_FOR: Duration = Duration::from_millis(100);

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves the metrics of this process's stores at `/metrics`, for Prometheus and whatever else
/// reads the OpenMetrics format. It ends when it is closed or dropped.
///
/// ```no_run
/// # use samestate::{create_store, metrics::Exporter};
/// # async fn serve() -> samestate::Result<()> {
/// let add = |count: &mut i64, by: &i64| *count += by;
/// let store = create_store("counter", add).open().await?;
/// let exporter = Exporter::bind(Exporter::LOCAL).await?.watch(&store);
/// println!("http://{}/metrics", exporter.address());
/// # Ok(())
/// # }
/// ```
pub struct Exporter {
    address: SocketAddr,
    sources: Arc<Sources>,
    task: Mutex<Option<Running>>,
}

/// Gives the metrics of a store while it lives.
type Source = Box<dyn Fn() -> Option<StoreMetrics> + Send + Sync>;

/// The stores that are watched, by name.
#[derive(Default)]
struct Sources(Mutex<BTreeMap<String, Source>>);

/// The server's task, which does not outlive its exporter.
struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Exporter {
    /// On this machine alone, at a port that Prometheus' list of exporters leaves to such.
    pub const LOCAL: &'static str = "127.0.0.1:9464";

    /// The port unless another is given.
    pub const PORT: u16 = 9464;

    /// Serves at `host:port`: without a host, on this machine alone; with `*`, on all interfaces,
    /// where any peer that reaches the port may read names and numbers (no states, and no secrets).
    /// With port 0, the system chooses the port. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`Error::Link`] where the address is none, or cannot be had.
    pub async fn bind(address: &str) -> Result<Exporter> {
        let wanted = match address.strip_prefix(':') {
            Some(port) => Address::read(&format!("127.0.0.1:{port}"), Self::PORT)?,
            None => Address::read(address, Self::PORT)?,
        };
        let Address::Tcp { host, port } = &wanted else {
            let why = "metrics are served over TCP; write `host:port`".to_owned();
            return Err(LinkError::BadAddress { text: address.to_owned(), why }.into());
        };
        let failed = |source| Error::Link(LinkError::Bind { address: wanted.clone(), source });
        let listeners = TcpListeners::bind(host, *port).await.map_err(failed)?;
        let address = listeners.local_addr().map_err(failed)?;
        tracing::info!(target: TARGET, %address, "started");
        if !wanted.is_local() {
            tracing::warn!(target: TARGET, %address, "open to others");
        }
        let sources = Arc::<Sources>::default();
        let serving = serve(listeners, Arc::clone(&sources));
        let serving = Running(task::spawn("exporter", tell_of_panic, serving));
        Ok(Exporter { address, sources, task: Mutex::new(Some(serving)) })
    }

    /// Serves the metrics of this store too, for as long as it lives; holding them does not keep it
    /// alive. In the place of one of the same name, if there is one.
    pub fn watch<S: State, A: Action>(self, store: &Store<S, A>) -> Self {
        self.add(store);
        self
    }

    /// Like [`Exporter::watch`], for a store that comes later.
    pub fn add<S: State, A: Action>(&self, store: &Store<S, A>) {
        self.sources.0.lock().insert(store.name().to_owned(), Box::new(store.watcher()));
    }

    /// Returns the address of the endpoint, with the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the page as text, for a process that has an HTTP server of its own.
    pub fn text(&self) -> String {
        self.sources.text()
    }

    /// Ends it: the port is free when this returns. What is being sent is cut.
    pub async fn close(&self) {
        let running = self.task.lock().take();
        if let Some(mut running) = running {
            running.0.abort();
            // An error means that it was aborted, as was asked.
            let _ = (&mut running.0).await;
        }
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Sources {
    fn text(&self) -> String {
        let mut stores = Vec::new();
        self.0.lock().retain(|_, source| {
            let metrics = source();
            let lives = metrics.is_some();
            stores.extend(metrics);
            lives
        });
        // Writing into a string does not fail.
        text(stores).unwrap_or_default()
    }

    fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let (status, kind, body) = match (request.uri().path(), request.method()) {
            ("/metrics", &Method::GET | &Method::HEAD) => {
                (StatusCode::OK, OPEN_METRICS, self.text())
            }
            ("/metrics", _) => {
                (StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET and HEAD\n".to_owned())
            }
            _ => (StatusCode::NOT_FOUND, "text/plain", "the metrics are at /metrics\n".to_owned()),
        };
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        if status == StatusCode::METHOD_NOT_ALLOWED {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        response
    }
}

async fn serve(listeners: TcpListeners, sources: Arc<Sources>) {
    let mut connections = JoinSet::new();
    let mut oldest = VecDeque::new();
    loop {
        let accepted = tokio::select! {
            accepted = listeners.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        match accepted {
            Ok((stream, _)) => {
                make_room(&mut oldest);
                let attended = guarded("scrape", attend(stream, Arc::clone(&sources)));
                oldest.push_back(connections.spawn(async move {
                    attended.await.unwrap_or_else(|panic| tell_of_panic(&panic));
                }));
            }
            // One that is gone already, or the system has none to give: either passes.
            Err(error) => {
                tracing::debug!(target: TARGET, reason = %error, "no connection");
                tokio::time::sleep(EXHAUSTED_FOR).await;
            }
        }
    }
}

fn tell_of_panic(panic: &Panicked) {
    tracing::error!(target: TARGET, reason = %panic, "a bug");
}

fn make_room(connections: &mut VecDeque<AbortHandle>) {
    connections.retain(|connection| !connection.is_finished());
    while connections.len() >= CONNECTIONS_MAX {
        let Some(oldest) = connections.pop_front() else { return };
        oldest.abort();
    }
}

async fn attend(stream: TcpStream, sources: Arc<Sources>) {
    let service = service_fn(|request| {
        let answer = sources.answer(&request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .max_buf_size(REQUEST_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let ended = match tokio::time::timeout(CONNECTION_WITHIN, connection).await {
        Ok(ended) => ended.map_err(io::Error::other),
        Err(late) => Err(late.into()),
    };
    if let Err(error) = ended {
        tracing::debug!(target: TARGET, reason = %error, "scrape failed");
    }
}
