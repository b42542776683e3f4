//! Opens: one live session per key, what an open of it changes, and which ids are taken.

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{after, id, key, labels, message, never, open, unforeseen};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::{WatchStream, types};
use tokio::task::JoinSet;
use tonic::Code;

#[tokio::test]
async fn opening_a_key_twice_returns_the_live_session() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let first = caller.open(open("a")).await.expect("opened");
    assert!(first.created && !first.duplicate);
    assert_eq!(first.revision, 1);
    let second = caller.open(open("a")).await.expect("opened");
    assert!(!second.created && !second.duplicate);
    assert_eq!(second.revision, 1, "nothing changed that an event tells");
    let (first, second) = (first.session.unwrap(), second.session.unwrap());
    assert_eq!(first.session_id, second.session_id);
    assert_eq!(first.state(), pb::SessionState::Active);
}

#[tokio::test]
async fn a_hundred_concurrent_opens_of_one_key_make_one_session() {
    let server = Server::start();
    let mut opens = JoinSet::new();
    for _ in 0..10 {
        let caller = Caller::to(&server).await;
        for _ in 0..10 {
            let caller = caller.clone();
            opens.spawn(async move { caller.open(open("shared")).await.expect("opened") });
        }
    }
    let answers = opens.join_all().await;
    assert_eq!(answers.len(), 100);
    assert_eq!(answers.iter().filter(|answer| answer.created).count(), 1);
    let ids: std::collections::BTreeSet<String> = answers
        .into_iter()
        .map(|answer| answer.session.unwrap().session_id)
        .collect();
    assert_eq!(ids.len(), 1);
    let caller = Caller::to(&server).await;
    let events = WatchStream::from_the_start(&caller).await.up_to(1).await;
    assert_eq!(types(&events), [pb::EventType::SessionOpened]);
    assert_eq!(caller.revision().await, 1);
}

#[tokio::test]
async fn an_open_without_a_key_makes_a_session_every_time() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let first = caller.opened("").await;
    let second = caller.opened("").await;
    assert_ne!(first.session_id, second.session_id);
    assert_eq!(first.key, "");
    assert_eq!(
        caller.session(id(&first.session_id)).await.state(),
        pb::SessionState::Active
    );
}

/// Proves: F25.
#[tokio::test]
async fn answers_show_every_limit_resolved() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await;
    assert_eq!(session.idle_timeout, after(3_600_000));
    assert_eq!(session.max_lifetime, after(86_400_000));
    assert_eq!(session.owner_timeout, never());
    assert_eq!(session.ordering(), pb::Ordering::Strict);
    assert_eq!(session.max_in_flight, 64);
    assert_eq!(session.pool, "default");
    assert_eq!(session.namespace, "default");
    assert_eq!(session.counts, Some(pb::SessionCounts::default()));
    assert_eq!(session.usage, Some(pb::Usage::default()));
    assert!(session.create_time.is_some() && session.expire_time.is_some());
    assert!(session.end.is_none() && session.end_time.is_none());
    let asked = pb::OpenSessionRequest {
        idle_timeout: never(),
        max_lifetime: never(),
        owner_timeout: after(60_000),
        ordering: pb::Ordering::Serial.into(),
        max_in_flight: Some(1),
        parent_session_id: session.session_id.clone(),
        ..open("b")
    };
    let other = caller.opened_as(asked).await;
    assert_eq!(other.idle_timeout, never());
    assert_eq!(other.max_lifetime, never());
    assert_eq!(other.owner_timeout, after(60_000));
    assert_eq!(
        (other.ordering(), other.max_in_flight),
        (pb::Ordering::Serial, 1)
    );
    assert_eq!(other.parent_session_id, session.session_id);
    assert_eq!(
        unforeseen(caller.session(key("b")).await),
        unforeseen(other)
    );
}

