//! Releases: by id, by name and by pattern; forced ones, dry ones, and what an end waits for.

use std::collections::BTreeSet;

use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{end, id, key, millis};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::WatchStream;

use super::resources::{declare, declared, forced, listed};

fn by_name(name: &str) -> pb::ReleaseResourceRequest {
    pb::ReleaseResourceRequest {
        name: name.to_owned(),
        ..pb::ReleaseResourceRequest::default()
    }
}

fn by_glob(glob: &str) -> pb::ReleaseResourceRequest {
    pb::ReleaseResourceRequest {
        name_glob: glob.to_owned(),
        ..pb::ReleaseResourceRequest::default()
    }
}

/// Sessions `a` and `b`, each with resources of these names.
async fn world(caller: &Caller, names: &[&str]) {
    for session in ["a", "b"] {
        caller.opened(session).await;
        for name in names {
            declared(caller, declare(key(session), name)).await;
        }
    }
}

fn chosen(answer: &pb::ReleaseResourceResponse) -> Vec<(String, String)> {
    let of = |result: &pb::ReleaseResult| {
        let resource = result.resource.clone().expect("a resource");
        (resource.key, resource.name)
    };
    answer.results.iter().map(of).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = expected.iter();
    owned
        .map(|(key, name)| ((*key).to_owned(), (*name).to_owned()))
        .collect()
}

/// Proves: F35.
#[tokio::test]
async fn a_name_means_what_is_called_exactly_so_and_is_not_released() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    world(&caller, &["shell", "shell 2", "*", ""]).await;
    let nothing = caller.release_resource(by_name("shel")).await;
    assert!(nothing.expect("harmless").results.is_empty(), "no prefix");
    let star = pb::ReleaseResourceRequest {
        force: true,
        ..by_name("*")
    };
    let star = caller.release_resource(star).await.expect("released");
    assert_eq!(chosen(&star), pairs(&[("a", "*"), ("b", "*")]));
    let request = pb::ReleaseResourceRequest {
        force: true,
        ..by_name("shell")
    };
    let answer = caller.release_resource(request.clone()).await;
    let answer = answer.expect("released");
    assert_eq!(chosen(&answer), pairs(&[("a", "shell"), ("b", "shell")]));
    for result in &answer.results {
        assert_eq!(result.outcome(), pb::ReleaseOutcome::Released);
        let resource = result.resource.as_ref().unwrap();
        assert_eq!(resource.outcome(), pb::ResourceOutcome::Forced);
        assert!(resource.release_time.is_some());
    }
    let again = caller.release_resource(request).await.expect("harmless");
    assert!(
        again.results.is_empty(),
        "what is gone has no name any more"
    );
    assert_eq!(listed(&caller, None).await.len(), 4);
}

