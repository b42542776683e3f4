//! A drain is asked for once, and one that nobody reported is an error.

use std::time::Duration;

use pb::drain_server_response::Frame;
use sessiond_client::{Client, DrainStream, Error, Reason, RetryPolicy, pb};
use tokio::net::TcpListener;
use tonic::Code;

use crate::fake_server::{Call, DrainCall, FakeServer, refusal, within};

fn asked() -> pb::DrainServerRequest {
    pb::DrainServerRequest {
        reason: pb::EndReason::Restart.into(),
        sessions: pb::DrainSessions::Keep.into(),
        ..Default::default()
    }
}

async fn send(drain: &DrainCall, frame: Frame) {
    let frame = Some(frame);
    let response = pb::DrainServerResponse { frame };
    drain.frames.send(Ok(response)).await.unwrap();
}

fn started() -> Frame {
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    Frame::Started(pb::DrainStarted {
        begin_time: at(100),
        deadline: at(110),
        ..Default::default()
    })
}

/// A drain of which the server says that it has begun.
async fn begun(server: &mut FakeServer, client: &Client) -> (DrainStream, DrainCall) {
    let serve = async {
        let call = server.drain().await;
        send(&call, started()).await;
        call
    };
    let (drain, call) = within(async { tokio::join!(client.drain_server(asked()), serve) }).await;
    let mut drain = drain.unwrap();
    assert_eq!(within(drain.next()).await.unwrap(), Some(started()));
    (drain, call)
}

/// The next call is this test's own, so nothing was asked again.
async fn check_not_repeated(server: &mut FakeServer, client: &Client) {
    let (stats, ()) = within(async { tokio::join!(client.stats(), answer_stats(server)) }).await;
    stats.unwrap();
}

async fn answer_stats(server: &mut FakeServer) {
    match server.call().await {
        Call::Stats(call) => call.answer(pb::GetStatsResponse::default()),
        other => panic!("expected nothing but counts to be asked for, got {other:?}"),
    }
}

#[tokio::test]
async fn frames_come_through_up_to_the_report() {
    let mut server = FakeServer::start().await;
    let client = server.client();
    let (mut drain, call) = begun(&mut server, &client).await;
    assert_eq!(call.request, asked());
    let progress = Frame::Progress(pb::DrainProgress {
        ended: 3,
        waiting: 2,
        left: 1,
        releasing: 4,
    });
    let report = Frame::Report(pb::DrainReport {
        ended: 5,
        warnings: vec![pb::DrainWarning::default()],
        ..Default::default()
    });
    let later = pb::DrainServerResponse { frame: None };
    let frames = [progress, report];
    for frame in frames.clone() {
        // What a later server says beside is passed over.
        call.frames.send(Ok(later.clone())).await.unwrap();
        send(&call, frame).await;
    }
    for frame in frames {
        assert_eq!(within(drain.next()).await.unwrap(), Some(frame));
    }
    // The server keeps its side open: behind the report nothing is awaited.
    assert_eq!(within(drain.next()).await.unwrap(), None);
    drop(call);
}

#[tokio::test]
async fn a_server_that_goes_before_it_reported_is_an_error_that_says_so() {
    let mut server = FakeServer::start().await;
    let client = server.client();
    for is_cut in [false, true] {
        let (mut drain, call) = begun(&mut server, &client).await;
        if is_cut {
            server.cut();
        } else {
            drop(call);
        }
        let error = within(drain.next()).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("went before it reported"), "{text}");
        check_not_repeated(&mut server, &client).await;
    }
}

#[tokio::test]
async fn a_drain_of_unknown_outcome_is_not_asked_for_again() {
    let mut server = FakeServer::start().await;
    let client = server.client();
    for is_cut in [false, true] {
        let asking = async {
            let mut drain = client.drain_server(asked()).await?;
            drain.next().await
        };
        let serving = async {
            let call = server.drain().await;
            // Held until the connection is gone, so that it is no end in order.
            is_cut.then(|| {
                server.cut();
                call
            })
        };
        let (answer, _call) = within(async { tokio::join!(asking, serving) }).await;
        let error = answer.unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
        check_not_repeated(&mut server, &client).await;
    }
}

/// Not even where a call that counts twice would be repeated.
#[tokio::test]
async fn a_refused_drain_is_not_asked_for_again() {
    let mut server = FakeServer::start().await;
    let client = server.client();
    for reason in [Reason::Overloaded, Reason::ServerDraining] {
        let status = refusal(Code::Unavailable, reason, Some(Duration::from_millis(1)));
        let refuse = async {
            let call = server.drain().await;
            call.frames.send(Err(status)).await.unwrap();
        };
        let asking = client.drain_server(asked());
        let (answer, ()) = within(async { tokio::join!(asking, refuse) }).await;
        assert_eq!(answer.unwrap_err().reason(), Some(reason));
        check_not_repeated(&mut server, &client).await;
    }
}

/// A server that is started while the caller waits is not the one that was meant.
#[tokio::test]
async fn a_server_that_is_not_there_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let client = Client::builder()
        .addr(addr.to_string())
        .retry(RetryPolicy::within(Duration::from_secs(3_600)))
        .build()
        .unwrap();
    let error = within(client.drain_server(asked())).await.unwrap_err();
    assert!(error.is_connect(), "{error:?}");
}

#[tokio::test]
async fn the_report_is_read_again_when_its_answer_is_lost() {
    let mut server = FakeServer::start().await;
    let client = server.client();
    let report = pb::DrainReport {
        ended: 7,
        recovered: true,
        ..Default::default()
    };
    for expected in [None, Some(report)] {
        let serve = async {
            let Call::DrainReport(lost) = server.call().await else {
                panic!("expected a look at the report");
            };
            lost.refuse(refusal(Code::Unavailable, Reason::StoreUnavailable, None));
            let Call::DrainReport(call) = server.call().await else {
                panic!("expected another look at the report");
            };
            call.answer(pb::GetDrainReportResponse {
                report: expected.clone(),
            });
        };
        let (told, ()) = within(async { tokio::join!(client.drain_report(), serve) }).await;
        assert_eq!(told.unwrap(), expected);
    }
}

/// Calling it off again does no harm, so a lost answer is asked for again; a drain that goes through is an error at once.
#[tokio::test]
async fn a_drain_is_called_off_even_when_an_answer_is_lost() {
    let mut server = FakeServer::start().await;
    let client = server.client();
    let report = pb::DrainReport {
        state: pb::DrainState::Cancelled.into(),
        ..Default::default()
    };
    let serve = async {
        for lost in [true, false] {
            let Call::CancelDrain(call) = server.call().await else {
                panic!("expected that it is called off");
            };
            match lost {
                true => call.refuse(refusal(Code::Unavailable, Reason::StoreUnavailable, None)),
                false => call.answer(pb::CancelDrainResponse {
                    report: Some(report.clone()),
                }),
            }
        }
    };
    let (told, ()) = within(async { tokio::join!(client.cancel_drain(), serve) }).await;
    assert_eq!(told.unwrap(), Some(report));
    let late = async {
        let Call::CancelDrain(call) = server.call().await else {
            panic!("expected that it is called off");
        };
        let reason = Reason::DrainNotCancellable;
        call.refuse(refusal(Code::FailedPrecondition, reason, None));
    };
    let (refused, ()) = within(async { tokio::join!(client.cancel_drain(), late) }).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.reason(), Some(Reason::DrainNotCancellable));
}
