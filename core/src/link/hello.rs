//! The exchange before a login: the versions of both sides, and the proof of a password.
//!
//! Frames on channel 0, of at most [`HELLO_BYTES_MAX`], within a deadline:
//!
//! ```text
//! client                                server
//! HELLO  magic, versions, client id, ticket
//!                                       HELLO  magic, versions, whether it asks for a login
//! LOGIN  SCRAM                          LOGIN  SCRAM      (only if asked)
//! LOGIN  SCRAM                          LOGIN  SCRAM, then TICKET
//! ```
//!
//! A hello is, in every version of the protocol:
//!
//! ```text
//! magic               8 bytes, "samestat"
//! lowest version      u16   of the protocol that the sender speaks
//! highest version     u16
//! asks for a login    u8    0 or 1; a client says 0
//! client id           u64   a server says 0
//! length of ticket    u16   0: none
//! ticket
//! fields of newer versions, which older versions skip
//! ```
//!
//! Both sides use the highest version that both know. If there is none, both report it, with the
//! versions of each: the server answers with its own hello before it closes. A client with a login
//! accepts only a server that asks for it: a server that does not ask has not proved that it knows
//! the password.

#[cfg(samestate_fuzzing)]
pub(crate) mod fuzzed;

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use samestate_proto::wire::{
    Decoder, Frame, Reader, Versions, WireError, begin_frame, finish_frame,
};
use thiserror::Error;
use tokio::io::AsyncReadExt;

use super::socket::Socket;
use crate::auth::{
    AuthError, ClientHandshake, ClientStep, Credentials, Gate, LockedOut, NONCE_BYTES, Nonce,
    PeerAddress, Refused, TICKET_BYTES, Ticket, TicketError, VisitStep,
};

/// The largest body of a frame before the login, in bytes.
pub(super) const HELLO_BYTES_MAX: usize = 4096;

/// The channel of what concerns the connection itself.
pub(super) const LINK_CHANNEL: u32 = 0;

const MAGIC: &[u8; 8] = b"samestat";

mod kind {
    pub(super) const HELLO: u8 = 1;
    pub(super) const LOGIN: u8 = 2;
    pub(super) const TICKET: u8 = 3;
    pub(super) const BUSY: u8 = 4;
    pub(super) const TLS_ONLY: u8 = 5;
}

/// An error of the exchange before a login. Says on both sides what differs.
#[derive(Debug, Error)]
pub(crate) enum HelloError {
    /// The socket failed.
    #[error("the connection broke during the login")]
    Io(#[from] io::Error),
    /// The peer went away in the middle of it.
    #[error("the peer closed the connection before the login was done")]
    Closed,
    /// The peer connected and went away without a word, as probes of a port do.
    #[error("the peer closed the connection before it sent anything")]
    EmptyConnection,
    /// The peer took too long.
    #[error("the login was not done within {0:?}")]
    TimedOut(Duration),
    /// Bytes that are no frames.
    #[error("the peer does not speak samestate")]
    Wire(#[from] WireError),
    /// A frame whose turn it is not.
    #[error("the peer does not speak samestate: expected {0}")]
    UnexpectedFrame(&'static str),
    /// Another version of the protocol.
    #[error(
        "the peer speaks {theirs} of the protocol, this process {}: none in common; {}",
        Versions::OURS,
        older(*theirs)
    )]
    Version {
        /// The peer's.
        theirs: Versions,
    },
    /// The login failed, as the client sees it.
    #[error(transparent)]
    Login(#[from] AuthError),
    /// The login failed, as the server sees it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The server has logins, and this client none.
    #[error("the server requires a login; give the client one by `.login(..)`")]
    LoginNeeded,
    /// This client has a login, and the server asks for none.
    #[error(
        "the server requires no login, so it cannot prove that it is the right one; give it \
         logins, or the client none"
    )]
    LoginNotAsked,
    /// A ticket that is none.
    #[error(transparent)]
    Ticket(#[from] TicketError),
    /// The server uses TLS.
    #[error(
        "the server speaks nothing but TLS; give this client `.tls(Tls::client(..))` (feature \
         `tls`)"
    )]
    TlsOnly,
    /// The client uses TLS, and the server does not.
    #[error(
        "the client speaks TLS, and this server does not; give the server \
         `.tls(Tls::server(..))` (feature `tls`), or take `.tls(..)` from the client"
    )]
    NoTlsHere,
    /// The TLS handshake failed.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Tls(#[from] super::tls::TlsError),
    /// The certificates cannot be read any more.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    TlsSetup(#[from] super::TlsSetupError),
    /// The server has no room.
    #[error("the server refused the connection: {0}")]
    Busy(String),
    /// Others wanted the place of this connection.
    #[error(
        "too many connections that are not logged in, and this one gave way: it had its place for \
         the longest, or its address had the most"
    )]
    Evicted,
    /// The system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    Random(#[from] getrandom::Error),
}

