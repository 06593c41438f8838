//! The broker of a node's stores: started by the root, and found by all others.
//!
//! The root starts the broker as its child, on the TCP port that the scenario gives it. Each other
//! node connects to the broker itself. A worker, or what else is linked over a Unix socket, finds
//! it by a file beside the path of the socket.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{Child, Command};

use crate::protocol::{Endpoint, Init, Login};

/// The time that a broker has to accept connections.
const START_MAX: Duration = Duration::from_secs(20);

/// A place at which a broker accepts connections.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Place {
    /// A port of 127.0.0.1, or
    pub tcp: Option<u16>,
    /// a Unix socket.
    pub unix: Option<String>,
    /// The login.
    pub login: Option<Login>,
}

/// The way to the broker of a store.
#[derive(Clone, Debug)]
pub enum Address {
    /// Known.
    At(Place),
    /// In a file, which the node writes that serves the socket: it is read at each connection.
    File { file: PathBuf, store: String },
}

impl Address {
    /// Returns the place as it is now.
    pub fn place(&self) -> anyhow::Result<Place> {
        match self {
            Address::At(place) => Ok(place.clone()),
            Address::File { file, store } => {
                let text = std::fs::read(file).context("no broker yet")?;
                let places: BTreeMap<String, Place> = serde_json::from_slice(&text)?;
                places.get(store).cloned().context("no broker of the store")
            }
        }
    }
}

/// A kind of broker.
pub struct Kind {
    /// The command and its arguments that start it for a folder and a place.
    pub command: fn(&str, &Place) -> anyhow::Result<Command>,
    /// True if it accepts connections on Unix sockets.
    pub unix: bool,
    /// The remedy where its program is missing.
    pub missing: &'static str,
}

/// The broker of a node, if it is a root, and the ways to the brokers of its stores.
pub struct Brokers {
    /// By store.
    pub addresses: BTreeMap<String, Arc<Address>>,
    child: Option<Child>,
}

impl Brokers {
    /// Starts the broker, if the node is a root, and serves what the node has to serve.
    pub async fn open(init: &Init, kind: &Kind) -> anyhow::Result<Self> {
        let mut addresses = BTreeMap::new();
        let roots: Vec<&str> =
            init.stores.iter().filter(|store| store.root).map(|store| &*store.name).collect();
        let of_root = |endpoint: &&Endpoint| endpoint.stores.iter().any(|s| roots.contains(&&**s));
        let mut child = None;
        let mut own = None;
        if !roots.is_empty() {
            let served: Vec<&Endpoint> = init.listen.iter().filter(of_root).collect();
            let place = Place {
                tcp: match served.iter().find_map(|endpoint| endpoint.tcp) {
                    Some(port) => Some(port),
                    None if kind.unix => None,
                    None => Some(free_port()?),
                },
                unix: kind.unix.then(|| format!("{}/broker.sock", init.folder)),
                login: served.iter().find_map(|endpoint| endpoint.login.clone()),
            };
            child = Some(start(kind, &init.folder, &place).await?);
            own = place.tcp;
            let place = Place { tcp: place.tcp.filter(|_| place.unix.is_none()), ..place };
            for root in roots {
                addresses.insert(root.to_owned(), Arc::new(Address::At(place.clone())));
            }
        }
        for endpoint in &init.connect {
            for store in endpoint
                .stores
                .iter()
                .filter(|store| !addresses.contains_key(*store))
                .collect::<Vec<_>>()
            {
                let address = match (&endpoint.unix, endpoint.tcp) {
                    (Some(path), _) => Address::File { file: file_of(path), store: store.clone() },
                    (None, tcp) => {
                        Address::At(Place { tcp, unix: None, login: endpoint.login.clone() })
                    }
                };
                addresses.insert(store.clone(), Arc::new(address));
            }
        }
        for endpoint in &init.listen {
            match (&endpoint.unix, endpoint.tcp) {
                (Some(path), _) => tell(path, endpoint, &addresses).await?,
                (None, port) => ensure!(
                    port == own,
                    "every node connects to the broker itself, which has one port: serve {} at \
                     its root alone, by one link",
                    endpoint.stores.join(", ")
                ),
            }
        }
        Ok(Brokers { addresses, child })
    }

    /// Ends the broker, if it is this node's.
    pub async fn stop(mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended.
            let _ = child.kill().await;
        }
    }
}

async fn start(kind: &Kind, folder: &str, place: &Place) -> anyhow::Result<Child> {
    let mut command = (kind.command)(folder, place)?;
    // Standard output is for the protocol alone.
    command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let mut child = match command.spawn() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("{program} is missing; {}", kind.missing)
        }
        spawned => spawned.with_context(|| program.clone())?,
    };
    let deadline = tokio::time::Instant::now() + START_MAX;
    loop {
        if let Some(status) = child.try_wait()? {
            bail!("{program} ended at once, with {status}: its port {:?} may be in use", place.tcp);
        }
        let answers = match (&place.unix, place.tcp) {
            (Some(path), _) => UnixStream::connect(path).await.is_ok(),
            (None, port) => {
                TcpStream::connect((Ipv4Addr::LOCALHOST, port.unwrap_or_default())).await.is_ok()
            }
        };
        if answers {
            return Ok(child);
        }
        if tokio::time::Instant::now() > deadline {
            bail!("{program} accepts no connection after {} s", START_MAX.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn free_port() -> anyhow::Result<u16> {
    Ok(StdListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn file_of(socket: &str) -> PathBuf {
    PathBuf::from(format!("{socket}.broker"))
}

/// Writes the file by which the clients of a Unix socket find the brokers.
async fn tell(
    socket: &str,
    endpoint: &Endpoint,
    addresses: &BTreeMap<String, Arc<Address>>,
) -> anyhow::Result<()> {
    let mut places = BTreeMap::new();
    for store in &endpoint.stores {
        let address = addresses.get(store).with_context(|| format!("no way to {store}"))?;
        let mut place = address.place();
        while place.is_err() {
            // The file of the node above.
            tokio::time::sleep(Duration::from_millis(20)).await;
            place = address.place();
        }
        places.insert(store, place?);
    }
    let (file, new) = (file_of(socket), PathBuf::from(format!("{socket}.new")));
    std::fs::write(&new, serde_json::to_vec(&places)?)?;
    std::fs::rename(new, file)?;
    Ok(())
}
