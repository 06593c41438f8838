//! A link within one process that a test breaks and repairs.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::{Address, ClientConfig};

/// The number of bytes that a link holds in each direction while it is stalled. The sockets hold
/// more.
const HELD_BYTES: usize = 16 * 1024;

/// The pause after the system could not give a connection.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// A link between stores of one test, which the test cuts, stalls and heals.
///
/// It is a TCP listener on this machine that passes on the bytes of each connection to the server,
/// and back. It knows nothing of the protocol, so logins and TLS work as without it.
///
/// ```
/// use samestate::testing::TestLink;
/// use samestate::{ServerConfig, create_store};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let add = |sum: &mut i64, number: &i64| *sum += number;
/// let sum = create_store("sum", add).open().await?;
/// let server = sum.create_server(ServerConfig::tcp("127.0.0.1:0")).await?;
///
/// let link = TestLink::new(server.address()).await?;
/// let copy = create_store("sum", add).client(link.client()).open().await?;
///
/// link.cut();
/// copy.until_connected(false).await;
/// sum.dispatch(5).await?;
/// assert_eq!(copy.read(|sum| *sum), 0);
///
/// link.heal();
/// copy.until_connected(true).await;
/// assert_eq!(copy.read(|sum| *sum), 5);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TestLink {
    address: SocketAddr,
    passage: watch::Sender<Passage>,
    accepting: JoinHandle<()>,
}

/// The condition of a link.
#[derive(Clone, Copy, Debug)]
struct Passage {
    state: State,
    /// The number of cuts so far. A connection ends at the next one, even if it is healed at once.
    cuts: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Stalled,
    Cut,
}

impl TestLink {
    /// Makes a link to the server at this address. It is intact.
    ///
    /// # Errors
    ///
    /// If no TCP port can be bound, and if this system cannot connect to such an address: a named
    /// pipe, or a Unix socket on Windows. A server that is not there yet is no error: connections
    /// to it end at once.
    pub async fn new(server: &Address) -> io::Result<TestLink> {
        if !(matches!(server, Address::Tcp { .. }) || cfg!(unix) && is_unix(server)) {
            let why = format!("a test link cannot connect to {server}: use a TCP address");
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (passage, watched) = watch::channel(Passage { state: State::Open, cuts: 0 });
        let accepting = tokio::spawn(accept(listener, server.clone(), watched));
        Ok(TestLink { address, passage, accepting })
    }

    /// Returns the settings of a client that connects over this link.
    pub fn client(&self) -> ClientConfig {
        ClientConfig::at(self.address())
    }

    /// Returns the address at which this link takes connections.
    pub fn address(&self) -> Address {
        Address::tcp(self.address.ip().to_string(), self.address.port())
    }

    /// Ends all connections, and every new one at once, until [`TestLink::heal`].
    pub fn cut(&self) {
        self.passage.send_modify(|passage| {
            passage.state = State::Cut;
            passage.cuts += 1;
        });
    }

    /// Stops the bytes in both directions, until [`TestLink::heal`]. Connections stay open, and new
    /// ones are taken. Nothing is lost: what is under way arrives later.
    pub fn stall(&self) {
        self.passage.send_modify(|passage| passage.state = State::Stalled);
    }

    /// Lets bytes and connections through again.
    pub fn heal(&self) {
        self.passage.send_modify(|passage| passage.state = State::Open);
    }
}

/// Ends all connections.
impl Drop for TestLink {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn is_unix(address: &Address) -> bool {
    matches!(address, Address::Unix(_))
}

async fn accept(listener: TcpListener, server: Address, passage: watch::Receiver<Passage>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    connections.spawn(connection(client, server.clone(), passage.clone()));
                }
                // The process is out of files, say. The client tries again.
                Err(_) => tokio::time::sleep(ACCEPT_AGAIN_AFTER).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Serves one connection until an end of it closes or the link is cut. Dropping the streams with
/// bytes that were not read resets the connection, as a real cut does.
async fn connection(client: TcpStream, server: Address, mut passage: watch::Receiver<Passage>) {
    let mut cut = passage.clone();
    let Passage { state, cuts } = *passage.borrow();
    if state == State::Cut {
        return;
    }
    tokio::select! {
        biased;
        _ = cut.wait_for(|passage| passage.cuts != cuts) => {}
        _ = join(client, server, &mut passage) => {}
    }
}

async fn join(
    client: TcpStream,
    server: Address,
    passage: &mut watch::Receiver<Passage>,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    match server {
        Address::Tcp { host, port } => {
            let server = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
            server.set_nodelay(true)?;
            let (from_server, to_server) = server.into_split();
            both(client, from_server, to_server, passage).await
        }
        #[cfg(unix)]
        Address::Unix(path) => {
            let (from_server, to_server) =
                tokio::net::UnixStream::connect(path).await?.into_split();
            both(client, from_server, to_server, passage).await
        }
        _ => Ok(()),
    }
}

/// Passes on bytes in both directions until both have ended or one has failed.
async fn both(
    client: TcpStream,
    from_server: impl AsyncRead + Unpin,
    to_server: impl AsyncWrite + Unpin,
    passage: &watch::Receiver<Passage>,
) -> io::Result<()> {
    let (from_client, to_client) = client.into_split();
    let up = pass(from_client, to_server, passage.clone());
    let down = pass(from_server, to_client, passage.clone());
    tokio::try_join!(up, down).map(drop)
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut passage: watch::Receiver<Passage>,
) -> io::Result<()> {
    let mut held = vec![0; HELD_BYTES];
    loop {
        open(&mut passage).await?;
        let count = from.read(&mut held).await?;
        open(&mut passage).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&held[..count]).await?;
    }
}

/// Waits until the link lets bytes through.
async fn open(passage: &mut watch::Receiver<Passage>) -> io::Result<()> {
    let gone = |_| io::Error::from(io::ErrorKind::ConnectionAborted);
    passage.wait_for(|passage| passage.state == State::Open).await.map_err(gone).map(drop)
}
