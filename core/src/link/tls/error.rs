//! Errors of certificate files and of handshakes.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error as Rustls};
use thiserror::Error;

use crate::link::Address;

/// An error of setting up TLS.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsSetupError {
    /// A file cannot be read.
    #[error("failed to read the {what} in {}", path.display())]
    Read {
        /// The expected content of the file.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A file holds something else.
    #[error(
        "there is no {what} in {}: a PEM file holds it after a line `-----BEGIN ...-----`{hint}",
        path.display()
    )]
    Missing {
        /// The expected content of the file.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The actual content of the file, if it was recognised.
        hint: &'static str,
    },
    /// A file is not what it looks like.
    #[error("the {what} in {} is damaged: {why}; copy or make it anew", path.display())]
    Damaged {
        /// The expected content of the file.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The fault that was found.
        why: String,
    },
    /// Certificate and key are not one pair.
    #[error(
        "the private key in {} does not belong to the certificate in {}: give the key that the \
         certificate was made for",
        key.display(), certificate.display()
    )]
    KeyMismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// A certificate is out of date.
    #[error(
        "the certificate in {} expired {} ago: make a new one, or set this machine's clock right",
        path.display(), rounded(*ago)
    )]
    Expired {
        /// The file.
        path: PathBuf,
        /// The time since the certificate expired.
        ago: Duration,
    },
    /// A certificate's time has not come.
    #[error(
        "the certificate in {} becomes valid only in {}: set this machine's clock right, or make \
         a new one",
        path.display(), rounded(*ahead)
    )]
    NotYetValid {
        /// The file.
        path: PathBuf,
        /// The time until the certificate becomes valid.
        ahead: Duration,
    },
    /// A certificate or key that no peer would take.
    #[error(
        "the certificate in {} is of no use here: {why}; docs/tls.md shows how to make one",
        path.display()
    )]
    Unusable {
        /// The file.
        path: PathBuf,
        /// The fault that was found.
        why: String,
    },
    /// A name that no certificate could be for.
    #[error(
        "{0:?} is no name that a certificate is made for: give a DNS name or an IP address with \
         `.name(..)`"
    )]
    BadName(String),
    /// TLS was asked for where there is none.
    #[error(
        "TLS is for TCP, and {0} does not leave this machine: serve and follow it without \
         `.tls(..)`"
    )]
    NotTcp(Address),
}

/// An error of a handshake.
#[derive(Debug, Error)]
pub(crate) enum TlsError {
    /// As the server sees it.
    #[error(
        "the client does not speak TLS, and this server nothing else; give the client \
         `.tls(Tls::client(..))`"
    )]
    PlainClient,
    /// As the client sees it.
    #[error(
        "the server does not speak TLS; give it `.tls(Tls::server(..))`, or take `.tls(..)` from \
         this client"
    )]
    PlainServer,
    /// The peer went away in the middle of it.
    #[error(
        "the peer closed the connection in the middle of the TLS handshake; if it does not speak \
         TLS, give it `.tls(..)`"
    )]
    Closed,
    /// Another CA.
    #[error(
        "the peer's certificate is not signed by a CA in {}: put there the certificate of the CA \
         that signed it",
        ca.display()
    )]
    UnknownIssuer {
        /// The file of the CAs that are trusted here.
        ca: PathBuf,
    },
    /// Another server's certificate.
    #[error(
        "the server's certificate is for {presented}, not for {expected}: connect to that name, or \
         give it with `.name(..)`"
    )]
    WrongName {
        /// The expected name.
        expected: String,
        /// The names of the certificate that was presented.
        presented: String,
    },
    /// The peer's certificate is out of date.
    #[error(
        "the peer's certificate expired {} ago: give it a new one, or set this machine's clock \
         right",
        rounded(*ago)
    )]
    Expired {
        /// The time since the certificate expired.
        ago: Duration,
    },
    /// The peer's certificate's time has not come.
    #[error(
        "the peer's certificate becomes valid only in {}: set both clocks right",
        rounded(*ahead)
    )]
    NotYetValid {
        /// The time until the certificate becomes valid.
        ahead: Duration,
    },
    /// A client without a certificate, as the server sees it.
    #[error(
        "the client has no certificate, and this server asks for one; give the client \
         `.certificate(..)`"
    )]
    NoCertificate,
    /// Something else is wrong with the peer's certificate.
    #[error("the peer's certificate is of no use: {0}; docs/tls.md shows how to make one")]
    Certificate(String),
    /// The peer sent an alert.
    #[error("the peer ended the TLS handshake: {0}")]
    Alert(&'static str),
    /// The server has no room.
    #[error(
        "the server refused the connection: it has too many connections, or it failed by itself"
    )]
    TurnedAway,
    /// An error that no user of this library should meet.
    #[error("the TLS handshake failed: {0}")]
    Other(String),
}

