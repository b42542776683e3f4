//! Watches: ordered, unique, complete, whole per decision, filtered, bookmarked, closed with a place
//! to resume from.

use sessiond_proto::v1 as pb;
use sessiond_proto::v1::BookmarkCause as Cause;
use sessiond_proto::v1::watch_session_events_request::Start;
use sessiond_proto::v1::watch_session_events_response::Frame;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, end, key, labels, millis, open};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::{WatchStream, about, types, watch_from};
use tokio::task::JoinSet;

fn filtered(filter: pb::EventFilter) -> pb::WatchSessionEventsRequest {
    pb::WatchSessionEventsRequest {
        filter: Some(filter),
        ..watch_from(Start::AfterRevision(0))
    }
}

/// The keys of the sessions whose events a filter lets pass, with their types.
async fn passed(caller: &Caller, filter: pb::EventFilter) -> Vec<(String, pb::EventType)> {
    let mut watch = WatchStream::open(caller, filtered(filter))
        .await
        .expect("a watch");
    let (events, mark) = watch.bookmark(Cause::CaughtUp).await;
    assert_eq!(
        mark.revision,
        caller.revision().await,
        "complete, though filtered"
    );
    let passed = events.iter().map(|event| {
        let session = event.session.as_ref().unwrap();
        (session.key.clone(), event.r#type())
    });
    passed.collect()
}

#[tokio::test]
async fn the_events_of_a_session_tell_its_life() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let session = caller.opened("a").await;
    let update = pb::UpdateSessionRequest {
        r#ref: key("a"),
        project: "/src".to_owned(),
        prompt: "a secret".to_owned(),
        ..pb::UpdateSessionRequest::default()
    };
    caller.update(update).await.expect("updated");
    caller.enqueued(key("a"), &["m"]).await;
    let out = caller.claimed(key("a"), "w").await;
    caller
        .end(end(
            key("a"),
            pb::EndReason::Completed,
            pb::EndMode::Graceful,
        ))
        .await
        .expect("ends");
    caller.settled(vec![ack(&out[0])]).await;
    let events = watch
        .until(|event| event.r#type() == pb::EventType::SessionEnd)
        .await;
    let told = [
        pb::EventType::SessionOpened,
        pb::EventType::SessionUpdated,
        pb::EventType::WorkerAttached,
        pb::EventType::SessionDraining,
        pb::EventType::SessionEnd,
    ];
    assert_eq!(types(&events), told);
    let states: Vec<pb::SessionState> = events
        .iter()
        .map(|event| event.session.as_ref().unwrap().state())
        .collect();
    use pb::SessionState::{Active, Draining, Ended};
    assert_eq!(states, [Active, Active, Active, Draining, Ended]);
    let kinds: Vec<pb::ActorKind> = events
        .iter()
        .map(|event| event.actor.as_ref().unwrap().kind())
        .collect();
    use pb::ActorKind::{Api, Worker};
    assert_eq!(kinds, [Api, Api, Worker, Api, Api]);
    assert_eq!(events[2].actor.as_ref().unwrap().name, "w");
    assert!(events[2].session.as_ref().unwrap().lease.is_some());
    assert!(events[4].session.as_ref().unwrap().lease.is_none());
    let ends: Vec<bool> = events.iter().map(|event| event.end.is_some()).collect();
    assert_eq!(
        ends,
        [false, false, false, false, true],
        "set for SESSION_END only"
    );
    assert!(
        events
            .iter()
            .all(|event| about(event) == session.session_id)
    );
    assert!(
        !format!("{events:?}").contains("a secret"),
        "events carry no prompt"
    );
}

#[tokio::test]
async fn revisions_are_gapless_and_every_watcher_sees_the_same() {
    const SESSIONS: usize = 200;
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut watches = JoinSet::new();
    let last = 3 * SESSIONS as u64;
    for watcher in 0..5 {
        let caller = caller.clone();
        watches.spawn(async move {
            let start = [Start::AfterRevision(0), Start::Oldest(true)][watcher % 2].clone();
            let mut watch = WatchStream::open(&caller, watch_from(start))
                .await
                .expect("a watch");
            watch.up_to(last).await
        });
    }
    let mut work = JoinSet::new();
    for at in 0..SESSIONS {
        let caller = caller.clone();
        work.spawn(async move {
            let name = format!("k{at}");
            caller.opened(&name).await;
            let update = pb::UpdateSessionRequest {
                r#ref: key(&name),
                source: "test".to_owned(),
                ..pb::UpdateSessionRequest::default()
            };
            caller.update(update).await.expect("updated");
            let over = end(key(&name), pb::EndReason::Completed, pb::EndMode::Immediate);
            caller.end(over).await.expect("ended");
        });
    }
    work.join_all().await;
    let seen = watches.join_all().await;
    let revisions: Vec<u64> = seen[0].iter().map(|event| event.revision).collect();
    assert_eq!(revisions, (1..=last).collect::<Vec<u64>>());
    assert!(seen.iter().all(|events| *events == seen[0]));
    assert_eq!(
        types(&seen[0])
            .iter()
            .filter(|of| **of == pb::EventType::SessionEnd)
            .count(),
        SESSIONS
    );
}

#[tokio::test]
async fn a_watch_far_behind_reads_the_log_without_a_hole() {
    const UPDATES: u64 = 2_600;
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let mut work = JoinSet::new();
    for writer in 0..20 {
        let caller = caller.clone();
        work.spawn(async move {
            for at in 0..UPDATES / 20 {
                let update = pb::UpdateSessionRequest {
                    r#ref: key("a"),
                    source: format!("{writer}-{at}"),
                    ..pb::UpdateSessionRequest::default()
                };
                caller.update(update).await.expect("updated");
            }
        });
    }
    work.join_all().await;
    let mut watch = WatchStream::from_the_start(&caller).await;
    let (events, mark) = watch.bookmark(Cause::CaughtUp).await;
    let revisions: Vec<u64> = events.iter().map(|event| event.revision).collect();
    assert_eq!(revisions, (1..=UPDATES + 1).collect::<Vec<u64>>());
    assert_eq!(mark.revision, UPDATES + 1);
}

/// Four sessions, one of them ended; answers with the second.
async fn four_sessions(caller: &Caller) -> pb::Session {
    let full = |name: &str, project: &str, team: &str| pb::OpenSessionRequest {
        project: project.to_owned(),
        labels: labels(&[("team", team)]),
        ..open(name)
    };
    caller
        .open(full("agent:main:1", "/src", "blue"))
        .await
        .expect("opened");
    let second = caller
        .open(full("agent:sub:2", "/src", "red"))
        .await
        .expect("opened");
    caller
        .open(full("other", "/lib", "red"))
        .await
        .expect("opened");
    caller.opened("").await;
    let over = end(
        key("other"),
        pb::EndReason::Completed,
        pb::EndMode::Immediate,
    );
    caller.end(over).await.expect("ended");
    second.session.unwrap()
}

#[tokio::test]
async fn filters_let_pass_what_meets_every_condition() {
    use pb::EventType::{SessionEnd, SessionOpened};
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let second = four_sessions(&caller).await;
    let any = pb::EventFilter::default;
    let told = |list: &[(&str, pb::EventType)]| -> Vec<(String, pb::EventType)> {
        list.iter()
            .map(|(name, of)| ((*name).to_owned(), *of))
            .collect()
    };
    let ends = pb::EventFilter {
        types: vec![SessionEnd.into()],
        ..any()
    };
    assert_eq!(passed(&caller, ends).await, told(&[("other", SessionEnd)]));
    let one = pb::EventFilter {
        session_ids: vec![second.session_id],
        ..any()
    };
    assert_eq!(
        passed(&caller, one).await,
        told(&[("agent:sub:2", SessionOpened)])
    );
    let glob = |glob: &str| pb::EventFilter {
        key_glob: glob.to_owned(),
        ..any()
    };
    let agents = told(&[
        ("agent:main:1", SessionOpened),
        ("agent:sub:2", SessionOpened),
    ]);
    assert_eq!(passed(&caller, glob("agent:*")).await, agents);
    assert_eq!(passed(&caller, glob("agent:*:?")).await, agents);
    assert_eq!(passed(&caller, glob("*main*")).await, agents[..1]);
    assert_eq!(passed(&caller, glob("agent:")).await, []);
    let red = pb::EventFilter {
        labels: labels(&[("team", "red")]),
        project: "/lib".to_owned(),
        ..any()
    };
    assert_eq!(
        passed(&caller, red).await,
        told(&[("other", SessionOpened), ("other", SessionEnd)])
    );
    assert_eq!(
        passed(&caller, any()).await.len(),
        5,
        "no condition, no filter"
    );
}

#[tokio::test]
async fn bookmarks_come_at_the_interval_and_pass_what_is_filtered_out() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let never = pb::EventFilter {
        key_glob: "nobody".to_owned(),
        ..pb::EventFilter::default()
    };
    let request = pb::WatchSessionEventsRequest {
        bookmark_interval: millis(100),
        ..filtered(never)
    };
    let mut watch = WatchStream::open(&caller, request).await.expect("a watch");
    for name in ["a", "b", "c"] {
        caller.opened(name).await;
    }
    loop {
        let (events, mark) = watch.bookmark(Cause::Periodic).await;
        assert_eq!(events, []);
        if mark.revision == 3 {
            assert_eq!(mark.lag_events, 0);
            let mut resumed =
                WatchStream::open(&caller, watch_from(Start::ResumeToken(mark.resume_token)))
                    .await
                    .expect("resumed");
            let d = caller.opened("d").await;
            assert_eq!(about(&resumed.batch().await.events[0]), d.session_id);
            return;
        }
    }
}

