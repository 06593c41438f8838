//! One server of a client: connects to it, logs in, and asks it about a store.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use samestate_proto::wire::{PROTOCOL_REQUESTS, Reply, Request};
use thiserror::Error;
use tokio::net::TcpStream;
use tracing::Span;

use super::hello::{self, FrameStream, HelloError, Identity, LINK_CHANNEL};
use super::resolve::resolve;
use super::socket::{Socket, Stream, tune};
#[cfg(feature = "tls")]
use super::tls;
use super::{Address, ClientConfig, LinkStats, local, trace};

/// A server that a client may connect to.
pub(super) struct Server {
    #[cfg(feature = "tls")]
    pub(super) tls: Option<tls::Connector>,
    pub(super) address: Address,
    /// The client's identity, with the ticket of its last login at this server.
    pub(super) identity: Identity,
    /// The last report, so that each is made once.
    pub(super) reported: Option<String>,
}

impl Server {
    /// Connects, and logs in. Returns the version of the protocol too.
    pub(super) async fn connect(
        &mut self,
        options: &ClientConfig,
        stats: &Arc<LinkStats>,
        span: &Span,
    ) -> Result<(Socket, u16), HelloError> {
        trace::connecting(span);
        let stream = self.open(options).await?;
        trace::connected(span);
        let entered = self.enter(stream, options, stats).await?;
        trace::logged_in(span);
        Ok(entered)
    }

    async fn enter(
        &mut self,
        stream: Stream,
        options: &ClientConfig,
        stats: &Arc<LinkStats>,
    ) -> Result<(Socket, u16), HelloError> {
        hello::within(options.login_within, self.log_in(stream, options, stats)).await
    }

    /// Makes the TLS handshake, if this client uses TLS, and logs in.
    async fn log_in(
        &mut self,
        stream: Stream,
        options: &ClientConfig,
        stats: &Arc<LinkStats>,
    ) -> Result<(Socket, u16), HelloError> {
        #[cfg(feature = "tls")]
        let stream = match (&self.tls, stream) {
            (Some(tls), Stream::Tcp(stream)) => {
                let mut socket = tls.connect(stream, stats, options.stall_after).await?;
                let greeted = hello::greet(&mut socket, &mut self.identity).await;
                let entered = greeted.map(|protocol| (socket, protocol));
                return entered.map_err(|error| tls.explain(error));
            }
            (_, stream) => stream,
        };
        let mut socket = stream.plain(Arc::clone(stats), options.stall_after)?;
        let protocol = hello::greet(&mut socket, &mut self.identity).await?;
        Ok((socket, protocol))
    }

    async fn open(&self, options: &ClientConfig) -> io::Result<Stream> {
        let within = options.connect_within;
        let late =
            || io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {within:?}"));
        match &self.address {
            address @ (Address::Unix(_) | Address::Pipe(_)) => {
                let stream = tokio::time::timeout(within, local::connect(address)).await;
                stream.map_err(|_| late())?.map(Stream::Local)
            }
            Address::Tcp { host, port } => {
                // The first is the one that the system prefers.
                let mut failure = None;
                for address in resolve(host, *port).await? {
                    match tokio::time::timeout(within, TcpStream::connect(address)).await {
                        Ok(Ok(stream)) => {
                            tune(&stream, options.stall_after)?;
                            return Ok(Stream::Tcp(stream));
                        }
                        Ok(Err(error)) => failure.get_or_insert(error),
                        Err(_) => failure.get_or_insert_with(late),
                    };
                }
                Err(failure.unwrap_or_else(late))
            }
        }
    }

    /// Connects, sends a request, and returns the reply.
    pub(super) async fn ask(
        &mut self,
        request: &Request,
        options: &ClientConfig,
        within: Duration,
    ) -> Result<Reply, AskError> {
        let stream = self.open(options).await.map_err(AskError::Unreached)?;
        let (mut socket, protocol) = self.enter(stream, options, &Arc::default()).await?;
        if protocol < PROTOCOL_REQUESTS {
            return Err(AskError::Old { protocol });
        }
        let mut framed = Vec::new();
        request.write(&mut framed, LINK_CHANNEL);
        socket.send(&framed).await.map_err(|_| AskError::Lost)?;
        let mut line = FrameStream::new(&mut socket);
        let reply = tokio::time::timeout(within, line.hear(Reply::FRAME, "a reply")).await;
        let reply = reply.map_err(|_| AskError::Silent(within))?.map_err(|_| AskError::Lost)?;
        Reply::read(&reply).map_err(|_| AskError::Lost)
    }
}

/// A process that could not be asked about a store, or did not reply.
#[derive(Debug, Error)]
pub(crate) enum AskError {
    /// It was not reached.
    #[error("failed to connect")]
    Unreached(#[source] io::Error),
    /// It did not let this one in. It has not got the request.
    #[error(transparent)]
    Hello(#[from] HelloError),
    /// It does not know such requests, and has not got this one.
    #[error(
        "it speaks version {protocol} of the protocol, and takes requests from version \
         {PROTOCOL_REQUESTS} on: upgrade it"
    )]
    Old {
        /// The newest version that both know.
        protocol: u16,
    },
    /// The connection ended before the reply came.
    #[error("the connection ended before its reply came")]
    Lost,
    /// It did not reply in time.
    #[error("it did not reply within {0:?}")]
    Silent(Duration),
}

impl AskError {
    /// Returns whether the request may have been carried out.
    pub(crate) fn is_after_the_request(&self) -> bool {
        matches!(self, AskError::Lost | AskError::Silent(_))
    }

    /// Returns whether it would be the same again until somebody changes something.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            AskError::Hello(error) => error.is_refusal(),
            AskError::Old { .. } => true,
            AskError::Unreached(_) | AskError::Lost | AskError::Silent(_) => false,
        }
    }
}
