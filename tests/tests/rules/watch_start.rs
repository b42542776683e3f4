//! Where a watch starts: revisions, tokens, now, oldest, and the initial state.

use std::collections::BTreeMap;

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::BookmarkCause as Cause;
use sessiond_proto::v1::watch_session_events_request::Start;
use sessiond_proto::v1::watch_session_events_response::Frame;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{end, key, open, unforeseen};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::{WatchStream, about, watch_from};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::Code;

fn revisions(events: &[pb::SessionEvent]) -> Vec<u64> {
    events.iter().map(|event| event.revision).collect()
}

async fn three_opened(caller: &Caller) {
    for name in ["a", "b", "c"] {
        caller.opened(name).await;
    }
}

async fn from(caller: &Caller, start: Start) -> WatchStream {
    WatchStream::open(caller, watch_from(start))
        .await
        .expect("a watch")
}

#[tokio::test]
async fn after_revision_zero_is_from_the_first_event() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    three_opened(&caller).await;
    let mut watch = WatchStream::from_the_start(&caller).await;
    let info = caller
        .info(pb::GetServerInfoRequest {})
        .await
        .expect("info");
    assert_eq!(watch.started.log_id, info.log_id);
    assert_eq!(
        (
            watch.started.oldest_revision,
            watch.started.current_revision
        ),
        (1, 3)
    );
    assert_eq!(
        (
            watch.started.subscription_epoch,
            watch.started.acked_revision
        ),
        (0, 0)
    );
    let (events, mark) = watch.bookmark(Cause::CaughtUp).await;
    assert_eq!(revisions(&events), [1, 2, 3]);
    assert_eq!((mark.revision, mark.lag_events), (3, 0));
    for event in &events {
        assert_eq!(
            event.event_id,
            format!("{}-{}", info.log_id, event.revision)
        );
        assert_eq!(event.session.as_ref().unwrap().revision, event.revision);
        assert!(event.time.is_some() && event.namespace == "default");
    }
}

#[tokio::test]
async fn a_watch_of_an_empty_log_starts_before_its_first_event() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    for start in [
        Start::AfterRevision(0),
        Start::Now(true),
        Start::Oldest(true),
    ] {
        let mut watch = from(&caller, start).await;
        let (events, mark) = watch.bookmark(Cause::CaughtUp).await;
        assert_eq!((events, mark.revision), (vec![], 0));
        assert_eq!(
            (
                watch.started.oldest_revision,
                watch.started.current_revision
            ),
            (1, 0)
        );
    }
}

#[tokio::test]
async fn starts_are_after_a_revision_now_or_the_oldest() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    three_opened(&caller).await;
    let mut after = from(&caller, Start::AfterRevision(2)).await;
    let mut newest = from(&caller, Start::AfterRevision(3)).await;
    let mut now = from(&caller, Start::Now(true)).await;
    let mut oldest = from(&caller, Start::Oldest(true)).await;
    let unset = WatchStream::open(&caller, pb::WatchSessionEventsRequest::default()).await;
    let mut unset = unset.expect("a watch");
    caller.opened("d").await;
    assert_eq!(revisions(&after.up_to(4).await), [3, 4]);
    assert_eq!(revisions(&newest.up_to(4).await), [4]);
    assert_eq!(revisions(&now.up_to(4).await), [4]);
    assert_eq!(revisions(&oldest.up_to(4).await), [1, 2, 3, 4]);
    assert_eq!(revisions(&unset.up_to(4).await), [4], "unset is now");
}

#[tokio::test]
async fn tokens_of_batches_and_bookmarks_resume_behind_them() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    three_opened(&caller).await;
    let mut watch = from(&caller, Start::AfterRevision(1)).await;
    let Frame::Batch(batch) = watch.next().await else {
        panic!("events come first");
    };
    let last = batch.events.last().unwrap().revision;
    let mut resumed = from(&caller, Start::ResumeToken(batch.resume_token)).await;
    caller.opened("d").await;
    let rest = resumed.up_to(4).await;
    assert_eq!(revisions(&rest), (last + 1..=4).collect::<Vec<u64>>());
    let (_, mark) = WatchStream::from_the_start(&caller)
        .await
        .bookmark(Cause::CaughtUp)
        .await;
    let mut resumed = from(&caller, Start::ResumeToken(mark.resume_token)).await;
    caller.opened("e").await;
    assert_eq!(revisions(&resumed.up_to(5).await), [5]);
}

#[tokio::test]
async fn the_future_and_another_log_are_refused() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    three_opened(&caller).await;
    let refused = async |start: Start| {
        WatchStream::open(&caller, watch_from(start))
            .await
            .expect_err("refused")
    };
    let future = refused(Start::AfterRevision(4)).await;
    future
        .is(Code::FailedPrecondition, Reason::LogChanged)
        .with("oldest_revision", "1")
        .with("current_revision", "3");
    refused(Start::AfterRevision(u64::MAX))
        .await
        .is(Code::FailedPrecondition, Reason::LogChanged);
    let elsewhere = Server::start();
    let other = Caller::to(&elsewhere).await;
    let token = other
        .list(pb::ListSessionsRequest::default())
        .await
        .expect("listed")
        .resume_token;
    refused(Start::ResumeToken(token))
        .await
        .is(Code::FailedPrecondition, Reason::LogChanged);
    let garbled = refused(Start::ResumeToken("c0ffee".to_owned())).await;
    let garbled = garbled.is(Code::InvalidArgument, Reason::FieldInvalid);
    assert_eq!(garbled.fields, ["resume_token"]);
}