#[tokio::test]
async fn bookmarks_come_though_the_log_is_never_quiet() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let request = pb::WatchSessionEventsRequest {
        bookmark_interval: millis(500),
        ..filtered(pb::EventFilter {
            key_glob: "nobody".to_owned(),
            ..pb::EventFilter::default()
        })
    };
    let mut watch = WatchStream::open(&caller, request).await.expect("a watch");
    let writer = tokio::spawn(async move {
        for at in 0_u64.. {
            let update = pb::UpdateSessionRequest {
                r#ref: key("a"),
                source: at.to_string(),
                ..pb::UpdateSessionRequest::default()
            };
            caller.update(update).await.expect("updated");
        }
    });
    for _ in 0..2 {
        let (events, mark) = watch.bookmark(Cause::Periodic).await;
        assert_eq!(events, []);
        assert!(mark.revision > 0);
    }
    assert!(!writer.is_finished(), "events came all the while");
    writer.abort();
}

#[tokio::test]
async fn a_watcher_that_does_not_read_delays_nobody() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let stuck = WatchStream::from_the_start(&caller).await;
    let other = Caller::to(&server).await;
    let mut watch = WatchStream::from_the_start(&other).await;
    for at in 0..300 {
        let large = pb::OpenSessionRequest {
            project: "x".repeat(4_096),
            ..open(&format!("k{at}"))
        };
        other.open(large).await.expect("opened");
    }
    assert_eq!(watch.up_to(300).await.len(), 300);
    let mut stuck = stuck;
    assert_eq!(
        stuck.up_to(300).await.len(),
        300,
        "and it misses nothing itself"
    );
}

