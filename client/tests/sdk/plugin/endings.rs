//! What a plugin makes of a subscription that is lost, stale or gone, and of a server that goes.

use std::sync::Arc;
use std::time::Duration;

use pb::watch_session_events_response::Frame;
use sessiond_client::{PluginError, PluginEvent, PluginNotice, PluginState, pb};
use sessiond_proto::reason::Reason;
use tokio::sync::mpsc;
use tonic::Code;

use super::{acked, batch, builder, fenced, made, reads, refusal, run};
use crate::fake_server::{Call, FakeServer, within};

#[tokio::test]
async fn a_plugin_that_is_fenced_stands_by_until_the_other_one_is_gone() {
    let mut server = FakeServer::start().await;
    let mut plugin = run(builder(&server));
    made(&mut server).await;
    let watch = reads(&mut server, 7, 0).await;
    assert!(matches!(
        plugin.notice().await,
        PluginNotice::Reading { .. }
    ));
    watch.send(batch(&[1, 2])).await;
    let job = plugin.job().await;
    watch.refuse(fenced()).await;
    // The handler is told, and not interrupted.
    within(job.event.lost()).await;
    job.done();
    // Nothing is said for a subscription that is lost.
    let watch = server.watch().await;
    assert!(!watch.request.take_over);
    let holder = [("holder", "run-2")];
    let held = refusal(Code::FailedPrecondition, Reason::LeaseHeld, &holder);
    watch.refuse(held).await;
    let standing_by = |state: &PluginState| {
        let holder = Some("run-2".to_owned());
        *state == PluginState::Fenced { holder }
    };
    within(plugin.observer.wait_for(standing_by)).await;
    for expected in [None, Some("run-2")] {
        let PluginNotice::StandingBy { holder } = plugin.notice().await else {
            panic!("standing by is told");
        };
        assert_eq!(holder.as_deref(), expected);
    }
    // The other one has handled the first by then.
    let watch = reads(&mut server, 9, 1).await;
    watch.send(batch(&[2])).await;
    plugin.handles(2).await;
    let ack = acked(&mut server).await;
    assert_eq!((ack.revision, ack.epoch), (2, 9));
}

/// Answers that the subscription fell too far behind.
async fn stale(server: &mut FakeServer, acked: &str, oldest: &str) {
    let watch = server.watch().await;
    let facts = [("acked_revision", acked), ("oldest_revision", oldest)];
    let status = refusal(Code::FailedPrecondition, Reason::SubscriptionStale, &facts);
    watch.refuse(status).await;
}

async fn sought(server: &mut FakeServer) -> pb::event_start::Start {
    let Call::SeekSubscription(call) = server.call().await else {
        panic!("expected a seek");
    };
    let start = call.request.start.clone().and_then(|start| start.start);
    call.answer(pb::SeekSubscriptionResponse {
        subscription: Some(pb::Subscription::default()),
        duplicate: false,
    });
    start.unwrap()
}

#[tokio::test]
async fn a_plugin_that_was_away_for_too_long_goes_on_where_it_was_if_that_is_kept() {
    let mut server = FakeServer::start().await;
    let mut plugin = run(builder(&server));
    made(&mut server).await;
    stale(&mut server, "40", "41").await;
    let place = pb::event_start::Start::AfterRevision(40);
    assert_eq!(sought(&mut server).await, place);
    assert!(matches!(plugin.notice().await, PluginNotice::CaughtUpLate));
    let watch = reads(&mut server, 8, 40).await;
    watch.send(batch(&[41])).await;
    plugin.handles(41).await;
    assert_eq!(acked(&mut server).await.revision, 41);
}

#[tokio::test]
async fn a_gap_ends_a_plugin_unless_it_goes_on_all_the_same() {
    let mut server = FakeServer::start().await;
    let plugin = run(builder(&server));
    made(&mut server).await;
    stale(&mut server, "40", "42").await;
    let error = plugin.end().await.unwrap_err();
    assert!(
        matches!(
            error,
            PluginError::Gap {
                acked_revision: 40,
                oldest_revision: 42
            }
        ),
        "{error:?}"
    );
    let mut plugin = run(builder(&server).continue_after_gap());
    made(&mut server).await;
    stale(&mut server, "40", "42").await;
    let oldest = pb::event_start::Start::Oldest(true);
    assert_eq!(sought(&mut server).await, oldest);
    let PluginNotice::Gap {
        acked_revision,
        oldest_revision,
    } = plugin.notice().await
    else {
        panic!("a gap is told");
    };
    assert_eq!((acked_revision, oldest_revision), (40, 42));
    reads(&mut server, 8, 41).await;
    assert!(matches!(
        plugin.notice().await,
        PluginNotice::Reading { .. }
    ));
}

