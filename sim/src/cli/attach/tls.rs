//! The options of TLS, and the library's advice about it in their words.

use std::path::PathBuf;

use clap::Args;
use samestate::ClientTls;
use samestate::Tls;

/// The TLS options of the console.
#[derive(Args, Debug)]
#[command(next_help_heading = "TLS")]
pub(super) struct TlsArgs {
    /// Speak TLS, and trust a server whose certificate a CA in this PEM file has signed
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,

    /// The name or IP address that the server's certificate has to be for [default: the host of
    /// the address]
    #[arg(long, value_name = "NAME", requires = "tls_ca")]
    tls_name: Option<String>,

    /// The console's own certificate, for a server that asks for one
    #[arg(long, value_name = "FILE", requires_all = ["tls_ca", "tls_key"])]
    tls_cert: Option<PathBuf>,

    /// The private key of --tls-cert
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

impl TlsArgs {
    /// Returns the TLS options of the client; `None` without TLS.
    pub(super) fn client(&self) -> Option<ClientTls> {
        let mut tls = Tls::client(self.tls_ca.as_ref()?);
        if let Some(name) = &self.tls_name {
            tls = tls.name(name);
        }
        if let (Some(certificate), Some(key)) = (&self.tls_cert, &self.tls_key) {
            tls = tls.certificate(certificate, key);
        }
        Some(tls)
    }
}

/// Methods of the library that its errors advise, and the options that stand for them. The longer
/// ones come first.
const OPTIONS: [(&str, &str); 6] = [
    ("give the client one by `.login(..)`", "give one with --login"),
    ("give this client `.tls(Tls::client(..))` (feature `tls`)", "give its CA with --tls-ca"),
    ("take `.tls(..)` from this client", "leave out --tls-ca"),
    ("serve and follow it without `.tls(..)`", "leave out --tls-ca"),
    ("`.name(..)`", "--tls-name"),
    ("`.certificate(..)`", "--tls-cert and --tls-key"),
];

/// Rewrites a message of the library in terms of command line options instead of methods.
pub(in crate::cli) fn in_options(said: &str) -> String {
    let in_options = |said: String, (method, option): &(&str, &str)| said.replace(method, option);
    OPTIONS.iter().fold(said.to_owned(), in_options)
}
