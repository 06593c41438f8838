//! A server and a client that speak TLS, with a CA made for the occasion.
//!
//! ```sh
//! cargo run -p samestate --features tls --example tls
//! ```
//!
//! `docs/tls.md` shows how to make a CA and certificates that last, with `openssl`.

use std::path::Path;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use samestate::{ClientConfig, Mode, ServerConfig, Tls, create_store};

const ADDRESS: &str = "localhost:10443";
/// Closing waits so long for what is under way.
const WITHIN: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    make_certificates(folder.path())?;
    let file = |name| folder.path().join(name);
    let add = |count: &mut i64, by: &i64| *count += by;

    let counter = create_store("counter", add).mode(Mode::Action).open().await?;
    let tls = Tls::server(file("server.pem"), file("server.key"));
    counter.create_server(ServerConfig::tcp(ADDRESS).login("app", "secret").tls(tls)).await?;

    let client = ClientConfig::tcp(ADDRESS).login("app", "secret").tls(Tls::client(file("ca.pem")));
    let copy = create_store("counter", add).client(client).open().await?;
    let version = copy.dispatch(42).await?;
    println!("over TLS: {} at version {version}, on both sides", counter.state());

    copy.close(WITHIN).await?;
    counter.close(WITHIN).await?;
    Ok(())
}

/// A CA, and a certificate of it for `localhost`.
fn make_certificates(folder: &Path) -> anyhow::Result<()> {
    let mut ca = CertificateParams::new([])?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate()?;
    std::fs::write(folder.join("ca.pem"), ca.self_signed(&ca_key)?.pem())?;

    let key = KeyPair::generate()?;
    let server = CertificateParams::new(["localhost".to_owned()])?;
    let server = server.signed_by(&key, &Issuer::new(ca, ca_key))?;
    std::fs::write(folder.join("server.pem"), server.pem())?;
    std::fs::write(folder.join("server.key"), key.serialize_pem())?;
    Ok(())
}
