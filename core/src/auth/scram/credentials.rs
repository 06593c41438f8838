//! A client's login and password, and what was derived from them.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::error::AuthError;
use crate::auth::secret::{KEY_BYTES, Key};

/// The most bytes of a login, in UTF-8.
pub const LOGIN_BYTES_MAX: usize = 255;
/// The most bytes of a password, in UTF-8.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// An error of a login or a password that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// Empty, too long, or with a NUL.
    #[error("login {login:?} cannot be used: give it 1 to {LOGIN_BYTES_MAX} bytes without NUL")]
    Login {
        /// As it was given.
        login: String,
    },
    /// Empty or too long.
    #[error(
        "the password of login {login:?} cannot be used: give it 1 to {PASSWORD_BYTES_MAX} bytes"
    )]
    Password {
        /// The login that the password belongs to.
        login: String,
    },
    /// One login, two passwords.
    #[error(
        "login {login:?} is given twice: give each login one password; many clients may share it"
    )]
    Twice {
        /// The login.
        login: String,
    },
    /// Too little work to protect a password, or too much to ask of a client.
    #[error("{asked} iterations cannot be used: choose {} to {}", Iterations::MIN, Iterations::MAX)]
    Iterations {
        /// As it was given.
        asked: u32,
    },
}

/// The number of rounds, and so the work of trying one password against recorded or stored bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Iterations(u32);

impl Iterations {
    /// RFC 7677's least. A client refuses fewer: it would be giving its password away cheaply.
    pub const MIN: u32 = 4096;
    /// The most that a client accepts, so that a hostile server cannot burn its CPU: about 0.2 s
    /// of a core that has SHA instructions.
    pub const MAX: u32 = 1_000_000;
    /// The number that OWASP's Password Storage Cheat Sheet recommends for PBKDF2 with
    /// HMAC-SHA-256. About 0.1 s of a core that has SHA instructions, once at a client's first
    /// login and once a login at a server's start. What a server keeps never reaches a disk, so
    /// this guards conversations recorded from a wire without TLS; long random passwords guard them
    /// far better.
    pub const DEFAULT: Self = Self(600_000);

    /// Checks the bounds.
    ///
    /// # Errors
    ///
    /// [`CredentialsError::Iterations`] if they are fewer than [`Iterations::MIN`] or more than
    /// [`Iterations::MAX`].
    pub fn new(iterations: u32) -> Result<Self, CredentialsError> {
        match iterations {
            Self::MIN..=Self::MAX => Ok(Self(iterations)),
            asked => Err(CredentialsError::Iterations { asked }),
        }
    }

