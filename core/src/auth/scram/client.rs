//! The client's side of the handshake.

use super::credentials::{Credentials, Iterations};
use super::error::AuthError;
use super::logins::{client_key, server_key, stored_key};
use super::message::{ClientFinal, ClientFirst, Nonce, ServerFinal, ServerFirst, auth_message};
use crate::auth::secret::{KEY_BYTES, Key};

/// The next step of a client in a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientStep {
    /// A message to send. Feed the answer to [`ClientHandshake::step`].
    Reply(Vec<u8>),
    /// The server let this client in, and proved that it knows the password too.
    Accepted,
}

/// One login at one server, from a client's side.
#[derive(Debug)]
pub struct ClientHandshake {
    credentials: Credentials,
    first: ClientFirst,
    state: State,
}

#[derive(Debug)]
enum State {
    AwaitsServerFirst,
    AwaitsServerFinal { signature: Key },
    Over,
}

impl ClientHandshake {
    /// Begins with a nonce drawn for this handshake alone.
    pub fn new(credentials: Credentials, nonce: Nonce) -> Self {
        let first = ClientFirst::new(credentials.login(), &nonce);
        Self { credentials, first, state: State::AwaitsServerFirst }
    }

    /// Returns the first message of the handshake, which the client sends.
    pub fn start(&self) -> Vec<u8> {
        self.first.to_bytes()
    }

    /// Takes the server's next message. The first one may cost a derivation of up to
    /// [`Iterations::MAX`] rounds on the calling thread, unless these credentials did it before.
    /// After an error the handshake is over.
    ///
    /// # Errors
    ///
    /// If the message is malformed, too long or of another conversation, if the server asks for too
    /// few or too many iterations, refuses the login, or does not prove that it knows the password.
    pub fn step(&mut self, message: &[u8]) -> Result<ClientStep, AuthError> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::AwaitsServerFirst => self.prove(message),
            State::AwaitsServerFinal { signature } => self.conclude(message, &signature),
            State::Over => Err(AuthError::Over),
        }
    }

    fn prove(&mut self, message: &[u8]) -> Result<ClientStep, AuthError> {
        // A server may refuse before it asks for anything: at a locked-out address, say.
        if message.starts_with(b"e=") {
            return self.conclude(message, &Key::new([0; KEY_BYTES]));
        }
        let challenge = ServerFirst::parse(message)?;
        let own = &self.first.nonce;
        if !challenge.nonce.starts_with(own.as_str()) || challenge.nonce.len() == own.len() {
            return Err(AuthError::NonceMismatch);
        }
        let iterations = Iterations::asked(challenge.iterations)?;
        let salted = self.credentials.salted_password(&challenge.salt, iterations);
        let without_proof = ClientFinal::without_proof(&challenge.nonce);
        let covered = auth_message(&self.first.bare, &challenge.text, &without_proof);
        let client_key = client_key(&salted);
        let proof = client_key.xor(&stored_key(&client_key).mac(&covered));
        self.state = State::AwaitsServerFinal { signature: server_key(&salted).mac(&covered) };
        Ok(ClientStep::Reply(ClientFinal::bytes(&without_proof, &proof)))
    }

    fn conclude(&self, message: &[u8], expected: &Key) -> Result<ClientStep, AuthError> {
        let login = || self.credentials.login().to_owned();
        match ServerFinal::parse(message)? {
            ServerFinal::Signature(signature) if signature == *expected => Ok(ClientStep::Accepted),
            ServerFinal::Signature(_) => Err(AuthError::ServerNotProved { login: login() }),
            ServerFinal::Refusal(refusal) => Err(AuthError::Refused { login: login(), refusal }),
        }
    }
}
