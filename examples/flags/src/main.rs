//! Feature flags, the same in every process that asks: a small service built with Samestate.

mod client;
mod serve;

use std::fmt::Display;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Args, Parser};

/// The login that clients use to read and change the flags.
const LOGIN: &str = "flags";
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

#[derive(Parser)]
#[command(version, about)]
enum Command {
    /// Serve the flags, and keep them on disk
    Serve(Serve),
    /// Set a flag, or create it
    Set(Set),
    /// Print a flag, and again whenever it changes, until Ctrl-C
    Watch {
        name: String,
        #[command(flatten)]
        link: Link,
    },
    /// Print all flags, and how often each worker said that it lives
    List(Link),
}

#[derive(Args)]
struct Link {
    /// Address of the service
    #[arg(long, default_value = "127.0.0.1:10001")]
    address: String,
    /// A file that holds the password
    #[arg(long)]
    password_file: PathBuf,
}

#[derive(Args)]
struct Serve {
    #[command(flatten)]
    link: Link,
    /// The folder of the backup; made if it is not there
    #[arg(long)]
    backup: PathBuf,
    /// Number of workers to fork
    #[arg(long, default_value_t = 2)]
    workers: usize,
}

#[derive(Args)]
struct Set {
    /// 1 to 64 of a-z, 0-9 and `-`
    name: String,
    #[arg(
        action = ArgAction::Set,
        value_parser = PossibleValuesParser::new(["on", "off"]).map(|to| to == "on")
    )]
    on: bool,
    /// Make a new flag
    #[arg(long)]
    create: bool,
    /// Name of the user who changes it
    #[arg(long, env = "USER", default_value = "somebody")]
    by: String,
    #[command(flatten)]
    link: Link,
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Command::parse() {
        Command::Serve(options) => serve::serve(&options).await,
        Command::Set(options) => client::set(options).await,
        Command::Watch { name, link } => client::watch(&link, &name).await,
        Command::List(link) => client::list(&link).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            warn(format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Its first line: an editor ends a file with a new line, and a password has none.
fn password(file: &Path) -> Result<String> {
    let text = fs::read_to_string(file)
        .with_context(|| format!("cannot read the password file {}", file.display()))?;
    let password = text.lines().next().unwrap_or_default();
    ensure!(!password.is_empty(), "the password file {} is empty", file.display());
    Ok(password.to_owned())
}

/// Writes a warning to standard error. If no reader takes it, the program continues.
fn warn(text: impl Display) {
    let _ = writeln!(io::stderr(), "flags: {text}");
}
