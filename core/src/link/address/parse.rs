//! Addresses as people write them.
//!
//! A text that has exactly one meaning is accepted. Any other is refused, with an error that says
//! what to write.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Address, PIPES};

/// The longest name of a pipe, in characters, with the prefix [`PIPES`] (`CreateNamedPipe`).
const PIPE_LENGTH_MAX: usize = 256;

/// The longest host name, in bytes (RFC 1035, section 2.3.4).
const HOST_BYTES_MAX: usize = 253;

/// Parses an address. `port` is used if the text has none. An error says what is wrong, and what to
/// write.
pub(super) fn parse(text: &str, port: u16) -> Result<Address, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return unix(path);
    }
    if let Some(name) = text.strip_prefix("pipe:").or(text.strip_prefix(PIPES)) {
        return pipe(name);
    }
    match text.split_once("://") {
        Some(("tcp", place)) => tcp(place.strip_suffix('/').unwrap_or(place), port),
        Some((scheme, place)) if is_scheme(scheme) => Err(no_scheme(scheme, place)),
        _ => tcp(text, port),
    }
}

/// Parses the text after `unix:`. `unix:///path` is the same as `unix:/path`.
fn unix(path: &str) -> Result<Address, String> {
    let absolute = path.strip_prefix("//").filter(|path| path.starts_with('/'));
    match absolute.unwrap_or(path) {
        "" => Err("a path follows `unix:`".to_owned()),
        path => Ok(Address::unix(path)),
    }
}

fn pipe(name: &str) -> Result<Address, String> {
    if name.is_empty() {
        return Err("a name follows `pipe:`".to_owned());
    }
    if name.contains('\\') {
        return Err("a pipe's name has no backslash".to_owned());
    }
    if PIPES.len() + name.chars().count() > PIPE_LENGTH_MAX {
        return Err("a pipe's name has at most 247 characters".to_owned());
    }
    Ok(Address::pipe(name))
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

fn no_scheme(scheme: &str, place: &str) -> String {
    let host = place.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!(
        "unknown scheme `{scheme}://`; write `{}`, and set TLS and logins by their own options",
        if host.is_empty() { "host:port" } else { host }
    )
}

fn tcp(text: &str, default_port: u16) -> Result<Address, String> {
    if text.is_empty() {
        return Err("it is empty; write `host:port`, `unix:path` or `pipe:name`".to_owned());
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("it has white space; write `host:port` without".to_owned());
    }
    if text.contains('@') {
        return Err("a login is not part of an address; set it by its own option".to_owned());
    }
    if text.contains(['/', '\\', '?', '#']) {
        return Err(
            "a host has no `/`; write `host:port`, or `unix:path` for a socket file".to_owned()
        );
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => bracketed(rest)?,
        None => named(text)?,
    };
    Ok(Address::Tcp { host, port: port.map_or(Ok(default_port), number)? })
}

/// Parses the text after `[`: `::1]`, with or without a port.
fn bracketed(rest: &str) -> Result<(String, Option<&str>), String> {
    let wrong = || "in brackets is an IPv6 address, and then the port: `[::1]:10001`".to_owned();
    let (host, port) = rest.split_once(']').ok_or_else(wrong)?;
    // A zone names the interface of a link-local address (RFC 4007, section 11).
    let (address, zone) = host.split_once('%').map_or((host, None), |(ip, zone)| (ip, Some(zone)));
    if address.parse::<Ipv6Addr>().is_err() || zone == Some("") {
        return Err(wrong());
    }
    let port = match port {
        "" => None,
        port => Some(port.strip_prefix(':').ok_or_else(wrong)?),
    };
    Ok((host.to_owned(), port))
}

fn named(text: &str) -> Result<(String, Option<&str>), String> {
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    if port.is_some_and(|port| port.contains(':')) {
        return Err(more_than_one_colon(text));
    }
    if port.is_none() && host.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("it is a number alone; write `:{host}` for this port"));
    }
    if host.contains(['[', ']', '%']) {
        return Err("brackets and `%` are for IPv6 addresses: `[fe80::1%eth0]:10001`".to_owned());
    }
    if host.len() > HOST_BYTES_MAX {
        return Err(format!("a host name has at most {HOST_BYTES_MAX} bytes"));
    }
    let host = if host.is_empty() { Address::ALL_INTERFACES } else { host };
    if host.split('.').rev().skip(usize::from(host.ends_with('.'))).any(str::is_empty) {
        return Err("a name has something before and after each dot".to_owned());
    }
    let as_ipv4 = host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if as_ipv4 && host.parse::<Ipv4Addr>().is_err() {
        return Err("an IPv4 address has four numbers from 0 to 255: `127.0.0.1:10001`".to_owned());
    }
    if host != Address::ALL_INTERFACES && host.contains('*') {
        return Err("`*` stands for all interfaces by itself: `*:10001`".to_owned());
    }
    Ok((host.to_ascii_lowercase(), port))
}

