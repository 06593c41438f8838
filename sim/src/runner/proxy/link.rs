//! The task of a link: it accepts connections, and begins and ends faults.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use super::carry::{Carried, Connection, Severed, Shared};
use super::listener::{Accepted, Listener, Place, refuses};
use super::pump::{Control, Way};
use super::shaping::{Counts, Effects, evidence};
use super::{Happened, Server, Tell};
use crate::control::now_ns;
use crate::faults::{LinkFault, Shape, Ways};
use crate::scenario::Address;
use crate::scenario::draws::{Draws, Purpose};

/// The longest time that a fault waits for a connection that it can strike.
const CONNECTION_WAITS_MAX: Duration = Duration::from_secs(1);

/// The longest time that a fault waits for bytes, which come with the next heartbeat at least.
const BYTES_WAIT_MAX: Duration = Duration::from_secs(5);

/// The pause before a failed attempt to listen is repeated.
const LISTEN_PAUSE: Duration = Duration::from_millis(10);

/// The pause between two attempts to connect where connections are to be refused.
const PROBE_PAUSE: Duration = Duration::from_millis(50);

/// A fault to inject.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    /// The fault's position in the plan.
    pub(super) fault: usize,
    pub(super) what: LinkFault,
}

/// The link as the proxy's task sees it.
pub(super) struct Link {
    server: Address,
    other_password: Option<Address>,
    place: Place,
    listener: Option<Listener>,
    shared: Arc<Shared>,
    control: watch::Sender<Control>,
    accepted: u64,
    open: Vec<Arc<Carried>>,
    tasks: JoinSet<()>,
    /// Faults that wait for a connection or for bytes, with the end of their patience.
    waiting: BTreeMap<usize, (LinkFault, Instant)>,
    /// Faults that last.
    active: BTreeMap<usize, Active>,
    /// The last fault that closed connections, until a connection is open again.
    lately_severed: Option<usize>,
}

/// A fault that lasts.
struct Active {
    what: Lasting,
    until: Instant,
    begun_ns: u64,
}

enum Lasting {
    /// Connections are refused, after those that there were have been severed.
    Cut,
    /// Connections are refused, as attempts of the proxy's own show.
    Refuse { attempts: Attempts, probing: AbortHandle },
    /// The server asks for another password.
    OtherPassword { logins: Arc<AtomicU64> },
    /// Bytes are held, or pass slowly.
    Shape { ways: Ways, shape: Shape, up: Counts, down: Counts },
}

/// Attempts to connect.
#[derive(Clone, Debug, Default)]
struct Attempts {
    made: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
}

impl Link {
    /// A link to `server`, which asks for another password at `other_password`.
    pub(super) fn new(
        server: Server,
        other_password: Option<Address>,
        place: Place,
        listener: Listener,
        tell: Tell,
    ) -> Self {
        let Server { link, seed, address, .. } = server;
        let (up, down) = (Effects::default(), Effects::default());
        let shared = Shared { seed, link, up, down, tell, established: Notify::new() };
        Self {
            server: address,
            other_password,
            place,
            listener: Some(listener),
            shared: Arc::new(shared),
            control: watch::Sender::default(),
            accepted: 0,
            open: Vec::new(),
            tasks: JoinSet::new(),
            waiting: BTreeMap::new(),
            active: BTreeMap::new(),
            lately_severed: None,
        }
    }

    pub(super) async fn serve(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        loop {
            let shared = self.shared.clone();
            let wake = self.wakes_at();
            tokio::select! {
                accepted = accept(&self.listener), if self.listener.is_some() => match accepted {
                    Ok(accepted) => self.connect(accepted),
                    Err(_) => sleep(LISTEN_PAUSE).await, // out of descriptors, for a moment
                },
                Some(order) = orders.recv() => self.ordered(order),
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
                () = shared.established.notified() => self.established(),
                Some(_) = self.tasks.join_next() => {}
            }
            self.open.retain(|carried| !carried.over.load(Ordering::Relaxed));
            self.end_what_is_over();
            self.strike().await;
            self.listen_again();
        }
    }

    /// A connection carries bytes both ways.
    fn established(&mut self) {
        let open = self.open.iter().any(|carried| carried.both_ways());
        if open && let Some(fault) = self.lately_severed.take() {
            self.tell(fault, Happened::Reconnected);
        }
    }

    fn tell(&self, fault: usize, what: Happened) {
        (self.shared.tell)(fault, now_ns(), what);
    }

    /// Returns the next instant at which something ends, or is tried again.
    fn wakes_at(&self) -> Option<Instant> {
        let ends = self.active.values().map(|active| active.until);
        let patience = self.waiting.values().map(|(_, until)| *until);
        let listens = self.listener.is_none() && !self.is_closed();
        let again = listens.then(|| Instant::now() + LISTEN_PAUSE);
        ends.chain(patience).chain(again).min()
    }

