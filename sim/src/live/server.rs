//! The HTTP server of `--metrics` and `--dashboard`.
//!
//! It has a thread of its own, so that no request waits for the run, nor the run for a request. Any
//! peer that reaches it may read what it shows, and do nothing else. A connection serves one
//! request, whose head has at most [`REQUEST_BYTES_MAX`] and arrives within [`REQUEST_WITHIN`];
//! bodies are not read. There are at most [`CONNECTIONS_MAX`]: a new one evicts the oldest. A
//! stream of events keeps no more than the newest update for a reader that is slow, and ends after
//! [`STALLED_MAX`] for one that does not read.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

/// The head of a request, and what is read ahead.
const REQUEST_BYTES_MAX: usize = 16 << 10;

/// A request that has not arrived by then is cut, and so is an answer that has not been read.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);

/// The most connections at once.
const CONNECTIONS_MAX: usize = 32;

/// A reader of events that takes nothing for so long is cut.
const STALLED_MAX: Duration = Duration::from_secs(20);

/// The delay before the next attempt if the system has no connection to give.
const EXHAUSTED_FOR: Duration = Duration::from_millis(100);

/// The time that readers have at the end for the last update.
const FAREWELL_MAX: Duration = Duration::from_secs(2);

/// The pages that a server shows.
pub(super) trait Site: Send + Sync + 'static {
    /// Returns the page at a path, or `None` if there is none.
    fn page(&self, path: &str) -> Option<Page>;
}

/// A page.
pub(super) enum Page {
    /// A text, with its type.
    Text(&'static str, String),
    /// A stream of events, each an update that replaces the one before.
    Events(watch::Receiver<Arc<str>>),
}

/// A server that goes on until it is dropped.
#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
    stop: Option<mpsc::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves a site at a listener. `host` is the name that the user gave the address.
    pub(super) fn start(
        listener: TcpListener,
        host: &str,
        site: Arc<dyn Site>,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let hosts = Arc::new(Hosts { local: address.ip().is_loopback(), name: host.to_owned() });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = mpsc::channel(1);
        let serving = move || runtime.block_on(serve(listener, site, hosts, stopped));
        let thread = thread::Builder::new().name("http".to_owned()).spawn(move || {
            // A listener that the system does not take is one that answers nobody.
            let _ = serving();
        })?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// The address, with the port that the system chose.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Serves until it is stopped; readers then have a moment for what is on its way to them.
async fn serve(
    listener: TcpListener,
    site: Arc<dyn Site>,
    hosts: Arc<Hosts>,
    mut stopped: mpsc::Receiver<Infallible>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let (closing, closed) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut oldest: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        tokio::select! {
            _ = stopped.recv() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {
                oldest.retain(|connection| !connection.is_finished());
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    if oldest.len() == CONNECTIONS_MAX
                        && let Some(first) = oldest.pop_front()
                    {
                        first.abort();
                    }
                    let (site, hosts) = (Arc::clone(&site), Arc::clone(&hosts));
                    oldest.push_back(connections.spawn(connection(
                        stream,
                        site,
                        hosts,
                        closed.clone(),
                    )));
                }
                Err(_) => tokio::time::sleep(EXHAUSTED_FOR).await,
            },
        }
    }
    drop(listener);
    closing.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(FAREWELL_MAX, all).await;
    Ok(())
}

