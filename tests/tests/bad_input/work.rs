//! Worker streams: the frames that end one, each with its status.

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::work_request::Frame as Said;
use sessiond_tests::requests::ack;
use sessiond_tests::work_stream::{WorkStream, hello};

use super::table::{World, bytes, judge, too_many_labels};

/// Frames that end a stream, with what is wrong with each.
async fn ends_with(world: &World, frames: Vec<Option<Said>>, reason: Reason, fields: &[&str]) {
    let shown: String = format!("{frames:?}").chars().take(400).collect();
    let mut stream = WorkStream::open(&world.caller).await.expect("a stream");
    for frame in frames {
        stream.send(pb::WorkRequest { frame });
    }
    let refusal = stream.refusal().await;
    let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
    judge(&refusal, reason, &fields, &shown);
}

fn greeting() -> Option<Said> {
    Some(Said::Hello(hello("other", 0)))
}

#[tokio::test]
async fn the_first_frame_is_a_hello_and_there_is_one() {
    let world = World::new().await;
    let beat = Some(Said::Heartbeat(pb::Heartbeat {}));
    ends_with(&world, vec![beat.clone()], Reason::FieldInvalid, &["frame"]).await;
    ends_with(&world, vec![None], Reason::FieldInvalid, &["frame"]).await;
    ends_with(
        &world,
        vec![greeting(), None],
        Reason::FieldInvalid,
        &["frame"],
    )
    .await;
    ends_with(
        &world,
        vec![greeting(), beat, greeting()],
        Reason::FieldInvalid,
        &["hello"],
    )
    .await;
    world.is_unchanged().await;
}

#[tokio::test]
async fn hellos() {
    let world = World::new().await;
    let one = |change: &dyn Fn(&mut pb::Hello)| {
        let mut frame = hello("other", 1);
        change(&mut frame);
        vec![Some(Said::Hello(frame))]
    };
    let window = |messages: u32, bytes: u64, sessions: u32| pb::Window {
        max_messages: Some(messages),
        max_bytes: Some(bytes),
        max_sessions: Some(sessions),
    };
    let resume = |session_id: &str, deliveries: usize| pb::Resume {
        session_id: session_id.to_owned(),
        delivery_ids: vec![1; deliveries],
        ..pb::Resume::default()
    };
    let invalid = async |frames: Vec<Option<Said>>, fields: &[&str]| {
        ends_with(&world, frames, Reason::FieldInvalid, fields).await;
    };
    invalid(one(&|h| h.worker = String::new()), &["hello.worker"]).await;
    invalid(one(&|h| h.worker = "\0".to_owned()), &["hello.worker"]).await;
    invalid(one(&|h| h.instance_id = bytes(257)), &["hello.instance_id"]).await;
    invalid(one(&|h| h.build_id = bytes(257)), &["hello.build_id"]).await;
    invalid(one(&|h| h.labels = too_many_labels()), &["hello.labels"]).await;
    let fields = [
        "hello.window.max_messages",
        "hello.window.max_bytes",
        "hello.window.max_sessions",
    ];
    invalid(
        one(&|h| h.window = Some(window(4_097, (1 << 30) + 1, 4_097))),
        &fields,
    )
    .await;
    let fields = [
        "hello.resume[0].session_id",
        "hello.resume[0].queue_id",
        "hello.resume[0].epoch",
        "hello.resume[0].delivery_ids",
    ];
    invalid(one(&|h| h.resume = vec![resume("", 513)]), &fields).await;
    let too_many = pb::Resume {
        queue_id: 1,
        epoch: 1,
        ..resume("s", 0)
    };
    invalid(
        one(&|h| h.resume = vec![too_many.clone(); 1_025]),
        &["hello.resume"],
    )
    .await;
    let serves = pb::SessionFilter {
        states: vec![2],
        ..pb::SessionFilter::default()
    };
    let frames = one(&|h| h.serves = Some(serves.clone()));
    ends_with(&world, frames, Reason::NotBuilt, &["hello.serves.states"]).await;
    world.is_unchanged().await;
}

#[tokio::test]
async fn later_frames() {
    let world = World::new().await;
    let invalid = async |frame: Said, fields: &[&str]| {
        ends_with(
            &world,
            vec![greeting(), Some(frame)],
            Reason::FieldInvalid,
            fields,
        )
        .await;
    };
    let session_id = String::new;
    invalid(
        Said::Detach(pb::Detach {
            session_id: session_id(),
        }),
        &["detach.session_id"],
    )
    .await;
    invalid(
        Said::Progress(pb::Progress::default()),
        &["progress.session_id"],
    )
    .await;
    let loud = pb::Progress {
        session_id: "s".to_owned(),
        volatile: too_many_labels(),
        epoch: 0,
    };
    invalid(Said::Progress(loud), &["progress.volatile"]).await;
    invalid(Said::Settle(pb::Settle::default()), &["settle.settlements"]).await;
    let outcomeless = pb::Settlement {
        outcome: None,
        ..ack(&world.delivery)
    };
    let settle = pb::Settle {
        settlements: vec![ack(&world.delivery), outcomeless],
    };
    invalid(Said::Settle(settle), &["settle.settlements[1]"]).await;
    let wide = pb::Window {
        max_messages: Some(u32::MAX),
        ..pb::Window::default()
    };
    invalid(Said::Window(wide), &["window.max_messages"]).await;
    invalid(
        Said::Goodbye(pb::Goodbye {
            detail: bytes(4_097),
        }),
        &["goodbye.detail"],
    )
    .await;
    let result = pb::CancelResult {
        outcome: 9,
        detail: bytes(4_097),
        ..pb::CancelResult::default()
    };
    let fields = ["session_id", "outcome", "detail"];
    let fields = fields.map(|field| format!("cancel_result.{field}"));
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    invalid(Said::CancelResult(result), &fields).await;
    let unsaid = pb::CancelResult {
        session_id: "s".to_owned(),
        ..pb::CancelResult::default()
    };
    invalid(Said::CancelResult(unsaid), &["cancel_result.outcome"]).await;
    world.is_unchanged().await;
}