#[tokio::test]
async fn a_stop_closes_a_watch_with_a_place_to_resume_from() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let mut watch = WatchStream::from_the_start(&caller).await;
    watch.up_to(1).await;
    let stops = tokio::task::spawn_blocking(move || {
        let status = server.terminate();
        (server, status)
    });
    let (events, mark) = watch.bookmark(Cause::Closing).await;
    // The stop ended the session, and whoever watches hears it before all is over.
    assert_eq!(
        types(&events),
        [pb::EventType::ServerDraining, pb::EventType::SessionEnd]
    );
    assert_eq!(mark.revision, 3);
    let Frame::GoAway(away) = watch.next().await else {
        panic!("a go-away follows the bookmark");
    };
    assert_eq!(away.reason(), pb::GoAwayReason::ServerDraining);
    assert!(away.close_time.is_some());
    assert_eq!(watch.frame().await.expect("closed in order"), None);
    let (mut server, status) = stops.await.expect("stopped");
    assert_eq!(status.code(), Some(0));
    server.restart();
    let caller = Caller::to(&server).await;
    let resumed =
        WatchStream::open(&caller, watch_from(Start::ResumeToken(mark.resume_token))).await;
    let mut resumed = resumed.expect("the same log");
    let b = caller.opened("b").await;
    let events = resumed.batch().await.events;
    assert_eq!(
        (events[0].revision, about(&events[0])),
        (4, b.session_id.as_str()),
        "no gap, no repeat"
    );
}
