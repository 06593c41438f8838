//! `samestate promote`: makes a standby the sequencer of a store.

use clap::Args;
use samestate_proto::with_causes;

use super::attach::{ServerArgs, fail, in_options};
use super::exit::ExitCode;
use crate::streams;

const EXAMPLES: &str = "\
Examples:
  samestate promote b.example:10001 --store tasks --login ops
  samestate promote unix:/run/app.sock --store tasks --login ops --password-file ~/.ops

Call it once the sequencer is gone: a standby that can reach a sequencer refuses. The login is one
that the standby's server names by `ServerConfig::operator`. The password is that of
--password-file, or of the environment variable SAMESTATE_PASSWORD, or asked for. What becomes of
the dispatches under way is in docs/lifecycle.md. Exit codes: 0 promoted; 1 not promoted, or the
reply did not come and it may have been: the message says which; 2 wrong usage, or a file that is of
no use.";

/// Make a standby the sequencer of a store, in place of one that is gone
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Promote {
    /// The name of the store
    #[arg(long, value_name = "NAME")]
    store: String,

    #[command(flatten)]
    server: ServerArgs,
}

impl Promote {
    pub(super) fn run(self) -> ExitCode {
        let (client, runtime) = match self.server.prepare() {
            Ok(both) => both,
            Err(code) => return code,
        };
        match runtime.block_on(client.promote(&self.store)) {
            Ok(version) => {
                let (store, server) = (&self.store, &self.server);
                let said = format!(
                    "store `{store}` is ordered at {server} now, from version {version} on\n"
                );
                // It is promoted, whether or not that can be said.
                let _ = streams::result(&said);
                ExitCode::Pass
            }
            Err(error) => {
                let code = match error {
                    samestate::Error::Options { .. } | samestate::Error::Link(_) => ExitCode::Usage,
                    _ => ExitCode::NotDone,
                };
                fail(&in_options(&with_causes(&error)), code)
            }
        }
    }
}
