//! The feed through its steps: where pages end, who shares a frame, and what is never in one.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use sessiond_core::change::Change;
use sessiond_core::event::EventRow;
use sessiond_core::ids::{Namespace, Revision};
use sessiond_core::rows::{Counters, Row, RowKey};
use sessiond_core::session::Labels;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::watch_session_events_response::Frame;
use sessiond_store::kv::memory::MemoryKv;
use sessiond_store::store::Store;

use super::{Feed, Source, Step, Unread};
use crate::limits::{FEED_FRAMES_MAX, FEED_PAGE_EVENTS, FEED_RING_EVENTS};
use crate::wire::query::EventQuery;
use crate::wire::tests::samples::{event_row, session_of};

const PAGE: u64 = FEED_PAGE_EVENTS as u64;

fn feed() -> Feed {
    let reader = Store::new(Arc::new(MemoryKv::default())).reader();
    Feed::new(reader, "log".to_owned(), Revision(0))
}

fn namespace(name: &str) -> Namespace {
    Namespace::parse(name).unwrap()
}

/// Everything of a namespace, or of all.
fn everything(of: Option<&str>) -> EventQuery {
    EventQuery {
        namespace: of.map(namespace),
        types: Vec::new(),
        sessions: BTreeSet::new(),
        key_glob: None,
        labels: Labels::default(),
        project: None,
    }
}

fn event(revision: u64, of: &str, siblings_after: u32) -> Arc<EventRow> {
    let mut row = event_row();
    row.revision = Revision(revision);
    session_of(&mut row).namespace = namespace(of);
    row.siblings_after = siblings_after;
    Arc::new(row)
}

/// Publishes one commit of one decision of `count` events behind `after`; answers with where it ends.
fn publish(feed: &Feed, after: u64, of: &str, count: u32) -> u64 {
    let events = (1..=count).map(|at| event(after + u64::from(at), of, count - at));
    feed.publish(events.collect());
    let newest = after + u64::from(count);
    feed.wake(Revision(newest));
    newest
}

fn step(feed: &Feed, query: &EventQuery, after: u64) -> Step {
    let step = feed.next(query, Revision(after)).unwrap();
    step.expect("there is something behind it")
}

/// The revisions in a frame.
fn revisions(frame: Option<&Bytes>) -> Vec<u64> {
    let Some(frame) = frame else {
        return Vec::new();
    };
    let message = pb::WatchSessionEventsResponse::decode(&frame[5..]).unwrap();
    let Some(Frame::Batch(batch)) = message.frame else {
        panic!("a step sends a batch");
    };
    batch.events.iter().map(|event| event.revision).collect()
}

fn same(one: &Step, other: &Step) -> bool {
    let place = |step: &Step| step.frame.as_ref().map(|frame| frame.as_ptr());
    place(one).is_some() && place(one) == place(other)
}

#[test]
fn watchers_from_different_places_come_to_stand_at_one() {
    let feed = feed();
    let mut newest = 0;
    while newest < 3 * PAGE {
        newest = publish(&feed, newest, "a", 1);
    }
    let all = everything(Some("a"));
    let steps: Vec<Step> = [0, 1, 77, PAGE - 1]
        .iter()
        .map(|after| step(&feed, &all, *after))
        .collect();
    assert!(steps.iter().all(|step| step.through == Revision(PAGE)));
    let on = step(&feed, &all, PAGE);
    assert!(same(&on, &step(&feed, &all, PAGE)));
    let expected: Vec<u64> = (PAGE + 1..=2 * PAGE).collect();
    assert_eq!(revisions(on.frame.as_ref()), expected);
    assert_eq!(feed.next(&all, Revision(newest)).unwrap(), None);
}

#[test]
fn a_decision_is_never_split_between_pages() {
    for (count, commits) in [(3, true), (3, false), (400, true)] {
        let feed = feed();
        let mut newest = publish(&feed, 0, "a", 1);
        if commits {
            while newest < 3 * PAGE {
                newest = publish(&feed, newest, "a", count);
            }
        } else {
            let mut events = Vec::new();
            while newest < 3 * PAGE {
                events.extend((1..=3).map(|at| event(newest + at, "a", 3 - at as u32)));
                newest += 3;
            }
            feed.publish(events);
        }
        let all = everything(None);
        let (mut after, mut seen) = (0, Vec::new());
        while let Some(step) = feed.next(&all, Revision(after)).unwrap() {
            after = step.through.0;
            assert_eq!(
                (after - 1) % u64::from(count),
                0,
                "{after} is no decision's end"
            );
            seen.extend(revisions(step.frame.as_ref()));
        }
        assert_eq!(seen, (1..=newest).collect::<Vec<u64>>());
    }
}

