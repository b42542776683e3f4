//! What the server shows after a kill, held against what its clients were told.
//!
//! Invariant: nobody else calls while this looks, so every promise can be checked as it stands; what may
//! still change by itself (a lapse, the end of a grace) only moves a message or ends a session, and loses
//! nothing. What this deliberately does not do: trust one answer of the server to excuse another.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryStreamExt as _;
use sessiond_client::{Client, WatchItem, pb};

use super::draw;
use super::eventlog::{self, Fold};
use super::journal::{Book, Life, Place};
use super::order::ATTEMPTS_MAX;

/// Messages of one page.
const PAGE: u32 = 500;

/// What is on record of the messages that are not settled.
pub(crate) type Listed = BTreeMap<Place, pb::Message>;

/// Reads the log on from where the fold is, to what is committed by now.
pub(crate) async fn read_log(client: &Client, fold: &mut Fold) {
    let mut items = client.watch().after(fold.revision).start();
    let mut current = u64::MAX;
    while fold.revision < current {
        let item = items.try_next().await.expect("the log can be read");
        match item.expect("a watch does not end") {
            WatchItem::Started(started) => {
                if fold.log_id.is_empty() {
                    fold.log_id = started.log_id;
                } else {
                    assert_eq!(fold.log_id, started.log_id);
                }
                assert!(
                    started.current_revision >= fold.revision,
                    "the log is shorter"
                );
                current = started.current_revision;
            }
            WatchItem::Event(event) => fold.take(&event),
            WatchItem::Bookmark(bookmark) => {
                let is_true = bookmark.revision <= fold.revision.max(current);
                assert!(is_true, "a bookmark of the future: {bookmark:?}");
            }
            other @ (WatchItem::Initial(_)
            | WatchItem::InitialEnd
            | WatchItem::Reconnected(_)
            | WatchItem::Gap { .. }) => panic!("nobody asked for this: {other:?}"),
        }
    }
}

/// Reads the whole log again: it is what it was.
pub(crate) async fn read_log_again(client: &Client, fold: &Fold) {
    let mut again = Fold::default();
    read_log(client, &mut again).await;
    let read = &again.digests[..fold.digests.len()];
    assert!(read == fold.digests, "the log changed");
    let mut bare = client.watch().after(0).start();
    let mut seen = 0;
    while seen < fold.revision {
        if let Some(WatchItem::Event(event)) = bare.try_next().await.expect("the log can be read") {
            assert_eq!(eventlog::digest(&event), fold.digests[seen as usize]);
            seen = event.revision;
        }
    }
}