    /// Returns whether a fault keeps the link closed.
    fn is_closed(&self) -> bool {
        let closes = |active: &Active| matches!(active.what, Lasting::Cut | Lasting::Refuse { .. });
        self.active.values().any(closes)
    }

    fn listen_again(&mut self) {
        if self.listener.is_none() && !self.is_closed() {
            // The port is ours: if it fails, it is a matter of time.
            self.listener = self.place.listen().ok();
        }
    }

    fn connect(&mut self, accepted: Accepted) {
        let carried = Arc::new(Carried::default());
        self.open.push(carried.clone());
        self.accepted += 1;
        let old_logins = self.active.values().find_map(|active| match &active.what {
            Lasting::OtherPassword { logins } => Some(logins.clone()),
            _ => None,
        });
        let other = self.other_password.as_ref().filter(|_| old_logins.is_some());
        let server = other.unwrap_or(&self.server).clone();
        let connection = Connection {
            number: self.accepted,
            carried,
            shared: self.shared.clone(),
            control: self.control.subscribe(),
            old_logins,
        };
        self.tasks.spawn(connection.carry(accepted, server));
    }

    fn ordered(&mut self, order: Order) {
        let Order { fault, what } = order;
        match what {
            LinkFault::Cut { .. }
            | LinkFault::Reset
            | LinkFault::HalfOpen
            | LinkFault::OtherPassword { .. } => {
                self.waiting.insert(fault, (what, Instant::now() + CONNECTION_WAITS_MAX));
            }
            LinkFault::Corrupt { up } => {
                let draws = Draws::new(self.shared.seed, Purpose::Flips, fault as u64);
                self.effects(if up { Way::Up } else { Way::Down }).flip_next(fault, draws);
                self.waiting.insert(fault, (what, Instant::now() + BYTES_WAIT_MAX));
            }
            LinkFault::Refuse { lasts } => self.refuse(fault, lasts),
            LinkFault::Shape { ways, shape, lasts } => {
                for effects in [&self.shared.up, &self.shared.down] {
                    effects.begin(shape);
                }
                let (up, down) = (self.shared.up.counts(), self.shared.down.counts());
                self.begin(fault, Lasting::Shape { ways, shape, up, down }, lasts);
                self.reshape();
            }
        }
    }

    fn effects(&self, way: Way) -> &Effects {
        match way {
            Way::Up => &self.shared.up,
            Way::Down => &self.shared.down,
        }
    }

    fn begin(&mut self, fault: usize, what: Lasting, lasts: Duration) {
        let (until, begun_ns) = (Instant::now() + lasts, now_ns());
        self.active.insert(fault, Active { what, until, begun_ns });
    }

    fn close(&mut self) {
        if let Some(listener) = self.listener.take() {
            self.place.close(listener);
        }
    }

    fn refuse(&mut self, fault: usize, lasts: Duration) {
        self.close();
        let attempts = Attempts::default();
        let probing = tokio::spawn(probe(self.place.address(), attempts.clone())).abort_handle();
        self.begin(fault, Lasting::Refuse { attempts, probing }, lasts);
    }

    /// Gives the connections the properties of all faults that last.
    fn reshape(&self) {
        let (mut up, mut down) = Default::default();
        for active in self.active.values() {
            if let Lasting::Shape { ways, shape, .. } = &active.what {
                for (strikes, way) in [(ways.up, &mut up), (ways.down, &mut down)] {
                    if strikes {
                        super::shaping::Shaping::add(way, *shape);
                    }
                }
            }
        }
        self.control.send_modify(|control| (control.up, control.down) = (up, down));
    }

    /// Injects the faults that wait for a connection, if there is one.
    async fn strike(&mut self) {
        let is_open = |link: &Self| link.open.iter().any(|carried| carried.both_ways());
        let faults: Vec<usize> = self.waiting.keys().copied().collect();
        for fault in faults {
            let Some(&(what, until)) = self.waiting.get(&fault) else { continue };
            let strikes = !matches!(what, LinkFault::Corrupt { .. }) && is_open(self);
            if strikes {
                self.waiting.remove(&fault);
                self.strike_connections(fault, what).await;
            } else if until <= Instant::now() {
                self.waiting.remove(&fault);
                self.met_nothing(fault, what);
            }
        }
    }

    fn met_nothing(&self, fault: usize, what: LinkFault) {
        let why = match what {
            LinkFault::Corrupt { up } => {
                let way = if up { Way::Up } else { Way::Down };
                if !self.effects(way).no_flip(fault) {
                    return; // it was injected
                }
                "no bytes came over the link"
            }
            LinkFault::HalfOpen => "the link had no open connection",
            _ => "the link had no open connection to sever",
        };
        self.tell(fault, Happened::NotInjected(why.to_owned()));
    }

