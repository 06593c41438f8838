//! TLS options of servers and clients.

use std::path::PathBuf;

/// The entry point of the TLS options of a server and of a client.
///
/// All files are PEM. `docs/tls.md` shows how to make them with `openssl`.
#[derive(Debug)]
pub enum Tls {}

impl Tls {
    /// A server's: its certificate, with the intermediate ones behind it if there are any, and the
    /// private key that belongs to it. Both are read when the server starts, and again once a file
    /// has changed; connections that are up stay as they are.
    pub fn server(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> ServerTls {
        ServerTls { certificate: certificate.into(), key: key.into(), client_ca: None }
    }

    /// A client's: the certificates of the CAs of which one has to have signed the server's. The
    /// file is read for each connection.
    pub fn client(ca: impl Into<PathBuf>) -> ClientTls {
        ClientTls { ca: ca.into(), name: None, own: None }
    }
}

/// The TLS options of a server; see [`Tls::server`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    pub(super) client_ca: Option<PathBuf>,
}

impl ServerTls {
    /// Lets in only clients with a certificate that a CA in this file has signed (mutual TLS).
    pub fn client_ca(mut self, ca: impl Into<PathBuf>) -> Self {
        self.client_ca = Some(ca.into());
        self
    }

    /// Returns whether clients have to show a certificate.
    pub(in crate::link) fn asks_clients(&self) -> bool {
        self.client_ca.is_some()
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.certificate, &self.key].into_iter().chain(&self.client_ca)
    }
}

/// The TLS options of a client; see [`Tls::client`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTls {
    pub(super) ca: PathBuf,
    pub(super) name: Option<String>,
    pub(super) own: Option<(PathBuf, PathBuf)>,
}

impl ClientTls {
    /// The DNS name or IP address that the server's certificate has to be for, where that is not
    /// the host which the client connects to.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The client's own certificate and the private key that belongs to it, for a server that
    /// asks for one.
    pub fn certificate(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.own = Some((certificate.into(), key.into()));
        self
    }
}