#[tokio::test]
async fn use_existing_takes_what_is_given_and_keeps_the_rest() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let first = caller
        .open(pb::OpenSessionRequest {
            source: "hook".to_owned(),
            labels: labels(&[("team", "blue")]),
            transcript_path: "/transcripts/one".to_owned(),
            ..open("a")
        })
        .await
        .expect("opened");
    assert_eq!(first.session.as_ref().unwrap().project, "");
    let filled = caller
        .open(pb::OpenSessionRequest {
            project: "/src/app".to_owned(),
            agent_id: "main".to_owned(),
            ..open("a")
        })
        .await
        .expect("opened");
    let told = filled.session.unwrap();
    assert_eq!(told.project, "/src/app", "an empty project is filled later");
    assert_eq!(
        (told.source.as_str(), told.agent_id.as_str()),
        ("hook", "main")
    );
    assert_eq!(told.labels, labels(&[("team", "blue")]));
    assert_eq!(told.transcript_path, "/transcripts/one");
    assert_eq!(filled.revision, 2, "metadata that changed is told");
    let same = caller
        .open(pb::OpenSessionRequest {
            project: "/src/app".to_owned(),
            ..open("a")
        })
        .await
        .expect("opened");
    assert_eq!(same.revision, 2, "what stays as it is is no event");
    let events = WatchStream::from_the_start(&caller).await.up_to(2).await;
    assert_eq!(
        types(&events),
        [pb::EventType::SessionOpened, pb::EventType::SessionUpdated]
    );
}

/// Proves: F56.
#[tokio::test]
async fn a_prompt_without_a_number_increments_the_prompt_number() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let prompted = async |prompt: &str, number: Option<u32>| {
        let asked = pb::OpenSessionRequest {
            prompt: prompt.to_owned(),
            prompt_number: number,
            ..open("a")
        };
        let told = caller.opened_as(asked).await;
        (told.prompt, told.prompt_number)
    };
    let shown = |prompt: &str, number: u32| (prompt.to_owned(), number);
    assert_eq!(prompted("", None).await, shown("", 0));
    assert_eq!(prompted("one", None).await, shown("one", 1));
    assert_eq!(prompted("", None).await, shown("one", 1), "kept");
    assert_eq!(prompted("two", None).await, shown("two", 2));
    assert_eq!(prompted("nine", Some(9)).await, shown("nine", 9));
    assert_eq!(prompted("ten", None).await, shown("ten", 10));
    assert_eq!(caller.revision().await, 1, "events carry no prompt");
}

/// Proves: F56.
#[tokio::test]
async fn messages_without_a_prompt_number_are_stamped_with_the_current_one() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let prompt = |prompt: &str| pb::OpenSessionRequest {
        prompt: prompt.to_owned(),
        ..open("a")
    };
    caller.open(prompt("one")).await.expect("opened");
    caller.enqueued(key("a"), &["m1"]).await;
    caller.open(prompt("two")).await.expect("opened");
    let given = pb::Message {
        prompt_number: Some(0),
        ..message("m3")
    };
    caller.sent(key("a"), vec![message("m2"), given]).await;
    let claimed = caller.claimed(key("a"), "w").await;
    let numbers: Vec<Option<u32>> = claimed
        .iter()
        .map(|delivery| delivery.message.as_ref().unwrap().prompt_number)
        .collect();
    assert_eq!(
        numbers,
        [Some(1), Some(2), Some(0)],
        "0 given is kept apart from unset"
    );
}

#[tokio::test]
async fn fail_refuses_a_live_key_and_names_its_session() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let live = caller.opened("a").await;
    let asked = || pb::OpenSessionRequest {
        conflict_policy: pb::ConflictPolicy::Fail.into(),
        ..open("a")
    };
    let refusal = caller.open(asked()).await.expect_err("in use");
    refusal
        .is(Code::AlreadyExists, Reason::SessionKeyInUse)
        .with("session_id", &live.session_id)
        .with("state", "ACTIVE");
    assert_eq!(caller.revision().await, 1);
    let end =
        sessiond_tests::requests::end(key("a"), pb::EndReason::Completed, pb::EndMode::Immediate);
    caller.end(end).await.expect("ended");
    assert!(caller.open(asked()).await.expect("free again").created);
}

