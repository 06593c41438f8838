//! Certificates and keys, from PEM files to something that can shake hands.
//!
//! Files that no peer would accept are refused when they are read, and not in the first handshake:
//! a key of another certificate, a certificate that has expired, a CA's certificate in place of a
//! server's.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, Error as Rustls, InconsistentKeys, RootCertStore, ServerConfig,
};
use zeroize::Zeroizing;

use super::error::between;
use super::{ClientTls, ServerTls, TlsSetupError};

const CERTIFICATE: &str = "certificate";
const KEY: &str = "private key";
const CA: &str = "CA certificate";

/// The application protocol (RFC 7301): a peer that says it is about something else is refused.
const PROTOCOL: &[u8] = b"samestate";

/// Reads a server's files.
pub(super) fn server_config(tls: &ServerTls) -> Result<ServerConfig, TlsSetupError> {
    let (chain, key) = own_pair(&tls.certificate, &tls.key, Purpose::Server)?;
    let unusable = |error: String| unusable(&tls.certificate, error);
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| unusable(error.to_string()))?;
    let builder = match &tls.client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca)?), provider())
                    .build()
                    .map_err(|error| damaged(CA, ca, error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| pair_error(&tls.certificate, &tls.key, &error))?;
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Reads a client's files.
pub(super) fn client_config(tls: &ClientTls) -> Result<ClientConfig, TlsSetupError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| unusable(&tls.ca, error.to_string()))?
        .with_root_certificates(roots(&tls.ca)?);
    let mut config = match &tls.own {
        None => builder.with_no_client_auth(),
        Some((certificate, key_path)) => {
            let (chain, key) = own_pair(certificate, key_path, Purpose::Client)?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| pair_error(certificate, key_path, &error))?
        }
    };
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The purpose that a certificate must serve.
#[derive(Clone, Copy)]
enum Purpose {
    Server,
    Client,
}

type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn own_pair(certificate: &Path, key: &Path, purpose: Purpose) -> Result<Pair, TlsSetupError> {
    let chain = certificates(CERTIFICATE, certificate)?;
    let key = private_key(key)?;
    check(certificate, &chain, purpose)?;
    Ok((chain, key))
}

