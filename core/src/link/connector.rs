//! The client of one store or of several: connects, logs in, and tries again until it succeeds. It
//! may know several servers, of which one is enough.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use samestate_proto::wire::{Reply, Request};
use samestate_proto::with_causes;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tracing::Span;

use super::attached::OnFault;
use super::backoff::Backoff;
use super::channels::{Refusals, Shared};
use super::close_reason::CloseReason;
use super::connection::{self, Stop, stopped};
use super::dial::{AskError, Server};
use super::hello::{HelloError, Identity};
use super::socket::Socket;
#[cfg(feature = "tls")]
use super::tls;
use super::{Address, ClientConfig, LinkError, LinkStats, Setback, Side, StoreRegistry, trace};
use crate::auth::Credentials;
use crate::event::EventKind;
use crate::task::{self, Panicked};

/// A connection that a fault ended within this did not get anywhere: the waits go on growing.
const SHORT_LIVED: Duration = Duration::from_secs(1);

/// A client. Dropping it closes the connection without waiting.
pub(crate) struct Connector {
    addresses: Vec<Address>,
    #[cfg(test)]
    stats: Arc<LinkStats>,
    stop: watch::Sender<bool>,
    hurry: Arc<Notify>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Connector {
    /// Connects the stores of `ports`, those to come included, to the server at `address`, for as
    /// long as this value lives. What goes wrong is reported to them, and tried again. Needs a
    /// tokio runtime.
    ///
    /// # Errors
    ///
    /// If this system has no such sockets, or a file of the TLS options cannot be used.
    #[cfg(test)]
    pub(crate) fn start(
        address: Address,
        options: ClientConfig,
        ports: Arc<StoreRegistry>,
    ) -> Result<Self, LinkError> {
        Ok(Connector::prepare(vec![address], options)?.start(ports))
    }

    /// All that can fail before the first try.
    pub(crate) fn prepare(
        addresses: Vec<Address>,
        options: ClientConfig,
    ) -> Result<Prepared, LinkError> {
        options.check()?;
        let client = getrandom::u64().map_err(LinkError::Random)?;
        let credentials = match &options.login {
            Some((login, password)) => Some(Credentials::new(login, password)?),
            None => None,
        };
        let identity = Identity { client, credentials, ticket: None };
        let server = |address: Address| {
            let address = address.for_client()?;
            address.check_here()?;
            #[cfg(feature = "tls")]
            let tls = match &options.tls {
                Some(tls) => Some(tls::Connector::new(tls.clone(), &address)?),
                None => None,
            };
            Ok(Server {
                #[cfg(feature = "tls")]
                tls,
                address,
                identity: identity.clone(),
                reported: None,
            })
        };
        let servers: Result<_, LinkError> = addresses.into_iter().map(server).collect();
        Ok(Prepared { servers: servers?, options })
    }

    /// Tries now, if it waits to try again: for a store that joined.
    pub(crate) fn hurry(&self) {
        self.hurry.notify_waiters();
    }

    /// Ends the connection and does not come back; what is under way gets half a second to leave.
    pub(crate) async fn close(&self) {
        self.stop.send_replace(true);
        let task = self.task.lock().take();
        if let Some(task) = task {
            // An error means that it ended by itself.
            let _ = task.await;
        }
    }

    /// Returns the statistics of all of its connections so far.
    #[cfg(test)]
    pub(crate) fn stats(&self) -> &Arc<LinkStats> {
        &self.stats
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

/// A client that has not begun.
pub(crate) struct Prepared {
    servers: Vec<Server>,
    options: ClientConfig,
}

impl Prepared {
    /// Asks each server about a store, one after the other. Each has so long to reply.
    pub(crate) async fn ask(
        &mut self,
        request: &Request,
        within: Duration,
    ) -> Vec<(Address, Result<Reply, AskError>)> {
        let mut replies = Vec::with_capacity(self.servers.len());
        for server in &mut self.servers {
            let reply = server.ask(request, &self.options, within).await;
            replies.push((server.address.clone(), reply));
        }
        replies
    }

    /// Begins. Needs a tokio runtime.
    pub(crate) fn start(self, ports: Arc<StoreRegistry>) -> Connector {
        let addresses = self.servers.iter().map(|server| server.address.clone()).collect();
        let stats = Arc::<LinkStats>::default();
        let (stop, stopping) = watch::channel(false);
        let hurry = Arc::<Notify>::default();
        let connecting = ConnectTask {
            at: 0,
            left: self.servers.len(),
            refused: false,
            refusal: None,
            servers: self.servers,
            backoff: Backoff::new(self.options.backoff_max),
            options: self.options,
            ports,
            hurry: hurry.clone(),
            stats: Arc::clone(&stats),
            span: Span::none(),
            stop: stopping,
        };
        let ports = Arc::clone(&connecting.ports);
        let panicked = move |panic: &Panicked| {
            let text = format!("a bug: {panic}; there will be no other try");
            ports.report(&EventKind::TaskPanicked, &text);
            ports.lose_upstream();
        };
        let task = Mutex::new(Some(task::spawn("client", panicked, connecting.go_on())));
        Connector {
            addresses,
            #[cfg(test)]
            stats,
            stop,
            hurry,
            task,
        }
    }
}

/// The client's task.
struct ConnectTask {
    servers: Vec<Server>,
    /// The index of the server that is tried, or connected to.
    at: usize,
    /// The number of servers left to try before the next wait.
    left: usize,
    /// One of those that were tried since the last wait has refused this client.
    refused: bool,
    /// The reason why the first of them refused it: told if no other server lets it in.
    refusal: Option<Setback>,
    options: ClientConfig,
    ports: Arc<StoreRegistry>,
    hurry: Arc<Notify>,
    stats: Arc<LinkStats>,
    backoff: Backoff,
    /// Of this try, and of the connection that comes of it.
    span: Span,
    stop: Stop,
}

impl ConnectTask {
    async fn go_on(mut self) {
        let mut stop = self.stop.clone();
        loop {
            let trying = self.connect();
            let tried = tokio::select! {
                tried = trying => tried,
                () = stopped(&mut stop) => return,
            };
            let wait = match tried {
                Ok((socket, protocol)) => match self.run(socket, protocol).await {
                    Some(wait) => wait,
                    None => return,
                },
                Err(error) => self.failed(&error),
            };
            trace::backing_off(&self.span, wait);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // A store that joined has not had the report yet.
                () = self.hurry.notified() => self.forget_reports(),
                () = stopped(&mut stop) => return,
            }
        }
    }

    /// One try.
    async fn connect(&mut self) -> Result<(Socket, u16), HelloError> {
        self.span = trace::to_server(&self.ports.names(), self.address());
        let server = &mut self.servers[self.at];
        server.connect(&self.options, &self.stats, &self.span).await
    }

    /// Logged in: runs the connection to its end. Says how long to wait then; `None`: it was
    /// closed from here.
    async fn run(&mut self, socket: Socket, protocol: u16) -> Option<Duration> {
        let address = self.address().clone();
        let peer = format!("the server {address}");
        let (ports, span) = (self.ports.clone(), self.span.clone());
        let on_fault = OnFault::Part { ask_again_after: self.options.retry_refused_after };
        let shared = Shared::new(peer, Side::Upstream, on_fault, ports, span, Refusals::default());
        shared.agree(protocol);
        let began = Instant::now();
        let ending = connection::run(socket, shared, self.stop.clone()).await;
        trace::lost(&self.span, &ending);
        if matches!(ending, CloseReason::ClosedHere) {
            return None;
        }
        let got_nowhere = ending.is_fault() && began.elapsed() <= SHORT_LIVED;
        if !got_nowhere {
            self.backoff.reset();
        }
        let peer = address.to_string();
        self.set_back(|store| Setback::of_ending(&peer, &ending, store));
        // A server that refuses does so at each try.
        if !ending.is_refusal() && !ending.is_refused() {
            self.forget_reports();
        }
        let tried = self.at;
        let wait = if got_nowhere || ending.is_refusal() {
            self.moves_on(ending.is_refusal())
        } else {
            (self.left, self.refused, self.refusal) = (self.servers.len(), false, None);
            self.wait()
        };
        let text = format!("lost its server {address}: {}", with_causes(&ending));
        self.say(tried, text, wait, |store| EventKind::Disconnected {
            address: address.clone(),
            refusal: ending.refusal(store),
            retry_in: wait,
        });
        Some(wait)
    }

    fn failed(&mut self, error: &HelloError) -> Duration {
        let (tried, address) = (self.at, self.address().clone());
        let setback = Setback::of_hello(&address.to_string(), error);
        if error.is_refusal() {
            self.refusal.get_or_insert(setback.clone());
        }
        let wait = self.moves_on(error.is_refusal());
        if !wait.is_zero() {
            let why = self.refusal.take().unwrap_or(setback.clone());
            self.set_back(|_| why.clone());
        }
        let text = format!("failed to connect to its server {address}: {}", with_causes(error));
        let kind = EventKind::ConnectFailed { address, refusal: setback.refusal(), retry_in: wait };
        let again = self.say(tried, text, wait, |_| kind.clone());
        trace::not_let_in(&self.span, error, again);
        wait
    }

    /// The address of the server that is tried, or connected to.
    fn address(&self) -> &Address {
        &self.servers[self.at].address
    }

    /// Turns to the next server. Returns the wait before it is tried: none, unless all servers were
    /// tried since the last wait.
    fn moves_on(&mut self, refused: bool) -> Duration {
        self.at = (self.at + 1) % self.servers.len();
        self.left -= 1;
        self.refused |= refused;
        if self.left > 0 {
            return Duration::ZERO;
        }
        self.left = self.servers.len();
        match std::mem::take(&mut self.refused) {
            true => self.options.retry_refused_after,
            false => self.wait(),
        }
    }

    fn forget_reports(&mut self) {
        self.servers.iter_mut().for_each(|server| server.reported = None);
    }

    fn wait(&mut self) -> Duration {
        self.backoff.next(getrandom::u64().unwrap_or(u64::MAX))
    }

    /// Tells each store why it is not attached.
    fn set_back(&self, why: impl Fn(&str) -> Setback) {
        for port in self.ports.stores() {
            port.set_back(why(port.name()));
        }
    }

    /// Reports what was not the last thing said already of this server; says whether it was.
    fn say(
        &mut self,
        server: usize,
        text: String,
        wait: Duration,
        kind: impl Fn(&str) -> EventKind,
    ) -> bool {
        let again = self.servers[server].reported.as_ref() == Some(&text);
        if !again {
            let next = match wait {
                Duration::ZERO => format!("trying {} now", self.address()),
                wait => format!("trying again in {} ms", wait.as_millis()),
            };
            for port in self.ports.stores() {
                let name = port.name();
                port.report(kind(name), &format!("store {name:?} {text}; {next}"));
            }
            self.servers[server].reported = Some(text);
        }
        again
    }
}
