//! The server of a store: listens, accepts clients that prove a password, and is restored by
//! itself.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use samestate_proto::with_causes;
use tokio::io::AsyncWriteExt;
#[cfg(feature = "tls")]
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tracing::Span;

use super::attached::OnFault;
use super::backoff::Backoff;
use super::bind::{Accepted, Bound};
use super::channels::{Refusals, Shared};
use super::close_reason::CloseReason;
use super::connection::{self, Stop, stopped};
use super::descriptors::{self, is_exhaustion};
use super::half_open::{Limits, Place, Places};
use super::hello::{self, AcceptContext, HelloError};
use super::rate_limiter::{Once, RateLimiter};
use super::setback::reason_of_hello;
use super::socket::{Socket, Stream};
#[cfg(feature = "tls")]
use super::tls::Acceptor;
use super::{Address, LinkError, LinkStats, ServerConfig, Side, StoreRegistry, ipc, trace};
use crate::auth::{Gate, Iterations, LockedOut, PeerAddress, ServerSecret};
use crate::event::EventKind;
use crate::task::{self, Panicked, guarded};

/// The interval at which a server checks that its socket file still exists.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The answer to a client that waits for TLS if there is no room: the fatal alert `internal_error`
/// (RFC 8446, section 6.2).
const NO_ROOM_ALERT: [u8; 7] = [21, 3, 3, 0, 2, 2, 80];

/// The delay before a server accepts again after the system could not give it a connection.
const EXHAUSTED_FOR: Duration = Duration::from_millis(100);

/// The interval at which a lasting lack of connections is reported.
const EXHAUSTED_SAID_EVERY: Duration = Duration::from_secs(60);

/// A server. Dropping it closes the server without waiting.
pub(crate) struct Listener {
    inner: Arc<Inner>,
    address: Address,
    stop: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

struct Inner {
    options: ServerConfig,
    #[cfg(feature = "tls")]
    tls: Option<Acceptor>,
    gate: Option<Arc<Gate>>,
    ports: Arc<StoreRegistry>,
    started: Instant,
    stats: Arc<LinkStats>,
    places: Arc<Places>,
    complaints: RateLimiter,
    /// Of stores that are not here: they hide no other complaint.
    refusals: Arc<RateLimiter>,
    /// The clients that were refused a store, and which.
    refused: Arc<Once<(u64, u32)>>,
    /// Lock-outs are told however many complain.
    lock_outs: RateLimiter,
    /// That the system gives no more connections.
    exhaustions: RateLimiter,
    connections_max: usize,
}

impl Listener {
    /// Listens at `address` and serves `ports` to all clients that are accepted. An error here is
    /// final. A later error is reported, and listening is tried again until it succeeds.
    ///
    /// Passwords are derived off the calling thread, about 0.1 s of a core each. Needs a tokio
    /// runtime.
    ///
    /// # Errors
    ///
    /// If the address is in use or not to be had, if this system has no such sockets or this
    /// process may not make one, if a login or a password has a wrong form, or a file of the TLS
    /// options cannot be used.
    pub(crate) async fn start(
        address: Address,
        options: ServerConfig,
        ports: Arc<StoreRegistry>,
    ) -> Result<Self, LinkError> {
        options.check()?;
        may_listen(&address, ipc::worker())?;
        let gate = match options.logins.is_empty() {
            true => None,
            false => Some(make_gate(options.clone()).await?),
        };
        #[cfg(feature = "tls")]
        let tls = match &options.tls {
            Some(tls) => Some(Acceptor::new(tls.clone(), &address)?),
            None => None,
        };
        let bound = Bound::bind(&address, options.unix_mode).await?;
        let actual = bound
            .address()
            .map_err(|source| LinkError::Bind { address: address.clone(), source })?;
        trace::server_started(&actual, options.logins.len());
        if !address.is_local() {
            warn_of_others(&actual, &options, &ports);
        }
        let connections_max = room_for_connections(&options, &ports);
        let limits = Limits {
            places: options.half_open_max,
            per_address: options.half_open_per_address_max,
        };
        let inner = Arc::new(Inner {
            options,
            #[cfg(feature = "tls")]
            tls,
            gate,
            ports,
            started: Instant::now(),
            stats: Arc::default(),
            places: Places::new(limits),
            complaints: RateLimiter::default(),
            refusals: Arc::default(),
            refused: Arc::default(),
            lock_outs: RateLimiter::default(),
            exhaustions: RateLimiter::new(1, EXHAUSTED_SAID_EVERY),
            connections_max,
        });
        let (stop, stopping) = watch::channel(false);
        let serving = serve(inner.clone(), actual.clone(), bound, stopping);
        let (ports, place) = (inner.ports.clone(), actual.clone());
        let panicked = move |panic: &Panicked| {
            let text = format!("a bug: {panic}; nothing listens on {place} any more");
            ports.report(&EventKind::TaskPanicked, &text);
        };
        let task = task::spawn("server", panicked, serving);
        Ok(Listener { inner, address: actual, stop, task: Mutex::new(Some(task)) })
    }

