//! `samestate attach`: a console in a running store.
//!
//! - `server`: the server to log in at, for `samestate promote` too
//! - `tls`: the options of TLS, and the library's advice about it in their words

mod server;
mod tls;

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::{Args, ValueEnum};
use samestate::{ClientConfig, Codec, LinkError, UntypedStore};
use samestate_proto::with_causes;
use samestate_report::printable;
use tokio::runtime::Runtime;

pub(super) use self::server::{ServerArgs, fail};
pub(super) use self::tls::in_options;
use super::exit::ExitCode;
use super::terminal::in_colour;
use crate::console::{Prompt, Screen, Session, play};
use crate::scenario::{QuantityError, Span};
use crate::streams::note;

const EXAMPLES: &str = "\
Examples:
  samestate attach 127.0.0.1 --store log --login admin        at port 10001
  samestate attach unix:/run/app.sock --store tasks --login ops --password-file ~/.ops
  samestate attach alpha.example:10001 --store log --login admin --tls-ca ca.pem
  echo P | samestate attach :10001 --store tasks        a script: the state as one line of JSON
  echo '{\"Push\": \"x\"}' | samestate attach :10001 --store tasks

At the prompt, `help` lists the commands. The password is that of --password-file, or of the
environment variable SAMESTATE_PASSWORD, or asked for; it is no argument, for other users of the
machine see those. How to make certificates is in docs/tls.md. Exit codes: 0 closed;
1 not attached, or a script's command failed; 2 wrong usage, or a file that is of no use.";

/// A script does not wait longer than this for the server, unless told otherwise.
const SCRIPT_WAITS: Duration = Duration::from_secs(10);

/// An action whose outcome is not known by then is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Attach a console to a running store: read its state, dispatch to it, watch its actions
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Attach {
    /// The name of the store
    #[arg(long, value_name = "NAME")]
    store: String,

    /// Encoding of the store's actions
    #[arg(long, value_enum, default_value_t = Encoding::Messagepack)]
    codec: Encoding,

    /// The store's schema_version
    #[arg(long, value_name = "N", default_value_t = 1)]
    schema_version: u32,

    /// Time to wait for the server at the start [default: 10s for a script, for ever on a terminal]
    #[arg(long, value_name = "TIME", value_parser = above_zero)]
    timeout: Option<Span>,

    #[command(flatten)]
    server: ServerArgs,
}

/// The reason why the console could not attach, and the exit code for it.
struct Failure {
    complaint: String,
    code: ExitCode,
}

impl Failure {
    /// The store was not reached, or the console could not begin.
    fn not_done(complaint: impl ToString) -> Self {
        Failure { complaint: complaint.to_string(), code: ExitCode::NotDone }
    }

    /// Returns the failure if the library does not even try: an invalid file or address was given
    /// on the command line.
    fn of_start(error: &samestate::Error) -> Self {
        let code = match error {
            samestate::Error::Link(LinkError::Tls(_)) => ExitCode::Usage,
            _ => ExitCode::NotDone,
        };
        Failure { complaint: in_options(&with_causes(error)), code }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Encoding {
    Messagepack,
    Json,
}

impl Attach {
    pub(super) fn run(self) -> ExitCode {
        let (client, runtime) = match self.server.prepare() {
            Ok(both) => both,
            Err(code) => return code,
        };
        match self.converse(client, &runtime) {
            Ok(code) => code,
            Err(Failure { complaint, code }) => fail(&complaint, code),
        }
    }

    fn converse(&self, client: ClientConfig, runtime: &Runtime) -> Result<ExitCode, Failure> {
        let on_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        let (prompt, screen, thread) = match on_terminal {
            true => {
                let (prompt, screen, thread) = Prompt::new().map_err(Failure::not_done)?;
                (Some(prompt), screen, thread)
            }
            false => {
                let (screen, thread) = Screen::plain().map_err(Failure::not_done)?;
                (None, screen, thread)
            }
        };
        let store = self.attach(client, on_terminal.then(|| screen.clone()), runtime)?;
        let colours = on_terminal && in_colour(&std::io::stdout());
        let server = self.server.to_string();
        let session = Session::new(store, server, screen, on_terminal, colours, PATIENCE);
        let code = match prompt {
            Some(prompt) => {
                prompt.converse(session, runtime).map_err(Failure::not_done)?;
                ExitCode::Pass
            }
            None => {
                if play(session, runtime).map_err(Failure::not_done)? {
                    ExitCode::Pass
                } else {
                    ExitCode::NotDone
                }
            }
        };
        // What is watched is shown to its end; a panic of the writer was printed already.
        let _ = thread.join();
        Ok(code)
    }

    /// Attaches, and waits until in sync. `screen`: where a person reads what goes wrong later.
    fn attach(
        &self,
        client: ClientConfig,
        screen: Option<Screen>,
        runtime: &Runtime,
    ) -> Result<UntypedStore, Failure> {
        let _context = runtime.enter();
        let explained = Arc::<AtomicBool>::default();
        let explaining = Arc::clone(&explained);
        let patient = screen.is_some() && self.timeout.is_none();
        let builder = UntypedStore::attach(&self.store, client)
            .codec(match self.codec {
                Encoding::Messagepack => Codec::MessagePack,
                Encoding::Json => Codec::Json,
            })
            .schema_version(self.schema_version)
            .dispatch_deadline(PATIENCE)
            .on_error(move |event| {
                let text = in_options(&event.to_string());
                explaining.store(true, Ordering::Relaxed);
                match &screen {
                    Some(screen) => screen.say(printable(&text).into_owned()),
                    None => note!("{text}"),
                }
            });
        let store = builder.start().map_err(|error| Failure::of_start(&error))?;
        let timeout = self.timeout.map_or(SCRIPT_WAITS, |timeout| timeout.0);
        runtime.block_on(async {
            tokio::select! {
                () = store.until_connected(true) => Ok(store.clone()),
                why = store.refused() => Err(Failure::not_done(self.refusal(&why))),
                () = tokio::time::sleep(timeout), if !patient => {
                    Err(Failure::not_done(self.late(timeout, explained.load(Ordering::Relaxed))))
                }
            }
        })
    }

    /// `explained`: what went wrong was said already.
    fn late(&self, timeout: Duration, explained: bool) -> String {
        let (store, address) = (&self.store, &self.server.address);
        let why = if explained { "why is said above" } else { "is it open there, under that name" };
        format!(
            "store `{store}` was not reached at {address} within {timeout:?}: {why}; --timeout \
             waits longer"
        )
    }

    fn refusal(&self, why: &str) -> String {
        let advice = if why.contains("codec") {
            "; the other one is a matter of --codec"
        } else if why.contains("schema_version") {
            "; say that of the server with --schema-version"
        } else if why.contains("requires a login") {
            "; give one with --login"
        } else {
            ""
        };
        format!("{} refuses: {}{advice}", self.server.address, in_options(why))
    }
}

/// Reads a time that is not zero.
fn above_zero(text: &str) -> Result<Span, QuantityError> {
    let span: Span = text.parse()?;
    match span.get().is_zero() {
        true => Err(QuantityError::NotPositive { text: text.to_owned() }),
        false => Ok(span),
    }
}