#[tokio::test]
async fn the_initial_state_is_every_session_that_has_not_ended() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    three_opened(&caller).await;
    let over = end(key("b"), pb::EndReason::Completed, pb::EndMode::Immediate);
    caller.end(over).await.expect("ended");
    caller.enqueued(key("c"), &["m"]).await;
    caller.claimed(key("c"), "w").await;
    let drains = end(key("c"), pb::EndReason::Idle, pb::EndMode::Graceful);
    let drains = caller.end(drains).await.expect("draining").session.unwrap();
    let request = pb::WatchSessionEventsRequest {
        send_initial_state: true,
        ..pb::WatchSessionEventsRequest::default()
    };
    let mut watch = WatchStream::open(&caller, request).await.expect("a watch");
    let mut shown = Vec::new();
    let mark = loop {
        match watch.next().await {
            Frame::Initial(session) => shown.push(session),
            Frame::Bookmark(mark) if mark.cause() == Cause::InitialStateEnd => break mark,
            other => panic!("not {other:?}"),
        }
    };
    let names: Vec<&str> = shown.iter().map(|session| session.key.as_str()).collect();
    assert_eq!(names, ["a", "c"]);
    let session = caller.session(key("a")).await;
    assert_eq!(unforeseen(shown[0].clone()), unforeseen(session));
    assert_eq!(shown[1].session_id, drains.session_id);
    assert_eq!(shown[1].state(), pb::SessionState::Draining);
    assert_eq!(mark.revision, caller.revision().await);
    let opened = caller.opened("d").await;
    let told = watch
        .event(pb::EventType::SessionOpened, &opened.session_id)
        .await;
    assert!(told.revision > mark.revision);
}

/// What a consumer knows that drops the events at or below the revision of what it was shown.
async fn folded(
    caller: &Caller,
    stop: &str,
    ready: mpsc::UnboundedSender<()>,
) -> BTreeMap<String, i32> {
    let request = pb::WatchSessionEventsRequest {
        send_initial_state: true,
        ..pb::WatchSessionEventsRequest::default()
    };
    let mut watch = WatchStream::open(caller, request).await.expect("a watch");
    let mut known = BTreeMap::new();
    let mut marked = false;
    loop {
        match watch.next().await {
            Frame::Initial(session) => {
                assert!(!marked, "shown after the end of the initial state");
                known.insert(session.session_id, (session.revision, session.state));
            }
            Frame::Batch(batch) => {
                for event in batch.events {
                    let session = event.session.as_ref().unwrap();
                    let seen = known.entry(about(&event).to_owned()).or_insert((0, 0));
                    if event.revision > seen.0 {
                        *seen = (event.revision, session.state);
                    }
                    if session.key == stop {
                        let states = known.into_iter().map(|(id, (_, state))| (id, state));
                        return states.collect();
                    }
                }
            }
            Frame::Bookmark(mark) if mark.cause() == Cause::InitialStateEnd => {
                let newest = known.values().map(|(revision, _)| *revision).max();
                assert!(
                    newest.unwrap_or(0) <= mark.revision,
                    "complete up to the end of the scan"
                );
                marked = true;
                ready.send(()).expect("the test waits for it");
            }
            Frame::Bookmark(_) => {}
            other @ (Frame::Started(_) | Frame::GoAway(_)) => panic!("not {other:?}"),
        }
    }
}

#[tokio::test]
async fn initial_state_and_events_come_to_the_state_whatever_happens_meanwhile() {
    const FOLDS: usize = 25;
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut work = JoinSet::new();
    for writer in 0..4 {
        let caller = caller.clone();
        work.spawn(async move {
            for at in 0..60 {
                let name = format!("k{writer}-{at}");
                caller.opened(&name).await;
                if at % 2 == 0 {
                    let over = end(key(&name), pb::EndReason::Completed, pb::EndMode::Immediate);
                    caller.end(over).await.expect("ended");
                }
            }
        });
    }
    let mut folds = JoinSet::new();
    let own = Caller::to(&server).await;
    let (ready, mut begun) = mpsc::unbounded_channel();
    for _ in 0..FOLDS {
        let (caller, ready) = (caller.clone(), ready.clone());
        folds.spawn(async move { folded(&caller, "last", ready).await });
        // One more answer between two watches, so that they start at different moments.
        own.revision().await;
    }
    // A watch that fails leaves nobody to wait for.
    drop(ready);
    work.join_all().await;
    for _ in 0..FOLDS {
        begun
            .recv()
            .await
            .expect("every watch gets through its initial state");
    }
    let last = caller
        .open(open("last"))
        .await
        .expect("opened")
        .session
        .unwrap();
    let live = pb::ListSessionsRequest {
        page_size: 1_000,
        ..pb::ListSessionsRequest::default()
    };
    let listed = caller.list(live).await.expect("listed").sessions;
    let truth: BTreeMap<String, i32> = listed
        .into_iter()
        .map(|session| (session.session_id, session.state))
        .collect();
    for known in folds.join_all().await {
        assert_eq!(known.get(&last.session_id), truth.get(&last.session_id));
        for (id, state) in &known {
            assert_eq!(truth.get(id), Some(state), "{id}");
        }
        let live = |of: &BTreeMap<String, i32>| {
            of.values()
                .filter(|state| **state == pb::SessionState::Active as i32)
                .count()
        };
        assert_eq!(live(&known), live(&truth), "none that lives is missing");
    }
}