/// Returns advice about a peer with no version in common.
fn older(theirs: Versions) -> &'static str {
    match theirs.are_older_than(Versions::OURS) {
        true => "upgrade the peer, or run a release here that still speaks its version",
        false => "upgrade this process, or run a release there that still speaks its version",
    }
}

impl HelloError {
    /// Returns the lock-out of the client's address, if it is locked out now.
    pub(super) fn lock_out(&self) -> Option<LockedOut> {
        match self {
            Self::Refused(Refused::LockedOut(locked_out)) => Some(*locked_out),
            Self::Refused(Refused::Failed { locked_out, .. }) => *locked_out,
            _ => None,
        }
    }

    /// Returns whether an immediate retry would be refused again.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Io(_)
            | Self::Closed
            | Self::EmptyConnection
            | Self::TimedOut(_)
            | Self::Busy(_)
            | Self::Evicted
            | Self::Wire(_)
            | Self::Random(_) => false,
            Self::UnexpectedFrame(_)
            | Self::Version { .. }
            | Self::Login(_)
            | Self::Refused(_)
            | Self::LoginNeeded
            | Self::LoginNotAsked
            | Self::TlsOnly
            | Self::NoTlsHere
            | Self::Ticket(_) => true,
            // These errors lock no address out, and each try reads the files again.
            #[cfg(feature = "tls")]
            Self::Tls(_) | Self::TlsSetup(_) => false,
        }
    }
}

/// The identity of a client, over all of its connections.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    /// Drawn once.
    pub(super) client: u64,
    pub(super) credentials: Option<Credentials>,
    /// From its last login.
    pub(super) ticket: Option<Ticket>,
}

/// Sends a client's hello, and proves its password if it has one. Keeps the new ticket. Returns the
/// version of the protocol that both sides use from here on.
pub(super) async fn greet(socket: &mut Socket, identity: &mut Identity) -> Result<u16, HelloError> {
    let mut line = FrameStream::new(socket);
    let ticket = identity.ticket.map(|ticket| ticket.to_bytes());
    let hello = Hello { asks: false, client: identity.client, ticket: ticket.as_ref() };
    line.say(kind::HELLO, &hello.body()).await?;
    let hello = line.hear(kind::HELLO, "a hello").await?;
    let ServerHello { asks, protocol } = ServerHello::read(&hello)?;
    match (&identity.credentials, asks) {
        (None, false) => Ok(protocol),
        (None, true) => Err(HelloError::LoginNeeded),
        (Some(_), false) => Err(HelloError::LoginNotAsked),
        (Some(credentials), true) => {
            identity.ticket = Some(log_in(&mut line, credentials.clone()).await?);
            Ok(protocol)
        }
    }
}

async fn log_in(
    line: &mut FrameStream<'_>,
    credentials: Credentials,
) -> Result<Ticket, HelloError> {
    let mut handshake = ClientHandshake::new(credentials, nonce()?);
    line.say(kind::LOGIN, &handshake.start()).await?;
    loop {
        let message = line.hear(kind::LOGIN, "a step of the login").await?;
        // A derivation takes milliseconds of CPU: not on a thread that serves other links.
        let (stepped, step) = tokio::task::spawn_blocking(move || {
            let step = handshake.step(&message.body);
            (handshake, step)
        })
        .await
        .map_err(io::Error::other)?;
        handshake = stepped;
        match step? {
            ClientStep::Reply(reply) => line.say(kind::LOGIN, &reply).await?,
            ClientStep::Accepted => {
                let ticket = line.hear(kind::TICKET, "a ticket").await?;
                return Ok(Ticket::from_bytes(&ticket.body)?);
            }
        }
    }
}

