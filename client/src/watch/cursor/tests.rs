//! The place of a watch, frame by frame.

use super::*;

fn started(log_id: &str, oldest: u64, current: u64) -> pb::WatchStarted {
    pb::WatchStarted {
        log_id: log_id.to_owned(),
        oldest_revision: oldest,
        current_revision: current,
        ..Default::default()
    }
}

fn batch(revisions: &[u64], token: &str) -> pb::EventBatch {
    let event = |revision: &u64| pb::SessionEvent {
        revision: *revision,
        ..Default::default()
    };
    pb::EventBatch {
        events: revisions.iter().map(event).collect(),
        resume_token: token.to_owned(),
    }
}

fn start(cursor: &Cursor) -> Option<WireStart> {
    let mut request = pb::WatchSessionEventsRequest::default();
    cursor.write_to(&mut request);
    request.start
}

fn revisions(events: &[pb::SessionEvent]) -> Vec<u64> {
    events.iter().map(|event| event.revision).collect()
}

#[test]
fn starts_that_move_are_pinned_once_known() {
    for (given, first, pinned) in [
        (Start::Now, WireStart::Now(true), 20),
        (Start::Oldest, WireStart::Oldest(true), 4),
        (Start::After(7), WireStart::AfterRevision(7), 7),
    ] {
        let mut cursor = Cursor::new(given, InitialState::NotWanted);
        assert_eq!(start(&cursor), Some(first));
        cursor.started(&started("log", 5, 20)).unwrap();
        assert_eq!(start(&cursor), Some(WireStart::AfterRevision(pinned)));
    }
    let token = Start::Token("t".to_owned());
    let mut cursor = Cursor::new(token, InitialState::NotWanted);
    cursor.started(&started("log", 5, 20)).unwrap();
    assert_eq!(start(&cursor), Some(WireStart::ResumeToken("t".to_owned())));
}

#[test]
fn only_what_is_new_passes() {
    let mut cursor = Cursor::new(Start::After(0), InitialState::NotWanted);
    let (events, place) = cursor.batch(batch(&[1, 2], "t2"));
    assert_eq!((revisions(&events), place.revision), (vec![1, 2], 2));
    let (events, place) = cursor.batch(batch(&[2, 3], "t3"));
    assert_eq!((revisions(&events), place.revision), (vec![3], 3));
    let (events, _) = cursor.batch(batch(&[1, 2], "t2"));
    assert!(events.is_empty());
    // Without a token the revision is the place.
    let (_, place) = cursor.batch(batch(&[4], ""));
    assert_eq!(place.resume_token, "");
    assert_eq!(start(&cursor), Some(WireStart::AfterRevision(4)));
}

#[test]
fn subscription_is_resumed_by_name_and_still_repeats_nothing() {
    let name = Start::Subscription("plugin".to_owned());
    let mut cursor = Cursor::new(name, InitialState::NotWanted);
    cursor.started(&started("log", 1, 9)).unwrap();
    cursor.batch(batch(&[3, 4], "t4"));
    assert_eq!(
        start(&cursor),
        Some(WireStart::Subscription("plugin".to_owned()))
    );
    // The server sends again what is not acknowledged.
    let (events, _) = cursor.batch(batch(&[3, 4, 5], "t5"));
    assert_eq!(revisions(&events), [5]);
}

#[test]
fn bookmarks_move_the_place_and_never_back() {
    let mut cursor = Cursor::new(Start::After(0), InitialState::NotWanted);
    let mut bookmark = pb::Bookmark {
        revision: 8,
        resume_token: "t8".to_owned(),
        ..Default::default()
    };
    assert_eq!(cursor.bookmark(&bookmark).revision, 8);
    bookmark.revision = 6;
    assert_eq!(cursor.bookmark(&bookmark).revision, 8);
    let (events, _) = cursor.batch(batch(&[7, 8, 9], "t9"));
    assert_eq!(revisions(&events), [9]);
}

#[test]
fn another_log_is_noticed() {
    let mut cursor = Cursor::new(Start::After(0), InitialState::NotWanted);
    cursor.started(&started("one", 1, 9)).unwrap();
    cursor.started(&started("one", 1, 12)).unwrap();
    let error = cursor.started(&started("two", 1, 12)).unwrap_err();
    assert!(matches!(error, Error::LogChanged(_)), "{error:?}");
}

#[test]
fn rows_that_were_not_asked_for_are_dropped() {
    let mut cursor = Cursor::new(Start::Now, InitialState::NotWanted);
    assert_eq!(cursor.initial(pb::Session::default()), None);
    let mut cursor = Cursor::new(Start::Now, InitialState::wanted());
    let mut row = pb::Session {
        session_id: "s".to_owned(),
        revision: 5,
        ..Default::default()
    };
    assert!(cursor.initial(row.clone()).is_some());
    row.revision = 4;
    assert_eq!(cursor.initial(row.clone()), None);
    row.revision = 6;
    assert!(cursor.initial(row).is_some());
}
