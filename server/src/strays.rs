//! Strays: processes that carry the mark of a resource which is not on record as one that may be there.
//!
//! They are what a release missed, what was started after it, or what an operator forced; or another server's of this
//! machine. Invariant: a process is told once. What this deliberately does not do: end any. Whose they are cannot be known
//! for certain, and nobody was asked.

use std::collections::BTreeSet;

use sessiond_core::resource::ResourceToken;
use sessiond_store::fault::Fault;
use sessiond_store::snapshot::Reader;

use crate::env::{Agent, Marked};

/// Those that were told, by pid and start tick, as far as they were there at the last look.
#[derive(Debug, Default)]
pub(crate) struct Strays {
    told: BTreeSet<(u32, u64)>,
}

/// Whose a marked process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// A resource that may be there.
    Known,
    /// A resource that counts as released.
    Released,
    /// Nobody that is on record here.
    Unknown,
}

impl Strays {
    /// Tells those that were not told before.
    pub(crate) fn look(&mut self, reader: &Reader, agent: &dyn Agent) -> Result<(), Fault> {
        let mut there = BTreeSet::new();
        for marked in agent.marked() {
            let owner = owner(reader, &marked)?;
            if owner == Owner::Known {
                continue;
            }
            let process = (marked.pid, marked.start_ticks);
            there.insert(process);
            if self.told.contains(&process) {
                continue;
            }
            let Marked { pid, marker, .. } = marked;
            if owner == Owner::Released {
                tracing::warn!(
                    pid,
                    resource_id = marker,
                    "a process of a released resource runs"
                );
            } else {
                tracing::info!(
                    pid,
                    marker,
                    "a process carries the mark of a resource that is not on record here; another server's, or a stray"
                );
            }
        }
        self.told = there;
        Ok(())
    }
}

fn owner(reader: &Reader, marked: &Marked) -> Result<Owner, Fault> {
    let token = ResourceToken::parse(&marked.marker);
    let row = reader.snapshot()?.resources_of(token.session)?;
    let resource = row.as_ref().and_then(|row| row.get(token));
    Ok(match resource {
        Some(resource) if resource.is_unreleased() => Owner::Known,
        Some(_) => Owner::Released,
        None => Owner::Unknown,
    })
}
