//! What was asked for and was refused is told, a line each, with ids and without what was said.

use rustix::process::Signal;
use serde_json::Value;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::drain_stream::DrainStream;
use sessiond_tests::requests::{claim, end, id, key, millis, nack, open};
use sessiond_tests::watch_stream::WatchStream;

use super::run::{Run, command};

/// The lines of the audit in a log in JSON: what each tells, of which key or call, and why.
fn audited(said: &[String]) -> Vec<(String, String, String)> {
    let lines = said.iter().map(|line| serde_json::from_str::<Value>(line));
    let lines = lines.filter_map(Result::ok);
    let lines = lines.filter(|line| line["target"] == "audit");
    let word = |line: &Value, names: [&str; 2]| {
        let found = names.into_iter().find_map(|name| line[name].as_str());
        found.unwrap_or_default().to_owned()
    };
    lines
        .map(|line| {
            let what = word(&line, ["message", ""]);
            let of = word(&line, ["key", "rpc"]);
            let why = word(&line, ["reason", "refused"]);
            (what.replace("audit: ", ""), of, why)
        })
        .collect()
}

/// Opens, ends, resets and purges sessions, takes one from its worker, and looks after messages.
async fn act(caller: &Caller) {
    let first = open("a");
    let first = pb::OpenSessionRequest {
        prompt: "secret prompt".to_owned(),
        ..first
    };
    caller.open(first).await.expect("it opens");
    caller
        .enqueued(key("a"), &["secret one", "secret two"])
        .await;
    let claimed = caller.claim(claim(key("a"), "worker")).await;
    let claimed = claimed.expect("there is work").deliveries;
    let given_up = nack(&claimed[0], pb::NackKind::Permanent, None);
    assert_eq!(caller.code(given_up).await, pb::SettleCode::Ok);
    let seq = |delivery: &pb::Delivery| delivery.message.as_ref().expect("a message").seq;
    let requeue = pb::RequeueDeadLettersRequest {
        filter: Some(pb::DeadLetterFilter::default()),
        ..pb::RequeueDeadLettersRequest::default()
    };
    let requeued = caller.requeue(requeue).await.expect("it comes back");
    assert_eq!(requeued.requeued, 1);
    let revoke = pb::RevokeLeaseRequest {
        r#ref: key("a"),
        ..pb::RevokeLeaseRequest::default()
    };
    caller.revoke_lease(revoke).await.expect("it is taken");
    let discard = pb::DiscardMessagesRequest {
        r#ref: key("a"),
        seqs: claimed.iter().map(seq).collect(),
        ..pb::DiscardMessagesRequest::default()
    };
    let discarded = caller.discard(discard).await.expect("they go");
    assert_eq!(discarded.discarded, 2);
    let reset = pb::ResetSessionRequest {
        r#ref: key("a"),
        ..pb::ResetSessionRequest::default()
    };
    let before = caller.reset(reset).await.expect("it is reset").ended;
    let before = before.expect("it answers with both").session_id;
    let completed = end(key("a"), pb::EndReason::Completed, pb::EndMode::Immediate);
    caller.end(completed.clone()).await.expect("it ends");
    let purge = pb::PurgeSessionsRequest {
        session_ids: vec![before],
        ..pb::PurgeSessionsRequest::default()
    };
    caller.purge(purge).await.expect("it is purged");
    // And what is refused.
    let unknown = end(
        id("nobody"),
        pb::EndReason::Completed,
        pb::EndMode::Immediate,
    );
    caller.end(unknown).await.expect_err("there is none");
    let nothing = pb::DiscardMessagesRequest::default();
    caller.discard(nothing).await.expect_err("it names nothing");
    let cancel = pb::CancelDrainRequest {};
    caller.cancel_drain(cancel).await.expect_err("nothing goes");
    // Not all that is refused is anybody's business.
    let touch = pb::TouchSessionRequest {
        r#ref: id("nobody"),
        ..pb::TouchSessionRequest::default()
    };
    caller.touch(touch).await.expect_err("there is none");
}

/// Proves: B22.
#[tokio::test(flavor = "multi_thread")]
async fn who_ended_took_purged_and_brought_back_is_told_once_and_so_is_what_was_refused() {
    let temporary = tempfile::tempdir().expect("a temporary directory can be made");
    let data = temporary.path().join("data");
    let data = data.to_str().expect("a temporary path is UTF-8");
    let flags = ["--log-format", "json", "--listen", "127.0.0.1:0"];
    let mut run = Run::start(command(&[&flags[..], &["--data-dir", data]].concat()));
    let caller = Caller::at(&format!("http://{}", run.listening())).await;
    act(&caller).await;
    let newest = caller.revision().await;
    let events = WatchStream::from_the_start(&caller)
        .await
        .up_to(newest)
        .await;
    let announced = pb::DrainServerRequest {
        notice: millis(60_000),
        ..pb::DrainServerRequest::default()
    };
    let drain = DrainStream::open(&caller, announced).await;
    let drain = drain.expect("it is announced");
    let cancel = pb::CancelDrainRequest {};
    caller.cancel_drain(cancel).await.expect("it is called off");
    drain.report().await;
    run.signal(Signal::TERM);
    let (status, said) = run.ended();
    assert_eq!(status.code(), Some(0), "{said:?}");
    let (refused, done): (Vec<_>, Vec<_>) = audited(&said)
        .into_iter()
        .partition(|(what, ..)| what == "refused");
    let expected = [
        ("session opened", "a", ""),
        ("messages requeued", "a", ""),
        ("worker detached", "a", ""),
        ("messages discarded", "a", ""),
        ("session end", "a", "RESET"),
        ("session opened", "a", ""),
        ("session end", "a", "COMPLETED"),
        ("session purged", "a", "RESET"),
        ("server draining", "", ""),
        ("server drain cancelled", "", ""),
        ("server draining", "", ""),
    ];
    let owned =
        |(what, of, why): (&str, &str, &str)| (what.to_owned(), of.to_owned(), why.to_owned());
    assert_eq!(done, expected.map(owned), "{said:#?}");
    let refusals = [
        ("SessionService/EndSession", "SESSION_NOT_FOUND"),
        ("MessageService/DiscardMessages", "FIELD_INVALID"),
        ("AdminService/CancelDrain", "DRAIN_NOT_CANCELLABLE"),
    ];
    let refusals =
        refusals.map(|(rpc, reason)| owned(("refused", &format!("/sessiond.v1.{rpc}"), reason)));
    assert_eq!(refused, refusals);
    assert!(!said.iter().any(|line| line.contains("secret")), "{said:?}");
    tells_how_many(&events);
}

/// What a line tells is an event of the log, with who did it and of how many messages.
fn tells_how_many(events: &[pb::SessionEvent]) {
    for kind in [
        pb::EventType::MessagesRequeued,
        pb::EventType::MessagesDiscarded,
    ] {
        let of_kind: Vec<_> = events
            .iter()
            .filter(|event| event.r#type() == kind)
            .collect();
        let [event] = of_kind[..] else {
            panic!("one of {kind:?}: {of_kind:?}");
        };
        let messages = if kind == pb::EventType::MessagesRequeued {
            "1"
        } else {
            "2"
        };
        assert_eq!(event.attributes["messages"], messages);
        let actor = event.actor.as_ref().expect("somebody did it").kind();
        assert_eq!(actor, pb::ActorKind::Api);
    }
}
