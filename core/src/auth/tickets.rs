//! Tickets: what lets a client that logged in before past its neighbours' lock-out.
//!
//! After a login the server hands out a ticket, and keeps no record of it: the ticket carries its
//! times and a MAC over them, the login and the client's id. It is no password: it lets its holder
//! *try* to log in from a locked-out address, as that client and that login, five times at most.
//! Its failures count against itself, and a ticket that failed five times is dead until it expires.
//!
//! A thief of a ticket, from a wire without TLS, gains those five attempts and no more.

use std::time::Duration;

use super::secret::{KEY_BYTES, Key, ServerSecret};
use subtle::ConstantTimeEq;

/// Bytes of a ticket on the wire: issued and expiring, in ms as big-endian u64, and the MAC.
pub const TICKET_BYTES: usize = 8 + 8 + KEY_BYTES;

/// A ticket as its client keeps it. Not checked by that: only the server can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    issued_ms: u64,
    expires_ms: u64,
    mac: [u8; KEY_BYTES],
}

impl Ticket {
    /// Reads what [`Ticket::to_bytes`] wrote.
    ///
    /// # Errors
    ///
    /// If there are not [`TICKET_BYTES`] of them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TicketError> {
        let bytes: &[u8; TICKET_BYTES] =
            bytes.try_into().map_err(|_| TicketError::Length { bytes: bytes.len() })?;
        let (issued, rest) = bytes.split_at(8);
        let (expires, mac) = rest.split_at(8);
        Ok(Self { issued_ms: be_u64(issued), expires_ms: be_u64(expires), mac: copied(mac) })
    }

    /// As it travels.
    pub fn to_bytes(&self) -> [u8; TICKET_BYTES] {
        let mut bytes = [0; TICKET_BYTES];
        bytes[..8].copy_from_slice(&self.issued_ms.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.expires_ms.to_be_bytes());
        bytes[16..].copy_from_slice(&self.mac);
        bytes
    }
}

/// A ticket that this server issued, to this client and login, and that has not expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProvenTicket {
    pub(super) id: TicketId,
    pub(super) expires: Duration,
}

/// The key under which a ticket's failures are counted: its MAC, which no other ticket has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TicketId([u8; KEY_BYTES]);

/// An error of a ticket. A client without a ticket may log in all the same, unless its address is
/// locked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// Not the bytes of a ticket.
    #[error("a ticket has {TICKET_BYTES} bytes, not {bytes}; log in without one")]
    Length {
        /// The number of bytes received.
        bytes: usize,
    },
    /// Issued by another server, by this one before a restart, to another client, or made up.
    #[error(
        "the ticket is not one that this server issued to this client and login; log in without it"
    )]
    Forged,
    /// Too old.
    #[error("the ticket has expired; log in without it")]
    Expired,
}

/// A server's tickets: the key they are made with, and how long they last.
#[derive(Clone, Debug)]
pub struct Tickets {
    key: Key,
    lifetime: Duration,
}

impl Tickets {
    /// The default lifetime of a ticket. Each login brings a new one.
    pub const LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

    /// The tickets of a server, from its start to its end.
    pub fn new(secret: &ServerSecret, lifetime: Duration) -> Self {
        Self { key: secret.key("tickets"), lifetime }
    }

    /// The ticket for a client that has just logged in. `client` is its id, `now` the time since
    /// the server's start.
    pub fn issue(&self, login: &str, client: u64, now: Duration) -> Ticket {
        let (issued_ms, expires_ms) = (ms(now), ms(now.saturating_add(self.lifetime)));
        let mac = self.mac(login, client, issued_ms, expires_ms);
        Ticket { issued_ms, expires_ms, mac: *mac.bytes() }
    }

    /// Checks that the ticket is this server's, this client's and this login's, and still lasts.
    ///
    /// # Errors
    ///
    /// If it was not issued by this server, to this client and login, or is over.
    pub fn prove(
        &self,
        ticket: &Ticket,
        login: &str,
        client: u64,
        now: Duration,
    ) -> Result<ProvenTicket, TicketError> {
        let mac = self.mac(login, client, ticket.issued_ms, ticket.expires_ms);
        if !bool::from(mac.bytes()[..].ct_eq(&ticket.mac[..])) {
            return Err(TicketError::Forged);
        }
        if !(ticket.issued_ms..ticket.expires_ms).contains(&ms(now)) {
            return Err(TicketError::Expired);
        }
        let expires = Duration::from_millis(ticket.expires_ms);
        Ok(ProvenTicket { id: TicketId(ticket.mac), expires })
    }

    fn mac(&self, login: &str, client: u64, issued_ms: u64, expires_ms: u64) -> Key {
        self.key.mac_fields(&[
            login.as_bytes(),
            &client.to_be_bytes(),
            &issued_ms.to_be_bytes(),
            &expires_ms.to_be_bytes(),
        ])
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn be_u64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn copied(bytes: &[u8]) -> [u8; KEY_BYTES] {
    let mut copy = [0; KEY_BYTES];
    copy.copy_from_slice(bytes);
    copy
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);
    const HOUR: Duration = Duration::from_secs(3600);

    fn tickets(secret: u8) -> Tickets {
        Tickets::new(&ServerSecret::new([secret; 32]), HOUR)
    }

    #[test]
    fn a_ticket_comes_back_as_it_went_and_is_proved() {
        let ticket = tickets(1).issue("app", 7, NOW);
        let back = Ticket::from_bytes(&ticket.to_bytes()).expect("as it went");
        assert_eq!(back, ticket);
        let proven = tickets(1).prove(&back, "app", 7, NOW).expect("it is this server's");
        assert_eq!(proven.expires, NOW + HOUR);
    }

    #[test]
    fn a_ticket_is_worth_nothing_to_another_client_login_or_server() {
        let ticket = tickets(1).issue("app", 7, NOW);
        let forged = Err(TicketError::Forged);
        assert_eq!(tickets(1).prove(&ticket, "app", 8, NOW), forged);
        assert_eq!(tickets(1).prove(&ticket, "other", 7, NOW), forged);
        assert_eq!(tickets(2).prove(&ticket, "app", 7, NOW), forged);
    }

    #[test]
    fn a_flipped_bit_anywhere_makes_a_ticket_worthless() {
        let bytes = tickets(1).issue("app", 7, NOW).to_bytes();
        for bit in 0..TICKET_BYTES * 8 {
            let mut bytes = bytes;
            bytes[bit / 8] ^= 1 << (bit % 8);
            let ticket = Ticket::from_bytes(&bytes).expect("any bytes of that length are a ticket");
            let proven = tickets(1).prove(&ticket, "app", 7, NOW);
            assert_eq!(proven, Err(TicketError::Forged), "bit {bit}");
        }
    }

    #[test]
    fn a_ticket_ends_when_it_says() {
        let ticket = tickets(1).issue("app", 7, NOW);
        let last = NOW + HOUR - Duration::from_millis(1);
        assert!(tickets(1).prove(&ticket, "app", 7, last).is_ok());
        assert_eq!(tickets(1).prove(&ticket, "app", 7, NOW + HOUR), Err(TicketError::Expired));
        let before = Duration::from_secs(99);
        assert_eq!(tickets(1).prove(&ticket, "app", 7, before), Err(TicketError::Expired));
    }

    #[test]
    fn any_other_number_of_bytes_is_no_ticket() {
        for bytes in [0, 1, TICKET_BYTES - 1, TICKET_BYTES + 1] {
            let error = Ticket::from_bytes(&vec![0; bytes]);
            assert_eq!(error, Err(TicketError::Length { bytes }));
        }
    }
}
