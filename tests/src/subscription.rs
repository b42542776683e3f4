//! Subscriptions over the wire: how tests make them, read for them and acknowledge.

use sessiond_proto::v1 as pb;
use sessiond_proto::v1::event_start::Start;
use sessiond_proto::v1::watch_session_events_request::Start as Watch;

use crate::caller::Caller;
use crate::refusal::Refusal;
use crate::watch_stream::{WatchStream, watch_from};

/// One with the defaults.
#[must_use]
pub fn create(name: &str) -> pb::CreateSubscriptionRequest {
    pb::CreateSubscriptionRequest {
        name: name.to_owned(),
        ..pb::CreateSubscriptionRequest::default()
    }
}

/// A place of the log.
#[must_use]
pub fn start(start: Start) -> Option<pb::EventStart> {
    Some(pb::EventStart { start: Some(start) })
}

/// Has it go on from another place.
#[must_use]
pub fn seek(name: &str, to: Start) -> pb::SeekSubscriptionRequest {
    pb::SeekSubscriptionRequest {
        name: name.to_owned(),
        start: start(to),
        request_id: String::new(),
    }
}

/// Forgets it.
#[must_use]
pub fn delete(name: &str) -> pb::DeleteSubscriptionRequest {
    pb::DeleteSubscriptionRequest {
        name: name.to_owned(),
        request_id: String::new(),
    }
}

/// A watch of a consumer.
#[must_use]
pub fn consume(name: &str, consumer: &str) -> pb::WatchSessionEventsRequest {
    pb::WatchSessionEventsRequest {
        consumer: consumer.to_owned(),
        ..watch_from(Watch::Subscription(name.to_owned()))
    }
}

/// A subscription as it is.
///
/// # Panics
/// If it is not there.
pub async fn subscription(caller: &Caller, name: &str) -> pb::Subscription {
    let request = pb::GetSubscriptionRequest {
        name: name.to_owned(),
    };
    let answer = caller.get_subscription(request).await.expect("it is there");
    answer.subscription.expect("it is shown")
}

/// Acknowledges; answers with up to where everything is acknowledged.
///
/// # Errors
/// The refusal.
pub async fn ack(caller: &Caller, name: &str, revision: u64, epoch: u64) -> Result<u64, Refusal> {
    let request = pb::AckEventsRequest {
        name: name.to_owned(),
        revision,
        epoch,
    };
    let answer = caller.ack_events(request).await?;
    Ok(answer.acked_revision)
}

/// How a watch ends that is cut, whatever comes before.
///
/// # Panics
/// If it ends in order.
pub async fn cut(mut watch: WatchStream) -> Refusal {
    loop {
        match watch.frame().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ended in order"),
            Err(refused) => return refused,
        }
    }
}
