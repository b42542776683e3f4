//! The frames of a worker's stream.

use sessiond_core::command::{CancelOutcome, Hello, Resume, WorkerFrame};
use sessiond_core::ids::{DeliveryId, Epoch, InstanceId, SessionId, SessionRef, WorkerName};
use sessiond_core::presence::{SessionFilter, Window};
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::work_request::Frame;

use super::{Spoiled, by_id, by_key, check_not_built, check_spoiled, labels, too_many_labels};
use crate::wire::faults::Invalid;
use crate::wire::parse::work::{self, WorkFrame};

fn parse(frame: Frame) -> Result<WorkFrame, Invalid> {
    work::frame(pb::WorkRequest { frame: Some(frame) })
}

/// The command of a frame that has one.
fn command(frame: Frame) -> WorkerFrame {
    let WorkFrame::Frame(frame) = parse(frame).unwrap() else {
        panic!("a frame for the engine as it is");
    };
    frame
}

fn session() -> SessionId {
    SessionId::parse("s").unwrap()
}

fn full_hello() -> pb::Hello {
    pb::Hello {
        worker: "w".to_owned(),
        instance_id: "i".to_owned(),
        build_id: "b".to_owned(),
        labels: labels([("zone", "a")]),
        window: Some(pb::Window {
            max_messages: Some(0),
            max_bytes: Some(1 << 30),
            max_sessions: Some(4_096),
        }),
        serves: Some(pb::SessionFilter {
            pool: "batch".to_owned(),
            ..pb::SessionFilter::default()
        }),
        resume: vec![pb::Resume {
            session_id: "s".to_owned(),
            queue_id: 1,
            epoch: 2,
            delivery_ids: (1..=512).collect(),
        }],
    }
}

fn hello(given: pb::Hello) -> Result<(InstanceId, Hello), Invalid> {
    let WorkFrame::Hello { instance, hello } = parse(Frame::Hello(given))? else {
        panic!("a hello is a hello");
    };
    Ok((instance, *hello))
}

#[test]
fn every_field_of_a_hello_reaches_the_command() {
    let (instance, given) = hello(full_hello()).unwrap();
    assert_eq!(instance.as_str(), "i");
    let expected = Hello {
        worker: WorkerName::parse("w").unwrap(),
        build_id: "b".to_owned(),
        labels: labels([("zone", "a")]),
        window: Window {
            messages: 0,
            bytes: 1 << 30,
            sessions: 4_096,
        },
        serves: Some(SessionFilter {
            pool: Some("batch".to_owned()),
            ..SessionFilter::default()
        }),
        resume: vec![Resume {
            session: session(),
            epoch: Epoch(2),
            deliveries: (1..=512).map(DeliveryId).collect(),
        }],
    };
    assert_eq!(given, expected);
    let (instance, given) = hello(pb::Hello {
        worker: "w".to_owned(),
        ..pb::Hello::default()
    })
    .unwrap();
    assert_eq!(instance.as_str(), "w");
    let window = Window {
        messages: 16,
        bytes: 64 << 20,
        sessions: 100,
    };
    assert_eq!(given.window, window);
    assert_eq!(given.serves, None);
    assert!(given.resume.is_empty());
}

#[test]
fn every_bad_field_of_a_hello_is_told() {
    fn window(hello: &mut pb::Hello) -> &mut pb::Window {
        hello.window.as_mut().unwrap()
    }
    check_spoiled(
        &full_hello(),
        hello,
        &[
            ("hello.worker", "empty", |r| r.worker.clear()),
            ("hello.instance_id", "control", |r| {
                r.instance_id = "\n".to_owned()
            }),
            ("hello.build_id", "256", |r| r.build_id = "x".repeat(257)),
            ("hello.labels", "64", |r| r.labels = too_many_labels()),
            ("hello.window.max_messages", "at most 4096, got 4097", |r| {
                window(r).max_messages = Some(4_097);
            }),
            ("hello.window.max_bytes", "at most 1073741824", |r| {
                window(r).max_bytes = Some((1 << 30) + 1);
            }),
            ("hello.window.max_sessions", "at most 4096", |r| {
                window(r).max_sessions = Some(u32::MAX);
            }),
            ("hello.serves.pool", "256", |r| {
                r.serves.as_mut().unwrap().pool = "x".repeat(257);
            }),
            ("hello.resume[0].session_id", "empty", |r| {
                r.resume[0].session_id.clear()
            }),
            ("hello.resume[0].queue_id", "must be set", |r| {
                r.resume[0].queue_id = 0
            }),
            ("hello.resume[0].epoch", "must be set", |r| {
                r.resume[0].epoch = 0
            }),
            (
                "hello.resume[0].delivery_ids",
                "at most 512 items, got 513",
                |r| {
                    r.resume[0].delivery_ids.push(513);
                },
            ),
        ],
    );
    let many: [Spoiled<pb::Hello>; 1] = [("hello.resume", "got 1025", |r| {
        r.resume = vec![r.resume[0].clone(); 1_025];
    })];
    check_spoiled(&full_hello(), hello, &many);
    check_not_built(
        &full_hello(),
        hello,
        &[("hello.serves.states", |r| {
            r.serves.as_mut().unwrap().states = vec![2];
        })],
    );
}

