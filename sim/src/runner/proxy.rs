//! A link's bytes by way of the runner, so that the link can be cut.
//!
//! Clients of a link with a planned fault connect to its proxy, which connects to the server and
//! passes bytes on both ways. A cut severs every connection in both directions at once and loses
//! the bytes in transit (TCP: a reset). While it lasts, the system itself refuses new connections,
//! since there is no listener. The proxy's TCP port stays reserved meanwhile.
//!
//! A cut with no connection to sever would be none: it waits a little for one, and is reported
//! as not done if none comes.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use crate::control::now_ns;
use crate::scenario::Address;

/// The longest time that a cut waits for a connection that it can sever.
const CUT_WAITS_MAX: Duration = Duration::from_secs(1);

/// The pause before a failed attempt to listen is repeated.
const LISTEN_PAUSE: Duration = Duration::from_millis(10);

/// The number of bytes that are passed on at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// An event at a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProxyEvent {
    /// Connections were severed, and the listener was closed.
    Cut {
        /// The fault's position in the plan.
        fault: usize,
        /// The time of the event.
        at_ns: u64,
        /// The severed connections, at least one.
        severed: Vec<Severed>,
    },
    /// There was nothing to sever.
    NotCut {
        /// The fault's position in the plan.
        fault: usize,
    },
    /// The proxy listens again.
    Restored {
        /// The fault's position in the plan.
        fault: usize,
        /// The time of the event.
        at_ns: u64,
    },
    /// The first connection since carries bytes both ways.
    Reconnected {
        /// The fault's position in the plan.
        fault: usize,
        /// The time of the event.
        at_ns: u64,
    },
}

/// A connection that was severed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Severed {
    /// The number of bytes that it had carried.
    pub(crate) carried_bytes: u64,
    /// The number of received bytes that were lost in the proxy. Those that the system had not
    /// handed over yet, or not yet delivered, are lost as well, and not counted.
    pub(crate) lost_bytes: u64,
}

/// The proxy of one link.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: Address,
    cuts: mpsc::UnboundedSender<Cut>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Cut {
    fault: usize,
    lasts: Duration,
}

impl Proxy {
    /// Listens in front of `server`: on a free port of the loopback address, or on the Unix
    /// socket `beside`.
    ///
    /// # Errors
    ///
    /// If it cannot listen.
    pub(crate) async fn start(
        server: Address,
        beside: &Path,
        told: impl Fn(ProxyEvent) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let (place, address) = match &server {
            Address::Tcp(_) => {
                let reserved = reusable_socket(0)?;
                let port = reserved.local_addr()?.port();
                (Place::Tcp { port, _reserved: reserved }, Address::Tcp(port))
            }
            Address::Unix(_) => (Place::Unix(beside.to_owned()), Address::Unix(beside.to_owned())),
        };
        let listener = place.listen()?;
        let (cuts, orders) = mpsc::unbounded_channel();
        let link = Link {
            server,
            place,
            told: Box::new(told),
            sever: watch::Sender::new(()),
            established: Arc::new(Notify::new()),
            open: Vec::new(),
            tasks: JoinSet::new(),
            lately_cut: None,
        };
        let task = tokio::spawn(link.serve(listener, orders)).abort_handle();
        Ok(Self { address, cuts, task })
    }

    /// Cuts the link as soon as there is a connection to sever; cuts do not overlap.
    pub(crate) fn cut(&self, fault: usize, lasts: Duration) {
        // The task ends with the proxy alone.
        let _ = self.cuts.send(Cut { fault, lasts });
    }

    /// Returns the address that clients connect to.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The place at which a proxy listens.
enum Place {
    /// A port, which a socket that never listens keeps from being given to anyone else.
    Tcp {
        port: u16,
        _reserved: TcpSocket,
    },
    Unix(PathBuf),
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

enum Accepted {
    Tcp(TcpStream),
    Unix(UnixStream),
}

fn reusable_socket(port: u16) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    Ok(socket)
}

impl Place {
    fn listen(&self) -> io::Result<Listener> {
        Ok(match self {
            Self::Tcp { port, .. } => Listener::Tcp(reusable_socket(*port)?.listen(1024)?),
            Self::Unix(path) => Listener::Unix(UnixListener::bind(path)?),
        })
    }

    /// Closes the listener, and removes its traces.
    fn close(&self, listener: Listener) {
        drop(listener);
        if let Self::Unix(path) = self {
            // Only to have connections refused sooner: without a listener they are anyway.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Listener {
    async fn accept(&self) -> io::Result<Accepted> {
        Ok(match self {
            Self::Tcp(listener) => Accepted::Tcp(listener.accept().await?.0),
            Self::Unix(listener) => Accepted::Unix(listener.accept().await?.0),
        })
    }
}

/// The link as the proxy's task sees it.
struct Link {
    server: Address,
    place: Place,
    told: Box<dyn Fn(ProxyEvent) + Send + Sync>,
    sever: watch::Sender<()>,
    established: Arc<Notify>,
    open: Vec<Arc<Carried>>,
    tasks: JoinSet<()>,
    /// The last cut, until a connection is open again.
    lately_cut: Option<usize>,
}

impl Link {
    async fn serve(mut self, listener: Listener, mut orders: mpsc::UnboundedReceiver<Cut>) {
        let mut listener = listener;
        let mut pending: Option<(Cut, Instant)> = None;
        loop {
            let patience = pending.as_ref().map_or_else(Instant::now, |(_, until)| *until);
            let established = self.established.clone();
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => self.connect(accepted),
                    Err(_) => sleep(LISTEN_PAUSE).await, // out of descriptors, for a moment
                },
                Some(cut) = orders.recv(), if pending.is_none() => {
                    pending = Some((cut, Instant::now() + CUT_WAITS_MAX));
                }
                () = sleep_until(patience), if pending.is_some() => {
                    if let Some((cut, _)) = pending.take() {
                        (self.told)(ProxyEvent::NotCut { fault: cut.fault });
                    }
                }
                () = established.notified() => {
                    if let Some(fault) = self.lately_cut.take() {
                        (self.told)(ProxyEvent::Reconnected { fault, at_ns: now_ns() });
                    }
                }
                Some(_) = self.tasks.join_next() => {}
            }
            self.open.retain(|carried| !carried.over.load(Ordering::Relaxed));
            if self.open.iter().any(|carried| carried.both_ways())
                && let Some((cut, _)) = pending.take()
            {
                listener = self.cut(listener, &cut).await;
            }
        }
    }

