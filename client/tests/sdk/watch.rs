//! The event stream over connections that break: no event twice, none missing,
//! and every gap told.

use std::time::Duration;

use futures_util::StreamExt;
use pb::watch_session_events_request::Start;
use pb::watch_session_events_response::Frame;
use sessiond_client::{Client, Error, EventStream, LinkState, RetryPolicy, WatchItem, pb};
use sessiond_proto::reason::Reason;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::fake_server::{FakeServer, WatchCall, within};

fn started(log_id: &str, oldest: u64, current: u64) -> Frame {
    Frame::Started(pb::WatchStarted {
        log_id: log_id.to_owned(),
        oldest_revision: oldest,
        current_revision: current,
        ..Default::default()
    })
}

fn batch(revisions: &[u64]) -> Frame {
    let event = |revision: &u64| pb::SessionEvent {
        revision: *revision,
        ..Default::default()
    };
    Frame::Batch(pb::EventBatch {
        events: revisions.iter().map(event).collect(),
        resume_token: format!("t{}", revisions.last().unwrap()),
    })
}

fn bookmark(revision: u64, cause: pb::BookmarkCause) -> Frame {
    let mut bookmark = pb::Bookmark {
        revision,
        resume_token: format!("t{revision}"),
        ..Default::default()
    };
    bookmark.set_cause(cause);
    Frame::Bookmark(bookmark)
}

fn row(session_id: &str, revision: u64) -> Frame {
    Frame::Initial(pb::Session {
        session_id: session_id.to_owned(),
        revision,
        ..Default::default()
    })
}

fn refusal(code: Code, reason: Reason, metadata: &[(&str, &str)]) -> Status {
    let owned = metadata
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let mut details = ErrorDetails::new();
    let metadata: std::collections::HashMap<String, String> = owned.collect();
    details.set_error_info(reason.as_str(), "sessiond", metadata);
    Status::with_error_details(code, "refused", details)
}

/// The next item, which must not be an error.
async fn item(stream: &mut EventStream) -> WatchItem {
    within(stream.next()).await.unwrap().unwrap()
}

/// The revision of the next item, which must be an event.
async fn revision(stream: &mut EventStream) -> u64 {
    match item(stream).await {
        WatchItem::Event(event) => event.revision,
        other => panic!("expected an event, got {other:?}"),
    }
}

/// Polls the stream until the server sees it, and takes its first frame.
async fn begin(
    server: &mut FakeServer,
    stream: &mut EventStream,
    first: Frame,
) -> (WatchCall, WatchItem) {
    let serve = async {
        let watch = server.watch().await;
        watch.send(first).await;
        watch
    };
    tokio::join!(serve, item(stream))
}

#[tokio::test]
async fn resumes_after_each_cut_without_repeat_or_gap() {
    let mut server = FakeServer::start().await;
    let mut stream = server.client().watch().after(4).start();
    let (watch, first) = begin(&mut server, &mut stream, started("log", 1, 9)).await;
    assert_eq!(watch.request.start, Some(Start::AfterRevision(4)));
    assert!(matches!(first, WatchItem::Started(_)), "{first:?}");
    watch.send(batch(&[5, 6])).await;
    assert_eq!(revision(&mut stream).await, 5);
    // In the midst of a batch the place is still before it.
    assert_eq!((stream.revision(), stream.resume_token()), (0, None));
    assert_eq!(revision(&mut stream).await, 6);
    assert_eq!((stream.revision(), stream.resume_token()), (6, Some("t6")));

    server.cut();
    let (watch, again) = begin(&mut server, &mut stream, started("log", 1, 9)).await;
    assert_eq!(
        watch.request.start,
        Some(Start::ResumeToken("t6".to_owned()))
    );
    assert!(matches!(again, WatchItem::Reconnected(_)), "{again:?}");
    // A server that repeats is not believed twice.
    watch.send(batch(&[5, 6])).await;
    watch.send(batch(&[6, 7])).await;
    assert_eq!(revision(&mut stream).await, 7);
    watch.send(bookmark(9, pb::BookmarkCause::CaughtUp)).await;
    assert!(matches!(item(&mut stream).await, WatchItem::Bookmark(_)));
    assert_eq!(stream.revision(), 9);

    // A clean end is a broken connection too.
    drop(watch);
    let (watch, again) = begin(&mut server, &mut stream, started("log", 1, 12)).await;
    assert_eq!(
        watch.request.start,
        Some(Start::ResumeToken("t9".to_owned()))
    );
    assert!(matches!(again, WatchItem::Reconnected(_)), "{again:?}");
    watch.send(batch(&[12])).await;
    assert_eq!(revision(&mut stream).await, 12);
}