#[test]
fn a_frame_is_shared_only_by_those_who_may_see_all_of_it() {
    let feed = feed();
    for at in 0..6 {
        publish(&feed, at, if at % 3 == 0 { "blue" } else { "green" }, 1);
    }
    let [blue, green, all, nobody] =
        [Some("blue"), Some("green"), None, Some("red")].map(everything);
    let told = |query: &EventQuery, after| revisions(step(&feed, query, after).frame.as_ref());
    // Twice, so that the second round takes what the first has made.
    for _ in 0..2 {
        assert_eq!(told(&blue, 0), [1, 4]);
        assert_eq!(told(&green, 0), [2, 3, 5, 6]);
        assert_eq!(told(&all, 0), [1, 2, 3, 4, 5, 6]);
        assert_eq!(told(&nobody, 0), Vec::<u64>::new());
        assert_eq!(told(&green, 3), [5, 6]);
    }
    assert!(same(&step(&feed, &blue, 0), &step(&feed, &blue, 0)));
    let before = step(&feed, &blue, 0);
    publish(&feed, 6, "blue", 1);
    assert_eq!(told(&blue, 0), [1, 4, 7], "a longer one is another one");
    assert_eq!(revisions(before.frame.as_ref()), [1, 4]);
}

#[test]
fn whoever_filters_gets_its_own_and_moves_on_all_the_same() {
    let feed = feed();
    for at in 0..4 {
        publish(&feed, at, if at % 2 == 0 { "blue" } else { "green" }, 1);
    }
    let unlike = |project: &str| EventQuery {
        project: Some(project.to_owned()),
        ..everything(Some("blue"))
    };
    let project = session_of(&mut event_row()).profile.project.clone();
    let some = step(&feed, &unlike(&project), 0);
    assert_eq!(revisions(some.frame.as_ref()), [1, 3]);
    assert!(!same(&some, &step(&feed, &everything(Some("blue")), 0)));
    let none = step(&feed, &unlike("no such project"), 0);
    assert_eq!((none.frame, none.through), (None, Revision(4)));
}

#[test]
fn the_ring_and_its_frames_are_bounded() {
    let feed = feed();
    let mut newest = 0;
    let all = everything(None);
    while newest < FEED_RING_EVENTS as u64 + 9 {
        newest = publish(&feed, newest, "a", 1);
        step(&feed, &all, newest - 1);
    }
    let oldest = newest - FEED_RING_EVENTS as u64;
    assert_eq!(step(&feed, &all, oldest).source, Source::Ring);
    // The store behind this feed is empty, so what the ring has forgotten is not found.
    assert_eq!(feed.next(&all, Revision(oldest - 1)).unwrap(), None);
    let kept = format!("{:?}", feed.frames).matches("Kept").count();
    assert_eq!(kept, FEED_FRAMES_MAX);
    let large = publish(&feed, newest, "a", 2 * FEED_RING_EVENTS as u32);
    let step = step(&feed, &all, newest);
    assert_eq!(
        step.through.0, large,
        "the newest commit stays, however large"
    );
}

#[test]
fn whoever_stands_before_the_beginning_of_the_log_is_told_and_never_passes_a_hole() {
    let store = Store::new(Arc::new(MemoryKv::default()));
    let counters = Counters {
        revision: Revision(9),
        compacted: Revision(4),
        ..Counters::default()
    };
    let row = Row::Counters(Arc::new(counters));
    let events = (5..=9).map(|revision| {
        let row = Row::Event(event(revision, "a", 0));
        Change::Row(RowKey::Event(Revision(revision)), Some(row))
    });
    let changes: Vec<Change> = events
        .chain([Change::Row(RowKey::Counters, Some(row))])
        .collect();
    store.commit(&changes).expect("a commit");
    let feed = Feed::new(store.reader(), "log".to_owned(), Revision(9));
    let query = everything(None);
    for after in 0..4 {
        let told = feed.next(&query, Revision(after));
        let Err(Unread::Compacted { oldest, newest }) = told else {
            panic!("{after}: {told:?}");
        };
        assert_eq!((oldest, newest), (Revision(5), Revision(9)));
    }
    let step = feed.next(&query, Revision(4)).expect("it is there");
    assert_eq!(step.expect("a step").through, Revision(9));
}
