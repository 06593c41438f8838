//! From the name of a host to its addresses.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::address::is_localhost;

/// The addresses of a host, in the order in which the system prefers them; one at least.
///
/// `localhost` is 127.0.0.1 and `::1`, also where the system knows one of them alone (RFC 6761,
/// section 6.3): a server and a client that both say so have to meet.
pub(super) async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let found = tokio::net::lookup_host((host, port)).await.map(Iterator::collect::<Vec<_>>);
    let found = match is_localhost(host) {
        true => with_loopback(found.unwrap_or_default(), port),
        false => found?,
    };
    let mut seen = BTreeSet::new();
    let found: Vec<_> = found.into_iter().filter(|address| seen.insert(*address)).collect();
    match found.is_empty() {
        true => Err(io::Error::new(io::ErrorKind::NotFound, "the host has no address")),
        false => Ok(found),
    }
}

fn with_loopback(mut found: Vec<SocketAddr>, port: u16) -> Vec<SocketAddr> {
    found.push((Ipv4Addr::LOCALHOST, port).into());
    found.push((Ipv6Addr::LOCALHOST, port).into());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn localhost_is_both_addresses_of_this_machine_whatever_its_files_say() {
        for name in ["localhost", "localhost.", "LOCALHOST"] {
            let addresses = resolve(name, 7).await.expect(name);
            let count = |ip: std::net::IpAddr| {
                addresses.iter().filter(|address| **address == SocketAddr::new(ip, 7)).count()
            };
            assert_eq!(count(Ipv4Addr::LOCALHOST.into()), 1, "{addresses:?}");
            assert_eq!(count(Ipv6Addr::LOCALHOST.into()), 1, "{addresses:?}");
        }
    }

    #[tokio::test]
    async fn an_address_is_itself() {
        assert_eq!(resolve("127.0.0.7", 7).await.expect("it is"), [([127, 0, 0, 7], 7).into()]);
    }
}