/// Proves: F36.
#[tokio::test]
async fn a_pattern_means_what_is_on_record_of_the_namespace_and_can_be_tried_first() {
    let server = Server::start_with(&["--namespaces", "default,blue"]);
    let caller = Caller::to(&server).await;
    world(&caller, &["agent-1", "agent-22", "other", ""]).await;
    let blue = caller.in_namespace("blue");
    world(&blue, &["agent-1"]).await;
    let dry = pb::ReleaseResourceRequest {
        validate_only: true,
        ..by_glob("agent-?")
    };
    let revision = caller.revision().await;
    let would = caller.release_resource(dry).await.expect("foreseen");
    assert_eq!(chosen(&would), pairs(&[("a", "agent-1"), ("b", "agent-1")]));
    for result in &would.results {
        assert_eq!(result.outcome(), pb::ReleaseOutcome::WouldRelease);
        let resource = result.resource.as_ref().unwrap();
        assert_eq!(resource.state(), pb::ResourceState::Held);
    }
    assert_eq!(caller.revision().await, revision, "nothing was changed");
    let mut request = pb::ReleaseResourceRequest {
        force: true,
        page_size: 3,
        ..by_glob("agent-*")
    };
    let mut found = Vec::new();
    loop {
        let page = caller.release_resource(request.clone()).await;
        let page = page.expect("a page");
        assert!(page.results.len() <= 3);
        found.extend(chosen(&page));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let expected = [
        ("a", "agent-1"),
        ("a", "agent-22"),
        ("b", "agent-1"),
        ("b", "agent-22"),
    ];
    assert_eq!(found, pairs(&expected));
    assert_eq!(listed(&caller, None).await.len(), 4, "the others stay");
    assert_eq!(listed(&blue, None).await.len(), 2, "and other namespaces");
}

#[tokio::test]
async fn each_id_has_its_result_and_a_repeat_is_harmless() {
    let server = Server::start_with(&["--namespaces", "default,blue"]);
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    let first = declared(&caller, declare(key("a"), "shell")).await;
    let second = declared(&caller, declare(key("a"), "")).await;
    let ids = [&first.resource_id, "what", &first.resource_id];
    let ids = ids.map(str::to_owned).to_vec();
    let request = pb::ReleaseResourceRequest {
        resource_ids: ids.clone(),
        force: true,
        ..pb::ReleaseResourceRequest::default()
    };
    let blue = caller.in_namespace("blue");
    let elsewhere = blue.release_resource(request.clone()).await.expect("tried");
    for result in &elsewhere.results {
        let error = result.error.as_ref().expect("it is not there");
        assert_eq!(error.reason, "RESOURCE_NOT_FOUND");
        assert_eq!(result.outcome(), pb::ReleaseOutcome::Failed);
    }
    let dry = pb::ReleaseResourceRequest {
        validate_only: true,
        ..request.clone()
    };
    let would = caller.release_resource(dry).await.expect("foreseen");
    let outcomes = |answer: &pb::ReleaseResourceResponse| -> Vec<pb::ReleaseOutcome> {
        answer.results.iter().map(|one| one.outcome()).collect()
    };
    use pb::ReleaseOutcome::{Failed, Released, WouldRelease};
    assert_eq!(outcomes(&would), [WouldRelease, Failed, WouldRelease]);
    let answer = caller.release_resource(request.clone()).await;
    let answer = answer.expect("released");
    assert_eq!(outcomes(&answer), [Released, Failed, Released]);
    let named: Vec<&str> = answer
        .results
        .iter()
        .map(|one| one.resource_id.as_str())
        .collect();
    assert_eq!(named, ids);
    let again = caller.release_resource(request).await.expect("harmless");
    assert_eq!(outcomes(&again), [Released, Failed, Released]);
    let mut events = WatchStream::from_the_start(&caller).await;
    let events = events.up_to(caller.revision().await).await;
    let released = events
        .iter()
        .filter(|event| event.r#type() == pb::EventType::ResourceReleased);
    let [event] = released
        .collect::<Vec<_>>()
        .try_into()
        .expect("one release");
    assert_eq!(event.attributes["resource_id"], first.resource_id);
    assert_eq!(event.attributes["name"], "shell");
    assert_eq!(event.attributes["outcome"], "forced");
    assert_eq!(event.actor.as_ref().unwrap().kind(), pb::ActorKind::Api);
    let seen = caller.session(id(&session)).await;
    assert_eq!(
        (seen.state(), seen.unreleased_resources),
        (pb::SessionState::Active, 1)
    );
    assert_eq!(listed(&caller, None).await, [second]);
}

#[tokio::test]
async fn a_release_is_answered_when_it_is_durable_and_told_when_it_is_done() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    let resource = declared(&caller, declare(key("a"), "shell")).await;
    let request = pb::ReleaseResourceRequest {
        resource_ids: vec![resource.resource_id.clone()],
        ..pb::ReleaseResourceRequest::default()
    };
    let answer = caller.release_resource(request).await.expect("durable");
    let [result] = answer.results.as_slice() else {
        panic!("one result: {answer:?}");
    };
    assert_eq!(result.outcome(), pb::ReleaseOutcome::Releasing);
    let shown = result.resource.as_ref().unwrap();
    assert_eq!(shown.state(), pb::ResourceState::Releasing);
    let mut events = WatchStream::from_the_start(&caller).await;
    let event = events
        .event(pb::EventType::ResourceReleased, &session)
        .await;
    assert_eq!(event.attributes["outcome"], "already_gone");
    assert_eq!(event.actor.unwrap().kind(), pb::ActorKind::Agent);
    let [shown] = listed(&caller, key("a")).await.try_into().expect("one");
    assert_eq!(shown.outcome(), pb::ResourceOutcome::AlreadyGone);
    assert_eq!(
        caller.session(key("a")).await.state(),
        pb::SessionState::Active
    );
}

#[tokio::test]
async fn an_end_that_waits_for_the_release_comes_back_with_nothing_left() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    for name in ["one", "two"] {
        declared(&caller, declare(key("a"), name)).await;
    }
    let request = pb::EndSessionRequest {
        wait: millis(20_000),
        wait_for: pb::WaitFor::Released.into(),
        ..end(key("a"), pb::EndReason::Completed, pb::EndMode::Immediate)
    };
    let ended = caller.end(request.clone()).await.expect("ended");
    let shown = ended.session.unwrap();
    assert_eq!(
        (shown.state(), shown.unreleased_resources),
        (pb::SessionState::Ended, 0)
    );
    let again = caller.end(request).await.expect("harmless");
    assert!(again.already_ended);
    let mut events = WatchStream::from_the_start(&caller).await;
    let events = events.up_to(caller.revision().await).await;
    let kinds: Vec<pb::EventType> = events.iter().map(pb::SessionEvent::r#type).collect();
    use pb::EventType::{ResourceReleased, SessionEnd, SessionOpened, SessionReleased};
    let expected = [
        SessionOpened,
        SessionEnd,
        ResourceReleased,
        ResourceReleased,
        SessionReleased,
    ];
    assert_eq!(kinds, expected);
    let last = events[4].session.as_ref().unwrap();
    assert_eq!(
        (last.session_id.as_str(), last.unreleased_resources),
        (session.as_str(), 0)
    );
    let names: BTreeSet<&str> = events[2..4]
        .iter()
        .map(|one| one.attributes["name"].as_str())
        .collect();
    assert_eq!(names, BTreeSet::from(["one", "two"]));
    let without = caller.opened("b").await;
    let over = end(
        id(&without.session_id),
        pb::EndReason::Completed,
        pb::EndMode::Immediate,
    );
    let over = pb::EndSessionRequest {
        wait: millis(20_000),
        wait_for: pb::WaitFor::Released.into(),
        ..over
    };
    caller.end(over).await.expect("it has nothing to wait for");
}

#[tokio::test]
async fn a_session_that_let_everything_go_before_its_end_says_so_with_it() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    let resource = declared(&caller, declare(key("a"), "")).await;
    forced(&caller, &resource).await;
    let over = end(key("a"), pb::EndReason::Completed, pb::EndMode::Immediate);
    caller.end(over).await.expect("ended");
    let mut events = WatchStream::from_the_start(&caller).await;
    let told = events.event(pb::EventType::SessionReleased, &session).await;
    assert_eq!(told.revision, caller.revision().await, "with its end");
}
