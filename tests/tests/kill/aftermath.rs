//! What is done when nobody is killed any more: all that is left is worked off, by the same clients.
//!
//! Invariant: it ends, or says what is handed out to nobody. What this deliberately does not do: check what was told.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use sessiond_client::{Client, pb};

use super::eventlog::Fold;
use super::journal::Journal;
use super::look;
use super::worker::{Mood, Worker};

/// How many claims may find nothing in a row before the rest is called lost. They wait, and a lease of
/// somebody who is gone lapses within a second or two.
const EMPTY_CLAIMS_MAX: u32 = 400;

/// Works until nothing waits. What waits for the next session of its key gets one.
pub(crate) async fn work_off(
    client: &Client,
    journal: &Journal,
    fold: &mut Fold,
    workers: &mut [Worker],
) {
    let mut reopened = BTreeSet::new();
    let mut idle = 0;
    loop {
        look::read_log(client, fold).await;
        for life in fold.sessions.values().filter(|life| life.leaves) {
            if !life.key.is_empty() && reopened.insert(life.key.clone()) {
                open_once_more(client, journal, life.key.clone()).await;
            }
        }
        if open_messages(client).await == 0 {
            return;
        }
        let before = acked(journal);
        join_all(workers.iter_mut().map(|one| one.step(client, Mood::Steady))).await;
        idle = if acked(journal) > before { 0 } else { idle + 1 };
        assert!(
            idle < EMPTY_CLAIMS_MAX,
            "what is left is handed out to nobody: {:?}",
            client.stats().await
        );
    }
}

fn acked(journal: &Journal) -> usize {
    let book = journal.book();
    book.settling.values().filter(|one| one.acked > 0).count()
}

pub(crate) async fn open_once_more(client: &Client, journal: &Journal, key: String) {
    let open = pb::OpenSessionRequest {
        key,
        ..Default::default()
    };
    let known = journal.known();
    let opened = client.open(open).await.expect("it opens");
    let session = opened.session.expect("an open answers a session");
    {
        let mut book = journal.book();
        book.lasts(&session.key, session.queue_id);
        *book.opened.entry(session.key).or_default() += u32::from(opened.created);
    }
    journal.told(known, opened.revision);
}

async fn open_messages(client: &Client) -> u64 {
    let stats = client.stats().await.expect("the server counts");
    let messages = stats.messages.expect("stats count messages");
    messages.pending + messages.in_flight
}

/// What all sessions together processed.
pub(crate) async fn processed(client: &Client) -> u64 {
    let mut request = pb::ListSessionsRequest {
        page_size: 1_000,
        ..Default::default()
    };
    let mut processed = 0;
    loop {
        let page = client
            .list(request.clone())
            .await
            .expect("sessions are listed");
        let counts = page.sessions.iter().filter_map(|session| session.counts);
        processed += counts.map(|counts| counts.processed).sum::<u64>();
        if page.next_page_token.is_empty() {
            return processed;
        }
        request.page_token = page.next_page_token;
    }
}
