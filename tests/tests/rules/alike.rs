//! Alike: a session ends in the same way whoever has it end, a caller, a sweep, a full pool or a timer.

use std::time::Duration;

use sessiond_core::ids::PoolName;
use sessiond_core::limits::PoolOverrides;
use sessiond_core::time::{Limit, Span};
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, after, end, key, millis, never, open};
use sessiond_tests::simulated::Simulated;
use sessiond_tests::watch_stream::{WatchStream, about, types};
use sessiond_tests::work_stream::WorkStream;

/// What there is to see of an end, without who had it end and when.
#[derive(Debug, PartialEq)]
struct Seen {
    events: Vec<pb::EventType>,
    end: pb::SessionEnd,
    lost: pb::LeaseLostReason,
    told_successor: String,
}

/// A session that is held by a worker which has done all its work.
async fn done(caller: &Caller, name: &str) -> (String, WorkStream) {
    let asked = pb::OpenSessionRequest {
        pool: if name == "crowded" { "narrow" } else { "" }.to_owned(),
        idle_timeout: if name == "timed" {
            after(9_000)
        } else {
            never()
        },
        ..open(name)
    };
    let session = caller.open(asked).await.expect("opened").session.unwrap();
    caller.enqueued(key(name), &["m"]).await;
    let mut worker = WorkStream::worker(caller, name, 1).await;
    worker.attached_to(key(name)).await;
    let out = worker.delivered(1).await;
    assert_eq!(worker.code(ack(&out[0])).await, pb::SettleCode::Ok);
    (session.session_id, worker)
}

/// Has four of them end, each in another way, and lets time end the last.
async fn end_all(server: &Simulated, bulk: &str) {
    let caller = server.caller();
    server.advance(Duration::from_secs(5)).await;
    let asked = end(key("asked"), pb::EndReason::Idle, pb::EndMode::Immediate);
    caller.end(asked).await.expect("ended");
    let many = pb::EndSessionsRequest {
        session_ids: vec![bulk.to_owned()],
        reason: pb::EndReason::Idle.into(),
        mode: pb::EndMode::Immediate.into(),
        ..pb::EndSessionsRequest::default()
    };
    caller.end_many(many).await.expect("ended");
    let sweep = pb::SweepRequest {
        filter: Some(pb::SessionFilter {
            key_prefix: "swept".to_owned(),
            ..pb::SessionFilter::default()
        }),
        idle_timeout: millis(4_000),
        ..pb::SweepRequest::default()
    };
    caller.sweep(sweep).await.expect("swept");
    let crowding = pb::OpenSessionRequest {
        pool: "narrow".to_owned(),
        ..open("crowding")
    };
    caller.open(crowding).await.expect("it gets the slot");
    server.advance(Duration::from_millis(4_001)).await;
}

/// What was seen of the end of a session, and who had it end.
async fn seen(
    events: &[pb::SessionEvent],
    session: &str,
    worker: &mut WorkStream,
) -> (Seen, pb::ActorKind) {
    let events: Vec<pb::SessionEvent> = events
        .iter()
        .filter(|event| about(event) == session)
        .cloned()
        .collect();
    let end = events.last().unwrap().end.clone().expect("its end is last");
    let actor = end.actor.as_ref().unwrap().kind();
    let lost = worker.lease_lost().await;
    let seen = Seen {
        events: types(&events),
        end: pb::SessionEnd {
            actor: None,
            detail: String::new(),
            create_time: None,
            end_time: None,
            duration: None,
            ..end
        },
        lost: lost.reason(),
        told_successor: lost.successor_id,
    };
    (seen, actor)
}

/// Proves: G22.
#[tokio::test]
async fn an_end_that_is_asked_for_and_one_that_nobody_asked_for_look_alike() {
    let narrow = PoolOverrides {
        max_sessions: Some(Some(1)),
        emergency_idle: Some(Limit::After(Span::seconds(4))),
        ..PoolOverrides::default()
    };
    let server = Simulated::start_with(|policy| {
        let name = PoolName::parse("narrow").expect("a name");
        policy.pools.insert(name, narrow);
    })
    .await;
    let caller = server.caller();
    let (api, reaper) = (pb::ActorKind::Api, pb::ActorKind::Reaper);
    let manners = [
        ("asked", api),
        ("bulk", api),
        ("swept", api),
        ("crowded", reaper),
        ("timed", reaper),
    ];
    let mut held = Vec::new();
    for (name, _) in manners {
        held.push(done(&caller, name).await);
    }
    end_all(&server, &held[1].0).await;
    let revision = caller.revision().await;
    let events = WatchStream::from_the_start(&caller)
        .await
        .up_to(revision)
        .await;
    let mut all = Vec::new();
    for ((name, by), (session, worker)) in manners.into_iter().zip(&mut held) {
        let (seen, actor) = seen(&events, session, worker).await;
        assert_eq!(actor, by, "{name}");
        all.push(seen);
    }
    let first = &all[0];
    assert_eq!(first.end.reason(), pb::EndReason::Idle);
    assert_eq!(first.end.counts.as_ref().unwrap().processed, 1);
    for ((name, _), other) in manners.iter().zip(&all) {
        assert_eq!(other, first, "{name}");
    }
}
