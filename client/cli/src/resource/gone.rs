//! Waiting until resources are gone.
//!
//! Invariant: what is on record is read after the release was answered, and events are watched from that answer on, so
//! nothing falls between. It survives restarts of the server. What this deliberately does not do: have anything go.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::TryStreamExt as _;
use sessiond_client::{Client, Error, WatchItem, pb};

use crate::failure::Failure;

/// Resources that are waited for, by id, with the ids of their sessions.
type Going = BTreeMap<String, String>;

/// Waits until all of these are released, at most so long. `revision` is that of the answer which had them go.
pub(super) async fn within(
    client: &Client,
    resources: Vec<pb::Resource>,
    revision: u64,
    wait: Duration,
) -> Result<(), Failure> {
    let ids = resources
        .into_iter()
        .map(|resource| (resource.resource_id, resource.session_id));
    let mut going: Going = ids.collect();
    let asked = going.len();
    let all_gone = tokio::time::timeout(wait, until_gone(client, &mut going, revision)).await;
    match all_gone {
        Ok(all_gone) => all_gone,
        Err(_) => {
            let left = going.len();
            let first = going.keys().next().cloned().unwrap_or_default();
            Err(Failure::Deadline(format!(
                "{left} of {asked} resources are not gone after {wait:?}, the first one is {first}"
            )))
        }
    }
}

async fn until_gone(client: &Client, going: &mut Going, revision: u64) -> Result<(), Failure> {
    loop {
        forget_released(client, going).await?;
        if going.is_empty() || watch(client, going, revision).await? {
            return Ok(());
        }
    }
}

/// Forgets what is on record as released, or with its session no more.
async fn forget_released(client: &Client, going: &mut Going) -> Result<(), Failure> {
    let sessions: BTreeSet<String> = going.values().cloned().collect();
    for session in sessions {
        let of_session = client
            .resources()
            .list_of(sessiond_client::session_id(&session));
        let listed: Vec<pb::Resource> = match of_session.try_collect().await {
            Ok(listed) => listed,
            // It is purged, which no session is that has something left.
            Err(Error::NotFound(_)) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let unreleased = listed
            .into_iter()
            .filter(|one| one.state() != pb::ResourceState::Released);
        let unreleased: BTreeSet<String> = unreleased.map(|one| one.resource_id).collect();
        going.retain(|id, owner| *owner != session || unreleased.contains(id));
    }
    Ok(())
}

/// Whether all are gone; else some events may have been missed.
async fn watch(client: &Client, going: &mut Going, revision: u64) -> Result<bool, Failure> {
    let filter = pb::EventFilter {
        types: vec![pb::EventType::ResourceReleased.into()],
        ..Default::default()
    };
    let mut items = client.watch().after(revision).filter(filter).start();
    while let Some(item) = items.try_next().await? {
        match item {
            WatchItem::Event(event) => {
                if let Some(id) = event.attributes.get("resource_id") {
                    going.remove(id);
                }
                if going.is_empty() {
                    return Ok(true);
                }
            }
            // What is missing can only be learned by reading again.
            WatchItem::Gap { .. } => break,
            WatchItem::Started(_)
            | WatchItem::Initial(_)
            | WatchItem::InitialEnd
            | WatchItem::Bookmark(_)
            | WatchItem::Reconnected(_) => {}
        }
    }
    Ok(false)
}