/// A client that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    /// The client's own identifier, over all of its connections.
    pub(super) client: u64,
    /// The login of the client, if the server asks for one.
    pub(super) login: Option<String>,
}

/// The settings by which a server accepts or refuses a connection.
pub(super) struct AcceptContext<'a> {
    /// `None`: no login is asked for.
    pub(super) gate: Option<&'a std::sync::Arc<Gate>>,
    /// The address of the client.
    pub(super) address: PeerAddress,
    /// The server's clock.
    pub(super) now: &'a (dyn Fn() -> Duration + Sync),
}

/// A server's side: lets a visitor in, or says why not.
pub(super) async fn welcome(
    socket: &mut Socket,
    door: AcceptContext<'_>,
) -> Result<Peer, HelloError> {
    let mut line = FrameStream::new(socket);
    let hello = match line.hear(kind::HELLO, "a hello").await {
        Ok(hello) => hello,
        Err(HelloError::Closed) if line.is_silent() => return Err(HelloError::EmptyConnection),
        Err(HelloError::Wire(_)) if line.begins_as_tls() => {
            // Anything that is no TLS will tell it.
            line.socket.send(&busy("this server does not speak TLS")).await?;
            return Err(HelloError::NoTlsHere);
        }
        Err(error) => return Err(error),
    };
    let hello = ClientHello::read(&hello);
    let ours = Hello { asks: door.gate.is_some(), client: 0, ticket: None };
    if matches!(hello, Ok(_) | Err(HelloError::Version { .. })) {
        line.say(kind::HELLO, &ours.body()).await?;
    }
    let hello = hello?;
    let Some(gate) = door.gate else { return Ok(Peer { client: hello.client, login: None }) };
    let mut visit = gate.visit(door.address, hello.client, hello.ticket, nonce()?);
    loop {
        let message = line.hear(kind::LOGIN, "a step of the login").await?;
        match visit.step(&message.body, (door.now)()) {
            Ok(VisitStep::Reply(reply)) => line.say(kind::LOGIN, &reply).await?,
            Ok(VisitStep::Accepted { login, reply, ticket }) => {
                line.say(kind::LOGIN, &reply).await?;
                line.say(kind::TICKET, &ticket.to_bytes()).await?;
                return Ok(Peer { client: hello.client, login: Some(login) });
            }
            Err(refused) => {
                line.say(kind::LOGIN, &refused.reply()).await?;
                return Err(refused.into());
            }
        }
    }
}

/// The frame by which a server turns a connection away before it says a word.
pub(super) fn busy(why: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let start = begin_frame(&mut out, LINK_CHANNEL, kind::BUSY);
    out.extend_from_slice(why.as_bytes());
    finish_frame(&mut out, start);
    out
}

/// Returns the frame by which a server with TLS answers a client without it.
#[cfg(feature = "tls")]
pub(super) fn tls_only() -> Vec<u8> {
    let mut out = Vec::new();
    let start = begin_frame(&mut out, LINK_CHANNEL, kind::TLS_ONLY);
    finish_frame(&mut out, start);
    out
}

/// Both sides have to be done with all that comes before the stores within this.
pub(super) async fn within<T>(
    deadline: Duration,
    entering: impl Future<Output = Result<T, HelloError>>,
) -> Result<T, HelloError> {
    tokio::time::timeout(deadline, entering).await.map_err(|_| HelloError::TimedOut(deadline))?
}

fn nonce() -> Result<Nonce, getrandom::Error> {
    let mut random = [0; NONCE_BYTES];
    getrandom::fill(&mut random)?;
    Ok(Nonce::new(random))
}

/// The first message of both sides.
struct Hello<'a> {
    asks: bool,
    client: u64,
    ticket: Option<&'a [u8; TICKET_BYTES]>,
}