    /// Reads what a server asked for.
    pub(super) fn asked(iterations: u32) -> Result<Self, AuthError> {
        Self::new(iterations).map_err(|_| AuthError::Iterations { asked: iterations })
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl Default for Iterations {
    fn default() -> Self {
        Self::DEFAULT
    }
}

pub(super) fn valid_login(login: &str) -> bool {
    (1..=LOGIN_BYTES_MAX).contains(&login.len()) && !login.contains('\0')
}

/// Refuses what neither side could use.
pub(super) fn check(login: &str, password: &str) -> Result<(), CredentialsError> {
    if !valid_login(login) {
        return Err(CredentialsError::Login { login: login.to_owned() });
    }
    if !(1..=PASSWORD_BYTES_MAX).contains(&password.len()) {
        return Err(CredentialsError::Password { login: login.to_owned() });
    }
    Ok(())
}

/// `SaltedPassword` of RFC 5802: PBKDF2 with HMAC-SHA-256. The one costly step of a login.
pub(super) fn salted_password(password: &str, salt: &[u8], iterations: Iterations) -> Key {
    let mut salted = Key::new([0; KEY_BYTES]);
    pbkdf2::pbkdf2_hmac::<sha2::Sha256>(
        prepared(password).as_bytes(),
        salt,
        iterations.0,
        salted.bytes_mut(),
    );
    salted
}

/// A password in the one form that stands for all of its Unicode forms: the profile `OpaqueString`
/// of RFC 8265, which maps every space to U+0020 and composes (NFC). It refuses nothing.
fn prepared(password: &str) -> Zeroizing<String> {
    let spaces = |c| match c {
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => {
            ' '
        }
        c => c,
    };
    // Large enough for any composed form, so that no copy is left behind by a reallocation.
    let mut prepared = Zeroizing::new(String::with_capacity(3 * password.len()));
    prepared.extend(password.chars().map(spaces).nfc());
    prepared
}

/// The login and password of a client, kept for as long as it may reconnect. Clones share what was
/// derived, so that only the first login at a server costs a derivation.
#[derive(Clone)]
pub struct Credentials(Arc<Inner>);

struct Inner {
    login: String,
    password: Zeroizing<String>,
    /// The newest derivation: a client talks to one server, whose salt changes when it restarts.
    derived: Mutex<Option<Derived>>,
}

struct Derived {
    salt: Vec<u8>,
    iterations: Iterations,
    salted_password: Key,
}

impl Credentials {
    /// Checks the bounds of both.
    ///
    /// # Errors
    ///
    /// If either is empty, too long, or has control characters.
    pub fn new(login: &str, password: &str) -> Result<Self, CredentialsError> {
        check(login, password)?;
        Ok(Self(Arc::new(Inner {
            login: login.to_owned(),
            password: Zeroizing::new(password.to_owned()),
            derived: Mutex::new(None),
        })))
    }

    /// The login.
    pub fn login(&self) -> &str {
        &self.0.login
    }

    /// Derived anew only where the salt or the iterations are not those of the last time.
    pub(super) fn salted_password(&self, salt: &[u8], iterations: Iterations) -> Key {
        if let Some(derived) = &*self.0.derived.lock()
            && derived.salt == salt
            && derived.iterations == iterations
        {
            return derived.salted_password.clone();
        }
        let key = salted_password(&self.0.password, salt, iterations);
        *self.0.derived.lock() =
            Some(Derived { salt: salt.to_vec(), iterations, salted_password: key.clone() });
        key
    }

    #[cfg(test)]
    pub(super) fn has_derived(&self, salt: &[u8]) -> bool {
        self.0.derived.lock().as_ref().is_some_and(|derived| derived.salt == salt)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("login", &self.0.login).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unicode_forms_of_a_password_are_one_password() {
        let composed = prepared("caf\u{e9} \u{1e69}");
        assert_eq!(*composed, *prepared("cafe\u{301}\u{a0}s\u{307}\u{323}"));
        assert_ne!(*composed, *prepared("cafe \u{1e69}"));
        assert_eq!(*prepared("plain, \t as it is "), "plain, \t as it is ");
        // A compatibility form is another password (RFC 8265, section 4.2.1).
        assert_ne!(*prepared("\u{fb01}"), "fi");
    }

    #[test]
    fn debug_shows_no_password() {
        let credentials = Credentials::new("app", "hunter2").expect("valid");
        assert_eq!(format!("{credentials:?}"), "Credentials { login: \"app\", .. }");
    }

    #[test]
    fn empty_and_oversized_logins_and_passwords_are_refused_by_name() {
        for login in ["", "a\0b", &"x".repeat(256)] {
            let error = Credentials::new(login, "secret").err();
            assert_eq!(error, Some(CredentialsError::Login { login: login.to_owned() }));
        }
        for password in ["", &"x".repeat(1025)] {
            let error = Credentials::new("app", password).err();
            assert_eq!(error, Some(CredentialsError::Password { login: "app".into() }));
        }
    }

    #[test]
    fn iterations_stay_within_what_clients_accept() {
        for asked in [0, 1, 4095, 1_000_001, u32::MAX] {
            assert_eq!(Iterations::new(asked), Err(CredentialsError::Iterations { asked }));
        }
        assert_eq!(Iterations::new(4096).map(Iterations::get), Ok(4096));
    }

    #[test]
    fn clones_share_what_was_derived() {
        let credentials = Credentials::new("app", "secret").expect("valid");
        let first = credentials.salted_password(b"salt one", Iterations(4096));
        assert!(credentials.clone().has_derived(b"salt one"));
        assert_eq!(credentials.clone().salted_password(b"salt one", Iterations(4096)), first);
        assert_ne!(credentials.salted_password(b"salt two", Iterations(4096)), first);
        assert!(!credentials.has_derived(b"salt one"), "one derivation is kept, the newest");
    }
}
