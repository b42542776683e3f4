//! Subscriptions and a drain: who keeps up is waited for a little, who does not is named and gets its ends after the restart.

use std::collections::BTreeSet;
use std::time::Instant;

use rustix::process::Signal;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::watch_session_events_request::Start;
use sessiond_proto::v1::watch_session_events_response::Frame;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{end, id};
use sessiond_tests::server::Server;
use sessiond_tests::subscription::{ack, consume, create, subscription};
use sessiond_tests::watch_stream::{WatchStream, types, watch_from};

use super::drained_by_call::report;
use super::drains::{again, ended, in_order, start};

fn of_type(name: &str, kind: pb::EventType) -> pb::CreateSubscriptionRequest {
    let filter = pb::EventFilter {
        types: vec![kind.into()],
        ..pb::EventFilter::default()
    };
    pb::CreateSubscriptionRequest {
        filter: Some(filter),
        ..create(name)
    }
}

/// Reads for a subscription and acknowledges each event, until the server closes the watch.
async fn keep_up(caller: Caller, name: &'static str) {
    let watch = WatchStream::open(&caller, consume(name, "prompt")).await;
    let mut watch = watch.expect("it reads");
    let epoch = watch.started.subscription_epoch;
    while let Ok(Some(frame)) = watch.frame().await {
        match frame {
            Frame::Batch(batch) => {
                let last = batch.events.last().expect("one at least").revision;
                let acked = ack(&caller, name, last, epoch).await;
                acked.expect("it is acknowledged while the server goes");
            }
            Frame::GoAway(_) => return,
            Frame::Started(_) | Frame::Bookmark(_) | Frame::Initial(_) => {}
        }
    }
}

/// Proves: B4.
#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_does_not_keep_up_is_named_and_gets_its_ends_after_the_restart() {
    let (_temporary, run, address, directory) = start();
    let caller = Caller::at(&format!("http://{address}")).await;
    for name in ["away", "slow", "prompt"] {
        let made = caller.create_subscription(create(name)).await;
        made.expect("it is made");
    }
    // Not meant for it.
    let other = of_type("other", pb::EventType::SessionOpened);
    let other = caller.create_subscription(other).await;
    other.expect("it is made");
    let mut sessions = BTreeSet::new();
    for key in ["a", "b", "c"] {
        sessions.insert(caller.opened(key).await.session_id);
    }
    // One had ended before: that is no business of the drain's.
    let early = caller.opened("early").await.session_id;
    let over = end(id(&early), pb::EndReason::Completed, pb::EndMode::Immediate);
    caller.end(over).await.expect("it ends");
    let prompt = tokio::spawn(keep_up(caller.clone(), "prompt"));
    // It is waited for although no end is meant for it.
    let told = of_type("told", pb::EventType::ServerDraining);
    let told = caller.create_subscription(told).await;
    told.expect("it is made");
    let told = tokio::spawn(keep_up(caller.clone(), "told"));
    let slow = WatchStream::open(&caller, consume("slow", "slow")).await;
    let slow = slow.expect("it reads");
    let began = Instant::now();
    run.signal(Signal::TERM);
    let (code, said) = ended(run).await;
    in_order(code, began, &said);
    prompt.await.expect("it kept up");
    told.await.expect("it kept up");
    drop(slow);

    let (_run, caller) = again(&directory).await;
    let told = report(&caller).await.expect("it was drained");
    let warning = |subject: &str| pb::DrainWarning {
        code: "session-end-drain".to_owned(),
        subject: format!("default/{subject}"),
        count: 3,
    };
    assert_eq!(told.warnings, [warning("away"), warning("slow")]);
    let acked = subscription(&caller, "told").await.acked_revision;
    assert!(acked > 0, "it heard that the server goes before it went");
    for name in ["away", "slow"] {
        assert_eq!(subscription(&caller, name).await.acked_revision, 0);
        let watch = WatchStream::open(&caller, consume(name, "later")).await;
        let mut watch = watch.expect("it reads");
        let mut heard = BTreeSet::new();
        while heard.len() < sessions.len() {
            let mut ends = watch.batch().await.events;
            ends.retain(|event| event.r#type() == pb::EventType::SessionEnd);
            let ends = ends.into_iter().filter_map(|event| event.session);
            let ids = ends.map(|session| session.session_id);
            heard.extend(ids.filter(|id| *id != early));
        }
        assert_eq!(heard, sessions, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn that_the_server_goes_is_an_event_of_every_namespace_before_its_ends() {
    let settings = "[namespaces.blue]\n[namespaces.default]\n";
    for (more, sessions) in [
        ("", "end"),
        ("[session]\ncleanup_on_shutdown = false\n", "keep"),
    ] {
        let mut server = Server::configured(&format!("{settings}{more}"));
        let caller = Caller::to(&server).await;
        let blue = caller.in_namespace("blue");
        let session = caller.opened("a").await.session_id;
        let mut watch = WatchStream::from_now(&caller).await;
        let mut other = WatchStream::from_now(&blue).await;
        assert_eq!(server.terminate().code(), Some(0));
        let is_it = |event: &pb::SessionEvent| event.r#type() == pb::EventType::ServerDraining;
        let seen = other.until(is_it).await;
        let [told] = &seen[..] else {
            panic!("another namespace hears of nothing else: {seen:?}");
        };
        assert_eq!((told.namespace.as_str(), &told.session), ("", &None));
        let attribute = |name: &str| told.attributes[name].as_str();
        assert_eq!(
            (attribute("reason"), attribute("sessions")),
            ("shutdown", sessions)
        );
        let actor = told.actor.as_ref().expect("somebody did it").kind();
        assert_eq!(actor, pb::ActorKind::Drain);
        let seen = watch.until(is_it).await;
        assert_eq!(seen.first(), Some(told), "one for all");
        assert_eq!(seen.len(), 1, "nothing comes before");
        server.restart();
        let caller = Caller::to(&server).await;
        // One that asks for a session hears of that alone.
        let filter = pb::EventFilter {
            session_ids: vec![session],
            ..pb::EventFilter::default()
        };
        let of_session = pb::WatchSessionEventsRequest {
            filter: Some(filter),
            ..watch_from(Start::Oldest(true))
        };
        let mut own = WatchStream::open(&caller, of_session)
            .await
            .expect("it reads");
        let (events, _) = own.bookmark(pb::BookmarkCause::CaughtUp).await;
        let types = types(&events);
        let mut expected = vec![pb::EventType::SessionOpened];
        if sessions == "end" {
            expected.push(pb::EventType::SessionEnd);
        }
        assert_eq!(types, expected);
    }
}
