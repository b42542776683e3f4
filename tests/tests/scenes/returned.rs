//! "The message went back to the queue and nobody was told": it lay there until the next one came.

use std::time::Duration;

use sessiond_proto::v1 as pb;
use sessiond_proto::v1::work_request::Frame as Said;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{attempts, claim, claim_any, id, key, millis, nack, payloads};
use sessiond_tests::simulated::Simulated;
use sessiond_tests::work_stream::WorkStream;
use tokio::task::JoinHandle;

/// A server with a message of session `a`, and the session's id.
async fn with_message() -> (Simulated, Caller, String) {
    let server = Simulated::start().await;
    let caller = server.caller();
    let session = caller.opened("a").await.session_id;
    caller.enqueued(key("a"), &["m"]).await;
    (server, caller, session)
}

/// Waits for work as long as the wire lets it. Nothing but being told makes it look again.
async fn waits(
    server: &Simulated,
    request: pb::ClaimMessagesRequest,
) -> JoinHandle<Vec<pb::Delivery>> {
    let caller = server.caller();
    let request = pb::ClaimMessagesRequest {
        wait: millis(25_000),
        ..request
    };
    let waits = tokio::spawn(async move {
        let answer = caller.claim(request).await;
        answer.expect("a claim").deliveries
    });
    // It has asked by the time that this is answered, and found nothing.
    server.settle().await;
    waits
}

/// What the one that waited is given, which is the message, handed out for the time it should be.
async fn told(waits: JoinHandle<Vec<pb::Delivery>>, attempt: u32) {
    let out = waits.await.expect("it is answered");
    assert_eq!(
        (payloads(&out), attempts(&out)),
        (vec!["m".to_owned()], vec![attempt])
    );
}

fn another() -> pb::ClaimMessagesRequest {
    claim_any(pb::SessionFilter::default(), "other")
}

/// Proves: G8.
#[tokio::test]
async fn a_lapse_tells_whoever_waits() {
    let (server, caller, _) = with_message().await;
    let brief = pb::ClaimMessagesRequest {
        lease_duration: millis(10_000),
        ..claim(key("a"), "gone")
    };
    caller.claim(brief).await.expect("a claim");
    let waits = waits(&server, another()).await;
    server.advance(Duration::from_secs(10)).await;
    told(waits, 2).await;
}

/// Proves: G8.
#[tokio::test]
async fn a_failure_tells_whoever_waits_when_its_pause_is_over() {
    let (server, caller, _) = with_message().await;
    let out = caller.claimed(key("a"), "w").await;
    let failed = nack(&out[0], pb::NackKind::Retry, Some(1_000));
    assert_eq!(caller.code(failed).await, pb::SettleCode::Ok);
    let waits = waits(&server, claim(key("a"), "w")).await;
    server.advance(Duration::from_millis(999)).await;
    assert!(!waits.is_finished(), "it is not due");
    server.advance(Duration::from_millis(1)).await;
    told(waits, 2).await;
}

/// Proves: G8.
#[tokio::test]
async fn a_worker_that_gives_back_and_one_whose_lease_is_taken_tell_whoever_waits() {
    for (revoked, attempt) in [(false, 1), (true, 2)] {
        let (server, caller, session) = with_message().await;
        let mut worker = WorkStream::worker(&caller, "w", 1).await;
        worker.attached_to(key("a")).await;
        worker.delivered(1).await;
        let waits = waits(&server, another()).await;
        if revoked {
            let revoke = pb::RevokeLeaseRequest {
                r#ref: id(&session),
                ..pb::RevokeLeaseRequest::default()
            };
            caller.revoke_lease(revoke).await.expect("revoked");
        } else {
            worker.say(Said::Detach(pb::Detach {
                session_id: session,
            }));
        }
        told(waits, attempt).await;
    }
}