#[tokio::test]
async fn now_means_the_moment_of_the_first_connection() {
    let mut server = FakeServer::start().await;
    let mut stream = server.client().watch().now().start();
    let (watch, _) = begin(&mut server, &mut stream, started("log", 1, 30)).await;
    assert_eq!(watch.request.start, Some(Start::Now(true)));
    server.cut();
    let (watch, _) = begin(&mut server, &mut stream, started("log", 1, 35)).await;
    assert_eq!(watch.request.start, Some(Start::AfterRevision(30)));
}

#[tokio::test]
async fn initial_state_is_told_once_per_revision_and_ends() {
    let mut server = FakeServer::start().await;
    let mut stream = server.client().watch().initial_state().start();
    let (watch, _) = begin(&mut server, &mut stream, started("log", 1, 30)).await;
    assert!(watch.request.send_initial_state);
    watch.send(row("a", 10)).await;
    assert!(matches!(item(&mut stream).await, WatchItem::Initial(row) if row.session_id == "a"));

    // Cut in the midst: the rest comes, with what changed, and nothing is lost
    // that happened since the first scan began.
    server.cut();
    let (watch, _) = begin(&mut server, &mut stream, started("log", 1, 33)).await;
    assert_eq!(watch.request.start, Some(Start::AfterRevision(30)));
    assert!(watch.request.send_initial_state);
    watch.send(row("a", 10)).await;
    watch.send(row("b", 32)).await;
    assert!(matches!(item(&mut stream).await, WatchItem::Initial(row) if row.session_id == "b"));
    // The row shows event 32 already, and not event 33.
    let event = |revision| pb::SessionEvent {
        revision,
        session: Some(pb::SessionSnapshot {
            session_id: "b".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let events = pb::EventBatch {
        events: vec![event(32), event(33)],
        resume_token: "t33".to_owned(),
    };
    watch.send(Frame::Batch(events)).await;
    assert_eq!(revision(&mut stream).await, 33);
    watch
        .send(bookmark(33, pb::BookmarkCause::InitialStateEnd))
        .await;
    assert_eq!(item(&mut stream).await, WatchItem::InitialEnd);
    assert!(matches!(item(&mut stream).await, WatchItem::Bookmark(_)));

    server.cut();
    let (watch, _) = begin(&mut server, &mut stream, started("log", 1, 33)).await;
    assert!(!watch.request.send_initial_state);
}

#[tokio::test]
async fn gap_is_told_and_ends_the_stream() {
    let mut server = FakeServer::start().await;
    let mut stream = server.client().watch().after(3).start();
    let serve = async {
        let metadata = [("oldest_revision", "50"), ("current_revision", "90")];
        let status = refusal(Code::OutOfRange, Reason::RevisionCompacted, &metadata);
        server.watch().await.refuse(status).await;
    };
    let ((), gap) = tokio::join!(serve, item(&mut stream));
    assert_eq!(
        gap,
        WatchItem::Gap {
            oldest: 50,
            current: 90
        }
    );
    assert!(within(stream.next()).await.is_none());
    assert_eq!(stream.link().state(), LinkState::Closed);
}

#[tokio::test]
async fn gap_is_passed_only_by_who_asked_for_it() {
    let mut server = FakeServer::start().await;
    let mut stream = server
        .client()
        .watch()
        .after(3)
        .continue_after_gap()
        .start();
    let serve = async {
        let metadata = [("oldest_revision", "50"), ("current_revision", "90")];
        let status = refusal(Code::OutOfRange, Reason::RevisionCompacted, &metadata);
        server.watch().await.refuse(status).await;
    };
    let ((), gap) = tokio::join!(serve, item(&mut stream));
    assert!(matches!(gap, WatchItem::Gap { .. }), "{gap:?}");
    let (watch, _) = begin(&mut server, &mut stream, started("log", 50, 90)).await;
    assert_eq!(watch.request.start, Some(Start::Oldest(true)));
    watch.send(batch(&[50])).await;
    assert_eq!(revision(&mut stream).await, 50);
}

#[tokio::test]
async fn another_log_is_an_error() {
    let mut server = FakeServer::start().await;
    let mut stream = server.client().watch().after(3).start();
    let (_watch, _) = begin(&mut server, &mut stream, started("log", 1, 9)).await;
    server.cut();
    // A revision alone does not tell one log from another: the client must.
    let serve = async {
        let watch = server.watch().await;
        watch.send(started("restored", 1, 9)).await;
        watch
    };
    let (_watch, next) = tokio::join!(serve, within(stream.next()));
    let error = next.unwrap().unwrap_err();
    assert!(matches!(error, Error::LogChanged(_)), "{error:?}");
    assert_eq!(error.reason(), Some(Reason::LogChanged));
    assert!(within(stream.next()).await.is_none());
}

#[tokio::test]
async fn refusal_ends_the_stream() {
    let mut server = FakeServer::start().await;
    let mut stream = server.client().watch().all_namespaces().start();
    let serve = async {
        let status = refusal(Code::PermissionDenied, Reason::PermissionDenied, &[]);
        server.watch().await.refuse(status).await;
    };
    let ((), next) = tokio::join!(serve, within(stream.next()));
    assert!(matches!(next, Some(Err(Error::PermissionDenied(_)))));
    assert!(within(stream.next()).await.is_none());
}

#[tokio::test]
async fn server_that_asks_to_reconnect_is_obeyed_unless_somebody_took_over() {
    let mut server = FakeServer::start().await;
    let mut stream = server.client().watch().after(0).start();
    let (watch, _) = begin(&mut server, &mut stream, started("log", 1, 9)).await;
    watch.send(batch(&[1])).await;
    assert_eq!(revision(&mut stream).await, 1);
    let go_away = |reason: pb::GoAwayReason| {
        let mut go_away = pb::GoAway::default();
        go_away.set_reason(reason);
        Frame::GoAway(go_away)
    };
    watch.send(go_away(pb::GoAwayReason::MaxAge)).await;
    let (watch, _) = begin(&mut server, &mut stream, started("log", 1, 9)).await;
    assert_eq!(
        watch.request.start,
        Some(Start::ResumeToken("t1".to_owned()))
    );
    watch.send(go_away(pb::GoAwayReason::TakenOver)).await;
    let error = within(stream.next()).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::LeaseLost(_)), "{error:?}");
}

#[tokio::test]
async fn first_connection_is_given_up_after_the_total() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = unused.local_addr().unwrap().to_string();
    drop(unused);
    let client = Client::builder()
        .addr(addr)
        .retry(RetryPolicy::within(Duration::from_millis(50)))
        .build()
        .unwrap();
    let mut stream = client.watch().start();
    let error = within(stream.next()).await.unwrap().unwrap_err();
    assert!(error.is_connect(), "{error:?}");
}

