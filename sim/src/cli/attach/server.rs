//! The server that a verb connects to, and the login there.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use samestate::{Address, ClientConfig};
use samestate_proto::with_causes;
use tokio::runtime::Runtime;

use super::super::exit::ExitCode;
use super::tls::TlsArgs;
use crate::console::Password;
use crate::streams::note;
use crate::threads;

/// The options of a connection to a server.
#[derive(Args, Debug)]
pub(in crate::cli) struct ServerArgs {
    /// Address of a server of the store: host:port, host for port 10001, :port on this machine, or
    /// unix:PATH
    pub(super) address: String,

    /// Log in under this name
    #[arg(long, value_name = "NAME")]
    login: Option<String>,

    /// A file whose first line is the password
    #[arg(long, value_name = "FILE", requires = "login")]
    password_file: Option<PathBuf>,

    #[command(flatten)]
    tls: TlsArgs,
}

impl ServerArgs {
    /// Returns the options of the client, and a runtime for it. An error was said, and is the code
    /// to end with.
    pub(in crate::cli) fn prepare(&self) -> Result<(ClientConfig, Runtime), ExitCode> {
        let client = self.client().map_err(|complaint| fail(&complaint, ExitCode::Usage))?;
        let runtime = threads::runtime(1);
        let runtime = runtime.map_err(|error| fail(&with_causes(&error), ExitCode::NotDone))?;
        Ok((client, runtime))
    }

    /// Returns the options of the client; an error is a text.
    fn client(&self) -> Result<ClientConfig, String> {
        let mut client = ClientConfig::tcp(completed(&self.address));
        if let Some(tls) = self.tls.client() {
            client = client.tls(tls);
        }
        let Some(login) = &self.login else { return Ok(client) };
        let password = Password::find(self.password_file.as_deref(), login);
        let password = password.map_err(|error| with_causes(&error))?;
        Ok(client.login(login, password.reveal()))
    }
}

/// Says why the verb is not done, and returns the code.
pub(in crate::cli) fn fail(complaint: &str, code: ExitCode) -> ExitCode {
    note!("error: {complaint}");
    code
}

impl fmt::Display for ServerArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = if self.tls.client().is_some() { ", by TLS" } else { "" };
        write!(f, "{}{by}", self.address)
    }
}

/// An address with what it leaves out. The library's addresses are those of servers: for a client,
/// no host is this machine.
fn completed(address: &str) -> String {
    let port = address.strip_prefix("*:").or(address.strip_prefix(':')).unwrap_or(address);
    let is_port = !port.is_empty() && port.chars().all(|c| c.is_ascii_digit());
    match address.parse::<IpAddr>() {
        Ok(IpAddr::V6(ip)) => format!("[{ip}]:{}", Address::PORT),
        _ if is_port => format!("{}:{port}", Address::LOCALHOST),
        _ if address.ends_with(']') || !(address.is_empty() || address.contains([':', '\\'])) => {
            format!("{address}:{}", Address::PORT)
        }
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_address_leaves_out_is_this_machine_and_the_default_port() {
        for (given, meant) in [
            ("127.0.0.1", "127.0.0.1:10001"),
            ("alpha.example", "alpha.example:10001"),
            ("::1", "[::1]:10001"),
            ("[::1]", "[::1]:10001"),
            (":22402", "localhost:22402"),
            ("*:22402", "localhost:22402"),
            ("22402", "localhost:22402"),
            ("alpha:1", "alpha:1"),
            ("[::1]:1", "[::1]:1"),
            ("unix:/run/a.sock", "unix:/run/a.sock"),
            (r"\\.\pipe\a", r"\\.\pipe\a"),
            ("", ""),
        ] {
            assert_eq!(completed(given), meant, "{given}");
        }
    }
}
