//! Resets: a session ends and its successor goes on in one commit, with what the caller wants of its work.

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{after, end, id, key, labels, open, payloads};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::{WatchStream, types};
use tokio::task::JoinSet;
use tonic::Code;

pub(super) fn reset(session: Option<pb::SessionRef>) -> pb::ResetSessionRequest {
    pb::ResetSessionRequest {
        r#ref: session,
        ..pb::ResetSessionRequest::default()
    }
}

pub(super) fn carrying(of: &str, carry: pb::Carry) -> pb::ResetSessionRequest {
    pb::ResetSessionRequest {
        carry: carry.into(),
        ..reset(key(of))
    }
}

/// The session that ended, and its successor.
pub(super) async fn done(
    caller: &Caller,
    request: pb::ResetSessionRequest,
) -> (pb::Session, pb::Session) {
    let answer = caller.reset(request).await.expect("reset");
    assert!(!answer.duplicate);
    (answer.ended.unwrap(), answer.successor.unwrap())
}

/// Proves: B6.
#[tokio::test]
async fn a_reset_is_an_end_and_an_open_in_one_commit() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let table = [
        (pb::EndReason::Unspecified, pb::EndReason::Reset),
        (pb::EndReason::Reset, pb::EndReason::Reset),
        (pb::EndReason::Compacted, pb::EndReason::Compacted),
        (pb::EndReason::Scheduled, pb::EndReason::Scheduled),
        (pb::EndReason::Replaced, pb::EndReason::Replaced),
    ];
    for (asked, told) in table {
        let old = caller.opened("a").await;
        let mut watch = WatchStream::from_now(&caller).await;
        let request = pb::ResetSessionRequest {
            reason: asked.into(),
            detail: "enough".to_owned(),
            ..reset(key("a"))
        };
        let answer = caller.reset(request).await.expect("reset");
        let events = watch.batch().await.events;
        let pair = [pb::EventType::SessionEnd, pb::EventType::SessionOpened];
        assert_eq!(types(&events), pair, "neighbours in one frame");
        assert_eq!(answer.revision, events[1].revision);
        let (ended, successor) = (answer.ended.unwrap(), answer.successor.unwrap());
        let end = events[0].end.as_ref().expect("an end");
        assert_eq!(ended.end.as_ref(), Some(end));
        assert_eq!((end.reason(), end.detail.as_str()), (told, "enough"));
        assert_eq!(end.reason_class(), pb::EndReasonClass::Rotated);
        assert_eq!(end.successor_id, successor.session_id);
        assert_eq!(ended.session_id, old.session_id);
        assert_eq!(ended.state(), pb::SessionState::Ended);
        assert_eq!(ended.successor_id, successor.session_id);
        assert_eq!(successor.predecessor_id, old.session_id);
        assert_eq!(
            (successor.key.as_str(), successor.state()),
            ("a", pb::SessionState::Active)
        );
        assert_eq!(
            caller.session(key("a")).await.session_id,
            successor.session_id
        );
    }
}

/// A session of which nothing is as it is by default.
fn furnished(parent: &str) -> pb::OpenSessionRequest {
    pb::OpenSessionRequest {
        project: "/src".to_owned(),
        source: "hook".to_owned(),
        agent_id: "agent".to_owned(),
        labels: labels(&[("team", "blue")]),
        prompt: "go".to_owned(),
        prompt_number: Some(7),
        transcript_path: "/t/1".to_owned(),
        idle_timeout: after(1_000_000),
        max_lifetime: after(2_000_000),
        owner_timeout: after(3_000_000),
        ordering: pb::Ordering::Relaxed.into(),
        max_in_flight: Some(5),
        parent_session_id: parent.to_owned(),
        ..open("a")
    }
}

#[tokio::test]
async fn the_successor_is_as_the_session_was_but_for_its_conversation() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let parent = caller.opened("parent").await.session_id;
    let before = caller.open(furnished(&parent)).await.expect("opened");
    let before = before.session.unwrap();
    let usage = pb::TouchSessionRequest {
        r#ref: key("a"),
        usage_delta: Some(pb::Usage {
            input_tokens: 3,
            output_tokens: 4,
        }),
    };
    caller.touch(usage).await.expect("touched");
    let (_, same) = done(&caller, reset(key("a"))).await;
    let config = |session: &pb::Session| {
        let session = session.clone();
        (
            (
                session.pool,
                session.project,
                session.source,
                session.agent_id,
            ),
            (
                session.labels,
                session.ordering,
                session.max_in_flight,
                session.parent_session_id,
            ),
            (
                session.idle_timeout,
                session.max_lifetime,
                session.owner_timeout,
            ),
        )
    };
    assert_eq!(config(&same), config(&before));
    assert_eq!((same.prompt.as_str(), same.prompt_number), ("", 0));
    assert_eq!(same.transcript_path, "");
    let (usage, none) = (same.usage.unwrap_or_default(), pb::Usage::default());
    assert_eq!((usage, same.touch_count), (none, 0));
}

