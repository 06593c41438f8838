//! The gate of one server: the handshake, the lock-out and the tickets in the one order that holds.
//!
//! For each connection its driver makes a [`Visit`] and feeds it the client's messages. The visit
//! charges the attempt before it looks at the proof, under one short lock and without a wait in
//! between, and hands a client that it lets in a ticket for the next time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::lockout::{LockOut, LockOutPolicy, LockedOut, PeerAddress};
use super::scram::{
    AuthError, CredentialsError, Iterations, Logins, Nonce, Refusal, ServerHandshake, ServerStep,
};
use super::secret::ServerSecret;
use super::tickets::{ProvenTicket, Ticket, Tickets};

/// The state that decides which clients a server accepts. Shared by all of its connections.
pub struct Gate {
    logins: Arc<Logins>,
    tickets: Tickets,
    lockout: Mutex<LockOut>,
}

impl Gate {
    /// From the server's logins and passwords, with one derivation each, while the calling thread
    /// waits.
    ///
    /// # Errors
    ///
    /// If a login or password has not the form that [`super::Credentials::new`] wants, or a login
    /// stands there twice.
    pub fn new<'a>(
        secret: &ServerSecret,
        iterations: Iterations,
        logins: impl IntoIterator<Item = (&'a str, &'a str)>,
        policy: LockOutPolicy,
    ) -> Result<Arc<Self>, CredentialsError> {
        let mut table = Logins::new(secret, iterations);
        table.add_all(logins)?;
        Ok(Self::with(secret, table, policy))
    }

    /// From logins that were derived already.
    pub fn with(secret: &ServerSecret, logins: Logins, policy: LockOutPolicy) -> Arc<Self> {
        Arc::new(Self {
            logins: Arc::new(logins),
            tickets: Tickets::new(secret, Tickets::LIFETIME),
            lockout: Mutex::new(LockOut::new(policy)),
        })
    }

    /// Begins the login of one connection. `client` is the id that the client gives itself, the
    /// same at each of its connections; `ticket` the one from its last login, if it has one;
    /// `nonce` is drawn for this connection alone.
    pub fn visit(
        self: &Arc<Self>,
        address: PeerAddress,
        client: u64,
        ticket: Option<Ticket>,
        nonce: Nonce,
    ) -> Visit {
        Visit {
            handshake: ServerHandshake::new(self.logins.clone(), nonce),
            gate: self.clone(),
            address,
            client,
            ticket: ticket.map_or(Presented::None, Presented::Unproven),
        }
    }

    /// Checks that an address is not locked out for clients without a ticket.
    ///
    /// # Errors
    ///
    /// If it is locked out; says for how long.
    pub fn check(&self, address: PeerAddress, now: Duration) -> Result<(), LockedOut> {
        self.lockout.lock().check(address, None, now)
    }

    /// Lifts a lock-out and forgets the failures of an address; says whether there were any.
    pub fn unlock(&self, address: PeerAddress) -> bool {
        self.lockout.lock().unlock(address)
    }

    /// Lists the addresses that are locked out now, ordered by the end of their lock-out.
    pub fn locked(&self, now: Duration) -> Vec<LockedOut> {
        self.lockout.lock().locked(now).collect()
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("logins", &self.logins).finish_non_exhaustive()
    }
}

/// The next step of a server in a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VisitStep {
    /// A message to send. Feed the answer to [`Visit::step`].
    Reply(Vec<u8>),
    /// Let the client in: send this, and the ticket for its next connection.
    Accepted {
        /// The login whose password the client proved.
        login: String,
        /// The last message of the handshake.
        reply: Vec<u8>,
        /// A ticket with which the client may try from a locked-out address. Replaces the one it
        /// came with.
        ticket: Ticket,
    },
}

/// A reason to refuse a client. Send [`Refused::reply`], then close.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Its address is locked out, and it has no living ticket.
    #[error(transparent)]
    LockedOut(#[from] LockedOut),
    /// Its login failed.
    #[error("{address}: {error}")]
    Failed {
        /// The address of the client.
        address: PeerAddress,
        /// The reason.
        error: AuthError,
        /// Some where this failure has locked the address out.
        locked_out: Option<LockedOut>,
    },
}

impl Refused {
    /// The server's last message.
    pub fn reply(&self) -> Vec<u8> {
        match self {
            Self::LockedOut(_) => Refusal::LockedOut.reply(),
            Self::Failed { error, .. } => error.reply(),
        }
    }
}

/// The login of one connection. Dropped before a proof came, it counts nothing.
#[derive(Debug)]
pub struct Visit {
    gate: Arc<Gate>,
    handshake: ServerHandshake,
    address: PeerAddress,
    client: u64,
    ticket: Presented,
}

/// A ticket is bound to a login, and so can be proved only once the login is known.
#[derive(Clone, Copy, Debug)]
enum Presented {
    None,
    Unproven(Ticket),
    Proven(ProvenTicket),
}

impl Visit {
    /// Takes the client's next message. `now` is the time since the server's start. After an error
    /// the visit is over.
    ///
    /// # Errors
    ///
    /// If the visitor is refused, because of what it said or because it is locked out.
    pub fn step(&mut self, message: &[u8], now: Duration) -> Result<VisitStep, Refused> {
        if self.handshake.awaits_proof() {
            self.prove(message, now)
        } else {
            self.greet(message, now)
        }
    }

    fn greet(&mut self, message: &[u8], now: Duration) -> Result<VisitStep, Refused> {
        let step = self.handshake.step(message).map_err(|error| self.failed(error, None))?;
        if let (Some(login), Presented::Unproven(ticket)) = (self.handshake.login(), self.ticket) {
            // A ticket that cannot be proved is no ticket: the client may try without.
            let proven = self.gate.tickets.prove(&ticket, login, self.client, now);
            self.ticket = proven.map_or(Presented::None, Presented::Proven);
        }
        self.gate.lockout.lock().check(self.address, self.proven(), now)?;
        Ok(self.passed(step, now))
    }

    fn prove(&mut self, message: &[u8], now: Duration) -> Result<VisitStep, Refused> {
        let gate = self.gate.clone();
        let mut lockout = gate.lockout.lock();
        let attempt = lockout.attempt(self.address, self.proven(), now)?;
        match self.handshake.step(message) {
            Ok(step) => {
                attempt.succeeded();
                Ok(self.passed(step, now))
            }
            Err(error) => Err(self.failed(error, attempt.failed())),
        }
    }

    fn proven(&self) -> Option<ProvenTicket> {
        match self.ticket {
            Presented::Proven(ticket) => Some(ticket),
            Presented::None | Presented::Unproven(_) => None,
        }
    }

    fn passed(&self, step: ServerStep, now: Duration) -> VisitStep {
        match step {
            ServerStep::Reply(reply) => VisitStep::Reply(reply),
            ServerStep::Accepted { login, reply } => {
                let ticket = self.gate.tickets.issue(&login, self.client, now);
                VisitStep::Accepted { login, reply, ticket }
            }
        }
    }

    fn failed(&self, error: AuthError, locked_out: Option<LockedOut>) -> Refused {
        Refused::Failed { address: self.address, error, locked_out }
    }
}

#[cfg(test)]
mod tests;