#[tokio::test]
async fn link_shows_what_happens() {
    let mut server = FakeServer::start().await;
    let mut stream = server.client().watch().start();
    let mut link = stream.link();
    assert_eq!(link.state(), LinkState::Connecting);
    let (_watch, _) = begin(&mut server, &mut stream, started("log", 1, 9)).await;
    assert_eq!(within(link.changed()).await, LinkState::Connected);
    server.cut();
    let seen = async {
        let reconnecting = link.changed().await;
        let settled = link.settled().await;
        (reconnecting, settled)
    };
    let (begun, seen) =
        within(async { tokio::join!(begin(&mut server, &mut stream, started("log", 1, 9)), seen) })
            .await;
    drop(begun);
    assert!(matches!(seen.0, LinkState::Reconnecting { .. }), "{seen:?}");
    assert_eq!(seen.1, LinkState::Connected);
    drop(stream);
    assert_eq!(within(link.changed()).await, LinkState::Closed);
}

#[tokio::test]
async fn dropped_stream_ends_on_the_server() {
    let mut server = FakeServer::start().await;
    let mut stream = server.client().watch().start();
    let (watch, _) = begin(&mut server, &mut stream, started("log", 1, 9)).await;
    drop(stream);
    within(watch.closed()).await;
}

#[tokio::test]
async fn unread_streams_do_not_hold_up_calls() {
    let mut server = FakeServer::start().await;
    let client = server.client();
    let mut streams = Vec::new();
    let mut watches = Vec::new();
    for _ in 0..2 {
        let mut stream = client.watch().start();
        let (watch, _) = begin(&mut server, &mut stream, started("log", 1, 9)).await;
        // More than the windows of a stream and of a small connection hold.
        let event = pb::SessionEvent {
            event_id: "x".repeat(64 * 1024),
            ..Default::default()
        };
        for revision in 1..=64 {
            let events = vec![pb::SessionEvent {
                revision,
                ..event.clone()
            }];
            watch
                .send(Frame::Batch(pb::EventBatch {
                    events,
                    resume_token: String::new(),
                }))
                .await;
        }
        streams.push(stream);
        watches.push(watch);
    }
    for _ in 0..8 {
        let serve = async {
            match server.call().await {
                crate::fake_server::Call::Stats(call) => {
                    call.answer(pb::GetStatsResponse::default());
                }
                other => panic!("expected `GetStats`, got {other:?}"),
            }
        };
        let (stats, ()) = within(async { tokio::join!(client.stats(), serve) }).await;
        stats.unwrap();
    }
    // And what was not read is not lost.
    for stream in &mut streams {
        for expected in 1..=64 {
            assert_eq!(revision(stream).await, expected);
        }
    }
}
