//! A CA of one's own, and certificates of it.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use samestate::Tls;
use samestate::{ClientTls, ServerTls};

/// A CA with a folder for its files.
pub(super) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

/// The files of one certificate.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl Ca {
    pub(super) fn new() -> Self {
        Ca::called("a test's own CA")
    }

    pub(super) fn called(name: &str) -> Self {
        let mut params = CertificateParams::new([]).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).expect("it is written");
        std::fs::write(folder.path().join("ca.key"), key.serialize_pem()).expect("it is written");
        Ca { issuer: Issuer::new(params, key), folder }
    }

    /// The CA's own certificate and key.
    pub(super) fn own(&self) -> Pair {
        Pair { certificate: self.path("ca.pem"), key: self.path("ca.key") }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A new certificate for these names, in files called so.
    pub(super) fn issue(&self, file: &str, names: &[&str]) -> Pair {
        self.issue_with(file, names, |_| {})
    }

    pub(super) fn issue_with(
        &self,
        file: &str,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Pair {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, file);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let pair = Pair {
            certificate: self.path(&format!("{file}.pem")),
            key: self.path(&format!("{file}.key")),
        };
        std::fs::write(&pair.certificate, certificate.pem()).expect("it is written");
        std::fs::write(&pair.key, key.serialize_pem()).expect("it is written");
        pair
    }

    /// Issues a certificate that has expired.
    pub(super) fn issue_expired(&self, file: &str, names: &[&str]) -> Pair {
        self.issue_with(file, names, |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1))
    }

    /// Trusts this CA.
    pub(super) fn client(&self) -> ClientTls {
        Tls::client(self.path("ca.pem"))
    }

    /// With a certificate for `localhost`.
    pub(super) fn server(&self) -> ServerTls {
        self.issue("server", &["localhost", "127.0.0.1"]).server()
    }
}

impl Pair {
    pub(super) fn server(&self) -> ServerTls {
        Tls::server(&self.certificate, &self.key)
    }

    /// Takes the place of another's files.
    pub(super) fn replace(&self, other: &Pair) {
        replace(&self.certificate, &other.certificate);
        replace(&self.key, &other.key);
    }
}

fn replace(new: &Path, old: &Path) {
    std::fs::copy(new, old).expect("it is copied");
}
