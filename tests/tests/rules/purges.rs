//! Purges: ended sessions are deleted for good, live ones and what waits for the next session are not.

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, claim, end, id, key, millis, nack, open, payloads};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::WatchStream;
use tonic::Code;

fn by_ids(ids: &[&str]) -> pb::PurgeSessionsRequest {
    pb::PurgeSessionsRequest {
        session_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        ..pb::PurgeSessionsRequest::default()
    }
}

fn all() -> pb::PurgeSessionsRequest {
    pb::PurgeSessionsRequest {
        filter: Some(pb::SessionFilter::default()),
        ..pb::PurgeSessionsRequest::default()
    }
}

async fn purged(caller: &Caller, request: pb::PurgeSessionsRequest) -> pb::PurgeSessionsResponse {
    caller.purge(request).await.expect("purged")
}

async fn ended(caller: &Caller, of: &str, reason: pb::EndReason) -> String {
    let session = caller.session(key(of)).await.session_id;
    let request = end(id(&session), reason, pb::EndMode::Immediate);
    caller.end(request).await.expect("ended");
    session
}

/// What became of each, with the reason of a refusal.
fn told(answer: &pb::PurgeSessionsResponse) -> Vec<(pb::PurgeOutcome, &str)> {
    let results = answer.results.iter();
    results
        .map(|result| {
            let reason = match &result.error {
                Some(error) => error.reason.as_str(),
                None => "",
            };
            (result.outcome(), reason)
        })
        .collect()
}

async fn counted(caller: &Caller) -> (u64, u64, u64) {
    let stats = caller.stats(pb::GetStatsRequest {}).await.expect("stats");
    let (sessions, messages) = (stats.sessions.unwrap(), stats.messages.unwrap());
    (sessions.ended, messages.pending, messages.dead_lettered)
}

/// Proves: F49.
#[tokio::test]
async fn an_ended_session_is_gone_with_all_that_was_its_own() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    caller
        .enqueued(key("a"), &["given up", "out", "left"])
        .await;
    let two = pb::ClaimMessagesRequest {
        max_messages: Some(2),
        ..claim(key("a"), "w")
    };
    let out = caller.claim(two).await.expect("claimed").deliveries;
    caller
        .settled(vec![nack(&out[0], pb::NackKind::Permanent, None)])
        .await;
    let session = ended(&caller, "a", pb::EndReason::Completed).await;
    assert_eq!(counted(&caller).await, (1, 0, 3));
    let mut watch = WatchStream::from_now(&caller).await;
    let answer = purged(&caller, by_ids(&[&session])).await;
    assert_eq!(told(&answer), [(pb::PurgeOutcome::Purged, "")]);
    assert_eq!((answer.sessions, answer.messages), (1, 3));
    let result = &answer.results[0];
    assert_eq!(
        (result.session_id.as_str(), result.key.as_str()),
        (session.as_str(), "a")
    );
    assert_eq!(result.messages, 3);
    let event = watch.event(pb::EventType::SessionPurged, &session).await;
    assert_eq!(event.revision, answer.revision);
    assert_eq!(event.attributes["messages"], "3");
    let snapshot = event.session.unwrap();
    assert_eq!(
        (snapshot.key.as_str(), snapshot.state()),
        ("a", pb::SessionState::Ended)
    );
    assert_eq!(event.actor.unwrap().kind(), pb::ActorKind::Api);
    for gone in [id(&session), key("a")] {
        let get = pb::GetSessionRequest { r#ref: gone };
        let refused = caller.get(get).await.expect_err("gone");
        refused.is(Code::NotFound, Reason::SessionNotFound);
    }
    assert_eq!(counted(&caller).await, (0, 0, 0));
    assert_eq!(
        caller.code(ack(&out[1])).await,
        pb::SettleCode::UnknownMessage
    );
    let again = purged(&caller, by_ids(&[&session])).await;
    assert_eq!(
        told(&again),
        [(pb::PurgeOutcome::Failed, "SESSION_NOT_FOUND")]
    );
    assert_eq!((again.sessions, again.revision), (0, answer.revision));
    // Neither the key nor the id remembers it.
    let request = pb::OpenSessionRequest {
        session_id: session,
        ..open("a")
    };
    let new = caller.open(request).await.expect("opened").session.unwrap();
    assert_eq!(
        (new.predecessor_id.as_str(), new.counts.unwrap().pending),
        ("", 0)
    );
}

