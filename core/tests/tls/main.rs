//! TLS over real sockets, with certificates made for each test.
//!
//! - `pki`: a CA of one's own, and certificates of it
//! - `scene`: a server and its clients, what they report, and a tap on the wire
//! - `files`: what is wrong with a file is said when it is read
//! - `guide`: the commands of the guide
//! - `links`: what goes over a link
//! - `strangers`: who does not come in, and what both sides say
//! - `renewal`: certificates that change while a server runs

#![cfg(feature = "tls")]

mod files;
mod guide;
mod links;
mod pki;
#[path = "../ports/mod.rs"]
mod ports;
mod renewal;
mod scene;
mod strangers;