    async fn strike_connections(&mut self, fault: usize, what: LinkFault) {
        let lasting = match what {
            LinkFault::Cut { lasts } => Some((Lasting::Cut, lasts)),
            LinkFault::OtherPassword { lasts } => {
                Some((Lasting::OtherPassword { logins: Arc::default() }, lasts))
            }
            LinkFault::HalfOpen => {
                let open = self.open.iter().filter(|carried| carried.both_ways()).count();
                self.control.send_modify(|control| control.half_opened += 1);
                let words = format!("{} half open", connections(open));
                self.tell(fault, Happened::Injected(words));
                self.tell(fault, Happened::Ended(None));
                return;
            }
            _ => None,
        };
        let closes = matches!(lasting, Some((Lasting::Cut, _)));
        if closes {
            self.close();
        }
        let at_ns = now_ns();
        self.control.send_modify(|control| control.severed += 1);
        while self.tasks.join_next().await.is_some() {}
        let severed = self.open.drain(..).filter(|carried| carried.both_ways());
        let severed: Vec<Severed> = severed.map(|carried| carried.severed()).collect();
        (self.shared.tell)(fault, at_ns, Happened::Injected(in_words(&severed)));
        self.lately_severed = Some(fault);
        match lasting {
            Some((what, lasts)) => self.begin(fault, what, lasts),
            None => self.tell(fault, Happened::Ended(None)),
        }
    }

    fn end_what_is_over(&mut self) {
        let now = Instant::now();
        let over = self.active.iter().filter(|(_, active)| active.until <= now);
        let over: Vec<usize> = over.map(|(fault, _)| *fault).collect();
        for fault in over {
            if let Some(active) = self.active.remove(&fault) {
                self.ends(fault, &active);
            }
        }
    }

    fn ends(&mut self, fault: usize, active: &Active) {
        let found = match &active.what {
            Lasting::Cut => return self.tell(fault, Happened::Ended(None)),
            Lasting::OtherPassword { logins } => {
                let logins = logins.load(Ordering::Relaxed);
                let words = format!("{logins} × the old password was tried");
                return self.tell(fault, Happened::Ended(Some(words)));
            }
            Lasting::Refuse { attempts, probing } => {
                probing.abort();
                let made = attempts.made.load(Ordering::Relaxed);
                let refused = attempts.refused.load(Ordering::Relaxed);
                let open = connections(self.open.len());
                let words = format!("{refused} of {made} attempts to connect refused; {open} open");
                if refused > 0 { Ok(words) } else { Err("no attempt to connect was refused") }
            }
            Lasting::Shape { ways, shape, up, down } => {
                self.reshape();
                let up = evidence(*shape, *up, &self.shared.up).filter(|_| ways.up);
                let down = evidence(*shape, *down, &self.shared.down).filter(|_| ways.down);
                match (up, down) {
                    (Some(up), Some(down)) => Ok(format!("up: {up}; down: {down}")),
                    (Some(up), None) => Ok(format!("up: {up}")),
                    (None, Some(down)) => Ok(format!("down: {down}")),
                    (None, None) => Err("no bytes came over the link meanwhile"),
                }
            }
        };
        match found {
            Ok(words) => {
                (self.shared.tell)(fault, active.begun_ns, Happened::Injected(words));
                self.tell(fault, Happened::Ended(None));
            }
            Err(why) => self.tell(fault, Happened::NotInjected(why.to_owned())),
        }
    }
}

async fn accept(listener: &Option<Listener>) -> io::Result<Accepted> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// Tries to connect to a closed port, again and again.
async fn probe(address: Address, attempts: Attempts) {
    loop {
        attempts.made.fetch_add(1, Ordering::Relaxed);
        if refuses(&address).await {
            attempts.refused.fetch_add(1, Ordering::Relaxed);
        }
        sleep(PROBE_PAUSE).await;
    }
}

fn connections(count: usize) -> String {
    match count {
        1 => "1 connection".to_owned(),
        count => format!("{count} connections"),
    }
}

fn in_words(severed: &[Severed]) -> String {
    let count = connections(severed.len());
    let carried: u64 = severed.iter().map(|one| one.carried_bytes).sum();
    let lost: u64 = severed.iter().map(|one| one.lost_bytes).sum();
    let lost =
        if lost > 0 { format!("; {lost} bytes on their way were lost") } else { String::new() };
    format!("{count} severed after {carried} bytes{lost}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_severed_is_counted() {
        let one = Severed { carried_bytes: 10, lost_bytes: 0 };
        assert_eq!(in_words(&[one]), "1 connection severed after 10 bytes");
        let two = Severed { carried_bytes: 5, lost_bytes: 3 };
        assert_eq!(
            in_words(&[one, two]),
            "2 connections severed after 15 bytes; 3 bytes on their way were lost"
        );
    }
}
