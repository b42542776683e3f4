//! A memory plugin for sessiond: a summary of every session, in an SQLite file, whatever is killed.
//!
//! ```text
//!  sessiond ──► one event at a time ──► one transaction, durable ──► acknowledged
//!      ▲                                                                  │
//!      └──────────── comes again if anything dies before that ◄───────────┘
//! ```
//!
//! Invariant: a session's end is remembered once, however often it is told. What this deliberately does not do: read what
//! messages say; a real memory would summarise them, at the same place and in the same transaction.

mod memory;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::{Parser, Subcommand};
use sessiond_client::{
    ADDR_DEFAULT, ADDR_ENV, Client, HandlerError, PluginEvent, PluginHandler, PluginNotice, pb,
};
use tokio::signal::unix::{SignalKind, signal};

use crate::memory::Memory;

#[derive(Debug, Parser)]
#[command(name = "memory-plugin", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Follows the server until it is told to stop.
    Run {
        /// The server.
        #[arg(long, env = ADDR_ENV, default_value = ADDR_DEFAULT)]
        addr: String,
        /// The file to remember in.
        #[arg(long)]
        db: PathBuf,
        /// The name of the subscription: two runs of one name share the work, one at a time.
        #[arg(long, default_value = "memory")]
        name: String,
    },
    /// Prints what is remembered, one session on a line of JSON, in the order of their ends.
    Ls {
        /// The file to read.
        #[arg(long)]
        db: PathBuf,
    },
}

/// What the plugin does with an event.
struct Rememberer(Arc<Memory>);

impl PluginHandler for Rememberer {
    async fn handle(&self, event: PluginEvent) -> Result<(), HandlerError> {
        let memory = Arc::clone(&self.0);
        // SQLite waits for the disk; nothing else should wait with it.
        tokio::task::spawn_blocking(move || memory.take(event.event())).await??;
        Ok(())
    }

    fn observe(&self, notice: &PluginNotice) {
        // Nobody is left to be told when this fails.
        let _ = writeln!(std::io::stderr(), "memory-plugin: {notice:?}");
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Run { addr, db, name } => run(addr, db, name).await,
        Command::Ls { db } => Memory::open(&db)?.print(&mut std::io::stdout().lock()),
    }
}

async fn run(addr: String, db: PathBuf, name: String) -> anyhow::Result<()> {
    let memory = Memory::open(&db).with_context(|| format!("cannot remember in {db:?}"))?;
    let client = Client::builder().addr(addr).build()?;
    // Required: an ended session is kept on the server until it is remembered here.
    let plugin = client.plugin(name).from_oldest().required();
    let plugin = plugin.filter(pb::EventFilter {
        types: vec![
            pb::EventType::SessionOpened.into(),
            pb::EventType::SessionEnd.into(),
        ],
        ..pb::EventFilter::default()
    });
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let stop = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    plugin
        .build()
        .run(Rememberer(Arc::new(memory)), stop)
        .await?;
    Ok(())
}
