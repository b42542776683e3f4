//! DrainServer.

use std::time::{Duration, SystemTime};

use sessiond_proto::v1 as pb;
use sessiond_tests::refusal::Refusal;

use super::table::{World, invalid};

fn one(change: impl Fn(&mut pb::DrainServerRequest)) -> pb::DrainServerRequest {
    let mut request = pb::DrainServerRequest::default();
    change(&mut request);
    request
}

#[tokio::test]
async fn why_by_when_and_what_becomes_of_sessions() {
    let world = World::new().await;
    let span = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    let at = |seconds, nanos| Some(prost_types::Timestamp { seconds, nanos });
    let table = vec![
        invalid(
            one(|r| r.reason = pb::EndReason::Completed.into()),
            &["reason"],
        ),
        invalid(one(|r| r.reason = 99), &["reason"]),
        invalid(one(|r| r.sessions = 99), &["sessions"]),
        invalid(one(|r| r.deadline = at(1, 0)), &["deadline"]),
        invalid(one(|r| r.deadline = at(1, -1)), &["deadline"]),
        invalid(one(|r| r.notice = span(0)), &["notice"]),
        invalid(one(|r| r.notice = span(-1)), &["notice"]),
        invalid(one(|r| r.notice = span(3_601)), &["notice"]),
        invalid(
            one(|r| {
                r.notice = span(3_600);
                let soon = SystemTime::now() + Duration::from_secs(3_000);
                r.deadline = Some(soon.into());
            }),
            &["deadline"],
        ),
        invalid(
            one(|r| {
                r.reason = pb::EndReason::Evicted.into();
                r.sessions = -1;
                r.deadline = at(0, 0);
                r.notice = span(-1);
            }),
            &["reason", "sessions", "notice", "deadline"],
        ),
    ];
    let drain = async |request| {
        let answer = world.caller.admin().drain_server(request).await;
        answer.map(drop).map_err(Refusal::from)
    };
    world.refuses(table, drain).await;
}