#[test]
fn frames_become_commands() {
    let id = SessionRef::Id(session());
    let attach = command(Frame::Attach(pb::Attach { r#ref: by_id("s") }));
    assert_eq!(attach, WorkerFrame::Attach { session: id });
    let detach = pb::Detach {
        session_id: "s".to_owned(),
    };
    assert_eq!(
        command(Frame::Detach(detach)),
        WorkerFrame::Detach { session: session() }
    );
    let window = pb::Window {
        max_messages: Some(1),
        ..pb::Window::default()
    };
    let expected = Window {
        messages: 1,
        bytes: 64 << 20,
        sessions: 100,
    };
    assert_eq!(
        command(Frame::Window(window)),
        WorkerFrame::Window(expected)
    );
    assert_eq!(
        command(Frame::Heartbeat(pb::Heartbeat {})),
        WorkerFrame::Heartbeat
    );
    let goodbye = parse(Frame::Goodbye(pb::Goodbye {
        detail: "bye".to_owned(),
    }));
    assert!(matches!(goodbye, Ok(WorkFrame::Goodbye { detail }) if detail == "bye"));
}

#[test]
fn progress_replaces_what_the_worker_wants_back() {
    let progress = |volatile| {
        command(Frame::Progress(pb::Progress {
            session_id: "s".to_owned(),
            volatile,
            epoch: 7,
        }))
    };
    let expected = |volatile| WorkerFrame::Progress {
        session: session(),
        epoch: Some(Epoch(7)),
        volatile,
    };
    assert_eq!(progress(labels([])), expected(None));
    let kept = Some(labels([("model", "m")]));
    assert_eq!(
        progress(labels([("model", "m"), ("pid", "")])),
        expected(kept)
    );
    assert_eq!(progress(labels([("pid", "")])), expected(Some(labels([]))));
}

#[test]
fn every_bad_frame_is_told() {
    let spoiled: [(&str, &str, Frame); 8] = [
        (
            "detach.session_id",
            "empty",
            Frame::Detach(pb::Detach::default()),
        ),
        (
            "window.max_messages",
            "4096",
            Frame::Window(pb::Window {
                max_messages: Some(5_000),
                ..pb::Window::default()
            }),
        ),
        (
            "settle.settlements",
            "got none",
            Frame::Settle(pb::Settle::default()),
        ),
        (
            "settle.settlements[0]",
            "ack, nack or extend",
            Frame::Settle(pb::Settle {
                settlements: vec![pb::Settlement {
                    queue_id: 1,
                    seq: 1,
                    delivery_id: 1,
                    ..pb::Settlement::default()
                }],
            }),
        ),
        (
            "progress.session_id",
            "empty",
            Frame::Progress(pb::Progress::default()),
        ),
        (
            "progress.volatile",
            "64",
            Frame::Progress(pb::Progress {
                session_id: "s".to_owned(),
                volatile: too_many_labels(),
                epoch: 0,
            }),
        ),
        (
            "goodbye.detail",
            "4096",
            Frame::Goodbye(pb::Goodbye {
                detail: "x".repeat(4_097),
            }),
        ),
        ("hello.worker", "empty", Frame::Hello(pb::Hello::default())),
    ];
    for (field, part, frame) in spoiled {
        let invalid = parse(frame).expect_err(field);
        assert_eq!(super::fields(&invalid), [field].into());
        let told = &invalid.violations[0].description;
        assert!(told.contains(part), "{told}");
    }
    let invalid = work::frame(pb::WorkRequest { frame: None }).unwrap_err();
    assert_eq!(super::fields(&invalid), ["frame"].into());
}

#[test]
fn a_bad_answer_to_a_cancel_is_told() {
    let invalid = parse(Frame::CancelResult(pb::CancelResult {
        detail: "x".repeat(4_097),
        ..pb::CancelResult::default()
    }));
    let named = ["session_id", "outcome", "detail"].map(|field| format!("cancel_result.{field}"));
    let named: std::collections::BTreeSet<&str> = named.iter().map(String::as_str).collect();
    assert_eq!(super::fields(&invalid.unwrap_err()), named);
}

#[test]
fn an_answer_to_a_cancel_says_whether_the_work_stopped() {
    for (given, outcome) in [
        (pb::CancelOutcome::Stopped, CancelOutcome::Stopped),
        (pb::CancelOutcome::Finished, CancelOutcome::Finished),
        (pb::CancelOutcome::Failed, CancelOutcome::Failed),
    ] {
        let result = pb::CancelResult {
            session_id: "s".to_owned(),
            outcome: given.into(),
            detail: "more".to_owned(),
        };
        let Ok(WorkFrame::CancelResult {
            session,
            outcome: taken,
            detail,
        }) = parse(Frame::CancelResult(result))
        else {
            panic!("an answer is taken");
        };
        assert_eq!(
            (session.as_str(), taken, detail.as_str()),
            ("s", outcome, "more")
        );
    }
}

#[test]
fn a_bad_attach_is_answered_and_does_not_end_the_stream() {
    for (named, field) in [
        (None, "attach.ref"),
        (by_key(""), "attach.ref.key"),
        (by_id("\n"), "attach.ref.session_id"),
    ] {
        let attach = pb::Attach {
            r#ref: named.clone(),
        };
        let Ok(WorkFrame::AttachFailed(failed)) = parse(Frame::Attach(attach)) else {
            panic!("a bad attach has an answer");
        };
        assert_eq!(failed.r#ref, named);
        let status = failed.status.unwrap();
        assert_eq!(status.reason, "FIELD_INVALID");
        assert_eq!(status.code, tonic::Code::InvalidArgument as i32);
        assert_eq!(status.violations[0].field, field);
    }
}