    /// Stops listening, removes the socket file, and ends all connections; what is under way to
    /// them gets half a second to leave.
    pub(crate) async fn close(&self) {
        self.stop.send_replace(true);
        let task = self.task.lock().take();
        if let Some(task) = task {
            // An error means that it ended by itself.
            let _ = task.await;
        }
    }

    /// Returns the address that the server listens at, with the port that the system chose.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Returns the statistics of all of its connections so far.
    #[cfg(test)]
    pub(crate) fn stats(&self) -> &Arc<LinkStats> {
        &self.inner.stats
    }

    /// Lists the addresses that are locked out now.
    pub(crate) fn locked(&self) -> Vec<LockedOut> {
        let now = self.inner.started.elapsed();
        self.inner.gate.as_ref().map_or_else(Vec::new, |gate| gate.locked(now))
    }

    /// Lifts a lock-out; says whether there were any failures to forget.
    pub(crate) fn unlock(&self, address: PeerAddress) -> bool {
        self.inner.gate.as_ref().is_some_and(|gate| gate.unlock(address))
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Checks that this process may listen at the address, and that this system can.
fn may_listen(address: &Address, worker: Option<u32>) -> Result<(), LinkError> {
    match (address, worker) {
        (Address::Pipe(_), Some(worker)) => {
            Err(LinkError::PipeInWorker { address: address.clone(), worker })
        }
        _ => address.check_here(),
    }
}

/// Warns that peers of other machines may read and dispatch.
fn warn_of_others(actual: &Address, options: &ServerConfig, ports: &StoreRegistry) {
    if !options.speaks_tls() {
        trace::server_in_plaintext(actual);
        ports.report(
            &EventKind::ServedInPlaintext { address: actual.clone() },
            &format!(
                "listening on {actual} in plaintext: anyone on the way can read what is sent; \
                 give it TLS, or keep it behind a firewall or a VPN"
            ),
        );
    }
    if options.lets_anyone_in() {
        trace::server_without_logins(actual);
        ports.report(
            &EventKind::ServedWithoutLogins { address: actual.clone() },
            &format!(
                "listening on {actual} without logins: any client that reaches this address may \
                 read {} and dispatch to it; give the server logins, or keep it behind a firewall \
                 or a VPN",
                ports.names()
            ),
        );
    }
}

/// Returns the number of connections that this process may hold at the server, and reports if it is
/// lower than configured.
fn room_for_connections(options: &ServerConfig, ports: &StoreRegistry) -> usize {
    let room = descriptors::make_room(options.connections_max);
    if let Some(files) = room.files_max {
        let (connections_max, configured) = (room.connections_max, options.connections_max);
        ports.report(
            &EventKind::ConnectionsLimited { connections_max, configured },
            &format!(
                "the server takes {connections_max} connections at most, not {configured}: this \
                 process may have {files} files open; raise the hard limit (`ulimit -Hn`)"
            ),
        );
    }
    room.connections_max
}

async fn make_gate(options: ServerConfig) -> Result<Arc<Gate>, LinkError> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(LinkError::Random)?;
    let secret = ServerSecret::new(secret);
    let iterations = Iterations::new(options.login_rounds)?;
    let deriving = tokio::task::spawn_blocking(move || {
        let logins = options.logins.iter().map(|(login, password)| (&**login, &***password));
        Gate::new(&secret, iterations, logins, options.lock_out)
    });
    match deriving.await {
        Ok(gate) => Ok(gate?),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// Serves until told to stop; when listening fails, listens again.
async fn serve(inner: Arc<Inner>, address: Address, bound: Bound, mut stop: Stop) {
    let mut backoff = Backoff::new(inner.options.backoff_max);
    let mut connections = JoinSet::new();
    let mut bound = Some(bound);
    let mut reported = false;
    let failed = EventKind::ListenerFailed { address: address.clone() };
    while !*stop.borrow() && stop.has_changed().is_ok() {
        let random = getrandom::u64().unwrap_or(u64::MAX);
        let wait = match bound.take() {
            Some(listening) => {
                backoff.reset();
                reported = false;
                let why = accept_all(&inner, &listening, &mut connections, &mut stop).await;
                let Some(why) = why else { break };
                let wait = backoff.next(random);
                trace::server_fell_over(&address, &why);
                let (text, wait_ms) =
                    (format!("the listener on {address} failed"), wait.as_millis());
                let text = format!("{text}: {why}; trying again in {wait_ms} ms");
                inner.ports.report(&failed, &text);
                wait
            }
            None => match Bound::bind(&address, inner.options.unix_mode).await {
                Ok(again) => {
                    trace::server_came_back(&address);
                    bound = Some(again);
                    continue;
                }
                Err(error) => {
                    if !std::mem::replace(&mut reported, true) {
                        trace::server_is_down(&address, &error);
                        let text = format!("{}; trying again", with_causes(&error));
                        inner.ports.report(&failed, &text);
                    }
                    backoff.next(random)
                }
            },
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stopped(&mut stop) => break,
        }
    }
    drop(bound);
    trace::server_closed(&address);
    while connections.join_next().await.is_some() {}
}

/// Accepts until told to stop (`None`), or until listening fails.
async fn accept_all(
    inner: &Arc<Inner>,
    bound: &Bound,
    connections: &mut JoinSet<()>,
    stop: &mut Stop,
) -> Option<io::Error> {
    let mut look = tokio::time::interval(LOOK_EVERY);
    loop {
        let accepted = tokio::select! {
            accepted = bound.accept(inner.options.stall_after) => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            _ = look.tick() => match bound.is_reachable() {
                true => continue,
                false => return Some(io::Error::other("its socket file was removed")),
            },
            () = stopped(stop) => return None,
        };
        match accepted {
            Ok(accepted) => {
                if let Some(accepted) = accepted {
                    inner.admit(accepted, connections, stop);
                }
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) if is_exhaustion(&error) => {
                let advice = descriptors::advice(&error);
                let text = format!("failed to accept a connection: {error}{advice}");
                if let Some(text) = inner.exhaustions.admit(text) {
                    trace::server_exhausted(&error);
                    inner.ports.report(&EventKind::ConnectionsExhausted, &text);
                }
                tokio::select! {
                    () = tokio::time::sleep(EXHAUSTED_FOR) => {}
                    () = stopped(stop) => return None,
                }
            }
            Err(error) => return Some(error),
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionAborted
            | Kind::ConnectionReset
            | Kind::NotConnected
            | Kind::Interrupted
            | Kind::PermissionDenied
            | Kind::InvalidInput
            | Kind::NetworkUnreachable
            | Kind::HostUnreachable
            | Kind::NetworkDown
    )
}

impl Inner {
    /// Takes a connection on, if there is room; one that is turned away costs nothing more.
    fn admit(self: &Arc<Self>, accepted: Accepted, connections: &mut JoinSet<()>, stop: &Stop) {
        let crowded = connections.len() >= self.connections_max;
        let place = self.places.take(accepted.address, self.started.elapsed(), crowded);
        let inner = self.clone();
        let stop = stop.clone();
        match place {
            Some(place) => {
                let ports = self.ports.clone();
                connections.spawn(async move {
                    let attended = guarded("connection", inner.attend(accepted, place, stop));
                    if let Err(panic) = attended.await {
                        ports.report_panic(&panic);
                    }
                });
            }
            None => self.turn_away(accepted),
        }
    }

    async fn attend(self: Arc<Self>, accepted: Accepted, mut place: Place, mut stop: Stop) {
        let Accepted { stream, address, mut name } = accepted;
        let span = trace::to_client(&name, address);
        let door =
            AcceptContext { gate: self.gate.as_ref(), address, now: &|| self.started.elapsed() };
        let entering = async {
            let mut socket = self.open(stream).await?;
            let guest = hello::welcome(&mut socket, door).await?;
            Ok((socket, guest))
        };
        let entered = tokio::select! {
            entered = hello::within(self.options.login_within, entering) => entered,
            () = place.lost() => Err(HelloError::Evicted),
            () = stopped(&mut stop) => return,
        };
        drop(place);
        let (socket, client, operator) = match entered {
            Ok((socket, guest)) => {
                trace::let_in(&span, guest.login.as_deref());
                if let Some(login) = &guest.login {
                    name = format!("{name} (login {login})");
                }
                let may_promote = |login: &String| self.options.operators.contains(login);
                (socket, guest.client, guest.login.filter(may_promote))
            }
            Err(HelloError::EmptyConnection) => return,
            Err(error) => {
                self.tell_lock_out(&span, &error);
                let text = format!("{name} was not let in: {}", with_causes(&error));
                let kind = EventKind::ClientRefused {
                    address,
                    reason: reason_of_hello(&error),
                    locked_out: error.lock_out(),
                };
                self.complain(&kind, text, || trace::refused(&span, &error));
                return;
            }
        };
        let (ports, logged) = (self.ports.clone(), span.clone());
        let refusals =
            Refusals { client, said: self.refused.clone(), complaints: self.refusals.clone() };
        let shared = Shared::new(name, Side::Downstream, OnFault::End, ports, logged, refusals);
        shared.requests.operator(operator);
        let ending = tokio::select! {
            ending = connection::run(socket, shared.clone(), stop) => ending,
            ending = shared.idle(self.options.login_within) => ending,
        };
        match ending {
            CloseReason::Closed | CloseReason::ClosedHere => trace::left(&span, &ending),
            _ => {
                let text = format!("the link to {} is cut: {}", shared.peer, with_causes(&ending));
                let kind = EventKind::ClientDropped { client: shared.peer.clone() };
                self.complain(&kind, text, || trace::cut(&span, &ending));
            }
        }
    }

    /// Makes the TLS handshake, if this server uses TLS.
    async fn open(&self, stream: Stream) -> Result<Socket, HelloError> {
        #[cfg(feature = "tls")]
        let stream = match (&self.tls, stream) {
            (Some(tls), Stream::Tcp(stream)) => return self.shake_hands(tls, stream).await,
            (_, stream) => stream,
        };
        Ok(stream.plain(self.stats.clone(), self.options.stall_after)?)
    }

    #[cfg(feature = "tls")]
    async fn shake_hands(&self, tls: &Acceptor, stream: TcpStream) -> Result<Socket, HelloError> {
        match tls.renew() {
            None => {}
            Some(Ok(())) => {
                let text = "the server's certificates were read again";
                self.ports.report(&EventKind::CertificatesRenewed, text);
            }
            Some(Err(error)) => {
                let why = with_causes(&error);
                let text = format!("{why}; the server goes on with the certificates it has");
                self.ports.report(&EventKind::CertificatesUnusable, &text);
            }
        }
        tls.accept(stream, &self.stats, self.options.stall_after).await
    }

    /// Says why, as far as that goes without a wait.
    fn turn_away(&self, accepted: Accepted) {
        trace::turned_away(&trace::to_client(&accepted.name, accepted.address));
        let words = match self.options.speaks_tls() {
            true => NO_ROOM_ALERT.to_vec(),
            false => hello::busy("too many connections at once; try again later"),
        };
        let socket = accepted.stream.plain(self.stats.clone(), self.options.stall_after);
        let Ok(mut socket) = socket else { return }; // nobody can be told
        let ports = self.ports.clone();
        let panicked = move |panic: &Panicked| ports.report_panic(panic);
        task::spawn("refusal", panicked, async move {
            // The socket's buffer is empty: this does not wait.
            let _ = socket.send(&words).await;
            let _ = socket.writer.shutdown().await;
        });
    }

    /// Reports what a client did, and logs it, unless too much of that kind was said.
    fn complain(&self, kind: &EventKind, text: String, log: impl FnOnce()) {
        if let Some(text) = self.complaints.admit(text) {
            log();
            self.ports.report(kind, &text);
        }
    }

    fn tell_lock_out(&self, span: &Span, error: &HelloError) {
        let Some(locked_out) = trace::lock_out(error) else { return };
        if self.lock_outs.admit(String::new()).is_some() {
            trace::locked_out(span, locked_out);
        }
    }
}