#[tokio::test]
async fn what_the_caller_says_anew_holds_for_the_successor() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let before = caller.open(furnished("")).await.expect("opened");
    let before = before.session.unwrap();
    let anew = pb::ResetSessionRequest {
        new_session_id: "mine".to_owned(),
        project: "/other".to_owned(),
        labels: labels(&[("team", "red")]),
        prompt: "again".to_owned(),
        transcript_path: "/t/2".to_owned(),
        idle_timeout: after(4_000_000),
        ordering: pb::Ordering::Strict.into(),
        ..reset(key("a"))
    };
    let (_, new) = done(&caller, anew).await;
    assert_eq!(new.session_id, "mine");
    assert_eq!(
        (new.project.as_str(), new.source.as_str()),
        ("/other", "hook")
    );
    assert_eq!(new.labels, labels(&[("team", "red")]));
    assert_eq!((new.prompt.as_str(), new.prompt_number), ("again", 1));
    assert_eq!(new.transcript_path, "/t/2");
    assert_eq!(new.idle_timeout, after(4_000_000));
    assert_eq!(new.max_lifetime, before.max_lifetime);
    assert_eq!(new.ordering(), pb::Ordering::Strict);
}

#[tokio::test]
async fn a_session_without_a_key_is_reset_too() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let old = caller.opened("").await;
    caller.enqueued(id(&old.session_id), &["one"]).await;
    let (_, new) = done(&caller, reset(id(&old.session_id))).await;
    assert_eq!((new.queue_id, new.key.as_str()), (old.queue_id, ""));
    assert_eq!(new.predecessor_id, old.session_id);
    assert_eq!(
        payloads(&caller.claimed(id(&new.session_id), "w").await),
        ["one"]
    );
}

/// Proves: B6.
#[tokio::test]
async fn a_full_pool_refuses_no_reset() {
    /// The limit of a pool.
    const SESSIONS: usize = 1_000;
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut opens = JoinSet::new();
    for at in 0..SESSIONS {
        let caller = caller.clone();
        opens.spawn(async move { caller.open(open(&format!("k{at}"))).await });
        if opens.len() >= 200 {
            // As many as a connection carries at once.
            opens.join_next().await;
        }
    }
    opens.join_all().await;
    let is_full = async || {
        let full = caller.open(open("one too many")).await;
        let full = full.expect_err("it is full");
        full.is(Code::ResourceExhausted, Reason::TooManySessions);
    };
    is_full().await;
    done(&caller, reset(key("k0"))).await;
    done(&caller, carrying("k0", pb::Carry::Keep)).await;
    done(&caller, carrying("k1", pb::Carry::Discard)).await;
    is_full().await;
    let over = end(key("k0"), pb::EndReason::Completed, pb::EndMode::Immediate);
    caller.end(over).await.expect("ended");
    caller.opened("another").await;
    is_full().await;
}

/// Proves: F6.
#[tokio::test]
async fn what_is_not_live_or_not_as_it_was_read_is_refused() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let refused = async |request| caller.reset(request).await.expect_err("refused");
    let nobody = refused(reset(key("nobody"))).await;
    nobody.is(Code::NotFound, Reason::SessionNotFound);
    let nobody = refused(reset(id("nobody"))).await;
    nobody.is(Code::NotFound, Reason::SessionNotFound);
    let session = caller.opened("a").await;
    let stale = pb::ResetSessionRequest {
        etag: "0".to_owned(),
        ..reset(key("a"))
    };
    let stale = refused(stale).await;
    stale
        .is(Code::Aborted, Reason::EtagMismatch)
        .with("etag", &session.etag);
    let taken = pb::ResetSessionRequest {
        new_session_id: session.session_id.clone(),
        ..reset(key("a"))
    };
    refused(taken)
        .await
        .is(Code::AlreadyExists, Reason::SessionIdInUse);
    assert_eq!(caller.session(key("a")).await, session, "nothing changed");
    let right = pb::ResetSessionRequest {
        etag: session.etag.clone(),
        ..reset(key("a"))
    };
    let (ended, new) = done(&caller, right).await;
    let over = refused(reset(id(&ended.session_id))).await;
    over.is(Code::FailedPrecondition, Reason::SessionEnded)
        .with("successor_id", &new.session_id);
    caller.enqueued(key("a"), &["m"]).await;
    caller.claimed(key("a"), "w").await;
    let graceful = end(key("a"), pb::EndReason::Idle, pb::EndMode::Graceful);
    caller.end(graceful).await.expect("draining");
    let draining = refused(reset(id(&new.session_id))).await;
    draining.is(Code::FailedPrecondition, Reason::SessionDraining);
    let by_key = refused(reset(key("a"))).await;
    by_key.is(Code::NotFound, Reason::SessionNotFound);
}

#[tokio::test]
async fn a_repeat_answers_with_the_same_successor_also_after_a_sigkill() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    caller.enqueued(key("a"), &["one"]).await;
    let once = pb::ResetSessionRequest {
        request_id: "r".to_owned(),
        ..reset(key("a"))
    };
    let first = caller.reset(once.clone()).await.expect("reset");
    server.kill();
    server.restart();
    let caller = Caller::to(&server).await;
    let again = caller.reset(once.clone()).await.expect("repeated");
    assert!(again.duplicate && !first.duplicate);
    assert_eq!(again.revision, first.revision);
    let id_of = |session: &Option<pb::Session>| session.as_ref().unwrap().session_id.clone();
    assert_eq!(id_of(&again.ended), id_of(&first.ended));
    assert_eq!(id_of(&again.successor), id_of(&first.successor));
    let other = pb::ResetSessionRequest {
        carry: pb::Carry::Keep.into(),
        ..once
    };
    let reused = caller.reset(other).await.expect_err("another request");
    reused.is(Code::InvalidArgument, Reason::RequestIdReused);
    assert_eq!(payloads(&caller.claimed(key("a"), "w").await), ["one"]);
}
