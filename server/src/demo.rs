//! `sessiond demo`: recorded agent sessions through a real server, killed in the middle, and a check.
//!
//! Everything is real but the agents: a server process on a temporary store, gRPC, workers on the SDK,
//! a plugin that watches. The summary is computed from what the workers and the plugin saw and
//! compared with what the recording says; the exit code is the outcome of that comparison.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use futures_util::{StreamExt, TryStreamExt};
use sessiond_client::{Client, RetryPolicy};
use tokio_util::sync::CancellationToken;

mod child;
mod play;
mod plugin;
mod recording;
mod summary;
mod workers;

use child::Child;
use plugin::Plugin;
use recording::Recording;
use workers::Ledger;

/// Sessions played at the same time.
const SESSIONS_AT_ONCE: usize = 8;
/// Workers that share the sessions.
const WORKERS: usize = 4;
/// How long the last ends may take after the last event was sent.
const ENDS_WITHIN: Duration = Duration::from_secs(120);
/// How long a call is tried again while the server is away.
const RETRY_FOR: Duration = Duration::from_secs(60);

/// The arguments of `sessiond demo`.
#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// A recording to play: hook events of Claude Code, one JSON object a line. Default: the bundled
    /// one, made from this project's own history.
    #[arg(value_name = "FILE", env = "SESSIOND_RECORDING")]
    file: Option<PathBuf>,
    /// Do not kill the server in the middle.
    #[arg(long)]
    no_kill: bool,
}

/// Runs the demo; answers with the exit code.
pub(crate) async fn run(args: DemoArgs) -> u8 {
    match play_and_check(args).await {
        Ok(()) => crate::exit::CLEAN,
        Err(error) => {
            eprintln!("demo failed: {error:#}");
            crate::exit::UNCLEAN
        }
    }
}

async fn play_and_check(args: DemoArgs) -> anyhow::Result<()> {
    let recording = Recording::read(args.file.as_deref())?;
    say(&format!(
        "recording  {} sessions, {} prompts, {} messages, {} ends",
        recording.sessions.len(),
        recording.prompts(),
        recording.messages(),
        recording.ends(),
    ));
    let mut server = Child::start().await?;
    say(&format!("server     listening on {}", server.address()));
    let client = Client::builder()
        .addr(server.address())
        .retry(RetryPolicy::within(RETRY_FOR))
        .build()?;
    let stop = CancellationToken::new();
    let ledger = Arc::new(Ledger::default());
    let crew = workers::start(&client, WORKERS, &ledger, &stop)?;
    let plugin = Plugin::start(&client, recording.ends());
    let sent = AtomicUsize::new(0);
    let half = recording.events() / 2;
    let playing = futures_util::stream::iter(&recording.sessions)
        .map(|session| play::play(&client, session, &sent))
        .buffer_unordered(SESSIONS_AT_ONCE)
        .try_collect::<()>();
    let kill = async {
        if !args.no_kill {
            kill_at(&mut server, &sent, half).await?;
        }
        anyhow::Ok(())
    };
    // What is refused is not sent, and then the moment to kill never comes: the first failure is the end of both.
    tokio::try_join!(playing, kill)?;
    let seen = tokio::time::timeout(ENDS_WITHIN, plugin.finish())
        .await
        .with_context(|| format!("not every session ended within {ENDS_WITHIN:?}"))??;
    let facts = summary::gather(&client, &seen).await?;
    stop.cancel();
    for worker in crew {
        worker.await??;
    }
    server.stop().await?;
    let summary = summary::Summary::new(&recording, &seen, &ledger, &facts);
    say(&summary.to_string());
    if summary.holds() {
        Ok(())
    } else {
        bail!("the summary does not agree with the recording")
    }
}

/// Kills the server with SIGKILL once `at` events were sent, and starts it again on its data and port.
async fn kill_at(server: &mut Child, sent: &AtomicUsize, at: usize) -> anyhow::Result<()> {
    while sent.load(Ordering::Relaxed) < at {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    server.kill().await?;
    say(&format!("server     killed (SIGKILL) after {at} events"));
    server.restart().await?;
    say(&format!(
        "server     listening on {} again",
        server.address()
    ));
    Ok(())
}

/// One line of what the demo shows.
#[expect(clippy::print_stdout, reason = "the demo's lines are its output")]
fn say(line: &str) {
    println!("{line}");
}