impl Hello<'_> {
    fn body(&self) -> Vec<u8> {
        let mut body = MAGIC.to_vec();
        Versions::OURS.write(&mut body);
        body.push(u8::from(self.asks));
        body.extend_from_slice(&self.client.to_le_bytes());
        let ticket = self.ticket.map_or(&[][..], |ticket| ticket);
        body.extend_from_slice(&(ticket.len() as u16).to_le_bytes());
        body.extend_from_slice(ticket);
        body
    }
}

/// Magic and versions, in which every version of the protocol agrees; the version in common, and
/// what follows.
fn read_versions<'a>(frame: &'a Frame) -> Result<(u16, Reader<'a>), HelloError> {
    let mut body = Reader::new(&frame.body);
    if body.bytes(MAGIC.len(), "magic").ok() != Some(MAGIC) {
        return Err(HelloError::UnexpectedFrame("a hello of samestate"));
    }
    let theirs = Versions::read(&mut body)?;
    match theirs.common(Versions::OURS) {
        Some(protocol) => Ok((protocol, body)),
        None => Err(HelloError::Version { theirs }),
    }
}

struct ServerHello {
    asks: bool,
    protocol: u16,
}

impl ServerHello {
    fn read(frame: &Frame) -> Result<Self, HelloError> {
        let (protocol, mut body) = read_versions(frame)?;
        Ok(ServerHello { asks: body.flag("login")?, protocol })
    }
}

struct ClientHello {
    client: u64,
    ticket: Option<Ticket>,
}

impl ClientHello {
    fn read(frame: &Frame) -> Result<Self, HelloError> {
        let (_, mut body) = read_versions(frame)?;
        body.flag("login")?;
        let client = body.u64("client id")?;
        let ticket = match usize::from(body.u16("ticket")?) {
            0 => None,
            bytes => Some(Ticket::from_bytes(body.bytes(bytes, "ticket")?)?),
        };
        Ok(ClientHello { client, ticket })
    }
}

/// One frame after the other, both ways.
pub(super) struct FrameStream<'a> {
    socket: &'a mut Socket,
    decoder: Decoder,
    heard: bool,
}

impl<'a> FrameStream<'a> {
    pub(super) fn new(socket: &'a mut Socket) -> Self {
        FrameStream { socket, decoder: Decoder::new(HELLO_BYTES_MAX), heard: false }
    }

    /// Sends a frame.
    pub(super) async fn say(&mut self, kind: u8, body: &[u8]) -> Result<(), HelloError> {
        let mut out = Vec::with_capacity(64 + body.len());
        let start = begin_frame(&mut out, LINK_CHANNEL, kind);
        out.extend_from_slice(body);
        finish_frame(&mut out, start);
        Ok(self.socket.send(&out).await?)
    }

    /// The next frame, which has to be of this kind.
    pub(super) async fn hear(&mut self, kind: u8, what: &'static str) -> Result<Frame, HelloError> {
        let frame = self.next().await?;
        match frame {
            Frame { channel: LINK_CHANNEL, kind: got, .. } if got == kind => Ok(frame),
            Frame { channel: LINK_CHANNEL, kind: kind::BUSY, body } => {
                let words = String::from_utf8_lossy(&body);
                Err(HelloError::Busy(words.chars().filter(|c| !c.is_control()).take(200).collect()))
            }
            Frame { channel: LINK_CHANNEL, kind: kind::TLS_ONLY, .. } => Err(HelloError::TlsOnly),
            _ => Err(HelloError::UnexpectedFrame(what)),
        }
    }

    async fn next(&mut self) -> Result<Frame, HelloError> {
        let buffer: &mut BytesMut = &mut self.socket.buffer;
        loop {
            if let Some(frame) = self.decoder.decode(buffer)? {
                return Ok(frame);
            }
            buffer.reserve(HELLO_BYTES_MAX);
            match self.socket.reader.read_buf(buffer).await {
                Ok(0) => return Err(HelloError::Closed),
                Ok(_) => self.heard = true,
                // Without the last word of TLS.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(HelloError::Closed);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn is_silent(&self) -> bool {
        !self.heard
    }

    /// Returns whether the undecoded bytes in the buffer begin a TLS handshake record (RFC 8446,
    /// 5.1).
    fn begins_as_tls(&self) -> bool {
        self.socket.buffer.starts_with(&[22, 3])
    }
}
