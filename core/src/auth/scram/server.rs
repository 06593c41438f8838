//! The server's side of the handshake.

use std::sync::Arc;

use super::error::AuthError;
use super::logins::{Logins, Verifier, stored_key};
use super::message::{ClientFinal, ClientFirst, Nonce, ServerFinal, ServerFirst, auth_message};

/// The next step of a server in a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerStep {
    /// A message to send. Feed the answer to [`ServerHandshake::step`].
    Reply(Vec<u8>),
    /// The client knows the password. Send the reply, which proves that the server knows it too.
    Accepted {
        /// The login whose password the client proved.
        login: String,
        /// The last message.
        reply: Vec<u8>,
    },
}

/// The server's side of one login. It derives no keys, so a client that is not logged in costs only
/// a few hashes.
///
/// A caller that uses this type alone must count the failures; [`Gate`](crate::auth::Gate) does.
#[derive(Debug)]
pub struct ServerHandshake {
    logins: Arc<Logins>,
    nonce: Nonce,
    state: State,
}

#[derive(Debug)]
enum State {
    AwaitsClientFirst,
    AwaitsClientFinal(Box<Challenge>),
    Over,
}

/// The challenge that was sent to the client.
#[derive(Debug)]
struct Challenge {
    first: ClientFirst,
    asked: ServerFirst,
    verifier: Verifier,
    login_is_known: bool,
}

impl ServerHandshake {
    /// Creates the server's side. The nonce must be drawn for this handshake alone.
    pub fn new(logins: Arc<Logins>, nonce: Nonce) -> Self {
        Self { logins, nonce, state: State::AwaitsClientFirst }
    }

    /// Takes the client's next message. After an error the handshake is over:
    /// [`AuthError::reply`] says what to send before closing.
    ///
    /// # Errors
    ///
    /// If the message is malformed, too long or of another conversation, or the proof is wrong.
    pub fn step(&mut self, message: &[u8]) -> Result<ServerStep, AuthError> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::AwaitsClientFirst => self.challenge(message),
            State::AwaitsClientFinal(challenge) => challenge.conclude(message),
            State::Over => Err(AuthError::Over),
        }
    }

    /// Returns whether the next message is the client's proof, with which an attempt counts.
    pub fn awaits_proof(&self) -> bool {
        matches!(self.state, State::AwaitsClientFinal(_))
    }

    /// The login that the client is proving, while its proof is awaited.
    pub fn login(&self) -> Option<&str> {
        match &self.state {
            State::AwaitsClientFinal(challenge) => Some(&challenge.first.login),
            State::AwaitsClientFirst | State::Over => None,
        }
    }

    fn challenge(&mut self, message: &[u8]) -> Result<ServerStep, AuthError> {
        let first = ClientFirst::parse(message)?;
        let (verifier, login_is_known) = self.logins.verifier(&first.login);
        let nonce = format!("{}{}", first.nonce, self.nonce.as_str());
        let asked = ServerFirst::new(nonce, &verifier.salt, verifier.iterations.get());
        let reply = asked.text.clone().into_bytes();
        let challenge = Challenge { first, asked, verifier, login_is_known };
        self.state = State::AwaitsClientFinal(Box::new(challenge));
        Ok(ServerStep::Reply(reply))
    }
}

impl Challenge {
    fn conclude(self, message: &[u8]) -> Result<ServerStep, AuthError> {
        let answer = ClientFinal::parse(message)?;
        if answer.nonce != self.asked.nonce {
            return Err(AuthError::NonceMismatch);
        }
        let covered = auth_message(&self.first.bare, &self.asked.text, &answer.without_proof);
        let stored = &self.verifier.stored_key;
        let client_key = answer.proof.xor(&stored.mac(&covered));
        let proved = stored_key(&client_key) == *stored;
        if !(proved & self.login_is_known) {
            return Err(AuthError::WrongProof { login: self.first.login });
        }
        let reply = ServerFinal::signature_bytes(&self.verifier.server_key.mac(&covered));
        Ok(ServerStep::Accepted { login: self.first.login, reply })
    }
}