fn more_than_one_colon(text: &str) -> String {
    let address = |text: &str| text.parse::<Ipv6Addr>().is_ok();
    match text.rsplit_once(':') {
        Some((host, port)) if address(host) && number(port).is_ok() => {
            format!("write an IPv6 address in brackets: `[{host}]:{port}`")
        }
        _ if address(text) => {
            format!("write an IPv6 address in brackets: `[{text}]:{}`", Address::PORT)
        }
        _ => "it has more than one `:`; write `host:port`, and an IPv6 address in brackets"
            .to_owned(),
    }
}

fn number(port: &str) -> Result<u16, String> {
    // `str::parse` accepts a sign.
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    let port = port.parse().ok().filter(|_| digits);
    port.ok_or_else(|| "a port is a number from 0 to 65535".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Address {
        Address::tcp(host, port)
    }

    #[test]
    fn every_form_of_an_address_is_read_as_what_it_says() {
        for (text, meant) in [
            ("localhost:8080", tcp("localhost", 8080)),
            ("LocalHost.:8080", tcp("localhost.", 8080)),
            ("example.org", tcp("example.org", 10001)),
            ("127.0.0.1", tcp("127.0.0.1", 10001)),
            ("*", tcp("*", 10001)),
            (":10001", tcp("*", 10001)),
            ("*:0", tcp("*", 0)),
            ("[::1]", tcp("::1", 10001)),
            ("[::1]:65535", tcp("::1", 65535)),
            ("[fe80::1%eth0]:1", tcp("fe80::1%eth0", 1)),
            ("tcp://10.0.0.7:1", tcp("10.0.0.7", 1)),
            ("tcp://app.example.org/", tcp("app.example.org", 10001)),
            ("tcp://[::1]:1", tcp("::1", 1)),
            ("unix:a.sock", Address::unix("a.sock")),
            ("unix:/run/a b.sock", Address::unix("/run/a b.sock")),
            ("unix:///run/a.sock", Address::unix("/run/a.sock")),
            ("pipe:tasks", Address::pipe("tasks")),
            (r"\\.\pipe\tasks", Address::pipe("tasks")),
        ] {
            assert_eq!(parse(text, Address::PORT), Ok(meant), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_what_to_write() {
        let long = "n".repeat(254);
        for (text, words) in [
            ("", "it is empty"),
            ("10001", "write `:10001`"),
            ("localhost:", "a port is"),
            ("localhost:65536", "a port is"),
            ("localhost:+80", "a port is"),
            ("localhost:-1", "a port is"),
            ("localhost:http", "a port is"),
            (":", "a port is"),
            (" localhost:1", "white space"),
            ("localhost: 1", "white space"),
            ("localhost:1\n", "white space"),
            ("::1", "write an IPv6 address in brackets: `[::1]:10001`"),
            ("fe80::2:8080", "write an IPv6 address in brackets: `[fe80::2]:8080`"),
            ("a:1:2", "more than one `:`"),
            ("[::1", "in brackets is an IPv6 address"),
            ("[::1]80", "in brackets is an IPv6 address"),
            ("[localhost]:80", "in brackets is an IPv6 address"),
            ("[]:80", "in brackets is an IPv6 address"),
            ("[fe80::1%]:80", "in brackets is an IPv6 address"),
            ("fe80%eth0:80", "are for IPv6 addresses"),
            ("256.1.1.1:80", "four numbers"),
            ("127.1:80", "four numbers"),
            ("*.example.org:80", "all interfaces"),
            ("a..b:80", "before and after each dot"),
            (".:80", "before and after each dot"),
            ("https://example.org:443/x", "write `example.org:443`"),
            ("ws://me:pw@example.org", "write `example.org`"),
            ("http://", "write `host:port`"),
            ("tcp://example.org:1/x", "a host has no `/`"),
            ("tcp://", "it is empty"),
            ("me@example.org:1", "a login is not part"),
            ("/run/a.sock", "`unix:path` for a socket file"),
            ("unix:", "a path follows"),
            ("pipe:", "a name follows"),
            (r"pipe:a\b", "no backslash"),
            (&format!("pipe:{long}"), "at most 247 characters"),
            (&format!("{long}:1"), "at most 253 bytes"),
        ] {
            let why = parse(text, Address::PORT).expect_err(text);
            assert!(why.contains(words), "{text}: {why}");
        }
    }
}