#[tokio::test]
async fn what_the_server_refuses_for_good_ends_a_plugin() {
    let mut server = FakeServer::start().await;
    let plugin = run(builder(&server));
    let Call::CreateSubscription(call) = server.call().await else {
        panic!("expected the making of the subscription");
    };
    let status = refusal(Code::AlreadyExists, Reason::SubscriptionExists, &[]);
    call.refuse(status);
    let error = plugin.end().await.unwrap_err();
    let PluginError::Server(error) = error else {
        panic!("{error:?}");
    };
    assert_eq!(error.reason(), Some(Reason::SubscriptionExists));
    let plugin = run(builder(&server));
    made(&mut server).await;
    let watch = server.watch().await;
    let gone = refusal(Code::NotFound, Reason::SubscriptionNotFound, &[]);
    watch.refuse(gone).await;
    let error = plugin.end().await.unwrap_err();
    assert!(matches!(error, PluginError::Server(_)), "{error:?}");
}

#[tokio::test]
async fn a_plugin_that_is_told_to_stop_finishes_its_event_and_says_so() {
    let mut server = FakeServer::start().await;
    let mut plugin = run(builder(&server));
    made(&mut server).await;
    let watch = reads(&mut server, 7, 0).await;
    watch.send(batch(&[1, 2])).await;
    let job = plugin.job().await;
    plugin.stop.take().unwrap().send(()).unwrap();
    job.done();
    assert_eq!(acked(&mut server).await.revision, 1);
    assert!(plugin.jobs.try_recv().is_err(), "nothing new is begun");
    plugin.end().await.unwrap();
    // A handler that does not return holds it up for the grace, and no longer.
    let mut plugin = run(builder(&server).stop_grace(Duration::from_millis(20)));
    made(&mut server).await;
    let watch = reads(&mut server, 7, 1).await;
    watch.send(batch(&[2])).await;
    let job = plugin.job().await;
    plugin.stop.take().unwrap().send(()).unwrap();
    plugin.end().await.unwrap();
    drop(job);
}

#[tokio::test]
async fn a_handler_sees_how_long_the_server_goes_on() {
    let mut server = FakeServer::start().await;
    let mut plugin = run(builder(&server));
    made(&mut server).await;
    let watch = reads(&mut server, 7, 0).await;
    watch.send(batch(&[1])).await;
    let job = plugin.job().await;
    assert_eq!(job.event.time_left(), None);
    let draining = pb::Bookmark {
        revision: 1,
        resume_token: "t1".to_owned(),
        cause: pb::BookmarkCause::ServerDraining.into(),
        lag_events: 0,
        closes_in: Duration::from_secs(60).try_into().ok(),
    };
    watch.send(Frame::Bookmark(draining)).await;
    let goes = |state: &PluginState| matches!(state, PluginState::Draining { .. });
    within(plugin.observer.wait_for(goes)).await;
    // The handler that is at work sees it too.
    let left = job.event.time_left().unwrap();
    assert!(left > Duration::from_secs(30) && left <= Duration::from_secs(60));
    job.done();
}

#[tokio::test]
async fn a_function_is_a_handler() {
    let mut server = FakeServer::start().await;
    let (sender, mut handled) = mpsc::unbounded_channel();
    let sender = Arc::new(sender);
    let handler = move |event: PluginEvent| {
        let sender = Arc::clone(&sender);
        async move {
            sender.send(event.revision())?;
            Ok(())
        }
    };
    let plugin = builder(&server).build();
    let running = tokio::spawn(plugin.run(handler, std::future::pending()));
    made(&mut server).await;
    let watch = reads(&mut server, 7, 0).await;
    watch.send(batch(&[1])).await;
    assert_eq!(within(handled.recv()).await, Some(1));
    assert_eq!(acked(&mut server).await.revision, 1);
    running.abort();
}
