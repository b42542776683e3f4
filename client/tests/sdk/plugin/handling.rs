//! Events are handled one at a time and acknowledged after that.

use pb::watch_session_events_request::Start;
use sessiond_client::{PluginError, PluginNotice, PluginState, pb};
use sessiond_proto::reason::Reason;
use tonic::Code;

use super::{acked, batch, bookmark, builder, made, reads, refusal, run, started};
use crate::fake_server::{Call, FakeServer, within};

#[tokio::test]
async fn an_event_is_acknowledged_after_its_handler_has_returned() {
    let mut server = FakeServer::start().await;
    let mut plugin = run(builder(&server).session_ends().from_oldest().required());
    let request = made(&mut server).await;
    assert_eq!(request.name, "memory");
    assert!(request.required && !request.request_id.is_empty());
    let ends = i32::from(pb::EventType::SessionEnd);
    assert_eq!(request.filter.unwrap().types, [ends]);
    let start = request.start.unwrap().start.unwrap();
    assert_eq!(start, pb::event_start::Start::Oldest(true));
    let watch = server.watch().await;
    let subscribed = Start::Subscription("memory".to_owned());
    assert_eq!(watch.request.start, Some(subscribed));
    assert_eq!(watch.request.consumer, "run-1");
    assert!(!watch.request.take_over);
    watch.send(started(7, 4)).await;
    let notice = plugin.notice().await;
    let expected = (7, 4);
    assert!(
        matches!(notice, PluginNotice::Reading { epoch, acked_revision } if (epoch, acked_revision) == expected),
        "{notice:?}"
    );
    watch.send(batch(&[5, 6])).await;
    let job = plugin.job().await;
    assert_eq!((job.event.revision(), job.event.attempt()), (5, 1));
    assert_eq!(job.event.id(), "log-5");
    // Nothing comes beside it, and nothing is said before it is done.
    assert!(plugin.jobs.try_recv().is_err());
    job.done();
    let ack = acked(&mut server).await;
    assert_eq!(
        (ack.name.as_str(), ack.revision, ack.epoch),
        ("memory", 5, 7)
    );
    plugin.handles(6).await;
    assert_eq!(acked(&mut server).await.revision, 6);
    // A bookmark says that there was nothing up to it.
    watch.send(bookmark(9, 0)).await;
    assert_eq!(acked(&mut server).await.revision, 9);
    assert_eq!(plugin.observer.state(), PluginState::Connected);
    watch.send(bookmark(9, 3_000)).await;
    let lags = |state: &PluginState| *state == PluginState::Lagging { events: 3_000 };
    within(plugin.observer.wait_for(lags)).await;
}

#[tokio::test]
async fn what_a_handler_fails_with_comes_again_before_anything_behind_it() {
    let mut server = FakeServer::start().await;
    let mut plugin = run(builder(&server));
    made(&mut server).await;
    let watch = reads(&mut server, 7, 0).await;
    assert!(matches!(
        plugin.notice().await,
        PluginNotice::Reading { .. }
    ));
    watch.send(batch(&[1, 2])).await;
    plugin.job().await.fail();
    let PluginNotice::Failed {
        event,
        attempts,
        error,
        ..
    } = plugin.notice().await
    else {
        panic!("a failure is told");
    };
    assert_eq!((event.revision, attempts), (1, 1));
    assert_eq!(error, "the disk is full");
    // One whose handler panics fails too.
    let job = plugin.job().await;
    assert_eq!((job.event.revision(), job.event.attempt()), (1, 2));
    drop(job.outcome);
    let PluginNotice::Failed { error, .. } = plugin.notice().await else {
        panic!("a panic is told");
    };
    assert_eq!(error, "the handler panicked");
    let job = plugin.job().await;
    assert_eq!((job.event.revision(), job.event.attempt()), (1, 3));
    job.done();
    assert_eq!(acked(&mut server).await.revision, 1);
    plugin.handles(2).await;
    assert_eq!(acked(&mut server).await.revision, 2);
}

#[tokio::test]
async fn a_handler_that_fails_as_often_as_it_may_ends_the_plugin() {
    let mut server = FakeServer::start().await;
    let mut plugin = run(builder(&server).max_attempts(2));
    made(&mut server).await;
    let watch = reads(&mut server, 7, 0).await;
    watch.send(batch(&[1, 2])).await;
    plugin.job().await.fail();
    plugin.job().await.fail();
    let mut observer = plugin.observer.clone();
    let error = plugin.end().await.unwrap_err();
    let PluginError::Handler {
        event, attempts, ..
    } = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!((event.revision, *attempts), (1, 2));
    assert_eq!(
        error.to_string(),
        "the handler failed 2 times with event log-1"
    );
    let closed = within(observer.wait_for(|_| false)).await;
    assert_eq!(closed, PluginState::Closed);
}

#[tokio::test]
async fn a_connection_that_breaks_changes_nothing_but_the_connection() {
    let mut server = FakeServer::start().await;
    let mut plugin = run(builder(&server).take_over());
    made(&mut server).await;
    let watch = server.watch().await;
    assert!(watch.request.take_over, "once");
    watch.send(started(7, 0)).await;
    watch.send(batch(&[1, 2, 3])).await;
    let job = plugin.job().await;
    server.cut();
    let watch = server.watch().await;
    assert!(!watch.request.take_over, "whoever took over since keeps it");
    assert_eq!(watch.request.consumer, "run-1");
    watch.send(started(7, 0)).await;
    // What was sent before comes again, and is not handled twice.
    watch.send(batch(&[1, 2, 3])).await;
    watch.send(batch(&[4])).await;
    job.done();
    assert_eq!(acked(&mut server).await.revision, 1);
    for revision in [2, 3, 4] {
        plugin.handles(revision).await;
        assert_eq!(acked(&mut server).await.revision, revision);
    }
}

#[tokio::test]
async fn an_acknowledgement_that_is_not_answered_is_made_again() {
    let mut server = FakeServer::start().await;
    let mut plugin = run(builder(&server));
    made(&mut server).await;
    let watch = reads(&mut server, 7, 0).await;
    watch.send(batch(&[1, 2, 3])).await;
    plugin.handles(1).await;
    let Call::AckEvents(call) = server.call().await else {
        panic!("expected an acknowledgement");
    };
    // It does not hold up the handler.
    plugin.handles(2).await;
    plugin.handles(3).await;
    call.refuse(refusal(Code::Unavailable, Reason::StoreUnavailable, &[]));
    // The same is repeated, and then the newest is said, with nothing between.
    assert_eq!(acked(&mut server).await.revision, 1);
    assert_eq!(acked(&mut server).await.revision, 3);
}