async fn connection(
    stream: TcpStream,
    site: Arc<dyn Site>,
    hosts: Arc<Hosts>,
    mut closed: watch::Receiver<bool>,
) {
    let streams = Arc::new(AtomicBool::new(false));
    let (stalled, mut has_stalled) = mpsc::channel::<()>(1);
    let until = closed.clone();
    let service = service_fn(|request: Request<hyper::body::Incoming>| {
        let head = Head::of(&request);
        let answer = answer(&head, site.as_ref(), &hosts, until.clone(), &stalled, &streams);
        std::future::ready(Ok::<_, Infallible>(answer))
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(REQUEST_WITHIN)
        .keep_alive(false)
        .max_buf_size(REQUEST_BYTES_MAX);
    let mut serving = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    // A peer that breaks off, or sends what is no HTTP, is no matter.
    tokio::select! {
        _ = serving.as_mut() => return,
        () = tokio::time::sleep(REQUEST_WITHIN) => {}
        () = async { drop(closed.wait_for(|closed| *closed).await) } => {
            // One that has asked for nothing is closed at once.
            serving.as_mut().graceful_shutdown();
            let _ = serving.await;
            return;
        }
    }
    if streams.load(Ordering::Relaxed) {
        tokio::select! {
            _ = serving.as_mut() => {}
            _ = has_stalled.recv() => {}
        }
    }
}

/// The parts of a request that matter.
struct Head {
    method: Method,
    path: String,
    headers: HeaderMap,
}

impl Head {
    fn of<B>(request: &Request<B>) -> Self {
        Self {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            headers: request.headers().clone(),
        }
    }

    fn text(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap_or_default())
    }
}

fn answer(
    head: &Head,
    site: &dyn Site,
    hosts: &Hosts,
    closed: watch::Receiver<bool>,
    stalled: &mpsc::Sender<()>,
    streams: &Arc<AtomicBool>,
) -> Response<Content> {
    let refusal = |status, why: &str| {
        let text = format!("{why}\n");
        respond(status, "text/plain; charset=utf-8", Content::Text(Some(text.into())))
    };
    if !hosts.allow(head.text(header::HOST)) {
        return refusal(StatusCode::FORBIDDEN, "this host name is not served: use the address");
    }
    let own = head.text(header::HOST).unwrap_or_default();
    let origin = head.text(header::ORIGIN);
    if origin.is_some_and(|origin| origin.strip_prefix("http://") != Some(own)) {
        return refusal(StatusCode::FORBIDDEN, "pages of other origins are not served");
    }
    if !matches!(head.method, Method::GET | Method::HEAD) {
        let mut refused = refusal(StatusCode::METHOD_NOT_ALLOWED, "this is for reading alone");
        refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match site.page(&head.path) {
        None => refusal(StatusCode::NOT_FOUND, "there is nothing here"),
        Some(Page::Text(kind, text)) => {
            respond(StatusCode::OK, kind, Content::Text(Some(text.into())))
        }
        Some(Page::Events(_)) if head.method == Method::HEAD => {
            respond(StatusCode::OK, EVENTS, Content::Text(None))
        }
        Some(Page::Events(updates)) => {
            streams.store(true, Ordering::Relaxed);
            let (to, from) = mpsc::channel(1);
            tokio::spawn(forward(updates, to, closed, stalled.clone()));
            respond(StatusCode::OK, EVENTS, Content::Events(from))
        }
    }
}

const EVENTS: &str = "text/event-stream";

fn respond(status: StatusCode, kind: &'static str, content: Content) -> Response<Content> {
    let mut response = Response::new(content);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        ("content-type", kind),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("referrer-policy", "no-referrer"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

/// Sends each update to one reader, the newest in place of those that it was too slow for.
async fn forward(
    mut updates: watch::Receiver<Arc<str>>,
    to: mpsc::Sender<Bytes>,
    mut closed: watch::Receiver<bool>,
    stalled: mpsc::Sender<()>,
) {
    loop {
        let update = Arc::clone(&updates.borrow_and_update());
        if !update.is_empty() {
            let frame = Bytes::from(format!("data: {update}\n\n"));
            match tokio::time::timeout(STALLED_MAX, to.send(frame)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return,
                Err(_) => {
                    let _ = stalled.try_send(());
                    return;
                }
            }
        }
        tokio::select! {
            changed = updates.changed() => if changed.is_err() { return },
            // What was there before the end goes out first.
            _ = closed.wait_for(|closed| *closed) => {
                if !updates.has_changed().unwrap_or(false) { return }
            }
            () = to.closed() => return,
        }
    }
}

/// The content of a response.
enum Content {
    Text(Option<Bytes>),
    Events(mpsc::Receiver<Bytes>),
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Content::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Content::Events(updates) => {
                updates.poll_recv(context).map(|update| update.map(|text| Ok(Frame::data(text))))
            }
        }
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match self {
            Content::Text(text) => {
                let length = text.as_ref().map_or(0, Bytes::len);
                hyper::body::SizeHint::with_exact(length as u64)
            }
            Content::Events(_) => hyper::body::SizeHint::default(),
        }
    }
}

/// The names under which a server may be addressed. A page of a stranger cannot reach it by a name
/// of its own that leads to this machine (DNS rebinding).
#[derive(Debug)]
struct Hosts {
    /// The server is on the loopback interface.
    local: bool,
    /// The name that the user gave.
    name: String,
}

impl Hosts {
    fn allow(&self, host: Option<&str>) -> bool {
        let Some(host) = host else { return false };
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return ip.is_loopback() || !self.local;
        }
        name.eq_ignore_ascii_case("localhost")
            || name.eq_ignore_ascii_case(&self.name)
            || (!self.local && name.eq_ignore_ascii_case(machine().trim()))
    }
}

/// The name of this machine.
fn machine() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_a_stranger_leads_here_is_refused() {
        let hosts = Hosts { local: true, name: "127.0.0.1".to_owned() };
        for good in ["127.0.0.1:80", "localhost", "LOCALHOST:1", "[::1]:80", "127.9.9.9"] {
            assert!(hosts.allow(Some(good)), "{good}");
        }
        for bad in ["evil.example", "evil.example:80", "10.0.0.1:80", "localhost.evil:80", ""] {
            assert!(!hosts.allow(Some(bad)), "{bad}");
        }
        assert!(!hosts.allow(None));
        let open = Hosts { local: false, name: "bench.lan".to_owned() };
        assert!(open.allow(Some("10.0.0.1:80")) && open.allow(Some("bench.lan:80")));
        assert!(!open.allow(Some("evil.example")));
    }
}
