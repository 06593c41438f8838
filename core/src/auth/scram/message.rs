//! The text of the four messages: bytes to values and back, nothing else (RFC 5802, section 7).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::credentials::valid_login;
use super::error::{AuthError, Refusal};
use crate::auth::secret::{KEY_BYTES, Key};

/// The most bytes that a message of the handshake may have.
pub const MESSAGE_BYTES_MAX: usize = 1024;
/// Random bytes in a nonce.
pub const NONCE_BYTES: usize = 24;
/// The most characters of one side's nonce, so that the answer to a message is never too long.
const NONCE_CHARS_MAX: usize = 128;
/// The most bytes of a salt that a client accepts.
const SALT_BYTES_MAX: usize = 64;
/// The most characters of a server's reason to refuse.
const REASON_CHARS_MAX: usize = 64;

/// The header: no channel binding, no authorization id.
const GS2_HEADER: &str = "n,,";
/// The header again, in base64, as the client's last message repeats it.
const GS2_HEADER_BASE64: &str = "biws";

const CLIENT_FIRST: &str = "client-first-message";
const SERVER_FIRST: &str = "server-first-message";
const CLIENT_FINAL: &str = "client-final-message";
const SERVER_FINAL: &str = "server-final-message";

/// A random text that makes a conversation unique. Used once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonce(String);

impl Nonce {
    /// From bytes of a generator fit for cryptography, drawn for this handshake alone.
    pub fn new(random: [u8; NONCE_BYTES]) -> Self {
        Self(BASE64.encode(random))
    }

