//! Enqueues beside watchers that have nothing to watch: an enqueue makes no event.
//!
//! What it deliberately does not do: measure the watchers.

use anyhow::Result;

use super::watchers::Watchers;
use super::{Outcome, Plan, enqueue};
use crate::path::System;
use crate::samples::Load;

/// Measures it on a server of its own, with watchers or without.
pub(super) async fn measure(plan: &Plan, load: &Load, system: System) -> Result<Outcome> {
    let target = super::start(plan, system).await?;
    let [watchers, _] = plan.scale.watchers;
    // Kept to the end: dropped, they would hang up.
    let _watchers = match system {
        System::SessiondWatched => {
            Some(Watchers::start(target.server.address(), watchers, |_| None).await?)
        }
        System::Sessiond | System::Noop | System::Peer(_) => None,
    };
    let samples = enqueue::callers(&target.caller, &target.sessions, load).await?;
    Ok(samples.into())
}
