//! The two hellos, for fuzzers.

use bytes::Bytes;

use super::{ClientHello, Frame, Hello, LINK_CHANNEL, ServerHello, kind};
use crate::auth::Ticket;

fn frame(body: &[u8]) -> Frame {
    Frame { channel: LINK_CHANNEL, kind: kind::HELLO, body: Bytes::copy_from_slice(body) }
}

/// Reads a hello of either side, and checks that one that is accepted is written unchanged.
pub(crate) fn read(body: &[u8]) {
    if let Ok(client) = ClientHello::read(&frame(body)) {
        let ticket = client.ticket.map(|ticket| ticket.to_bytes());
        let again = Hello { asks: false, client: client.client, ticket: ticket.as_ref() }.body();
        let read = ClientHello::read(&frame(&again));
        let read = read.unwrap_or_else(|error| panic!("a hello does not come back: {error}"));
        assert_eq!((read.client, read.ticket), (client.client, client.ticket));
    }
    if let Ok(server) = ServerHello::read(&frame(body)) {
        let again = Hello { asks: server.asks, client: 0, ticket: None }.body();
        let read = ServerHello::read(&frame(&again)).map(|read| read.asks);
        assert!(read.is_ok_and(|asks| asks == server.asks), "a hello does not come back");
    }
}

/// A hello as a client says it.
pub(crate) fn hello(client: u64, ticket: Option<Ticket>) -> Vec<u8> {
    let ticket = ticket.map(|ticket| ticket.to_bytes());
    Hello { asks: false, client, ticket: ticket.as_ref() }.body()
}