#[tokio::test]
async fn a_session_id_that_was_ever_used_is_refused() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let named = |of: &str| pb::OpenSessionRequest {
        session_id: "mine".to_owned(),
        ..open(of)
    };
    assert_eq!(
        caller
            .open(named("a"))
            .await
            .expect("new")
            .session
            .unwrap()
            .session_id,
        "mine"
    );
    assert!(!caller.open(named("a")).await.expect("its own").created);
    let refused = caller.open(named("b")).await.expect_err("taken");
    refused
        .is(Code::AlreadyExists, Reason::SessionIdInUse)
        .with("session_id", "mine");
    let replace = pb::OpenSessionRequest {
        conflict_policy: pb::ConflictPolicy::Replace.into(),
        ..named("a")
    };
    let refused = caller.open(replace).await.expect_err("its own id again");
    refused.is(Code::AlreadyExists, Reason::SessionIdInUse);
    let end =
        sessiond_tests::requests::end(key("a"), pb::EndReason::Deleted, pb::EndMode::Immediate);
    caller.end(end).await.expect("ended");
    let refused = caller.open(named("a")).await.expect_err("reused");
    refused.is(Code::AlreadyExists, Reason::SessionIdInUse);
    assert_eq!(
        caller.session(id("mine")).await.state(),
        pb::SessionState::Ended
    );
}

#[tokio::test]
async fn use_existing_with_another_id_or_pool_means_another_session() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let live = caller.opened("a").await;
    let asked = pb::OpenSessionRequest {
        session_id: "other".to_owned(),
        ..open("a")
    };
    let refused = caller.open(asked).await.expect_err("not that one");
    refused
        .is(Code::AlreadyExists, Reason::SessionKeyInUse)
        .with("session_id", &live.session_id);
    let asked = pb::OpenSessionRequest {
        pool: "gpu".to_owned(),
        ..open("b")
    };
    let refused = caller.open(asked).await.expect_err("no such pool");
    let refused = refused.is(Code::NotFound, Reason::PoolNotFound);
    assert_eq!(refused.resource.as_deref(), Some("gpu"));
    assert_eq!(caller.revision().await, 1);
}

#[tokio::test]
async fn ids_are_any_text_without_control_characters_up_to_256_bytes() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let longest = "ü".repeat(128);
    for name in ["agent:main:main", "a/b c", "日本語", longest.as_str()] {
        let asked = pb::OpenSessionRequest {
            session_id: format!("{}!", &name[..name.len().min(254)]),
            ..open(name)
        };
        let opened = caller.opened_as(asked).await;
        assert_eq!(
            caller.session(key(name)).await.session_id,
            opened.session_id
        );
        assert_eq!(caller.session(id(&opened.session_id)).await.key, name);
    }
}

#[tokio::test]
async fn a_full_pool_refuses_and_an_end_or_a_replace_makes_room() {
    const SESSIONS: usize = 1_000;
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut opens = JoinSet::new();
    for at in 0..2 * SESSIONS {
        let caller = caller.clone();
        opens.spawn(async move { caller.open(open(&format!("k{at}"))).await });
        if opens.len() >= 200 {
            // As many as a connection carries at once.
            opens.join_next().await;
        }
    }
    opens.join_all().await;
    let stats = caller.stats(pb::GetStatsRequest {}).await.expect("stats");
    assert_eq!(stats.sessions.unwrap().active, SESSIONS as u64);
    let refused = caller.open(open("more")).await.expect_err("full");
    refused
        .is(Code::ResourceExhausted, Reason::TooManySessions)
        .with("limit", "1000")
        .retries_within(std::time::Duration::from_secs(60));
    let live = caller
        .list(pb::ListSessionsRequest::default())
        .await
        .expect("list")
        .sessions;
    let replace = pb::OpenSessionRequest {
        conflict_policy: pb::ConflictPolicy::Replace.into(),
        ..open(&live[0].key)
    };
    let replaced = caller
        .open(replace)
        .await
        .expect("takes its predecessor's slot");
    assert!(replaced.created);
    assert!(
        !caller
            .open(open(&live[1].key))
            .await
            .expect("it lives")
            .created
    );
    let end = sessiond_tests::requests::end(
        key(&live[1].key),
        pb::EndReason::Completed,
        pb::EndMode::Immediate,
    );
    caller.end(end).await.expect("ended");
    assert!(caller.open(open("more")).await.expect("room").created);
}