/// Looks at a certificate as a peer will, except that whose CA is to be trusted is the peer's
/// business: the certificate's validity and purpose are judged before its issuer is sought.
fn check(
    path: &Path,
    chain: &[CertificateDer<'static>],
    purpose: Purpose,
) -> Result<(), TlsSetupError> {
    let Some((own, behind)) = chain.split_first() else {
        return Err(missing(CERTIFICATE, path, ""));
    };
    let mut roots = RootCertStore::empty();
    roots.add(own.clone()).map_err(|error| damaged(CERTIFICATE, path, error.to_string()))?;
    let (roots, now) = (Arc::new(roots), UnixTime::now());
    let unusable = |error: String| unusable(path, error);
    let judged = match purpose {
        Purpose::Server => {
            let name = ServerName::try_from("localhost").map_err(|e| unusable(e.to_string()))?;
            WebPkiServerVerifier::builder_with_provider(roots, provider())
                .build()
                .map_err(|error| unusable(error.to_string()))?
                .verify_server_cert(own, behind, &name, &[], now)
                .map(|_| ())
        }
        Purpose::Client => WebPkiClientVerifier::builder_with_provider(roots, provider())
            .build()
            .map_err(|error| unusable(error.to_string()))?
            .verify_client_cert(own, behind, now)
            .map(|_| ()),
    };
    use CertificateError as Bad;
    let path = path.to_owned();
    match judged {
        Ok(())
        | Err(Rustls::InvalidCertificate(
            // The second where its CA has the name that it has itself.
            Bad::UnknownIssuer
            | Bad::BadSignature
            | Bad::NotValidForName
            | Bad::NotValidForNameContext { .. },
        )) => Ok(()),
        Err(Rustls::InvalidCertificate(Bad::ExpiredContext { time, not_after })) => {
            Err(TlsSetupError::Expired { path, ago: between(not_after, time) })
        }
        Err(Rustls::InvalidCertificate(Bad::NotValidYetContext { time, not_before })) => {
            Err(TlsSetupError::NotYetValid { path, ahead: between(time, not_before) })
        }
        Err(Rustls::InvalidCertificate(Bad::Other(error)))
            if error.to_string().contains("CaUsedAsEndEntity") =>
        {
            Err(unusable(
                "it is a CA's own, and no peer takes that for a server's or client's".into(),
            ))
        }
        Err(error) => Err(unusable(error.to_string())),
    }
}

/// Returns the CAs that this side trusts. Invalid certificates in a platform's bundle are skipped.
fn roots(path: &Path) -> Result<RootCertStore, TlsSetupError> {
    let mut roots = RootCertStore::empty();
    match roots.add_parsable_certificates(certificates(CA, path)?) {
        (0, _) => Err(damaged(CA, path, "it is no X.509 certificate".into())),
        _ => Ok(roots),
    }
}

fn certificates(
    what: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
    let text = read(what, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if found.is_empty() => Err(missing(what, path, hint(&text))),
        Ok(found) => Ok(found),
        Err(error) => Err(damaged(what, path, said(&error))),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsSetupError> {
    let text = read(KEY, path)?;
    if holds(&text, ENCRYPTED) {
        return Err(missing(KEY, path, hint(&text)));
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound => missing(KEY, path, hint(&text)),
        error => damaged(KEY, path, said(&error)),
    })
}

fn read(what: &'static str, path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsSetupError> {
    let read = std::fs::read(path).map(Zeroizing::new);
    let bytes =
        read.map_err(|source| TlsSetupError::Read { what, path: path.to_owned(), source })?;
    Ok(without_margins(&bytes))
}

/// A PEM file without what editors add to it: a byte order mark, and space around its lines.
fn without_margins(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut text = Zeroizing::new(Vec::with_capacity(bytes.len() + 1));
    for line in bytes.split(|byte| *byte == b'\n') {
        text.extend_from_slice(line.trim_ascii());
        text.push(b'\n');
    }
    text
}

/// The header of a private key that is encrypted in OpenSSL's old form (RFC 1421, section 4.6.1.1).
const ENCRYPTED: &str = "Proc-Type: 4,ENCRYPTED";

fn holds(text: &[u8], words: &str) -> bool {
    text.windows(words.len()).any(|window| window == words.as_bytes())
}

/// Describes the actual content of a file that lacks the expected one.
fn hint(text: &[u8]) -> &'static str {
    let holds = |words: &str| holds(text, words);
    if holds("ENCRYPTED PRIVATE KEY") || holds(ENCRYPTED) {
        "; its private key is encrypted: `openssl pkey -in FILE -out NEW` decrypts it"
    } else if holds("BEGIN OPENSSH PRIVATE KEY") {
        "; it holds a key of SSH, which is no key for TLS"
    } else if holds("BEGIN TRUSTED CERTIFICATE") {
        "; it holds OpenSSL's own form of one: `openssl x509 -in FILE -out NEW` turns it into PEM"
    } else if holds("CERTIFICATE REQUEST-----") {
        "; it holds a request for a certificate, which a CA has yet to sign"
    } else if holds("PRIVATE KEY-----") {
        "; it holds a private key: are two files mixed up?"
    } else if holds("BEGIN CERTIFICATE-----") {
        "; it holds a certificate: are two files mixed up?"
    } else if text.starts_with(&[0xff, 0xfe]) || text.starts_with(&[0xfe, 0xff]) {
        "; it is UTF-16: save it as UTF-8"
    } else if text.first() == Some(&0x30) {
        "; it looks like DER: `openssl x509 -inform DER -in FILE -out NEW` (or `openssl pkey`) \
         turns it into PEM"
    } else {
        ""
    }
}

/// Without the bytes that some of these errors quote.
fn said(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "its `-----END ...-----` line is missing".into(),
        pem::Error::IllegalSectionStart { .. } => "its `-----BEGIN` line is broken".into(),
        pem::Error::Base64Decode(_) => "it is not Base64".into(),
        error => error.to_string(),
    }
}

fn pair_error(certificate: &Path, key: &Path, error: &Rustls) -> TlsSetupError {
    match error {
        Rustls::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            TlsSetupError::KeyMismatch { certificate: certificate.to_owned(), key: key.to_owned() }
        }
        Rustls::InvalidCertificate(error) => damaged(CERTIFICATE, certificate, error.to_string()),
        error => damaged(KEY, key, error.to_string()),
    }
}

fn missing(what: &'static str, path: &Path, hint: &'static str) -> TlsSetupError {
    TlsSetupError::Missing { what, path: path.to_owned(), hint }
}

fn damaged(what: &'static str, path: &Path, why: String) -> TlsSetupError {
    TlsSetupError::Damaged { what, path: path.to_owned(), why }
}

fn unusable(path: &Path, why: String) -> TlsSetupError {
    TlsSetupError::Unusable { path: path.to_owned(), why }
}
