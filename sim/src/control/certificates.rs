//! The run's own CA, and its certificates for nodes with TLS.
//!
//! A case whose links have `tls: true` gets a new CA. Its key is never written to disk. Its
//! certificate, and a certificate with its key for each node at an end of such a link, go to the
//! folder `tls` in the case's own folder, which only its user can read, and which is removed with
//! the case. Each certificate is for the loopback address that nodes connect to, directly or by way
//! of a proxy, and serves both sides: clients show theirs to servers, and servers refuse clients
//! without one (mutual TLS).

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use samestate::Tls;
use samestate::{ClientTls, ServerTls};

use crate::scenario::{Event, NodeId, Plan};

/// The folder of the certificates in the run's folder.
const FOLDER: &str = "tls";

/// The host that nodes connect to.
const LOOPBACK: &str = "127.0.0.1";

/// The reason why the nodes of a run have no certificates.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificatesError {
    /// No key or certificate came out.
    #[error("failed to make certificates for the links with `tls: true`")]
    Make(#[from] rcgen::Error),
    /// A file cannot be written.
    #[error("failed to write {}, in the folder of TMPDIR", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// Makes what the nodes of a plan need, if any of its links has TLS.
///
/// # Errors
///
/// If the system gives no random bytes, or a file cannot be written.
pub(crate) fn make(plan: &Plan, folder: &Path) -> Result<(), CertificatesError> {
    let nodes = nodes(plan);
    if nodes.is_empty() {
        return Ok(());
    }
    let folder = folder.join(FOLDER);
    fs::create_dir(&folder)
        .map_err(|source| CertificatesError::Write { path: folder.clone(), source })?;
    let issuer = authority(&folder)?;
    nodes.into_iter().try_for_each(|node| issue(&issuer, &folder, &plan.node(node).name))
}

/// Returns the TLS options of a node as a server.
pub(crate) fn of_server(folder: &Path, node: &str) -> ServerTls {
    let folder = folder.join(FOLDER);
    let (certificate, key) = pair(&folder, node);
    Tls::server(certificate, key).client_ca(ca(&folder))
}

/// Returns the TLS options of a node as a client.
pub(crate) fn of_client(folder: &Path, node: &str) -> ClientTls {
    let folder = folder.join(FOLDER);
    let (certificate, key) = pair(&folder, node);
    Tls::client(ca(&folder)).certificate(certificate, key)
}

/// The nodes at the ends of links with TLS, those that become clients later included.
fn nodes(plan: &Plan) -> BTreeSet<NodeId> {
    let links = plan.links.iter().filter(|link| link.tls);
    let ends = links.flat_map(|link| link.clients.iter().copied().chain([link.server]));
    let later = plan.events.iter().filter_map(|timed| {
        let Event::CreateClient { client, link } = timed.event;
        plan.links[link].tls.then_some(client)
    });
    ends.chain(later).collect()
}

fn authority(folder: &Path) -> Result<Issuer<'static, KeyPair>, CertificatesError> {
    let mut params = CertificateParams::new([])?;
    params.distinguished_name.push(DnType::CommonName, "the CA of one samestate run");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate()?;
    write(ca(folder), &params.self_signed(&key)?.pem())?;
    Ok(Issuer::new(params, key))
}

fn issue(issuer: &Issuer<'_, KeyPair>, folder: &Path, node: &str) -> Result<(), CertificatesError> {
    let mut params = CertificateParams::new([LOOPBACK.to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, node);
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let own = KeyPair::generate()?;
    let (certificate, key) = pair(folder, node);
    write(certificate, &params.signed_by(&own, issuer)?.pem())?;
    write(key, &own.serialize_pem())
}

fn ca(folder: &Path) -> PathBuf {
    folder.join("ca.pem")
}

fn pair(folder: &Path, node: &str) -> (PathBuf, PathBuf) {
    (folder.join(format!("{node}.pem")), folder.join(format!("{node}.key")))
}

/// Writes a new file that its owner alone reads.
fn write(path: PathBuf, pem: &str) -> Result<(), CertificatesError> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    opened
        .and_then(|mut file| file.write_all(pem.as_bytes()))
        .map_err(|source| CertificatesError::Write { path, source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::scenario::{Overrides, ScenarioFile};

    fn plan(tls: bool) -> Plan {
        let text = format!(
            "
version: 1
stores: {{ a: {{ reducer: ring }}, b: {{ reducer: ring }} }}
clusters: {{ one: {{ workers: 1 }}, two: {{}}, plain: {{}}, late: {{}} }}
links:
  - {{ store: a, server: 'one.worker[1]', tcp: 1, tls: {tls}, client: two.master }}
  - {{ store: b, server: two.master, tcp: 2, client: plain.master }}
events: [ {{ at: 1s, create_client: {{ client: late.master, link: 0 }} }} ]
phases: [ {{ name: rest, duration: 2s }} ]
"
        );
        let file = ScenarioFile::parse("tls", "tls.yaml", &text, &Overrides::default());
        file.unwrap_or_else(|invalid| panic!("{invalid}")).cases.remove(0).plan
    }

    #[test]
    fn who_speaks_tls_at_any_time_has_a_certificate_and_nobody_else_reads_it() {
        let folder = tempfile::tempdir().expect("a folder");
        make(&plan(true), folder.path()).expect("it is made");
        let files = fs::read_dir(folder.path().join(FOLDER)).expect("the folder");
        let mut names = Vec::new();
        for file in files.map(|file| file.expect("a file")) {
            let mode = file.metadata().expect("it is there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{:?}", file.path());
            names.push(file.file_name().into_string().expect("UTF-8"));
        }
        names.sort();
        let nodes = ["late.master", "one.worker[1]", "two.master"];
        let mut expected: Vec<_> =
            nodes.iter().flat_map(|node| [format!("{node}.key"), format!("{node}.pem")]).collect();
        expected.insert(0, "ca.pem".into());
        assert_eq!(names, expected);
    }

    #[test]
    fn a_plan_without_tls_has_no_certificates() {
        let folder = tempfile::tempdir().expect("a folder");
        make(&plan(false), folder.path()).expect("there is nothing to make");
        assert!(!folder.path().join(FOLDER).exists());
    }
}
