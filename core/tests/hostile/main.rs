//! Malicious peers, against real stores over real sockets: each is reported to `on_error` and
//! dropped, at a bounded cost, and no other peer is affected.
//!
//! - `scene`: a store that is served, a good client that goes on dispatching, and what is reported
//! - `peer`: one end of a connection in raw bytes, which can greet, log in and speak the protocol
//! - `alone`: a process of its own for a test that measures memory
//! - `strangers`: peers that never logged in
//! - `guests`: clients that logged in, and then misbehave
//! - `thieves`: clients that claim what was given to others
//! - `floods`: clients that ask for more than they take, or take nothing
//! - `costs`: their cost in memory, against stated bounds
//! - `relays`: clients of a relay: what they do stays there
//! - `servers`: servers that mislead our client
//! - `poison`: actions that the reducer refuses, or dies of

mod alone;
mod costs;
mod floods;
mod guests;
mod peer;
mod poison;
#[path = "../ports/mod.rs"]
mod ports;
mod relays;
mod scene;
mod servers;
mod strangers;
mod thieves;
