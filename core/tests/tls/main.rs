//! TLS over real sockets, with certificates made for each test.
//!
//! - `pki`: a CA of one's own, and certificates of it
//! - `scene`: a server and its clients, what they report, and a tap on the wire
//! - `files`: faults of files, reported when the files are read
//! - `guide`: the commands of the guide
//! - `links`: the bytes on a link
//! - `strangers`: clients that are refused, and the reports of both sides
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
