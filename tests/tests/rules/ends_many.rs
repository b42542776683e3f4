//! Bulk ends: whom they mean, one end for each whoever asks, pages, and dry runs that change nothing.

use std::collections::BTreeMap;

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, end, id, key, labels, open};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::{WatchStream, about};
use tonic::Code;

fn immediate() -> pb::EndSessionsRequest {
    pb::EndSessionsRequest {
        reason: pb::EndReason::Failed.into(),
        detail: "all of them".to_owned(),
        mode: pb::EndMode::Immediate.into(),
        ..pb::EndSessionsRequest::default()
    }
}

fn filtered(filter: pb::SessionFilter) -> pb::EndSessionsRequest {
    pb::EndSessionsRequest {
        filter: Some(filter),
        ..immediate()
    }
}

fn all() -> pb::EndSessionsRequest {
    filtered(pb::SessionFilter::default())
}

fn globbed(glob: &str) -> pb::EndSessionsRequest {
    pb::EndSessionsRequest {
        key_glob: glob.to_owned(),
        ..immediate()
    }
}

fn by_ids(ids: &[&str]) -> pb::EndSessionsRequest {
    pb::EndSessionsRequest {
        session_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        ..immediate()
    }
}

async fn ended(caller: &Caller, request: pb::EndSessionsRequest) -> pb::EndSessionsResponse {
    caller.end_many(request).await.expect("a bulk end")
}

/// What became of which key, in order.
fn outcomes(answer: &pb::EndSessionsResponse) -> Vec<(&str, pb::EndOutcome)> {
    let results = answer.results.iter();
    results
        .map(|result| (result.key.as_str(), result.outcome()))
        .collect()
}

fn keys(answer: &pb::EndSessionsResponse) -> Vec<&str> {
    answer.results.iter().map(|one| one.key.as_str()).collect()
}

async fn opened(caller: &Caller, names: &[&str]) -> Vec<String> {
    let mut ids = Vec::new();
    for name in names {
        ids.push(caller.opened(name).await.session_id);
    }
    ids
}

/// The ends that the log has, by session.
async fn ends_on_record(caller: &Caller) -> BTreeMap<String, Vec<pb::SessionEnd>> {
    let revision = caller.revision().await;
    let mut watch = WatchStream::from_the_start(caller).await;
    let mut ends: BTreeMap<String, Vec<pb::SessionEnd>> = BTreeMap::new();
    for event in watch.up_to(revision).await {
        if event.r#type() == pb::EventType::SessionEnd {
            let of = ends.entry(about(&event).to_owned()).or_default();
            of.push(event.end.expect("an end says how"));
        }
    }
    ends
}

/// Proves: F38.
#[tokio::test]
async fn ids_are_answered_in_their_order_whatever_they_name() {
    let server = Server::start_with(&["--namespaces", "other"]);
    let caller = Caller::to(&server).await;
    let ids = opened(&caller, &["a", "b", "c"]).await;
    let elsewhere = caller.in_namespace("other").opened("a").await.session_id;
    let before = end(id(&ids[1]), pb::EndReason::Deleted, pb::EndMode::Immediate);
    caller.end(before).await.expect("ended");
    let asked = by_ids(&[&ids[2], "nobody", &ids[1], &ids[0], &ids[2], &elsewhere]);
    let answer = ended(&caller, asked).await;
    let told: Vec<&str> = answer.results.iter().map(|one| &*one.session_id).collect();
    assert_eq!(
        told,
        [&*ids[2], "nobody", &ids[1], &ids[0], &ids[2], &elsewhere]
    );
    assert_eq!(
        outcomes(&answer),
        [
            ("c", pb::EndOutcome::Ended),
            ("", pb::EndOutcome::Failed),
            ("b", pb::EndOutcome::AlreadyEnded),
            ("a", pb::EndOutcome::Ended),
            ("c", pb::EndOutcome::AlreadyEnded),
            ("", pb::EndOutcome::Failed),
        ]
    );
    let error = answer.results[1].error.clone().expect("a refusal");
    assert_eq!(error.reason, Reason::SessionNotFound.as_str());
    assert_eq!(error.code, Code::NotFound as i32);
    assert_eq!(error.metadata["session_id"], "nobody");
    let failed = answer.results.iter().filter(|one| one.error.is_some());
    assert_eq!(failed.count(), 2, "an error goes with FAILED only");
    assert_eq!(answer.revision, caller.revision().await);
    let first = caller.session(id(&ids[1])).await.end.expect("an end");
    assert_eq!(first.reason(), pb::EndReason::Deleted);
    let other = caller.in_namespace("other").session(id(&elsewhere)).await;
    assert_eq!(other.state(), pb::SessionState::Active);
}

