//! Which events are found to be kept long enough.

use std::sync::Arc;

use sessiond_core::change::Change;
use sessiond_core::rows::{Counters, Row, RowKey};
use sessiond_core::time::Span;
use sessiond_store::kv::memory::MemoryKv;
use sessiond_store::store::Store;

use super::*;
use crate::wire::tests::samples::event_row;

/// What each event weighs.
const EVENT_SIZE: u64 = 100;

/// A log behind `compacted`, with the ages of its events.
fn log(compacted: u64, ats: &[u64]) -> Store {
    let store = Store::new(Arc::new(MemoryKv::default()));
    let mut changes: Vec<Change> = Vec::new();
    let mut newest = Revision(compacted);
    for at in ats {
        newest = newest.next();
        let mut event = event_row();
        (event.revision, event.at) = (newest, EngineTime(*at));
        event.offset = (newest.0 - 1) * EVENT_SIZE;
        let row = Row::Event(Arc::new(event));
        changes.push(Change::Row(RowKey::Event(newest), Some(row)));
    }
    let counters = Counters {
        revision: newest,
        compacted: Revision(compacted),
        log_bytes: newest.0 * EVENT_SIZE,
        ..Counters::default()
    };
    changes.push(Change::Row(
        RowKey::Counters,
        Some(Row::Counters(Arc::new(counters))),
    ));
    store.commit(&changes).expect("a commit");
    store
}

fn found(store: &Store, age: Limit, max: Option<u64>, now: u64) -> Option<u64> {
    let max_bytes = None;
    let retention = EventRetention {
        age,
        max,
        max_bytes,
    };
    kept(store, retention, now)
}

fn kept(store: &Store, retention: EventRetention, now: u64) -> Option<u64> {
    let rows = store.reader().snapshot().expect("a snapshot");
    let through = outlived(&rows, retention, EngineTime(now));
    through.expect("it can be read").map(|through| through.0)
}

#[test]
fn events_are_kept_for_their_age_to_the_millisecond() {
    let store = log(0, &[100, 100, 200, 300]);
    let aged = |now| found(&store, Limit::After(Span(1_000)), None, now);
    assert_eq!(aged(50), None, "the server is younger than that");
    assert_eq!(aged(1_100), None);
    assert_eq!(aged(1_101), Some(2));
    assert_eq!(aged(1_201), Some(3));
    assert_eq!(aged(9_999), Some(4), "all of them");
    assert_eq!(found(&store, Limit::Never, None, 9_999), None);
}

#[test]
fn events_are_kept_by_their_number_and_whatever_is_over_either_limit_goes() {
    let store = log(0, &[100, 200, 300, 400]);
    let by = |max, now| found(&store, Limit::After(Span(1_000)), Some(max), now);
    assert_eq!(by(4, 500), None);
    assert_eq!(by(3, 500), Some(1));
    assert_eq!(by(3, 1_301), Some(3), "by their age");
    assert_eq!(by(1, 1_101), Some(3), "by their number");
}

#[test]
fn events_are_kept_by_what_they_weigh_together() {
    let store = log(2, &[100, 200, 300, 400]);
    let by = |max_bytes| {
        let retention = EventRetention {
            age: Limit::Never,
            max: None,
            max_bytes: Some(max_bytes),
        };
        kept(&store, retention, 500)
    };
    assert_eq!(by(400), None);
    assert_eq!(by(399), Some(3), "what is over by one byte goes whole");
    assert_eq!(by(300), Some(3));
    assert_eq!(by(299), Some(4));
    assert_eq!(by(100), Some(5));
    assert_eq!(by(0), Some(6));
}

#[test]
fn what_is_gone_already_is_not_found_again() {
    let store = log(7, &[100, 200]);
    let aged = |now| found(&store, Limit::After(Span(1_000)), Some(2), now);
    assert_eq!(aged(500), None);
    assert_eq!(aged(1_101), Some(8));
    let empty = log(9, &[]);
    assert_eq!(found(&empty, Limit::After(Span(1)), Some(1), 9_999), None);
}

#[test]
fn events_of_unknown_age_go_with_the_first_that_is_known() {
    let store = log(0, &[0, 0, 500]);
    let aged = |now| found(&store, Limit::After(Span(1_000)), None, now);
    assert_eq!(aged(1_400), None, "they may be younger than they look");
    assert_eq!(aged(1_501), Some(3));
}
