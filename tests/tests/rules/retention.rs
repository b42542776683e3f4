//! Retention: ended sessions and dead letters are kept for a time, and then they are gone and counted.

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, end, id, key, nack};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::{WatchStream, about};
use tonic::Code;

async fn ended(caller: &Caller, of: &str, reason: pb::EndReason) -> String {
    let session = caller.session(key(of)).await.session_id;
    let request = end(id(&session), reason, pb::EndMode::Immediate);
    caller.end(request).await.expect("ended");
    session
}

async fn is_gone(caller: &Caller, session: &str) {
    let get = pb::GetSessionRequest { r#ref: id(session) };
    let refused = caller.get(get).await.expect_err("it was kept long enough");
    refused.is(Code::NotFound, Reason::SessionNotFound);
}

/// Proves: F49.
#[tokio::test]
async fn an_ended_session_is_purged_by_itself_when_it_was_kept_long_enough() {
    let server = Server::configured("[session]\nretention = \"200ms\"\n");
    let caller = Caller::to(&server).await;
    let info = caller
        .info(pb::GetServerInfoRequest {})
        .await
        .expect("info");
    let shown = info.defaults.unwrap().session_retention;
    assert_eq!(shown, sessiond_tests::requests::after(200));
    let live = caller.opened("live").await.session_id;
    caller.opened("a").await;
    let mut watch = WatchStream::from_now(&caller).await;
    let session = ended(&caller, "a", pb::EndReason::Completed).await;
    let event = watch.event(pb::EventType::SessionPurged, &session).await;
    assert_eq!(event.actor.unwrap().kind(), pb::ActorKind::Reaper);
    assert_eq!(event.attributes["messages"], "0");
    is_gone(&caller, &session).await;
    let stats = caller.stats(pb::GetStatsRequest {}).await.expect("stats");
    assert_eq!(stats.sessions.unwrap().ended, 0);
    assert_eq!(
        caller.session(id(&live)).await.state(),
        pb::SessionState::Active
    );
}

/// Proves: F49.
#[tokio::test]
async fn a_session_stays_for_as_long_as_its_messages_do() {
    let server = Server::configured("[session]\nretention = \"1ms\"\n");
    let caller = Caller::to(&server).await;
    for name in ["held", "dead", "given up", "empty"] {
        caller.opened(name).await;
    }
    caller.enqueued(key("held"), &["m"]).await;
    caller.enqueued(key("dead"), &["m"]).await;
    caller.enqueued(key("given up"), &["m"]).await;
    let out = caller.claimed(key("given up"), "w").await;
    caller
        .settled(vec![nack(&out[0], pb::NackKind::Permanent, None)])
        .await;
    let mut watch = WatchStream::from_now(&caller).await;
    let held = ended(&caller, "held", pb::EndReason::Shutdown).await;
    let dead = ended(&caller, "dead", pb::EndReason::Completed).await;
    let given_up = ended(&caller, "given up", pb::EndReason::Completed).await;
    let empty = ended(&caller, "empty", pb::EndReason::Completed).await;
    // The last one's end shows that the others would have been purged before.
    let purged = |event: &pb::SessionEvent| event.r#type() == pb::EventType::SessionPurged;
    let before = watch
        .until(|event| purged(event) && about(event) == empty)
        .await;
    let others: Vec<&str> = before.iter().filter(|one| purged(one)).map(about).collect();
    assert_eq!(others, [empty.as_str()]);
    for session in [&held, &dead, &given_up] {
        let session = caller.session(id(session)).await;
        assert_eq!(session.state(), pb::SessionState::Ended);
    }
    assert_eq!(caller.messages_of(id(&dead)).await.len(), 1);
    assert_eq!(caller.messages_of(id(&given_up)).await.len(), 1);
    let next = caller.opened("held").await;
    assert_eq!(
        (next.predecessor_id.as_str(), next.counts.unwrap().pending),
        (held.as_str(), 1)
    );
}

/// Proves: F49, G13.
#[tokio::test]
async fn dead_letters_are_deleted_and_counted_when_they_were_kept_long_enough() {
    let server = Server::configured("[queue]\ndead_letter_retention = \"2s\"\n");
    let caller = Caller::to(&server).await;
    let live = caller.opened("live").await.session_id;
    caller
        .enqueued(key("live"), &["given up", "done", "waits"])
        .await;
    let out = caller.claimed(key("live"), "w").await;
    caller
        .settled(vec![
            nack(&out[0], pb::NackKind::Permanent, None),
            ack(&out[1]),
        ])
        .await;
    caller.opened("over").await;
    caller.enqueued(key("over"), &["one", "two"]).await;
    let over = ended(&caller, "over", pb::EndReason::Completed).await;
    let before = caller.session(id(&live)).await.counts.unwrap();
    assert_eq!((before.dead_lettered, before.discarded), (1, 0));
    // Only the messages go: the sessions stay on record, and say what became of them.
    loop {
        let stats = caller.stats(pb::GetStatsRequest {}).await.expect("stats");
        if stats.messages.unwrap().dead_lettered == 0 {
            break;
        }
    }
    let counts = caller.session(id(&live)).await.counts.unwrap();
    assert_eq!((counts.dead_lettered, counts.discarded), (0, 1));
    assert_eq!(
        (counts.enqueued, counts.processed, counts.in_flight),
        (3, 1, 1)
    );
    assert_eq!(caller.messages_of(id(&live)).await.len(), 1);
    let session = caller.session(id(&over)).await;
    let counts = session.counts.unwrap();
    assert_eq!((counts.dead_lettered, counts.discarded), (0, 2));
    assert_eq!(
        session.end.unwrap().counts.unwrap().dead_lettered,
        2,
        "as of its end"
    );
    assert_eq!(caller.messages_of(id(&over)).await, []);
}

#[tokio::test]
async fn what_came_of_age_while_the_server_was_down_goes_when_its_time_is_served() {
    let mut server = Server::configured("[session]\nretention = \"400ms\"\n");
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let session = ended(&caller, "a", pb::EndReason::Completed).await;
    server.kill();
    server.restart();
    let caller = Caller::to(&server).await;
    let mut watch = WatchStream::from_the_start(&caller).await;
    watch.event(pb::EventType::SessionPurged, &session).await;
    is_gone(&caller, &session).await;
}

#[tokio::test]
async fn never_keeps_what_is_on_record_too() {
    let mut server = Server::configured("[session]\nretention = \"2s\"\n");
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let kept = ended(&caller, "a", pb::EndReason::Completed).await;
    server.kill();
    server.configure("[session]\nretention = \"never\"\n");
    server.restart();
    let caller = Caller::to(&server).await;
    let mut watch = WatchStream::from_now(&caller).await;
    // By then the other one's would be over.
    watch.passed(&caller, 2_500).await;
    let session = caller.session(id(&kept)).await;
    assert_eq!(session.state(), pb::SessionState::Ended);
}