impl TlsError {
    /// Returns whether one side does not accept the other, so that a retry fails until a
    /// certificate or a setting is changed.
    pub(in crate::link) fn is_refusal(&self) -> bool {
        !matches!(self, Self::Closed | Self::TurnedAway | Self::Other(_))
    }

    /// Converts an error of rustls; `ca` is the file of the CAs that are trusted here.
    pub(super) fn from_rustls(error: &Rustls, ca: &std::path::Path) -> Self {
        match error {
            Rustls::NoCertificatesPresented => Self::NoCertificate,
            Rustls::AlertReceived(AlertDescription::InternalError) => Self::TurnedAway,
            Rustls::AlertReceived(alert) => Self::Alert(meaning(*alert)),
            Rustls::InvalidCertificate(error) => Self::from_certificate(error, ca),
            error => Self::Other(error.to_string()),
        }
    }

    fn from_certificate(error: &CertificateError, ca: &std::path::Path) -> Self {
        use CertificateError as Bad;
        match error {
            // A CA that was made anew under its old name has another key.
            Bad::UnknownIssuer | Bad::BadSignature => Self::UnknownIssuer { ca: ca.to_owned() },
            Bad::ExpiredContext { time, not_after } => {
                Self::Expired { ago: between(*not_after, *time) }
            }
            Bad::NotValidYetContext { time, not_before } => {
                Self::NotYetValid { ahead: between(*time, *not_before) }
            }
            Bad::NotValidForNameContext { expected, presented } => Self::WrongName {
                expected: expected.to_str().into_owned(),
                presented: match presented.is_empty() {
                    true => "no name at all".to_owned(),
                    false => presented.iter().map(|name| bare(name)).collect::<Vec<_>>().join(", "),
                },
            },
            error => Self::Certificate(error.to_string()),
        }
    }
}

/// A name as rustls gives it, `DnsName("alpha")` or `IpAddress(127.0.0.1)`, without what is around
/// it.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}

/// Describes the fault of this side that a peer reports by this alert (RFC 8446, section 6.2).
fn meaning(alert: AlertDescription) -> &'static str {
    use AlertDescription as Alert;
    match alert {
        Alert::UnknownCA | Alert::DecryptError => {
            "it does not know the CA that signed this side's certificate; give the peer that CA's \
             certificate"
        }
        Alert::CertificateExpired => {
            "this side's certificate has expired, or is not valid yet, by the peer's clock"
        }
        Alert::BadCertificate => {
            "it does not take this side's certificate, which may be for another name than the peer \
             connects to"
        }
        Alert::CertificateRequired => {
            "it asks for a client's certificate; give this client one with `.certificate(..)`"
        }
        Alert::UnsupportedCertificate | Alert::CertificateUnknown | Alert::CertificateRevoked => {
            "it does not take this side's certificate; docs/tls.md shows how to make one"
        }
        Alert::ProtocolVersion | Alert::HandshakeFailure | Alert::InsufficientSecurity => {
            "the two sides have no version of TLS or no cipher in common"
        }
        _ => "it sent an alert that has nothing to do with certificates",
    }
}

pub(super) fn between(from: UnixTime, to: UnixTime) -> Duration {
    Duration::from_secs(to.as_secs().saturating_sub(from.as_secs()))
}

/// In the largest unit of which there is one at least.
fn rounded(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_its_largest_unit() {
        for (seconds, told) in
            [(0, "0 seconds"), (61, "1 minute"), (7300, "2 hours"), (86_400 * 400, "400 days")]
        {
            assert_eq!(rounded(Duration::from_secs(seconds)), told);
        }
    }
}