/// Proves: F38.
#[tokio::test]
async fn every_session_ends_once_with_the_reason_that_was_given() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let ids = opened(&caller, &["a", "b", "c"]).await;
    let answer = ended(&caller, all()).await;
    assert_eq!(
        outcomes(&answer),
        ["a", "b", "c"].map(|name| (name, pb::EndOutcome::Ended))
    );
    assert_eq!(answer.next_page_token, "");
    assert!(ended(&caller, all()).await.results.is_empty(), "none lives");
    let ends = ends_on_record(&caller).await;
    assert_eq!(ends.len(), 3);
    for session in &ids {
        let [end] = &ends[session][..] else {
            panic!("one end for each session: {ends:?}");
        };
        assert_eq!(end.reason(), pb::EndReason::Failed);
        assert_eq!(end.detail, "all of them");
        assert_eq!(end.actor.as_ref().unwrap().kind(), pb::ActorKind::Api);
    }
}

#[tokio::test]
async fn a_glob_means_live_sessions_by_their_keys() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    opened(&caller, &["agent:1", "other", "agent:2", "agent:33"]).await;
    let keyless = caller.open(open("")).await.expect("opened");
    let before = end(
        key("agent:1"),
        pb::EndReason::Deleted,
        pb::EndMode::Immediate,
    );
    caller.end(before).await.expect("ended");
    assert_eq!(keys(&ended(&caller, globbed("agent:?")).await), ["agent:2"]);
    assert_eq!(keys(&ended(&caller, globbed("nobody*")).await), [""; 0]);
    let rest = ended(&caller, globbed("*")).await;
    assert_eq!(keys(&rest), ["other", "agent:33"]);
    let keyless = caller
        .session(id(&keyless.session.unwrap().session_id))
        .await;
    assert_eq!(keyless.state(), pb::SessionState::Active, "it has no key");
}

#[tokio::test]
async fn a_filter_means_live_sessions_that_meet_every_condition() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    for (name, project, team) in [("a", "p", "x"), ("b", "q", "x"), ("c", "p", "y")] {
        let request = pb::OpenSessionRequest {
            project: project.to_owned(),
            labels: labels(&[("team", team)]),
            ..open(name)
        };
        caller.open(request).await.expect("opened");
    }
    let filter = pb::SessionFilter {
        project: "p".to_owned(),
        labels: labels(&[("team", "x")]),
        ..pb::SessionFilter::default()
    };
    assert_eq!(keys(&ended(&caller, filtered(filter)).await), ["a"]);
    // Sessions opened after the first call are found by the next one.
    caller.opened("d").await;
    let draining = pb::SessionFilter {
        states: vec![pb::SessionState::Draining.into()],
        ..pb::SessionFilter::default()
    };
    assert_eq!(keys(&ended(&caller, filtered(draining)).await), [""; 0]);
    assert_eq!(keys(&ended(&caller, all()).await), ["b", "c", "d"]);
}

#[tokio::test]
async fn what_drains_may_only_be_shortened() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    caller.enqueued(key("a"), &["m"]).await;
    let out = caller.claimed(key("a"), "w").await;
    let graceful = pb::EndSessionsRequest {
        mode: pb::EndMode::Graceful.into(),
        end_grace: sessiond_tests::requests::millis(3_600_000),
        ..all()
    };
    let first = ended(&caller, graceful.clone()).await;
    assert_eq!(outcomes(&first), [("a", pb::EndOutcome::Draining)]);
    let again = ended(&caller, graceful).await;
    assert_eq!(outcomes(&again), [("a", pb::EndOutcome::AlreadyEnded)]);
    let seen = caller.session(id(&session)).await;
    assert_eq!(seen.state(), pb::SessionState::Draining);
    let now = pb::EndSessionsRequest {
        reason: pb::EndReason::Deleted.into(),
        ..all()
    };
    let last = ended(&caller, now).await;
    assert_eq!(outcomes(&last), [("a", pb::EndOutcome::AlreadyEnded)]);
    let seen = caller.session(id(&session)).await;
    assert_eq!(seen.state(), pb::SessionState::Ended);
    assert_eq!(seen.end.unwrap().reason(), pb::EndReason::Failed);
    assert_eq!(caller.code(ack(&out[0])).await, pb::SettleCode::Ok);
}

#[tokio::test]
async fn a_dry_run_says_what_would_end_and_changes_nothing() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let ids = opened(&caller, &["a", "b", "c"]).await;
    let before = end(key("b"), pb::EndReason::Deleted, pb::EndMode::Immediate);
    caller.end(before).await.expect("ended");
    let revision = caller.revision().await;
    let dry = |request| pb::EndSessionsRequest {
        validate_only: true,
        ..request
    };
    let would = |names: [&'static str; 2]| names.map(|name| (name, pb::EndOutcome::WouldEnd));
    for request in [all(), globbed("?")] {
        let answer = ended(&caller, dry(request)).await;
        assert_eq!(outcomes(&answer), would(["a", "c"]));
        assert_eq!(answer.revision, revision);
    }
    let answer = ended(&caller, dry(by_ids(&[&ids[1], "nobody", &ids[0]]))).await;
    assert_eq!(
        outcomes(&answer),
        [
            ("b", pb::EndOutcome::AlreadyEnded),
            ("", pb::EndOutcome::Failed),
            ("a", pb::EndOutcome::WouldEnd),
        ]
    );
    assert_eq!(caller.revision().await, revision, "no event is written");
    for name in ["a", "c"] {
        let session = caller.session(key(name)).await;
        assert_eq!(session.state(), pb::SessionState::Active);
    }
    assert_eq!(keys(&ended(&caller, all()).await), ["a", "c"]);
}