#[tokio::test]
async fn what_lives_is_refused_one_by_one() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let active = caller.opened("active").await.session_id;
    let draining = caller.opened("draining").await.session_id;
    caller.enqueued(key("draining"), &["m"]).await;
    caller.claimed(key("draining"), "w").await;
    let graceful = pb::EndSessionRequest {
        end_grace: millis(3_600_000),
        ..end(key("draining"), pb::EndReason::Idle, pb::EndMode::Graceful)
    };
    caller.end(graceful).await.expect("draining");
    caller.opened("ended").await;
    let over = ended(&caller, "ended", pb::EndReason::Completed).await;
    let request = by_ids(&[&active, "nobody", &over, &draining]);
    let dry = pb::PurgeSessionsRequest {
        validate_only: true,
        ..request.clone()
    };
    let refused = |outcome| {
        [
            (pb::PurgeOutcome::Failed, "SESSION_ACTIVE"),
            (pb::PurgeOutcome::Failed, "SESSION_NOT_FOUND"),
            (outcome, ""),
            (pb::PurgeOutcome::Failed, "SESSION_DRAINING"),
        ]
    };
    let revision = caller.revision().await;
    let would = purged(&caller, dry).await;
    assert_eq!(told(&would), refused(pb::PurgeOutcome::WouldPurge));
    assert_eq!(
        (would.sessions, would.revision),
        (1, revision),
        "nothing changed"
    );
    let answer = purged(&caller, request).await;
    assert_eq!(told(&answer), refused(pb::PurgeOutcome::Purged));
    let session = caller.session(id(&active)).await;
    assert_eq!(session.state(), pb::SessionState::Active);
    let session = caller.session(id(&draining)).await;
    assert_eq!(session.state(), pb::SessionState::Draining);
}

#[tokio::test]
async fn what_waits_for_the_next_session_of_the_key_is_deleted_only_when_asked_for() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    caller.enqueued(key("a"), &["one", "two"]).await;
    let first = ended(&caller, "a", pb::EndReason::Shutdown).await;
    for validate_only in [true, false] {
        let request = pb::PurgeSessionsRequest {
            validate_only,
            ..by_ids(&[&first])
        };
        let kept = purged(&caller, request).await;
        assert_eq!(told(&kept), [(pb::PurgeOutcome::Failed, "QUEUE_HELD")]);
        let error = kept.results[0].error.as_ref().unwrap();
        assert_eq!(error.metadata["messages"], "2");
    }
    caller.opened("a").await;
    assert_eq!(
        payloads(&caller.claimed(key("a"), "w").await),
        ["one", "two"]
    );
    let second = ended(&caller, "a", pb::EndReason::Shutdown).await;
    // The queue is the second one's by now.
    let answer = purged(&caller, by_ids(&[&first])).await;
    assert_eq!(
        (told(&answer)[0].0, answer.messages),
        (pb::PurgeOutcome::Purged, 0)
    );
    let discard = pb::PurgeSessionsRequest {
        pending_policy: pb::PendingPolicy::Discard.into(),
        ..by_ids(&[&second])
    };
    let answer = purged(&caller, discard).await;
    assert_eq!(
        (told(&answer)[0].0, answer.messages),
        (pb::PurgeOutcome::Purged, 2)
    );
    let next = caller.opened("a").await;
    assert_eq!(
        (next.predecessor_id.as_str(), next.counts.unwrap().pending),
        ("", 0)
    );
    assert_eq!(
        caller.enqueued(key("a"), &["new"]).await,
        [1],
        "a new queue"
    );
    assert_eq!(counted(&caller).await, (0, 1, 0));
}

