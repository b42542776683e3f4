//! Updates: what a mask names changes, the rest stays, and nobody's change is overwritten unseen.

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{after, claim, key, labels, open, payloads, unforeseen};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::WatchStream;
use tonic::Code;

fn mask(paths: &[&str]) -> Option<prost_types::FieldMask> {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    Some(prost_types::FieldMask { paths })
}

fn update() -> pb::UpdateSessionRequest {
    pb::UpdateSessionRequest {
        r#ref: key("a"),
        ..pb::UpdateSessionRequest::default()
    }
}

async fn opened(caller: &Caller) -> pb::Session {
    let asked = pb::OpenSessionRequest {
        project: "/src".to_owned(),
        source: "hook".to_owned(),
        labels: labels(&[("team", "blue"), ("tier", "1")]),
        idle_timeout: after(60_000),
        max_in_flight: Some(2),
        ..open("a")
    };
    caller.opened_as(asked).await
}

async fn updated(caller: &Caller, request: pb::UpdateSessionRequest) -> pb::Session {
    let updated = caller.update(request).await.expect("updated");
    updated.session.unwrap()
}

#[tokio::test]
async fn without_a_mask_every_field_that_is_set_changes() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let before = opened(&caller).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let asked = pb::UpdateSessionRequest {
        project: "/other".to_owned(),
        labels: labels(&[("team", "red")]),
        ..update()
    };
    let answer = caller.update(asked).await.expect("updated");
    assert_eq!(answer.revision, 2);
    let session = answer.session.unwrap();
    assert_eq!(session.project, "/other");
    assert_eq!(
        session.labels,
        labels(&[("team", "red")]),
        "they replace all it has"
    );
    assert_eq!(
        (session.source.as_str(), session.max_in_flight),
        ("hook", 2)
    );
    assert_ne!(session.etag, before.etag);
    let told = watch
        .event(pb::EventType::SessionUpdated, &session.session_id)
        .await;
    let shown = told.session.unwrap();
    assert_eq!(
        (shown.project.as_str(), shown.etag.as_str()),
        ("/other", session.etag.as_str())
    );
    assert_eq!(
        unforeseen(caller.session(key("a")).await),
        unforeseen(session)
    );
}

#[tokio::test]
async fn a_named_field_that_is_unset_is_reset() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    opened(&caller).await;
    let asked = pb::UpdateSessionRequest {
        update_mask: mask(&[
            "project",
            "labels",
            "idle_timeout",
            "max_in_flight",
            "source",
        ]),
        source: "cli".to_owned(),
        ..update()
    };
    let session = updated(&caller, asked).await;
    assert_eq!(
        (session.project.as_str(), session.source.as_str()),
        ("", "cli")
    );
    assert!(session.labels.is_empty());
    assert_eq!(
        session.idle_timeout,
        after(3_600_000),
        "the server's default"
    );
    assert_eq!(session.max_in_flight, 64);
}

#[tokio::test]
async fn a_prompt_is_activity_and_counts_one_up() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    opened(&caller).await;
    let asked = pb::UpdateSessionRequest {
        prompt: "go on".to_owned(),
        ..update()
    };
    let session = updated(&caller, asked).await;
    assert_eq!(
        (session.prompt.as_str(), session.prompt_number),
        ("go on", 1)
    );
    let asked = pb::UpdateSessionRequest {
        prompt_number: Some(7),
        ..update()
    };
    let session = updated(&caller, asked).await;
    assert_eq!(
        (session.prompt.as_str(), session.prompt_number),
        ("go on", 7)
    );
}

#[tokio::test]
async fn an_etag_that_is_not_the_present_one_is_refused() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let read = opened(&caller).await;
    let with = |etag: &str, project: &str| pb::UpdateSessionRequest {
        etag: etag.to_owned(),
        project: project.to_owned(),
        ..update()
    };
    let first = caller
        .update(with(&read.etag, "/mine"))
        .await
        .expect("updated");
    let etag = first.session.unwrap().etag;
    let refused = caller
        .update(with(&read.etag, "/theirs"))
        .await
        .expect_err("stale");
    refused
        .is(Code::Aborted, Reason::EtagMismatch)
        .with("etag", &etag);
    assert_eq!(caller.session(key("a")).await.project, "/mine");
    caller
        .update(with(&etag, "/theirs"))
        .await
        .expect("read again");
}

#[tokio::test]
async fn activity_does_not_change_the_etag() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let read = opened(&caller).await;
    caller.enqueued(key("a"), &["m"]).await;
    caller.touched(key("a")).await;
    let asked = pb::UpdateSessionRequest {
        etag: read.etag,
        source: "cli".to_owned(),
        ..update()
    };
    caller
        .update(asked)
        .await
        .expect("nobody changed the metadata");
}

#[tokio::test]
async fn another_order_or_bound_lets_messages_go_at_once() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let asked = pb::OpenSessionRequest {
        max_in_flight: Some(1),
        ..open("a")
    };
    caller.open(asked).await.expect("opened");
    caller.enqueued(key("a"), &["one", "two", "three"]).await;
    let mut worker = sessiond_tests::work_stream::WorkStream::worker(&caller, "w", 8).await;
    worker.attached_to(key("a")).await;
    assert_eq!(payloads(&worker.delivered(1).await), ["one"]);
    worker.is_quiet().await;
    let asked = pb::UpdateSessionRequest {
        max_in_flight: Some(2),
        ..update()
    };
    caller.update(asked).await.expect("updated");
    assert_eq!(payloads(&worker.delivered(1).await), ["two"]);
    worker.is_quiet().await;
    let held = caller
        .claim(claim(key("a"), "other"))
        .await
        .expect_err("held");
    held.is(Code::FailedPrecondition, Reason::LeaseHeld)
        .with("holder", "w");
}