#[tokio::test]
async fn pages_go_on_in_the_order_of_opening_and_stop_where_the_first_began() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let names: Vec<String> = (0..7).map(|at| format!("k{at}")).collect();
    for name in &names {
        caller.opened(name).await;
    }
    let mut told: Vec<String> = Vec::new();
    let mut page_token = String::new();
    for size in [3, 3, 1] {
        assert_eq!(
            told.is_empty(),
            page_token.is_empty(),
            "there is a next page"
        );
        let request = pb::EndSessionsRequest {
            page_size: 3,
            page_token,
            ..all()
        };
        let page = ended(&caller, request).await;
        assert_eq!(page.results.len(), size);
        told.extend(keys(&page).into_iter().map(str::to_owned));
        page_token = page.next_page_token;
        caller.opened(&format!("late{}", told.len())).await;
    }
    assert_eq!(told, names);
    assert_eq!(page_token, "", "what is opened meanwhile is not meant");
    assert_eq!(
        keys(&ended(&caller, all()).await),
        ["late3", "late6", "late7"]
    );
}

#[tokio::test]
async fn what_lives_is_known_to_a_server_that_was_killed() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    opened(&caller, &["a", "b", "c"]).await;
    let before = end(key("b"), pb::EndReason::Deleted, pb::EndMode::Immediate);
    caller.end(before).await.expect("ended");
    server.kill();
    server.restart();
    let caller = Caller::to(&server).await;
    caller.opened("d").await;
    assert_eq!(keys(&ended(&caller, all()).await), ["a", "c", "d"]);
}

#[tokio::test]
async fn a_page_that_is_just_full_is_the_last_one() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    opened(&caller, &["a", "b"]).await;
    let request = pb::EndSessionsRequest {
        page_size: 2,
        ..all()
    };
    let page = ended(&caller, request).await;
    assert_eq!(
        (keys(&page), page.next_page_token.as_str()),
        (vec!["a", "b"], "")
    );
}

#[tokio::test]
async fn a_caller_that_hangs_up_stops_nothing() {
    const SESSIONS: usize = 900;
    let server = Server::start();
    let caller = Caller::to(&server).await;
    for at in 0..SESSIONS {
        caller.opened(&format!("k{at}")).await;
    }
    let mut watch = WatchStream::from_now(&caller).await;
    let call = tokio::spawn({
        let caller = Caller::to(&server).await;
        async move { ended(&caller, all()).await }
    });
    let first = watch.batch().await.events;
    call.abort();
    let opens = SESSIONS as u64;
    watch.up_to(2 * opens).await;
    assert!(!first.is_empty());
    assert!(
        ended(&caller, all()).await.results.is_empty(),
        "none is left"
    );
}

#[tokio::test]
async fn concurrent_bulk_ends_end_each_session_once() {
    const SESSIONS: usize = 300;
    let server = Server::start();
    let caller = Caller::to(&server).await;
    for at in 0..SESSIONS {
        caller.opened(&format!("k{at}")).await;
    }
    let mut deleted = all();
    deleted.set_reason(pb::EndReason::Deleted);
    let (one, other) = tokio::join!(ended(&caller, all()), ended(&caller, deleted));
    let ended_by = |answer: &pb::EndSessionsResponse| {
        let results = answer.results.iter();
        results
            .filter(|one| one.outcome() == pb::EndOutcome::Ended)
            .map(|one| one.session_id.clone())
            .collect::<Vec<String>>()
    };
    let ends = ends_on_record(&caller).await;
    assert_eq!(ends.len(), SESSIONS);
    assert_eq!(ended_by(&one).len() + ended_by(&other).len(), SESSIONS);
    for (answer, reason) in [
        (&one, pb::EndReason::Failed),
        (&other, pb::EndReason::Deleted),
    ] {
        for session in ended_by(answer) {
            let [end] = &ends[&session][..] else {
                panic!("one end for each session: {ends:?}");
            };
            assert_eq!(
                end.reason(),
                reason,
                "the one that is told to have ended it"
            );
        }
        let others = answer.results.iter();
        let known = others.filter(|one| one.outcome() == pb::EndOutcome::AlreadyEnded);
        assert_eq!(known.count() + ended_by(answer).len(), answer.results.len());
    }
}
