//! One connection: a socket to the client, one to the server, and the bytes between them.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;

use super::listener::{Accepted, Socket};
use super::pump::{Control, Pump, Traffic, Watcher, Way};
use super::shaping::{Effects, Flipped};
use super::{Happened, Tell};
use crate::control::now_ns;
use crate::scenario::Address;
use crate::scenario::draws::{Draws, Purpose};

/// The traffic of one connection so far.
#[derive(Debug, Default)]
pub(super) struct Carried {
    pub(super) to_server: Traffic,
    pub(super) to_client: Traffic,
    pub(super) over: AtomicBool,
}

/// A connection that was severed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Severed {
    /// The number of bytes that it had carried.
    pub(super) carried_bytes: u64,
    /// The number of received bytes that were lost in the proxy. Those that the system had not
    /// handed over yet, or not yet delivered, are lost as well, and not counted.
    pub(super) lost_bytes: u64,
}

impl Carried {
    /// Returns whether bytes have gone both ways.
    pub(super) fn both_ways(&self) -> bool {
        [&self.to_server, &self.to_client]
            .iter()
            .all(|traffic| traffic.sent_bytes.load(Ordering::Relaxed) > 0)
    }

    pub(super) fn severed(&self) -> Severed {
        let both = [&self.to_server, &self.to_client];
        let carried_bytes =
            both.iter().map(|traffic| traffic.sent_bytes.load(Ordering::Relaxed)).sum();
        let received: u64 =
            both.iter().map(|traffic| traffic.received_bytes.load(Ordering::Relaxed)).sum();
        Severed { carried_bytes, lost_bytes: received.saturating_sub(carried_bytes) }
    }
}

/// The parts of a link that its connections share.
pub(super) struct Shared {
    pub(super) seed: u64,
    pub(super) link: usize,
    pub(super) up: Effects,
    pub(super) down: Effects,
    pub(super) tell: Tell,
    /// Told when bytes have gone both ways over a connection for the first time.
    pub(super) established: tokio::sync::Notify,
}

/// A connection under way.
pub(super) struct Connection {
    pub(super) number: u64,
    pub(super) carried: Arc<Carried>,
    pub(super) shared: Arc<Shared>,
    pub(super) control: watch::Receiver<Control>,
    /// The count of logins with the old password, if the server asks for another one.
    pub(super) old_logins: Option<Arc<AtomicU64>>,
}

impl Watcher for Connection {
    fn first_sent(&self) {
        if !self.carried.both_ways() {
            return;
        }
        match &self.old_logins {
            Some(logins) => drop(logins.fetch_add(1, Ordering::Relaxed)),
            None => self.shared.established.notify_one(),
        }
    }

    fn is_established(&self) -> bool {
        self.carried.both_ways()
    }

    fn flipped(&self, flipped: Flipped, of_bytes: usize) {
        let Flipped { fault, byte, bit } = flipped;
        let words = format!("bit {bit} of byte {byte} of {of_bytes} flipped");
        (self.shared.tell)(fault, now_ns(), Happened::Injected(words));
        (self.shared.tell)(fault, now_ns(), Happened::Ended(None));
    }
}

impl Connection {
    /// Connects to the server, and passes bytes on both ways until either side breaks, both have
    /// ended, or the link is severed.
    pub(super) async fn carry(self, accepted: Accepted, server: Address) {
        // A server that cannot be reached looks like one to the client: its connection ends.
        match (accepted, &server) {
            (Accepted::Tcp(client), Address::Tcp(port)) => {
                if let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).await {
                    self.between(client, server).await;
                }
            }
            (Accepted::Unix(client), Address::Unix(path)) => {
                if let Ok(server) = UnixStream::connect(path).await {
                    self.between(client, server).await;
                }
            }
            (Accepted::Tcp(_), Address::Unix(_)) | (Accepted::Unix(_), Address::Tcp(_)) => {}
        }
        self.carried.over.store(true, Ordering::Relaxed);
    }

    async fn between<S: Socket>(&self, client: S, server: S) {
        client.hurry();
        server.hurry();
        let pump = |way| {
            let up = way == Way::Up;
            let (from, to) = if up { (&client, &server) } else { (&server, &client) };
            let carried = &self.carried;
            let traffic = if up { &carried.to_server } else { &carried.to_client };
            let effects = if up { &self.shared.up } else { &self.shared.down };
            let stream = (self.shared.link as u64) << 40 | self.number << 1 | u64::from(up);
            Pump {
                way,
                from,
                to,
                traffic,
                effects,
                control: self.control.clone(),
                draws: Draws::new(self.shared.seed, Purpose::Jitter, stream),
                watcher: self,
            }
        };
        let mut control = self.control.clone();
        let before = control.borrow().severed;
        let severed = tokio::select! {
            severed = control.wait_for(|control| control.severed != before) => severed.is_ok(),
            _ = async { tokio::try_join!(pump(Way::Up).run(), pump(Way::Down).run()) } => false,
        };
        if severed {
            client.close_hard();
            server.close_hard();
        }
    }
}