/// Lists the messages of queues.
pub(crate) async fn list(client: &Client, fold: &Fold, queues: &BTreeSet<u64>) -> Listed {
    let mut listed = Listed::new();
    for queue in queues {
        let owner = &fold.owners[queue];
        let mut request = pb::ListMessagesRequest {
            r#ref: Some(sessiond_client::session_id(owner)),
            page_size: PAGE,
            ..Default::default()
        };
        loop {
            let page = client.list_messages(request.clone()).await;
            let page = page.expect("messages are listed");
            for message in page.messages {
                let place = (message.queue_id, message.seq);
                assert_eq!(place.0, *queue, "{message:?} of {owner}");
                let twice = listed.insert(place, message);
                assert_eq!(twice, None, "{place:?} is listed twice");
            }
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
    }
    listed
}

/// What happened to sessions is in the log, and nothing was told that the log denies (I4 to I6).
pub(crate) fn signs(book: &mut Book, fold: &Fold) {
    assert!(
        fold.revision >= book.newest,
        "revision {} was told",
        book.newest
    );
    for sign in std::mem::take(&mut book.signs) {
        let life = fold
            .sessions
            .get(&sign.session)
            .unwrap_or_else(|| panic!("no event tells of {sign:?}"));
        assert!(life.opened <= sign.revision, "{sign:?} of {life:?}");
        match sign.what {
            Life::Opened => assert!(life.opened > sign.known, "{sign:?} of {life:?}"),
            Life::Ended => {
                let ended = life.ended.unwrap_or_else(|| panic!("{sign:?} of {life:?}"));
                assert!(ended <= sign.revision, "{sign:?} of {life:?}");
            }
            Life::Worked => {
                let ended = life.ended.unwrap_or(u64::MAX);
                assert!(sign.known < ended, "after its end: {sign:?} of {life:?}");
            }
        }
    }
}

/// Every promise is kept: a message that was acknowledged is on record unless it is done with (I1, I2).
pub(crate) fn promises(book: &mut Book, fold: &Fold, listed: &Listed) {
    for (place, message) in listed {
        book.meet(*place, draw::name_of(message));
        check_standing(book, fold, *place, message);
    }
    let promised = book.promised.clone();
    for place in promised {
        let settling = book.settling.get(&place).cloned().unwrap_or_default();
        let is_discarded = is_discarded(book, fold, place.0);
        match (settling.acked > 0, listed.contains_key(&place)) {
            (true, true) => panic!("{place:?} was acked and is still there"),
            // It is done with, and was found gone: it need not be looked for again.
            (true, false) => {
                book.promised.remove(&place);
            }
            (false, true) => {}
            (false, false) => assert!(
                settling.ack_unknown || is_discarded,
                "{:?} at {place:?} was acknowledged and is lost",
                book.names.get(&place)
            ),
        }
    }
}

/// A message stands where the journal can explain it (I13).
fn check_standing(book: &Book, fold: &Fold, place: Place, message: &pb::Message) {
    use pb::DeadLetterReason as Reason;
    let status = message
        .status
        .as_ref()
        .expect("a listed message has its status");
    assert!(message.attempt <= ATTEMPTS_MAX, "{message:?}");
    let settling = book.settling.get(&place).cloned().unwrap_or_default();
    match (status.state(), status.dead_letter_reason()) {
        (pb::MessageState::Pending | pb::MessageState::InFlight, Reason::Unspecified) => {}
        (pb::MessageState::DeadLettered, Reason::MaxAttempts) => {
            assert_eq!(message.attempt, ATTEMPTS_MAX, "{message:?}");
        }
        (pb::MessageState::DeadLettered, Reason::Permanent) => {
            assert!(settling.given_up, "nobody gave {message:?} up");
        }
        (pb::MessageState::DeadLettered, Reason::SessionEnded) => {
            let owner = &fold.sessions[&fold.owners[&place.0]];
            let may = owner.ended.is_some() || owner.draining.is_some();
            assert!(may, "{message:?} of a session that goes on");
        }
        other => panic!("{other:?} of {message:?}"),
    }
}

fn is_discarded(book: &Book, fold: &Fold, queue: u64) -> bool {
    book.discarding.contains(&fold.owners[&queue])
}

/// A batch of which nobody knows is there as a whole or not at all (I3).
pub(crate) fn batches(book: &Book, fold: &Fold) {
    for (batch, names) in &book.open_batches {
        let places: Vec<Place> = names
            .iter()
            .filter_map(|name| book.places.get(name))
            .copied()
            .collect();
        let Some((queue, first)) = places.first().copied() else {
            continue;
        };
        if is_discarded(book, fold, queue) {
            // What is gone was seen by nobody.
            continue;
        }
        let whole: Vec<Place> = (first..)
            .take(names.len())
            .map(|seq| (queue, seq))
            .collect();
        assert_eq!(places, whole, "{batch} is there in part");
    }
}

/// The queues in which something is not known to be done with.
pub(crate) fn open_queues(book: &Book, fold: &Fold) -> BTreeSet<u64> {
    let promised = book.promised.iter().map(|place| place.0);
    let lasting = book.lasting.values().copied();
    // An unknown batch may be in any queue of a session that is not over.
    let alive = fold.sessions.values().filter(|life| life.ended.is_none());
    let queues = promised.chain(lasting).chain(alive.map(|life| life.queue));
    queues
        .filter(|queue| fold.owners.contains_key(queue))
        .collect()
}