#[tokio::test]
async fn a_predecessor_goes_and_its_successor_stays_as_it_is_and_the_other_way_round() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let reset = async |of: &str| {
        let request = pb::ResetSessionRequest {
            r#ref: key(of),
            request_id: of.to_owned(),
            ..pb::ResetSessionRequest::default()
        };
        caller.reset(request).await.expect("reset")
    };
    caller.opened("a").await;
    caller.enqueued(key("a"), &["one"]).await;
    let old = reset("a").await.ended.unwrap().session_id;
    purged(&caller, by_ids(&[&old])).await;
    let repeat = reset("a").await;
    assert!(repeat.duplicate && repeat.ended.is_none());
    let new = caller.session(key("a")).await;
    assert_eq!(repeat.successor.as_ref(), Some(&new));
    assert_eq!(
        (new.predecessor_id.as_str(), new.counts.unwrap().pending),
        (old.as_str(), 1)
    );
    // Of the other pair the successor goes, and its queue with it.
    caller.opened("b").await;
    caller.enqueued(key("b"), &["one"]).await;
    let old = reset("b").await.ended.unwrap().session_id;
    let new = ended(&caller, "b", pb::EndReason::Completed).await;
    purged(&caller, by_ids(&[&new])).await;
    let left = caller.session(id(&old)).await;
    assert_eq!(
        (left.successor_id.as_str(), left.counts.unwrap().pending),
        (new.as_str(), 0)
    );
    assert_eq!(caller.messages_of(id(&old)).await, []);
    assert_eq!(
        caller.session(key("b")).await.session_id,
        old,
        "the newest on record"
    );
    let repeat = pb::ResetSessionRequest {
        r#ref: key("b"),
        request_id: "b".to_owned(),
        ..pb::ResetSessionRequest::default()
    };
    let refused = caller.reset(repeat).await.expect_err("its session is gone");
    refused.is(Code::NotFound, Reason::SessionNotFound);
}

#[tokio::test]
async fn a_filter_means_ended_sessions_page_by_page_and_no_others() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    for at in 0..7 {
        let request = pb::OpenSessionRequest {
            project: if at % 2 == 0 { "even" } else { "odd" }.to_owned(),
            ..open(&format!("k{at}"))
        };
        caller.open(request).await.expect("opened");
        if at < 6 {
            ended(&caller, &format!("k{at}"), pb::EndReason::Completed).await;
        }
    }
    let long_ago = pb::PurgeSessionsRequest {
        ended_for: millis(3_600_000),
        ..all()
    };
    assert_eq!(purged(&caller, long_ago).await.results, []);
    let mut request = all();
    request.filter.as_mut().unwrap().project = "even".to_owned();
    request.page_size = 2;
    let first = purged(&caller, request.clone()).await;
    assert_eq!(
        (first.sessions, first.next_page_token.is_empty()),
        (2, false)
    );
    request.page_token = first.next_page_token;
    let second = purged(&caller, request).await;
    assert_eq!((second.sessions, second.next_page_token.as_str()), (1, ""));
    let rest = purged(&caller, all()).await;
    let keys: Vec<&str> = rest.results.iter().map(|one| one.key.as_str()).collect();
    assert_eq!(keys, ["k1", "k3", "k5"]);
    let live = caller.session(key("k6")).await;
    assert_eq!(live.state(), pb::SessionState::Active);
    assert_eq!(counted(&caller).await.0, 0);
}

#[tokio::test]
async fn many_dead_letters_are_gone_from_sight_at_once_and_from_disk_across_a_sigkill() {
    const MESSAGES: usize = 5_000;
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    for _ in 0..MESSAGES / 250 {
        caller.enqueued(key("a"), &["m"; 250]).await;
    }
    let session = ended(&caller, "a", pb::EndReason::Completed).await;
    assert_eq!(counted(&caller).await, (1, 0, MESSAGES as u64));
    let answer = purged(&caller, by_ids(&[&session])).await;
    assert_eq!(answer.messages, MESSAGES as u64);
    assert_eq!(counted(&caller).await, (0, 0, 0));
    server.kill();
    server.restart();
    let caller = Caller::to(&server).await;
    assert_eq!(counted(&caller).await, (0, 0, 0));
    let refused = caller
        .get(pb::GetSessionRequest {
            r#ref: id(&session),
        })
        .await
        .expect_err("gone");
    refused.is(Code::NotFound, Reason::SessionNotFound);
    caller.opened("a").await;
    assert_eq!(caller.enqueued(key("a"), &["new"]).await, [1]);
    assert_eq!(payloads(&caller.claimed(key("a"), "w").await), ["new"]);
}
