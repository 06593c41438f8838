//! The logins of a server: enough to check a password, not enough to use it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::resume_unwind;
use std::thread;

use sha2::{Digest, Sha256};

use super::credentials::{CredentialsError, Iterations, check, salted_password};
use crate::auth::secret::{Key, ServerSecret};

/// Bytes of the salts that a server makes.
const SALT_BYTES: usize = 16;

/// The data that a server keeps for a login in place of the password (RFC 5802, section 3).
#[derive(Clone)]
pub(super) struct Verifier {
    pub(super) salt: Vec<u8>,
    pub(super) iterations: Iterations,
    pub(super) stored_key: Key,
    pub(super) server_key: Key,
}

impl Verifier {
    /// Derives it. Costs what `iterations` says.
    pub(super) fn derive(password: &str, salt: &[u8], iterations: Iterations) -> Self {
        let salted = salted_password(password, salt, iterations);
        Self {
            salt: salt.to_vec(),
            iterations,
            stored_key: stored_key(&client_key(&salted)),
            server_key: server_key(&salted),
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

pub(super) fn client_key(salted_password: &Key) -> Key {
    salted_password.mac(b"Client Key")
}

pub(super) fn server_key(salted_password: &Key) -> Key {
    salted_password.mac(b"Server Key")
}

/// `H(ClientKey)`.
pub(super) fn stored_key(client_key: &Key) -> Key {
    Key::new(Sha256::digest(client_key.bytes()).into())
}

/// A server's logins. Any number of clients may share one.
#[derive(Clone, Debug)]
pub struct Logins {
    iterations: Iterations,
    salts: Key,
    decoys: Key,
    pub(super) verifiers: BTreeMap<String, Verifier>,
}

impl Logins {
    /// Creates a table without logins, which accepts no client.
    pub fn new(secret: &ServerSecret, iterations: Iterations) -> Self {
        Self {
            iterations,
            salts: secret.key("salts of logins"),
            decoys: secret.key("verifiers of unknown logins"),
            verifiers: BTreeMap::new(),
        }
    }

    /// Adds a login: one derivation, on the calling thread.
    ///
    /// # Errors
    ///
    /// As [`super::Credentials::new`], and if the login is there already.
    pub fn add(&mut self, login: &str, password: &str) -> Result<(), CredentialsError> {
        check(login, password)?;
        if self.verifiers.contains_key(login) {
            return Err(CredentialsError::Twice { login: login.to_owned() });
        }
        let verifier = Verifier::derive(password, &self.salt(login), self.iterations);
        self.verifiers.insert(login.to_owned(), verifier);
        Ok(())
    }

    /// Adds logins: one derivation each, on as many threads as there are cores.
    ///
    /// # Errors
    ///
    /// As [`Logins::add`]; none is added then.
    pub fn add_all<'a>(
        &mut self,
        logins: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), CredentialsError> {
        let logins: Vec<_> = logins.into_iter().collect();
        let mut names = BTreeSet::new();
        for (login, password) in &logins {
            check(login, password)?;
            if self.verifiers.contains_key(*login) || !names.insert(*login) {
                return Err(CredentialsError::Twice { login: (*login).to_owned() });
            }
        }
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let share = logins.len().div_ceil(threads).max(1);
        let this = &*self;
        let derive = |(login, password): &(&str, &str)| {
            let verifier = Verifier::derive(password, &this.salt(login), this.iterations);
            ((*login).to_owned(), verifier)
        };
        let derived: Vec<_> = thread::scope(|scope| {
            let derive_all = |share: &[_]| share.iter().map(derive).collect::<Vec<_>>();
            let running: Vec<_> = logins
                .chunks(share)
                .map(|share| {
                    let thread = thread::Builder::new();
                    thread.spawn_scoped(scope, move || derive_all(share)).map_err(|_| share)
                })
                .collect();
            let derived = running.into_iter().map(|running| match running {
                Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
                // The system gives no thread more: this one does it.
                Err(share) => derive_all(share),
            });
            derived.flatten().collect()
        });
        self.verifiers.extend(derived);
        Ok(())
    }

    /// Returns whether there is no login at all.
    pub fn is_empty(&self) -> bool {
        self.verifiers.is_empty()
    }

    /// The verifier of a login and whether it is real. For an unknown login it is a decoy with the
    /// salt that the login would have, the same each time, and which no password fits. It is made
    /// for known logins too, so that both take the same time.
    pub(super) fn verifier(&self, login: &str) -> (Verifier, bool) {
        let decoy = self.decoy(login);
        match self.verifiers.get(login) {
            Some(verifier) => (verifier.clone(), true),
            None => (decoy, false),
        }
    }

    fn decoy(&self, login: &str) -> Verifier {
        Verifier {
            salt: self.salt(login),
            iterations: self.iterations,
            stored_key: self.decoys.mac_fields(&[b"stored key", login.as_bytes()]),
            server_key: self.decoys.mac_fields(&[b"server key", login.as_bytes()]),
        }
    }

    /// Derives the salt from the server's secret and the login, known or not. Without the secret
    /// the salt looks random, and it is the same at every attempt.
    fn salt(&self, login: &str) -> Vec<u8> {
        self.salts.mac_fields(&[login.as_bytes()]).bytes()[..SALT_BYTES].to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logins() -> Logins {
        let mut logins = Logins::new(
            &ServerSecret::new([1; 32]),
            Iterations::new(Iterations::MIN).expect("the least is allowed"),
        );
        logins.add("app", "secret").expect("valid");
        logins
    }

    #[test]
    fn a_login_given_twice_is_refused() {
        let error = logins().add("app", "other").err();
        assert_eq!(error, Some(CredentialsError::Twice { login: "app".into() }));
    }

    #[test]
    fn an_unknown_login_has_the_salt_it_would_have_if_it_were_known() {
        let (decoy, real) = logins().verifier("admin");
        assert!(!real);
        let mut logins = logins();
        logins.add("admin", "secret").expect("valid");
        let (verifier, real) = logins.verifier("admin");
        assert!(real);
        assert_eq!(decoy.salt, verifier.salt);
        assert_eq!(decoy.iterations, verifier.iterations);
        assert_ne!(decoy.salt, logins.verifier("app").0.salt);
    }

    #[test]
    fn salts_differ_from_server_to_server() {
        let least = Iterations::new(Iterations::MIN).expect("the least is allowed");
        let other = Logins::new(&ServerSecret::new([2; 32]), least);
        assert_ne!(other.salt("app"), logins().salt("app"));
    }
}