    fn connect(&mut self, accepted: Accepted) {
        let carried = Arc::new(Carried { established: self.established.clone(), ..<_>::default() });
        self.open.push(carried.clone());
        let (server, sever) = (self.server.clone(), self.sever.subscribe());
        self.tasks.spawn(async move {
            // A server that cannot be reached looks like one to the client: its connection ends.
            match (accepted, &server) {
                (Accepted::Tcp(client), Address::Tcp(port)) => {
                    if let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).await {
                        carry(client, server, &carried, sever).await;
                    }
                }
                (Accepted::Unix(client), Address::Unix(path)) => {
                    if let Ok(server) = UnixStream::connect(path).await {
                        carry(client, server, &carried, sever).await;
                    }
                }
                (Accepted::Tcp(_), Address::Unix(_)) | (Accepted::Unix(_), Address::Tcp(_)) => {}
            }
            carried.over.store(true, Ordering::Relaxed);
        });
    }

    /// Severs everything, refuses for as long as it lasts, and listens again.
    async fn cut(&mut self, listener: Listener, cut: &Cut) -> Listener {
        self.place.close(listener);
        let at_ns = now_ns();
        self.sever.send_replace(());
        while self.tasks.join_next().await.is_some() {}
        let severed = self.open.drain(..).filter(|carried| carried.both_ways());
        let severed = severed.map(|carried| carried.severed()).collect();
        let fault = cut.fault;
        (self.told)(ProxyEvent::Cut { fault, at_ns, severed });
        sleep(cut.lasts).await;
        let listener = loop {
            match self.place.listen() {
                Ok(listener) => break listener,
                Err(_) => sleep(LISTEN_PAUSE).await, // the port is ours: it is a matter of time
            }
        };
        self.lately_cut = Some(fault);
        (self.told)(ProxyEvent::Restored { fault, at_ns: now_ns() });
        listener
    }
}

/// The traffic of one connection so far.
#[derive(Debug, Default)]
struct Carried {
    to_server: Way,
    to_client: Way,
    over: AtomicBool,
    established: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Way {
    received_bytes: AtomicU64,
    sent_bytes: AtomicU64,
}

impl Carried {
    fn both_ways(&self) -> bool {
        [&self.to_server, &self.to_client]
            .iter()
            .all(|way| way.sent_bytes.load(Ordering::Relaxed) > 0)
    }

    fn severed(&self) -> Severed {
        let sum = |count: fn(&Way) -> &AtomicU64| {
            count(&self.to_server).load(Ordering::Relaxed)
                + count(&self.to_client).load(Ordering::Relaxed)
        };
        let carried_bytes = sum(|way| &way.sent_bytes);
        Severed {
            carried_bytes,
            lost_bytes: sum(|way| &way.received_bytes).saturating_sub(carried_bytes),
        }
    }
}

/// A stream socket of either kind.
trait Socket: AsyncRead + AsyncWrite + Unpin + Send {
    /// Makes small writes leave at once.
    fn hurry(&self);
    /// Has what is still on its way thrown away when the socket closes.
    fn close_hard(&self);
}

// On a socket that is broken already both fail, and there is nothing left to do.
impl Socket for TcpStream {
    fn hurry(&self) {
        let _ = self.set_nodelay(true);
    }
    fn close_hard(&self) {
        let _ = self.set_zero_linger();
    }
}

impl Socket for UnixStream {
    fn hurry(&self) {}
    fn close_hard(&self) {}
}

/// Passes bytes on both ways until either side breaks, both have ended, or the link is severed.
async fn carry<S: Socket>(
    mut client: S,
    mut server: S,
    carried: &Carried,
    mut sever: watch::Receiver<()>,
) {
    client.hurry();
    server.hurry();
    let severed = {
        let (from_client, to_client) = tokio::io::split(&mut client);
        let (from_server, to_server) = tokio::io::split(&mut server);
        let up = pass_on(from_client, to_server, &carried.to_server, carried);
        let down = pass_on(from_server, to_client, &carried.to_client, carried);
        tokio::select! {
            _ = sever.changed() => true,
            _ = async { tokio::try_join!(up, down) } => false,
        }
    };
    if severed {
        client.close_hard();
        server.close_hard();
    }
}

async fn pass_on(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    way: &Way,
    connection: &Carried,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let bytes = from.read(&mut buffer).await?;
        if bytes == 0 {
            return to.shutdown().await;
        }
        way.received_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        to.write_all(&buffer[..bytes]).await?;
        let before = way.sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if before == 0 && connection.both_ways() {
            connection.established.notify_one();
        }
    }
}

#[cfg(test)]
mod tests;