    #[cfg(test)]
    pub(super) fn from_text(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// `n,,n=login,r=nonce`
#[derive(Debug)]
pub(super) struct ClientFirst {
    /// The message without its header, which both proofs cover.
    pub(super) bare: String,
    pub(super) login: String,
    pub(super) nonce: String,
}

impl ClientFirst {
    pub(super) fn new(login: &str, nonce: &Nonce) -> Self {
        let nonce = nonce.as_str().to_owned();
        Self { bare: format!("n={},r={nonce}", escape(login)), login: login.to_owned(), nonce }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        format!("{GS2_HEADER}{}", self.bare).into_bytes()
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, AuthError> {
        let text = text(bytes, CLIENT_FIRST)?;
        let Some(bare) = text.strip_prefix(GS2_HEADER) else {
            let known = ["p=", "y,", "n,a="].iter().any(|header| text.starts_with(header));
            return Err(if known {
                AuthError::Unsupported
            } else {
                malformed(CLIENT_FIRST, "the header n,,")
            });
        };
        let mut fields = Fields::new(bare, CLIENT_FIRST);
        let login = fields.take("n=", "a login, n=")?;
        let nonce = fields.take("r=", "a nonce, r=")?;
        fields.end()?;
        let login = unescape(login)
            .filter(|login| valid_login(login))
            .ok_or_else(|| malformed(CLIENT_FIRST, "a login of 1 to 255 bytes, escaped"))?;
        if !is_nonce(nonce) || nonce.len() > NONCE_CHARS_MAX {
            return Err(malformed(CLIENT_FIRST, "a nonce of 1 to 128 printable characters"));
        }
        Ok(Self { bare: bare.to_owned(), login, nonce: nonce.to_owned() })
    }
}

/// `r=both nonces,s=salt,i=iterations`
#[derive(Debug)]
pub(super) struct ServerFirst {
    pub(super) text: String,
    /// The client's nonce, and the server's behind it.
    pub(super) nonce: String,
    pub(super) salt: Vec<u8>,
    pub(super) iterations: u32,
}

impl ServerFirst {
    pub(super) fn new(nonce: String, salt: &[u8], iterations: u32) -> Self {
        let text = format!("r={nonce},s={},i={iterations}", BASE64.encode(salt));
        Self { text, nonce, salt: salt.to_vec(), iterations }
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, AuthError> {
        let text = text(bytes, SERVER_FIRST)?;
        let mut fields = Fields::new(text, SERVER_FIRST);
        let nonce = fields.take("r=", "a nonce, r=")?;
        let salt = fields.take("s=", "a salt, s=")?;
        let iterations = fields.take("i=", "a number of iterations, i=")?;
        fields.end()?;
        if !is_nonce(nonce) || nonce.len() > 2 * NONCE_CHARS_MAX {
            return Err(malformed(SERVER_FIRST, "a nonce of 1 to 256 printable characters"));
        }
        let salt = BASE64
            .decode(salt)
            .ok()
            .filter(|salt| (1..=SALT_BYTES_MAX).contains(&salt.len()))
            .ok_or_else(|| malformed(SERVER_FIRST, "a salt of 1 to 64 bytes in base64"))?;
        let iterations = number(iterations)
            .ok_or_else(|| malformed(SERVER_FIRST, "a number of iterations in decimal digits"))?;
        Ok(Self { text: text.to_owned(), nonce: nonce.to_owned(), salt, iterations })
    }
}

/// `c=biws,r=both nonces,p=proof`
pub(super) struct ClientFinal {
    /// The message without its proof, which both proofs cover.
    pub(super) without_proof: String,
    pub(super) nonce: String,
    pub(super) proof: Key,
}

impl ClientFinal {
    /// Returns the part of the message before the proof, from which the proof is made.
    pub(super) fn without_proof(nonce: &str) -> String {
        format!("c={GS2_HEADER_BASE64},r={nonce}")
    }

    pub(super) fn bytes(without_proof: &str, proof: &Key) -> Vec<u8> {
        format!("{without_proof},p={}", BASE64.encode(proof.bytes())).into_bytes()
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, AuthError> {
        let text = text(bytes, CLIENT_FINAL)?;
        let mut fields = Fields::new(text, CLIENT_FINAL);
        let header = fields.take("c=", "the header again, c=")?;
        let nonce = fields.take("r=", "a nonce, r=")?;
        let proof = fields.take("p=", "a proof, p=")?;
        fields.end()?;
        if header != GS2_HEADER_BASE64 {
            return Err(malformed(CLIENT_FINAL, "the header of the first message, c=biws"));
        }
        Ok(Self {
            without_proof: text[..text.len() - ",p=".len() - proof.len()].to_owned(),
            nonce: nonce.to_owned(),
            proof: key(proof).ok_or_else(|| malformed(CLIENT_FINAL, "32 bytes in base64"))?,
        })
    }
}

/// `v=signature`, or `e=why not`
pub(super) enum ServerFinal {
    Signature(Key),
    Refusal(Refusal),
}

impl ServerFinal {
    pub(super) fn signature_bytes(signature: &Key) -> Vec<u8> {
        format!("v={}", BASE64.encode(signature.bytes())).into_bytes()
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, AuthError> {
        let text = text(bytes, SERVER_FINAL)?;
        if let Some(signature) = text.strip_prefix("v=") {
            let signature =
                key(signature).ok_or_else(|| malformed(SERVER_FINAL, "32 bytes in base64"))?;
            return Ok(Self::Signature(signature));
        }
        match text.strip_prefix("e=") {
            Some(reason) if is_nonce(reason) && reason.len() <= REASON_CHARS_MAX => {
                Ok(Self::Refusal(Refusal::parse(reason)))
            }
            _ => Err(malformed(SERVER_FINAL, "a signature, v=, or an error, e=")),
        }
    }
}

/// Returns the text that both proofs cover: the whole conversation up to the proof.
pub(super) fn auth_message(
    client_first_bare: &str,
    server_first: &str,
    without_proof: &str,
) -> Vec<u8> {
    format!("{client_first_bare},{server_first},{without_proof}").into_bytes()
}

/// The fields of a message, taken in the order of the grammar.
struct Fields<'a> {
    rest: std::str::Split<'a, char>,
    message: &'static str,
}

impl<'a> Fields<'a> {
    fn new(text: &'a str, message: &'static str) -> Self {
        Self { rest: text.split(','), message }
    }

    fn take(&mut self, name: &str, expected: &'static str) -> Result<&'a str, AuthError> {
        let field = self.rest.next().and_then(|field| field.strip_prefix(name));
        field.ok_or_else(|| malformed(self.message, expected))
    }

    fn end(mut self) -> Result<(), AuthError> {
        match self.rest.next() {
            None => Ok(()),
            Some(_) => Err(malformed(self.message, "nothing more")),
        }
    }
}

fn malformed(message: &'static str, expected: &'static str) -> AuthError {
    AuthError::Malformed { message, expected }
}

fn text<'a>(bytes: &'a [u8], message: &'static str) -> Result<&'a str, AuthError> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(AuthError::TooLong { bytes: bytes.len() });
    }
    std::str::from_utf8(bytes).map_err(|_| malformed(message, "UTF-8"))
}

/// Returns whether the text is one or more of RFC 5802's `printable`: ASCII, neither blank nor
/// comma.
fn is_nonce(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}

/// RFC 5802's `posit-number`: digits, the first of them not 0.
fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    if digits { text.parse().ok() } else { None }
}

fn key(base64: &str) -> Option<Key> {
    let bytes = zeroize::Zeroizing::new(BASE64.decode(base64).ok()?);
    <[u8; KEY_BYTES]>::try_from(bytes.as_slice()).ok().map(Key::new)
}

fn escape(login: &str) -> String {
    login.replace('=', "=3D").replace(',', "=2C")
}

/// None where a `=` is not the beginning of `=2C` or `=3D`.
fn unescape(escaped: &str) -> Option<String> {
    let mut parts = escaped.split('=');
    let mut login = parts.next()?.to_owned();
    for part in parts {
        let (character, rest) = match part.get(..2)? {
            "2C" => (',', &part[2..]),
            "3D" => ('=', &part[2..]),
            _ => return None,
        };
        login.push(character);
        login.push_str(rest);
    }
    Some(login)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_with_commas_and_equals_signs_comes_back_as_it_was() {
        for login in ["app", "a,b", "a=b", "=2C", ",=,=", "žluťoučký, kůň = 🐎"] {
            assert_eq!(unescape(&escape(login)).as_deref(), Some(login));
        }
    }

    #[test]
    fn a_bare_equals_sign_in_a_login_is_refused() {
        for escaped in ["a=", "a=2", "a=2c", "a=41", "==3D", "=ž"] {
            assert_eq!(unescape(escaped), None, "{escaped}");
        }
    }

    #[test]
    fn a_number_is_digits_without_sign_blank_or_leading_zero() {
        assert_eq!(number("4096"), Some(4096));
        for text in ["", "0", "04096", "+4096", "-1", " 1", "1 ", "4294967296", "٣"] {
            assert_eq!(number(text), None, "{text:?}");
        }
    }

    #[test]
    fn extensions_repeats_and_other_orders_are_refused() {
        for message in [
            "n,,n=app",
            "n,,r=nonce,n=app",
            "n,,m=ext,n=app,r=nonce",
            "n,,n=app,r=nonce,x=1",
            "n,,n=app,r=nonce,",
            "n,,n=,r=nonce",
            "n,,n=app,r=",
            "n,,n=app,r=a b",
            "n=app,r=nonce",
            "",
        ] {
            assert!(
                matches!(
                    ClientFirst::parse(message.as_bytes()),
                    Err(AuthError::Malformed { message: CLIENT_FIRST, .. })
                ),
                "{message}"
            );
        }
    }

    #[test]
    fn channel_binding_and_authorization_ids_are_named_as_unsupported() {
        for message in ["p=tls-exporter,,n=app,r=x", "y,,n=app,r=x", "n,a=root,n=app,r=x"] {
            let error = ClientFirst::parse(message.as_bytes()).err();
            assert_eq!(error, Some(AuthError::Unsupported), "{message}");
        }
    }

    #[test]
    fn a_message_over_its_bound_is_refused_unread() {
        let bytes = vec![b'n'; MESSAGE_BYTES_MAX + 1];
        let error = ClientFirst::parse(&bytes).err();
        assert_eq!(error, Some(AuthError::TooLong { bytes: MESSAGE_BYTES_MAX + 1 }));
    }
}
