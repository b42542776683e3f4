//! `sessionctl spool`: what waits, and sending it by hand.
//!
//! Invariant: the order of each session is kept, as the hooks keep it; one session that cannot be
//! sent does not keep back the others. What this deliberately does not do: delete anything unsent.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Subcommand;
use sessiond_client::hook::event::HookEvent;
use sessiond_client::{Client, Error};

use crate::deliver::{self, Fate};
use crate::failure::Failure;
use crate::hook;
use crate::output::Output;
use crate::say;
use crate::spool::{Flusher, Record, Spool, Verdict, Waiting};
use crate::state_dir;
use crate::target::Target;

/// How long to wait for hooks that hold the spool; each does so for less than a second.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum SpoolCommand {
    /// Lists the sessions whose hook events wait, and for which server.
    Ls,
    /// Sends what waits for this server, and prints how many events were sent.
    Flush,
}

/// What a flush came to.
#[derive(Debug, Default)]
struct Flushed {
    sent: u64,
    given_up: u64,
    /// Why something stays, for the first session that does.
    stays: Option<Error>,
}

/// Lists what waits.
pub(crate) fn list(output: &mut Output) -> Result<(), Failure> {
    let rows = open()?
        .waiting()
        .context("cannot read the spool")?
        .into_iter()
        .map(
            |Waiting {
                 owner,
                 events,
                 bytes,
             }| {
                let (events, bytes) = (events.to_string(), bytes.to_string());
                vec![owner.session, owner.addr, owner.namespace, events, bytes]
            },
        );
    let headers = ["SESSION", "SERVER", "NAMESPACE", "EVENTS", "BYTES"];
    output.table(&headers, rows.collect())
}

/// Sends what waits for the server of `target`.
pub(crate) async fn flush(
    client: &Client,
    target: &Target,
    output: &mut Output,
) -> Result<(), Failure> {
    let spool = open()?;
    let flusher = flusher(&spool).await?;
    let mut flushed = Flushed::default();
    for waiting in spool.waiting().context("cannot read the spool")? {
        let owner = &waiting.owner;
        if owner.addr == client.addr() && owner.namespace == target.namespace_name() {
            drain(&flusher, client, &waiting, &mut flushed).await?;
        }
    }
    output.write(&format!("{}\n", flushed.sent))?;
    if flushed.given_up > 0 {
        say::line(&format!(
            "{} events were refused for good",
            flushed.given_up
        ));
    }
    match flushed.stays {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

/// The right to send, as soon as no hook has it.
async fn flusher(spool: &Spool) -> Result<Flusher<'_>, Failure> {
    const POLL: Duration = Duration::from_millis(20);
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(flusher) = spool.flusher().context("cannot lock the spool")? {
            return Ok(flusher);
        }
        if Instant::now() >= until {
            let what = format!("somebody else has been sending the spool for {PATIENCE:?}");
            return Err(Failure::Deadline(what));
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn drain(
    flusher: &Flusher<'_>,
    client: &Client,
    waiting: &Waiting,
    flushed: &mut Flushed,
) -> Result<(), Failure> {
    let session = &waiting.owner.session;
    let send = async |record: &Record<'_>| {
        let event = HookEvent::parse(record.event);
        let request = event.ok().and_then(|event| hook::request(&event, record));
        let Some(request) = request else {
            return Verdict::Done;
        };
        match deliver::deliver(client, request).await {
            Ok(_) => flushed.sent += 1,
            Err(error) if deliver::fate(&error) == Fate::GiveUp => {
                flushed.given_up += 1;
                say::line(&format!("{session}: given up: {error}"));
            }
            Err(error) => {
                flushed.stays.get_or_insert(error);
                return Verdict::Keep;
            }
        }
        Verdict::Done
    };
    let broken = |line: &str| say::line(&format!("no spool record: {line}"));
    let patience = Instant::now() + PATIENCE;
    flusher
        .drain(&waiting.owner, patience, send, broken)
        .await
        .context("cannot read the spool")?;
    Ok(())
}

fn open() -> Result<Spool, Failure> {
    let state = state_dir::path().map_err(anyhow::Error::new)?;
    Ok(Spool::open(&state).context("cannot open the spool")?)
}
