//! A handler that answers dead letters with messages feeds itself, and is refused as any other.

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::refusal::Refusal;
use sessiond_tests::requests::{enqueue, key, nack};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::WatchStream;
use tonic::Code;

use super::requeue::everything;

/// How deep a chain may be.
const DEPTH_MAX: u32 = 8;

/// How a handler brings back what was given up.
#[derive(Clone, Copy)]
enum Way {
    Enqueue,
    RequeueHome,
    RequeueElsewhere,
}

/// Puts a message where a worker gives it up.
async fn again(caller: &Caller, way: Way, round: u32) -> Result<(), Refusal> {
    match way {
        Way::Enqueue => caller.enqueue(enqueue(key("a"), &["m"])).await.map(drop),
        Way::RequeueHome => caller.requeue(everything()).await.map(drop),
        Way::RequeueElsewhere => {
            let into = key(if round.is_multiple_of(2) { "a" } else { "b" });
            let elsewhere = pb::RequeueDeadLettersRequest {
                into,
                ..everything()
            };
            caller.requeue(elsewhere).await.map(drop)
        }
    }
}

/// A worker gives up all that is pending; answers with the event that says so.
async fn give_up(caller: &Caller) -> pb::SessionEvent {
    for of in ["a", "b"] {
        for delivery in caller.claimed(key(of), "w").await {
            let given_up = nack(&delivery, pb::NackKind::Permanent, None);
            assert_eq!(caller.code(given_up).await, pb::SettleCode::Ok);
        }
    }
    let revision = caller.revision().await;
    let mut watch = WatchStream::from_the_start(caller).await;
    let event = watch.up_to(revision).await.pop().expect("there is one");
    assert_eq!(event.r#type(), pb::EventType::MessageDeadLettered);
    event
}

/// Proves: F72.
#[tokio::test]
async fn a_dead_letter_is_due_to_what_its_message_was_enqueued_or_brought_back_for() {
    for way in [Way::Enqueue, Way::RequeueHome, Way::RequeueElsewhere] {
        let mut server = Server::start();
        let mut caller = Caller::to(&server).await;
        for of in ["a", "b"] {
            caller.opened(of).await;
        }
        let first = again(&caller, Way::Enqueue, 0).await;
        first.expect("nobody handles anything");
        let mut event = give_up(&caller).await;
        assert_eq!(event.cause, None);
        for depth in 1..=DEPTH_MAX {
            let event_id = event.event_id;
            let handler = caller.caused_by(&event_id);
            again(&handler, way, depth).await.expect("not too deep");
            if depth == 2 {
                server.kill();
                server.restart();
                caller = Caller::to(&server).await;
            }
            event = give_up(&caller).await;
            assert_eq!(event.cause, Some(pb::EventCause { event_id, depth }));
        }
        let handler = caller.caused_by(&event.event_id);
        let refused = again(&handler, way, 0).await.expect_err("it feeds itself");
        refused.is(Code::FailedPrecondition, Reason::CauseTooDeep);
    }
}

#[tokio::test]
async fn what_somebody_brings_back_by_himself_begins_anew() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    for of in ["a", "b"] {
        caller.opened(of).await;
    }
    let first = again(&caller, Way::Enqueue, 0).await;
    first.expect("nobody handles anything");
    let event_id = give_up(&caller).await.event_id;
    let handler = caller.caused_by(&event_id);
    again(&handler, Way::RequeueHome, 1).await.expect("it may");
    assert!(give_up(&caller).await.cause.is_some());
    again(&caller, Way::RequeueHome, 2).await.expect("it may");
    assert_eq!(give_up(&caller).await.cause, None);
}
