//! StoreRegistry for servers of tests, known before the server is there.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::TcpListener;

/// A port that is free, and that no connection made meanwhile is given: the system gives those out
/// from further up.
pub(crate) fn free_port() -> u16 {
    const PORTS: std::ops::Range<u16> = 10_240..32_000;
    loop {
        let random =
            RandomState::new().build_hasher().finish() % u64::from(PORTS.end - PORTS.start);
        let port = PORTS.start + random as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
