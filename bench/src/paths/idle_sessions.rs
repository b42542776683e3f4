//! Very many sessions of which nothing is due: what they cost in memory, and what the server does.
//!
//! The same server is looked at with no session and with all of them. What it deliberately does not do:
//! subtract what the store's cache holds; the growth from 1x to 10x tells it apart.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{Outcome, Plan, crowd};
use crate::caller::Caller;
use crate::server::Server;

/// Looks at a server that calms down, in the time it has to be calm.
const CALM_LOOKS: u32 = 4;
/// Processor time between two looks at a server that is calm: one tick of the system's clock.
const CALM: Duration = Duration::from_millis(10);
/// How long it may take to calm down.
const CALM_WITHIN: Duration = Duration::from_secs(120);

/// What a server did while nobody asked anything.
#[derive(Debug)]
struct Idle {
    commands: f64,
    cpu_ms_per_s: f64,
}

/// Measures it on a server of its own.
pub(super) async fn measure(plan: &Plan, sessions: usize) -> Result<Outcome> {
    let namespaces = crowd::namespaces(sessions);
    let server = Server::sessiond(&plan.places, &namespaces).await?;
    let caller = Caller::connect(server.address()).await?;
    let none = look(plan, &server, &caller).await?;
    let resident = server.resident_bytes()?;
    let callers = crowd::callers(&caller, &namespaces);
    let (opened, samples) = crowd::open(&callers, sessions).await?;
    let all = look(plan, &server, &caller).await?;
    let grown = server.resident_bytes()?.saturating_sub(resident);
    let live = caller.stats().await?.sessions.unwrap_or_default().active;
    ensure!(
        live == sessions as u64 && opened.len() == sessions,
        "{live} of {sessions} sessions are live"
    );
    Ok(Outcome {
        samples: Some(samples),
        facts: vec![
            ("sessions", sessions as f64),
            ("resident_per_session_bytes", grown as f64 / sessions as f64),
            (
                "file_per_session_bytes",
                server.file_bytes()? as f64 / sessions as f64,
            ),
            ("commands_at_none", none.commands),
            ("commands_at_all", all.commands),
            ("cpu_at_none_ms_per_s", none.cpu_ms_per_s),
            ("cpu_at_all_ms_per_s", all.cpu_ms_per_s),
        ],
    })
}

/// Looks at a server that nobody asks anything, once it is calm.
async fn look(plan: &Plan, server: &Server, caller: &Caller) -> Result<Idle> {
    calm(server, plan.scale.calm_for).await?;
    let commands = || async {
        let engine = caller.stats().await?.engine.unwrap_or_default();
        Ok::<u64, anyhow::Error>(engine.commands)
    };
    let (before, cpu, begun) = (commands().await?, server.cpu_time()?, Instant::now());
    tokio::time::sleep(plan.scale.idle_for).await;
    let used = server.cpu_time()?.saturating_sub(cpu);
    let seconds = begun.elapsed().as_secs_f64();
    Ok(Idle {
        commands: (commands().await? - before) as f64,
        cpu_ms_per_s: used.as_secs_f64() * 1_000.0 / seconds,
    })
}

/// Waits until the server has written behind whatever it still had: it did nothing for this long.
async fn calm(server: &Server, calm_for: Duration) -> Result<()> {
    let begun = Instant::now();
    let mut calm_looks = 0;
    let mut last = server.cpu_time()?;
    while calm_looks < CALM_LOOKS {
        ensure!(
            begun.elapsed() < CALM_WITHIN,
            "the server does not calm down"
        );
        tokio::time::sleep(calm_for / CALM_LOOKS).await;
        let now = server.cpu_time()?;
        calm_looks = if now - last <= CALM {
            calm_looks + 1
        } else {
            0
        };
        last = now;
    }
    Ok(())
}
