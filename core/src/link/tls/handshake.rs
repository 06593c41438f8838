//! The TLS handshake on a connected stream.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use rustls::{Error as Rustls, ServerConfig};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::files::{client_config, server_config};
use super::{ClientTls, ServerTls, TlsError, TlsSetupError};
use crate::link::hello::{self, HelloError};
use crate::link::progress::{Arrivals, Arriving, Progress};
use crate::link::socket::Socket;
use crate::link::stats::Counted;
use crate::link::{Address, LinkStats};

/// The first byte of a TLS connection: a record of type handshake (RFC 8446, section 5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// A read takes at most this many bytes: a TLS record and its header, about.
const READ_BYTES: usize = 16 << 10;

/// The time that a peer whose handshake failed gets to read the reason.
const PART_WITHIN: Duration = Duration::from_millis(500);
/// The number of bytes that are still read from such a peer: closing with unread bytes would take
/// the answer back.
const PART_BYTES_MAX: u64 = 64 << 10;

/// A server's side.
pub(in crate::link) struct Acceptor {
    tls: ServerTls,
    loaded: Mutex<Loaded>,
}

struct Loaded {
    config: Arc<ServerConfig>,
    stamps: Vec<Stamp>,
}

/// The time at which a file was last written, and its length. `None` if it cannot be inspected.
type Stamp = Option<(SystemTime, u64)>;

impl Acceptor {
    pub(in crate::link) fn new(tls: ServerTls, address: &Address) -> Result<Self, TlsSetupError> {
        if !matches!(address, Address::Tcp { .. }) {
            return Err(TlsSetupError::NotTcp(address.clone()));
        }
        let stamps = stamps(&tls);
        let config = Arc::new(server_config(&tls)?);
        Ok(Acceptor { tls, loaded: Mutex::new(Loaded { config, stamps }) })
    }

    /// Reads the files again if one has changed since; says what came of that. If they are of no
    /// use, those that were read before stay.
    pub(in crate::link) fn renew(&self) -> Option<Result<(), TlsSetupError>> {
        let mut loaded = self.loaded.lock();
        let stamps = stamps(&self.tls);
        if stamps == loaded.stamps {
            return None;
        }
        loaded.stamps = stamps;
        Some(server_config(&self.tls).map(|config| loaded.config = Arc::new(config)))
    }

    /// Shakes hands with a client. The caller sets the deadline.
    pub(in crate::link) async fn accept(
        &self,
        stream: TcpStream,
        stats: &Arc<LinkStats>,
        stall_after: Duration,
    ) -> Result<Socket, HelloError> {
        let arrivals = Arrivals::default();
        let mut stream = counted(stream, &arrivals, stats, stall_after);
        match stream.fill_buf().await?.first() {
            None => return Err(HelloError::EmptyConnection),
            Some(&HANDSHAKE_RECORD) => {}
            Some(_) => {
                // It waits for a frame: it gets one.
                stream.write_all(&hello::tls_only()).await?;
                part(stream).await;
                return Err(TlsError::PlainClient.into());
            }
        }
        let config = Arc::clone(&self.loaded.lock().config);
        match TlsAcceptor::from(config).accept(stream).into_fallible().await {
            Ok(stream) => Ok(Socket::tls(stream, arrivals)),
            Err((error, stream)) => {
                part(stream).await;
                let ca = self.tls.client_ca.as_ref().unwrap_or(&self.tls.certificate);
                Err(explain(error, ca, TlsError::PlainClient))
            }
        }
    }
}

fn stamps(tls: &ServerTls) -> Vec<Stamp> {
    let stamp = |path: &PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    tls.paths().map(stamp).collect()
}

/// A client's side.
pub(in crate::link) struct Connector {
    tls: ClientTls,
    name: ServerName<'static>,
}

impl Connector {
    /// For a server at this address. Reads the files, so that what is wrong with them is said now.
    pub(in crate::link) fn new(tls: ClientTls, address: &Address) -> Result<Self, TlsSetupError> {
        let Address::Tcp { host, .. } = address else {
            return Err(TlsSetupError::NotTcp(address.clone()));
        };
        let name = tls.name.as_ref().unwrap_or(host);
        // Certificates name hosts without the dot that ends a full name.
        let name = name.strip_suffix('.').unwrap_or(name).to_owned();
        let name = ServerName::try_from(name.clone()).map_err(|_| TlsSetupError::BadName(name))?;
        client_config(&tls)?;
        Ok(Connector { tls, name })
    }

    /// Shakes hands with a server. The caller sets the deadline.
    pub(in crate::link) async fn connect(
        &self,
        stream: TcpStream,
        stats: &Arc<LinkStats>,
        stall_after: Duration,
    ) -> Result<Socket, HelloError> {
        let config = Arc::new(client_config(&self.tls)?);
        let arrivals = Arrivals::default();
        let stream = counted(stream, &arrivals, stats, stall_after);
        let connecting = TlsConnector::from(config).connect(self.name.clone(), stream);
        let connected = connecting.await;
        connected
            .map(|stream| Socket::tls(stream, arrivals))
            .map_err(|error| explain(error, &self.tls.ca, TlsError::PlainServer))
    }

    /// Returns the cause of a login in which the server ended TLS. A server judges a client's
    /// certificate only after the client's part of the handshake (RFC 8446, section 4.4.2.4).
    pub(in crate::link) fn explain(&self, error: HelloError) -> HelloError {
        match error {
            HelloError::Io(error) => explain(error, &self.tls.ca, TlsError::PlainServer),
            error => error,
        }
    }
}

/// Wraps a stream so that the bytes on the wire, handshakes and records included, are counted and
/// watched for a peer that takes nothing.
fn counted(
    stream: TcpStream,
    arrivals: &Arrivals,
    stats: &Arc<LinkStats>,
    stall_after: Duration,
) -> BufReader<Counted<Arriving<Progress<TcpStream>>>> {
    let stream = Arriving::new(Progress::new(stream, Some(stall_after)), arrivals.clone());
    BufReader::with_capacity(READ_BYTES, Counted::new(stream, Arc::clone(stats)))
}

/// Closes a connection whose peer should still read what was sent last.
async fn part(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let parting = async {
        stream.shutdown().await?;
        let mut rest = stream.take(PART_BYTES_MAX);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    // It is over in any case.
    let _ = tokio::time::timeout(PART_WITHIN, parting).await;
}

/// Explains an error. `ca` is the file of the CAs that are trusted here; `plain` is the meaning of
/// bytes of the peer that are not TLS.
fn explain(error: io::Error, ca: &Path, plain: TlsError) -> HelloError {
    use io::ErrorKind as Kind;
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Rustls>()) {
        Some(Rustls::InvalidMessage(_)) => plain.into(),
        Some(error) => TlsError::from_rustls(error, ca).into(),
        None if matches!(error.kind(), Kind::UnexpectedEof | Kind::ConnectionReset) => {
            TlsError::Closed.into()
        }
        None => error.into(),
    }
}
