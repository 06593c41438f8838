//! `samestate attach`: a console in a running store.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use parking_lot::Mutex;
use samestate::{Client, Codec, UntypedStore};
use tokio::runtime::Runtime;

use super::exit::ExitCode;
use super::terminal::in_colour;
use crate::console::{Password, Prompt, Screen, Session, play};
use crate::scenario::Span;

const EXAMPLES: &str = "\
Examples:
  samestate attach 127.0.0.1:10001 --store log --login admin
  samestate attach unix:/run/app.sock --store tasks --login ops --password-file ~/.ops
  echo P | samestate attach :10001 --store tasks        a script: the state as one line of JSON
  echo '{\"Push\": \"x\"}' | samestate attach :10001 --store tasks

At the prompt, `help` lists the commands. The password is that of --password-file, or of the
environment variable SAMESTATE_PASSWORD, or asked for; it is no argument, for other users of the
machine see those. Exit codes: 0 closed; 1 not attached, or a script's command failed; 2 wrong
usage.";

/// A script does not wait longer than this for the server, unless told otherwise.
const SCRIPT_WAITS: Duration = Duration::from_secs(10);

/// An action whose outcome is not known by then is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Attach a console to a running store: read its state, dispatch to it, watch its actions
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Attach {
    /// Where the store is served: host:port, :port on this machine, or unix:PATH
    address: String,

    /// The name of the store
    #[arg(long, value_name = "NAME")]
    store: String,

    /// Log in under this name
    #[arg(long, value_name = "NAME")]
    login: Option<String>,

    /// A file whose first line is the password
    #[arg(long, value_name = "FILE", requires = "login")]
    password_file: Option<PathBuf>,

    /// How the store encodes its actions
    #[arg(long, value_enum, default_value_t = Encoding::Messagepack)]
    codec: Encoding,

    /// The store's schema_version
    #[arg(long, value_name = "N", default_value_t = 1)]
    schema_version: u32,

    /// How long to wait for the server at the start [default: 10s for a script, for ever on a
    /// terminal]
    #[arg(long, value_name = "TIME")]
    timeout: Option<Span>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Encoding {
    Messagepack,
    Json,
}

impl Attach {
    pub(super) fn run(self) -> ExitCode {
        let client = match self.client() {
            Ok(client) => client,
            Err(complaint) => return fail(&complaint, ExitCode::Usage),
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => return fail(&error.to_string(), ExitCode::NotDone),
        };
        match self.converse(client, &runtime) {
            Ok(code) => code,
            Err(complaint) => fail(&complaint, ExitCode::NotDone),
        }
    }

    /// How to get there. Options of the transport, as those of TLS, have their place here.
    fn client(&self) -> Result<Client, String> {
        let client = Client::tcp(self.address());
        let Some(login) = &self.login else { return Ok(client) };
        let password = Password::find(self.password_file.as_deref(), login);
        let password = password.map_err(|error| error.to_string())?;
        Ok(client.login(login, password.reveal()))
    }

    /// The library's addresses are those of servers: for a client, no host is this machine.
    fn address(&self) -> String {
        let port = self.address.strip_prefix("*:").or(self.address.strip_prefix(':'));
        port.map_or_else(|| self.address.clone(), |port| format!("localhost:{port}"))
    }

    fn converse(&self, client: Client, runtime: &Runtime) -> Result<ExitCode, String> {
        let on_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        let words = |error: std::io::Error| error.to_string();
        let (prompt, screen, thread) = match on_terminal {
            true => {
                let (prompt, screen, thread) = Prompt::new().map_err(words)?;
                (Some(prompt), screen, thread)
            }
            false => {
                let (screen, thread) = Screen::plain().map_err(words)?;
                (None, screen, thread)
            }
        };
        let store = self.attach(client, on_terminal.then(|| screen.clone()), runtime)?;
        let colours = on_terminal && in_colour(&std::io::stdout());
        let session =
            Session::new(store, self.address.clone(), screen, on_terminal, colours, PATIENCE);
        let code = match prompt {
            Some(prompt) => {
                prompt.converse(session, runtime).map_err(words)?;
                ExitCode::Pass
            }
            None => match play(session, runtime).map_err(words)? {
                true => ExitCode::Pass,
                false => ExitCode::NotDone,
            },
        };
        // What is watched is shown to its end; a panic of the writer was printed already.
        let _ = thread.join();
        Ok(code)
    }

    /// Attaches, and waits until in sync. `screen`: where a person reads what goes wrong later.
    fn attach(
        &self,
        client: Client,
        screen: Option<Screen>,
        runtime: &Runtime,
    ) -> Result<UntypedStore, String> {
        let _context = runtime.enter();
        let last = Arc::<Mutex<String>>::default();
        let heard = Arc::clone(&last);
        let patient = screen.is_some() && self.timeout.is_none();
        let builder = UntypedStore::attach(&self.store, client)
            .codec(match self.codec {
                Encoding::Messagepack => Codec::MessagePack,
                Encoding::Json => Codec::Json,
            })
            .schema_version(self.schema_version)
            .dispatch_deadline(PATIENCE)
            .on_error(move |text| {
                text.clone_into(&mut heard.lock());
                match &screen {
                    Some(screen) => screen.say(text.to_owned()),
                    None => eprintln!("{text}"),
                }
            });
        let store = builder.start().map_err(|error| error.to_string())?;
        let timeout = self.timeout.map_or(SCRIPT_WAITS, |timeout| timeout.0);
        runtime.block_on(async {
            tokio::select! {
                () = store.until_connected(true) => Ok(store.clone()),
                why = store.refused() => Err(format!("{} refuses: {why}{}", self.address, self.advice(&why))),
                () = tokio::time::sleep(timeout), if !patient => Err(self.late(timeout)),
            }
        })
    }

    fn late(&self, timeout: Duration) -> String {
        format!(
            "store `{}` was not reached at {} within {timeout:?}: is it open there, under that \
             name? --timeout waits longer",
            self.store, self.address
        )
    }

    /// What to do about a refusal.
    fn advice(&self, why: &str) -> &'static str {
        if why.contains("codec") {
            "; the other one is a matter of --codec"
        } else if why.contains("schema_version") {
            "; say that of the server with --schema-version"
        } else if why.contains("asks for a login") {
            "; give one with --login"
        } else {
            ""
        }
    }
}

fn fail(complaint: &str, code: ExitCode) -> ExitCode {
    eprintln!("error: {complaint}");
    code
}
