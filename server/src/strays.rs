//! Strays: processes that carry the mark of a resource which is not on record as one that may be there.
//!
//! They are what a release missed, what was started after it, or what an operator forced; or another server's of this
//! machine. Invariant: a process is told once. What this deliberately does not do: end any. Whose they are cannot be known
//! for certain, and nobody was asked.

use std::collections::BTreeSet;

use sessiond_core::node::NodeKey;
use sessiond_core::resource::ResourceToken;
use sessiond_store::fault::Fault;
use sessiond_store::snapshot::Reader;

use crate::env::Marked;

/// Those of one machine that were told, by pid and start tick, as far as they were there at the last look.
#[derive(Debug, Default)]
pub(crate) struct Strays {
    told: BTreeSet<(u32, u64)>,
}

/// Whose a marked process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// A resource that may be there.
    Known,
    /// A resource that is on record as one of another machine.
    Elsewhere,
    /// A resource that counts as released.
    Released,
    /// Nobody that is on record here.
    Unknown,
}

impl Strays {
    /// Tells those of a machine that were not told before; none is the server's own.
    pub(crate) fn tell(
        &mut self,
        reader: &Reader,
        node: Option<&NodeKey>,
        found: Vec<Marked>,
    ) -> Result<(), Fault> {
        let mut there = BTreeSet::new();
        for marked in found {
            let owner = owner(reader, node, &marked)?;
            if owner == Owner::Known {
                continue;
            }
            let process = (marked.pid, marked.start_ticks);
            there.insert(process);
            if !self.told.contains(&process) {
                tell(owner, node, &marked);
            }
        }
        self.told = there;
        Ok(())
    }
}

fn tell(owner: Owner, node: Option<&NodeKey>, marked: &Marked) {
    let node = node.map(|(_, name)| tracing::field::display(name));
    let Marked { pid, marker, .. } = marked;
    match owner {
        Owner::Known => {}
        Owner::Elsewhere => tracing::warn!(
            pid,
            resource_id = marker,
            node,
            "a process carries the mark of a resource that was declared on another machine: nothing here ends it"
        ),
        Owner::Released => tracing::warn!(
            pid,
            resource_id = marker,
            node,
            "a process of a released resource runs"
        ),
        Owner::Unknown => tracing::info!(
            pid,
            marker,
            node,
            "a process carries the mark of a resource that is not on record here; another server's, or a stray"
        ),
    }
}

fn owner(reader: &Reader, node: Option<&NodeKey>, marked: &Marked) -> Result<Owner, Fault> {
    let token = ResourceToken::parse(&marked.marker);
    let row = reader.snapshot()?.resources_of(token.session)?;
    // The agent of a node may know nothing of other namespaces.
    let row = row.filter(|row| node.is_none_or(|(namespace, _)| row.namespace == *namespace));
    let resource = row.as_ref().and_then(|row| row.get(token));
    let name = node.map(|(_, name)| name);
    Ok(match resource {
        Some(resource) if !resource.is_unreleased() => Owner::Released,
        Some(resource) if resource.node.as_ref() == name => Owner::Known,
        Some(_) => Owner::Elsewhere,
        None => Owner::Unknown,
    })
}
