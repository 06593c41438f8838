//! The clients: each opens a copy of the store that follows the service, and is a replica like any.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use samestate::{ClientConfig, DispatchError, Store, create_store};
use tokio::signal::unix::{SignalKind, signal};

use crate::{CLOSE_WITHIN, LOGIN, Link, Set, password, warn};
use flags::{Action, Flag, Flags, STORE, reduce, word};

/// A server that is restarted is found again within this.
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// A server that is not reached is waited for this long. The first login takes half a second of a
/// core that has no SHA instructions, and many clients that start at once wait for each other.
const OPEN_WITHIN: Duration = Duration::from_secs(20);
/// For so long a `set` waits for its outcome: its connection may be lost on the way.
const OUTCOME_WITHIN: Duration = Duration::from_secs(10);

/// Opens a copy, or says why there is none: at once, if the server refuses. Later complaints are
/// only printed: by then the store reconnects by itself.
async fn connect(link: &Link) -> Result<Store<Flags, Action>> {
    let client = ClientConfig::tcp(&link.address)
        .login(LOGIN, password(&link.password_file)?)
        .backoff_max(BACKOFF_MAX);
    let store = create_store(STORE, reduce)
        .client(client)
        .dispatch_deadline(OUTCOME_WITHIN)
        .open_timeout(OPEN_WITHIN)
        .on_error(|_| {}) // the error of `open` says the same
        .open()
        .await?;
    store.on_error(|event| warn(event));
    Ok(store)
}

pub async fn set(options: Set) -> Result<()> {
    let store = connect(&options.link).await?;
    let Set { name, on, by, create, .. } = options;
    let action = match create {
        true => Action::Create { name: name.clone(), on, by },
        false => Action::Set { name: name.clone(), on, by },
    };
    match store.dispatch(action).await {
        Ok(version) => writeln!(io::stdout(), "{name} is {} at {version}", word(on))?,
        Err(DispatchError::Rejected(why)) => bail!(why),
        Err(error) => bail!("{name}: {error}"),
    }
    store.close(CLOSE_WITHIN).await?;
    Ok(())
}

pub async fn list(link: &Link) -> Result<()> {
    let store = connect(link).await?;
    let (version, state) = store.state_at();
    store.close(CLOSE_WITHIN).await?;
    let mut out = io::stdout().lock();
    writeln!(out, "version {version}")?;
    for (name, flag) in &state.flags {
        writeln!(out, "{name}: {flag}")?;
    }
    for (worker, beats) in &state.beats {
        writeln!(out, "worker {worker}: {beats} beats")?;
    }
    Ok(())
}

pub async fn watch(link: &Link, name: &str) -> Result<()> {
    let store = connect(link).await?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let wanted = name.to_owned();
    let selected = store.select(move |state| state.flags.get(&wanted).cloned());
    let mut changes = selected.stream();
    let mut shown = selected.get();
    let mut connected = true;
    show(name, shown.as_ref())?;
    loop {
        tokio::select! {
            _ = interrupted.recv() => break,
            newest = changes.next() => {
                let newest = newest.context("the store was closed")?;
                // What changed between `stream` and `get` has been shown already.
                if *newest != shown {
                    shown = newest.as_ref().clone();
                    show(name, shown.as_ref())?;
                }
            }
            () = store.until_connected(!connected) => {
                connected = !connected;
                warn(if connected { "in sync again" } else { "what is shown here may be old" });
            }
        }
    }
    store.close(CLOSE_WITHIN).await?;
    Ok(())
}

fn show(name: &str, flag: Option<&Flag>) -> io::Result<()> {
    match flag {
        Some(flag) => writeln!(io::stdout(), "{name}: {flag}"),
        None => writeln!(io::stdout(), "{name}: no such flag yet"),
    }
}
